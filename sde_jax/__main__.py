"""`python -m sde_jax`."""

from sde_jax.cli import main

main()
