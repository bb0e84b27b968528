"""Feynman-Kac correctors: samples of products of powers of models, tilted by a potential.

Let q_i be the marginals at t of models of one path, dx = F dt + g dw with F = f (x - b) + b', and s_i their scores.
By the Fokker-Planck equation, with tau = 1 - t the time of generation,

    d log q_i / d tau = div F + F . s_i - (g^2 / 2) (div s_i + |s_i|^2).

The target is p_t = prod_i q_i^beta_i exp(V) / Z_t, V(x, t) a potential. Write B = sum_i beta_i, s = sum_i beta_i s_i
and v = grad V. Then log of the numerator grows at the rate

    B div F + F . s - (g^2 / 2) (div s + sum_i beta_i |s_i|^2) + dV / d tau.                                    (1)

Particles move by dx = a d tau + c g dw, c the churn, with a = -F + ((1 + c^2) / 2) g^2 s + (c^2 / 2) g^2 v. Were p_t
their density (v + s its score) it would change, by that motion alone and relative to itself, at the rate

    -div a - a . (s + v) + (c^2 g^2 / 2) (div (s + v) + |s + v|^2)
        = div F + F . (s + v) - (g^2 / 2) (div s + |s|^2 + s . v):                                              (2)

every term with c cancels, and so does the Laplacian of V, which fixes its coefficient in a. What is left, (1) - (2), is
the rate at which the logarithm of a particle's weight must grow, for any churn (Skreta et al. 2025, propositions 3.1 to
3.4, there for c = 1):

    d log w = [(B - 1) div F + (g^2 / 2) (|s|^2 - sum_i beta_i |s_i|^2)] d tau + dV along dx = (-F + g^2 s / 2) d tau.

With e_i = -sigma s_i, the noise that a denoiser implies, g^2 d tau = 2 sigma^2 d lambda, and this is

    d log w = -(B - 1) n d log alpha + (|sum_i beta_i e_i|^2 - sum_i beta_i |e_i|^2) d lambda + dV,

of which the first term is the same for all particles, known, and counts in Z alone. At t = 1 all models are the prior,
N(m, S) say, and the first particles are drawn from its power, N(m, S / B), with Z_1 = N(m; m, S)^(B - 1) B^(-n/2).

The integral over a step is the trapezoid, of weak order 2; its first point alone has order 1. Where lambda ends at
infinity (sigma = 0) the integrand in the variable (sigma / alpha)^2, to which the score is smooth, is taken at the
first point. x is carried by any solver of the reverse process, by the denoiser that belongs to s + v c^2 / (1 + c^2).

How unevenly particles weigh depends on the churn. While they are noise alone, e = x / sigma is an Ornstein-Uhlenbeck
process, de = (1 - (1 + c^2) B) e d lambda + c sqrt(2) dw, and log w gains B (B - 1) |e|^2 d lambda. By Riccati's
equation p' = 2 (2 B (B - 1) + (1 - (1 + c^2) B) p + c^2 p^2) of E w^2 = exp(p e^2 / 2 + ...), that moment grows beyond
all bounds within a finite stretch of lambda unless (1 + (c^2 - 1) B)^2 >= 4 c^2 B (B - 1), which is to say, but for
churns near 0, c >= (1 + sqrt 2) sqrt(1 - 1 / B): churn 1 is enough up to B = 1.2, and a product of two takes 1.71.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from sde_jax.errors import InputError, takes_components
from sde_jax.guidance.shift import pushed
from sde_jax.prediction import Estimates, Estimator, check_denoiser, estimates_of, require_score
from sde_jax.pytree import concrete, in_one_line, known
from sde_jax.reverse import reverse
from sde_jax.sampling import DDIM, Ancestral, DPMSolverMultistep, EulerMaruyama, ReverseDiffusion, SASolver, UniPC
from sde_jax.sampling.solver import FixedGridSolver, check_steps, draws_noise
from sde_jax.sde import Centred, GaussianPath, require_falling
from sde_jax.typing import Array, Denoiser, Key, Time

Potential = Callable[[Array, Time], Float[Array, ""]]
"""(x, t) -> V, differentiable in both."""
CHURNING = (EulerMaruyama, ReverseDiffusion, DPMSolverMultistep, UniPC, SASolver)


def steady_churn(total: float) -> float:
    """Return the least churn >= 1 at which weights of a product whose powers sum to `total` have a finite variance.

    max(1, (1 + sqrt 2) sqrt(1 - 1 / total)), see above: at most 2.42.
    """
    return max(1.0, (1 + math.sqrt(2)) * math.sqrt(max(0.0, 1 - 1 / total)))


@in_one_line
class Seen(NamedTuple):
    """What is evaluated once for each particle and time.

    estimates: of arrays [m, *shape], the models'; slope: grad V; climb: dV / dt along the flow. The last two are ()
    without V.
    """

    estimates: Estimates
    slope: Any
    climb: Any


@in_one_line
class Particle(NamedTuple):
    """x - b(t), what was seen there, and the solver's state."""

    x: Array
    seen: Seen
    state: Any


@takes_components
@in_one_line
@dataclass(frozen=True)
class FeynmanKac:
    """The target prod_i q_i^powers[i] exp(potential), q_i the distribution of models[i], at every time of `sde`.

    What it is of two models or one:

        FeynmanKac(sde, (given, free), (w, 1 - w))          classifier-free guidance, the product itself
        FeynmanKac(sde, (first, second), (0.5, 0.5))        geometric average
        FeynmanKac(sde, (first, second), (1.0, 1.0))        product of experts
        FeynmanKac(sde, (model,), (3.0,))                   annealing
        FeynmanKac(sde, (model,), (1.0,), lambda x, t: (1 - t) * reward(x))     tilting by exp(reward)

    potential: (x, t) -> V, of one x in the path's coordinates; it should vanish at t = 1, and what it is there counts
    as a weight at the start. solver: `EulerMaruyama`, `ReverseDiffusion`, `DDIM`, `Ancestral`, `DPMSolverMultistep`,
    `UniPC`, `SASolver`, or any with a fixed grid that draws no noise; by default DPM-Solver++(2M) with `steady_churn`.
    The error of the normaliser, of order 2 too, grows with churn: `log_normalizer` compares two grids.
    Weights create no particles: where churn is below 0.5 and the powers sum to more than 1 those the flow brings may
    not reach where the target is, which warns. paths: those that the models were trained on, to be compared with
    `sde`; a model of another one is brought to it by `at_equal_log_snr`.

    Raises `InputError` unless there are as many powers as models, of a positive sum, and for other solvers and paths.
    """

    sde: GaussianPath
    models: tuple[Denoiser, ...]
    powers: tuple[float, ...]
    potential: Potential | None = None
    solver: FixedGridSolver | None = None
    paths: tuple[GaussianPath, ...] = ()

    def __post_init__(self):
        require_falling(self.sde)
        require_score("FeynmanKac", *self.models)
        if not self.models or len(self.models) != len(self.powers):
            raise InputError(
                f"FeynmanKac of {len(self.models)} models and {len(self.powers)} powers: expected one power a model"
            )
        if not known(*self.powers) or not 0 < self.total < float("inf"):
            raise InputError(f"FeynmanKac: powers {self.powers}: expected numbers of a positive sum")
        check_steps(self, self.stepper)
        if draws_noise(self.stepper) and not isinstance(self.stepper, (*CHURNING, DDIM, Ancestral)):
            raise InputError(
                f"FeynmanKac by {self.solver}: expected a solver of the reverse process with one churn, such as "
                "DPMSolverMultistep(churn=1.0), or one that draws no noise"
            )
        for path in self.paths:
            if not _same(path, self.sde):
                raise InputError(
                    f"FeynmanKac: a model of {path} on {self.sde}: expected one path for all; see `at_equal_log_snr`"
                )
        if known(self.churn) and self.churn < 0.5 and self.total > 1:
            warnings.warn(
                f"FeynmanKac with churn {self.churn:g} and powers of sum {self.total:g} > 1: weights cannot bring "
                "particles to where the flow brings none; take churn = 1",
                stacklevel=3,
            )

    @property
    def total(self) -> float:
        """B, the sum of the powers."""
        return sum(self.powers)

    @property
    def stepper(self) -> FixedGridSolver:
        """The solver, by default of order 2 and with `steady_churn`."""
        return self.solver or DPMSolverMultistep(
            order=2, churn=steady_churn(self.total), published=False, lower_order_final=False
        )

    @property
    def churn(self) -> float:
        """The solver's."""
        return self.stepper.effective_churn

    @property
    def normalizer_order(self) -> float:
        """The order of log Z in the steps: the trapezoid's, 2, or the solver's where that is less."""
        return max(1.0, min(2.0, self.stepper.convergence_order))

    def start(self, key: Key, shape: tuple[int, ...], grid: Array) -> tuple[Particle, Array]:
        """Draw from the prior's power; return the particle and log of its weight, with the constant.

        Raises `InputError` where a model changes the shape, and where alpha is 0 at the start and B is not 1.
        """
        for model in self.models:
            check_denoiser(model, shape)
        self.stepper.check(self.sde, grid)
        t, sde = grid[0], self.sde
        if self.total != 1 and concrete((t, sde)):
            with jax.ensure_compile_time_eval():
                if np.any(sde.alpha(t) == 0):
                    raise InputError(
                        f"FeynmanKac with powers of sum {self.total:g} on a grid from t = {t:g}, where alpha is 0 and "
                        "the weights are infinite: expected a grid that starts later"
                    )
        mean = jnp.broadcast_to(sde.prior_mean(), shape)
        x = mean + (sde.prior_sample(key, shape) - mean) / jnp.sqrt(self.total) - sde.offset(t)
        log_weight = self.potential(x + sde.offset(t), t) if self.potential else jnp.zeros((), x.dtype)
        if self.total != 1:
            log_weight += (self.total - 1) * sde.prior_log_prob(mean) - 0.5 * x.size * jnp.log(self.total)
        return Particle(x, self.look(x, t), self.stepper.init(x, grid)), log_weight

    def product(self, x: Array, t: Time, estimates: Estimates) -> Estimates:
        """Return what belongs to the score s: sum_i beta_i D_i + (1 - B) x / alpha, and sum_i beta_i e_i."""
        powers = jnp.asarray(self.powers, x.dtype)
        clean, noise = jax.tree.map(lambda models: jnp.tensordot(powers, models, 1), estimates)
        return Estimates(clean if self.total == 1 else clean + (1 - self.total) / self.sde.alpha(t) * x, noise)

    def look(self, x: Array, t: Time) -> Seen:
        """Evaluate the models and the potential at x + b(t)."""
        sde, place = Centred(self.sde), x + self.sde.offset(t)
        t = jnp.asarray(t, x.dtype)
        each = [estimates_of(model, self.sde)(place, t) for model in self.models]
        estimates = jax.tree.map(lambda *models: jnp.stack(models), *each)
        if (potential := self.potential) is None:
            return Seen(estimates, (), ())
        slope, speed = jax.grad(lambda x, t: potential(x + self.sde.offset(t), t), (0, 1))(x, t)
        velocity = reverse(sde, Estimator(lambda x, t: self.product(x, t, estimates)), 0.0).drift(x, t)
        return Seen(estimates, slope, speed + jnp.sum(slope * velocity))

    def rate(self, seen: Seen) -> Array:
        """Return (sum_i beta_i e_i)^2 - sum_i beta_i e_i^2 for every number of x."""
        noises = seen.estimates.noise
        powers = jnp.asarray(self.powers, noises.dtype)
        return jnp.tensordot(powers, noises, 1) ** 2 - jnp.tensordot(powers, noises**2, 1)

    def guided(self, x: Array, t: Time, seen: Seen) -> Estimates:
        """Return what belongs to the score s + v c^2 / (1 + c^2)."""
        found = self.product(x, t, seen.estimates)
        if self.potential is None or (known(self.churn) and self.churn == 0):
            return found
        return pushed(self.sde, found, self.churn**2 / (1 + self.churn**2) * seen.slope, t)

    def move(self, key: Key, particle: Particle, t: Time, s: Time, last: Bool[Array, ""]) -> tuple[Particle, Array]:
        """Carry a particle from t to s by a step of the solver; return what its log-weight gains."""
        sde, (start, before, state) = Centred(self.sde), particle

        @Estimator
        def denoise(x: Array, t: Time) -> Estimates:
            # Where the step starts the models were evaluated already, when the weight was.
            return self.guided(x, t, before if x is start else self.look(x, t))

        step, state = self.stepper.step(key, start, t, s, state, sde=sde, denoise=denoise)
        x = jnp.where(last, step.mean, step.x) if self.stepper.noise_free else step.x
        ends = jnp.all(jnp.isfinite(sde.log_snr(s)))
        after = jax.lax.cond(ends, lambda: self.look(x, s), lambda: jax.tree.map(jnp.zeros_like, before))
        return Particle(x, after, state), self.gain(start, x, t, s, before, after)

    def gain(self, x: Array, y: Array, t: Time, s: Time, before: Seen, after: Seen) -> Array:
        """Return what the log-weight gains on the way from x at t to y at s."""
        sde = self.sde
        h = sde.log_snr(s) - sde.log_snr(t)
        first, second = self.rate(before), self.rate(after)
        quadratic = jnp.where(jnp.isfinite(h), 0.5 * h * (first + second), -0.5 * jnp.expm1(-2 * h) * first)
        gained = jnp.sum(quadratic)
        if self.total != 1:
            gained += (self.total - 1) * jnp.sum(jnp.broadcast_to(sde.log_alpha(t) - sde.log_alpha(s), x.shape))
        if self.potential is not None:
            ends = jnp.all(jnp.isfinite(sde.log_snr(s)))
            gained += (s - t) * jnp.where(ends, 0.5 * (before.climb + after.climb), before.climb)
        return gained

    def read(self, particle: Particle, t: Time) -> Array:
        """Return the example of the data."""
        return self.sde.to_data(particle.x + self.sde.offset(t))


def _same(one: GaussianPath, other: GaussianPath) -> bool:
    """Return whether two paths are of one class and have the same numbers; those that are traced pass."""
    if jax.tree.structure(one) != jax.tree.structure(other):
        return False
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return not concrete((one, other)) or all(np.array_equal(a, b) for a, b in pairs)
