"""The optimizer."""

from dataclasses import dataclass

import optax

from sde_jax.errors import InputError


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015) after clipping the gradient's global norm, its rate warmed up linearly.

    learning_rate: the rate after `warmup` steps; of step n, from 0 on, it is (n + 1) / warmup of it before or, with
    `from_zero`, n / warmup, as in the official code, whose first step does nothing; half_life: steps in which the rate
    then halves, 0 for a constant rate (a schedule that does not depend on how long the run will be); clip: the norm's
    bound, 0 for none; b1, b2, eps: Adam's. Song et al. 2021 (appendix H): 2e-4, 5000, constant, 1.
    Raises `InputError` where a field is out of range.
    """

    learning_rate: float = 2e-4
    warmup: int = 5000
    half_life: float = 0.0
    clip: float = 1.0
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    from_zero: bool = False

    def __post_init__(self):
        positive = self.learning_rate > 0 and self.eps > 0
        if not (
            positive and min(self.warmup, self.clip, self.half_life) >= 0 and 0 <= self.b1 < 1 and 0 <= self.b2 < 1
        ):
            raise InputError(
                f"{self}: expected learning_rate, eps > 0, warmup, half_life, clip >= 0, b1 and b2 in [0, 1)"
            )

    def schedule(self) -> optax.Schedule:
        """Return step (from 0) -> learning rate."""
        constant = optax.constant_schedule(self.learning_rate)
        after = (
            optax.exponential_decay(self.learning_rate, 1, 0.5 ** (1 / self.half_life)) if self.half_life else constant
        )
        first = 0.0 if self.from_zero else self.learning_rate / max(self.warmup, 1)
        ramp = optax.linear_schedule(first, self.learning_rate, self.warmup if self.from_zero else self.warmup - 1)
        return optax.join_schedules([ramp, after], [self.warmup])

    def transformation(self) -> optax.GradientTransformation:
        """Return the optax transformation."""
        clip = optax.clip_by_global_norm(self.clip) if self.clip else optax.identity()
        return optax.chain(clip, optax.adam(self.schedule(), b1=self.b1, b2=self.b2, eps=self.eps))
