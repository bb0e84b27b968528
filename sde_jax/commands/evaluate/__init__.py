"""`sde-jax evaluate`: loss, bits per dimension and metrics of samples, over checkpoints and samplers."""
