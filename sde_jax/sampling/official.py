"""What the official code does otherwise (Song et al. 2021, their code), where `discretization` is not all of it.

    their predictor        here, N = steps, down `grids.official(N, eps)`
    euler_maruyama         ReverseDiffusion(discretization=EulerSteps(N))
    reverse_diffusion      ReverseDiffusion(discretization=d), d = Tables(DDPM(steps=N)) on VP, Tables(SMLD(steps=N))
                           on VE, EulerSteps(N) on sub-VP; with churn=0 where they set probability_flow
    ancestral_sampling     DDPMAncestral(DDPM(steps=N)) on VP, SMLDAncestral(SMLD(steps=N)) on VE
    none                   Identity()

    their corrector
    langevin               BatchLangevin(snr, steps, d), ald: Langevin(snr, steps, d), none: NoCorrection()

Each pair of them makes a `PredictorCorrector(predictor, corrector)`, and their `denoise` is `noise_free`. Inpainting
and colourisation are `OfficialImputed` of it.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError, takes_components
from sde_jax.prediction import score_of
from sde_jax.sampling.discretization import Tables
from sde_jax.sampling.ends import check_lengths, check_table
from sde_jax.sampling.imputation import Imputed
from sde_jax.sampling.langevin import LangevinDynamics
from sde_jax.sampling.loop import SAMPLES
from sde_jax.sampling.predictor_corrector import Corrector
from sde_jax.sampling.solver import FixedGridSolver, Step
from sde_jax.sde import DDPM, SMLD, GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@takes_components
@dataclass(frozen=True)
class DDPMAncestral(FixedGridSolver):
    """x_s = (x + beta_i score(x, t)) / sqrt(1 - beta_i) + sqrt(beta_i) z, i the row of the tables in force at t.

    Ho et al. 2020, algorithm 2, with the larger of its two variances: not that of the posterior of a known x_0, which
    `Ancestral` takes, but of the posterior for x_0 ~ N(0, I) (section 3.2).
    """

    chain: DDPM = field(default_factory=DDPM)

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse another path than the table's, and other steps."""
        check_table(self, sde, self.chain)
        check_lengths(self, grid, self.chain.steps)

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x one row of the tables down; s is not used."""
        a, q = Tables(self.chain).link(sde, t, s)
        mean = (x + q**2 * score_of(denoise, sde)(x, t)) / a
        return Step(mean + q * sde.noise(key, x.shape, x.dtype), mean), state


@takes_components
@dataclass(frozen=True)
class SMLDAncestral(FixedGridSolver):
    """x_s = x + q^2 score(x, t) + q sigma_{i-1} / sigma_i z, q^2 = sigma_i^2 - sigma_{i-1}^2, i the row in force at t.

    Song et al. 2021, appendix F. sigma_{-1} = 0: the last step draws nothing.
    """

    chain: SMLD = field(default_factory=SMLD)

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse another path than the table's, and other steps."""
        check_table(self, sde, self.chain)
        check_lengths(self, grid, self.chain.steps)

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x one row of the tables down; s is not used."""
        _, q = Tables(self.chain).link(sde, t, s)
        mean = x + q**2 * score_of(denoise, sde)(x, t)
        i, sigmas = Tables(self.chain).row(t), self.chain.sigmas()
        kept = jnp.where(i > 0, sigmas[i - 1], 0.0) / sigmas[i]
        return Step(mean + q * kept * sde.noise(key, x.shape, x.dtype), mean), state


@takes_components
@dataclass(frozen=True)
class BatchLangevin(LangevinDynamics):
    """Langevin dynamics with e = 2 (a snr |z| / |score|)^2, both norms averaged over the samples drawn together.

    Song et al. 2021, algorithms 4 and 5, and their code. A sample depends on those beside it: `Langevin` does not.
    Raises `InputError` outside `sample`, which names the axis that the means are taken over.
    """

    def noise_level(self, z: Array, score: Array, time: Time, sde: GaussianPath) -> Array:
        """Return |z| / |score|."""
        try:
            norms = [jax.lax.pmean(jnp.linalg.norm(jnp.ravel(v)), SAMPLES) for v in (z, score)]
        except NameError:
            raise InputError(
                "BatchLangevin averages norms over the samples drawn together: expected to run within `sample`, or "
                f"under a vmap with axis_name={SAMPLES!r}"
            ) from None
        return norms[0] / norms[1]


@dataclass(frozen=True)
class OfficialImputed(Imputed):
    """Imputation as the official code has it.

    After a predictor's move from t to s the known part is drawn at t, after a corrector's moves once for all of them.
    The mean's known part is alpha y and its unknown part the noisy x: `noise_free` removes no noise there. The start is
    y in the known part, without noise, and the prior's draw elsewhere, which in a basis is masked before it is
    transformed.
    """

    def reached(self, t: Time, s: Time) -> Time:
        """Return t."""
        return t

    def moves(self, corrector: Corrector) -> tuple[Corrector, int]:
        """Return the corrector as it is, once."""
        return corrector, 1

    def begun(self, key: Key, x: Array, time: Time, sde: GaussianPath) -> Array:
        """Return the coordinates y m + (x (1 - m)) M, transformed back."""
        masked = jnp.where(jnp.asarray(self.known.mask, bool), 0.0, x)
        return self.known.imposed(masked, self.known.given + self.known.coordinates(masked))

    def filled(self, key: Key, step: Step, time: Time, sde: GaussianPath) -> Step:
        """Return a move with what is known replaced by a draw in x, and by its mean in that very x."""
        x = self.known.imposed(step.x, self.known.drawn(key, time, sde))
        return step._replace(x=x, mean=self.known.imposed(x, sde.alpha(time) * self.known.given))
