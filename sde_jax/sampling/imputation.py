"""Inpainting and colourisation: what is known of x_0 is put back, with the noise of the time, after every move."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.checks import finite
from sde_jax.errors import InputError
from sde_jax.pytree import concrete
from sde_jax.sampling.langevin import LangevinDynamics
from sde_jax.sampling.predictor_corrector import Corrector, PredictorCorrector
from sde_jax.sampling.solver import MOVED, FixedGridSolver, Solution, Step, check_steps
from sde_jax.sde import GaussianPath
from sde_jax.sde.path import path
from sde_jax.typing import Array, Denoiser, Key, Time

COLOURS = np.array([[1.0, -2.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, -1.0]]) / np.sqrt([3.0, 6.0, 2.0])
"""The orthonormal basis M [3, 3] of red, green, blue (columns) whose first is grey (Song et al. 2021, appendix I.3)."""

NOT_FINITE = (
    "a known number is NaN or infinite, or a mask holds other numbers than 0 and 1: expected finite numbers where the "
    "mask is true or 1"
)


@path
class Known:
    """What is known of one x_0: its coordinates c = x_0 M where `mask` is true, M orthonormal over the last axis.

    value: c, of the shape of x_0, with anything, NaN too, where it is not known; mask: true or 1 where it is, an array
    that broadcasts against it; basis: M, None for the numbers themselves. All may be traced: another image compiles
    nothing anew. Raises `InputError` for a mask or a basis that does not fit, a mask of other numbers than 0 and 1, a
    basis that is not orthonormal, and a known number that is not finite; a traced one raises when it is computed with.
    """

    value: Array | np.ndarray
    mask: Array | np.ndarray
    basis: Array | np.ndarray | None = None

    def __post_init__(self):
        shapes = jnp.shape(self.value), jnp.shape(self.mask)
        if len(shapes[1]) > len(shapes[0]) or any(
            n not in (1, m) for m, n in zip(shapes[0][::-1], shapes[1][::-1], strict=False)
        ):
            raise InputError(f"a mask of shape {shapes[1]} for a value of shape {shapes[0]}: expected the same shape")
        if self.basis is not None and jnp.shape(self.basis) != (shapes[0][-1:] * 2 or None):
            raise InputError(
                f"a basis of shape {jnp.shape(self.basis)} for a value of shape {shapes[0]}: expected [c, c]"
            )
        if not concrete(self):
            return
        value, mask = np.asarray(self.value), np.asarray(self.mask)
        wrong = mask[(mask != 0) & (mask != 1)]
        if wrong.size:
            found = ", ".join(f"{number:g}" for number in np.unique(wrong)[:4])
            raise InputError(
                f"a mask with other numbers than 0 and 1 ({found}): expected true or 1 where the value is known"
            )
        if not np.all(np.isfinite(np.where(mask, value, 0.0))):
            raise InputError(NOT_FINITE)
        square = None if self.basis is None else np.asarray(self.basis).T @ np.asarray(self.basis)
        if square is not None and not np.allclose(square, np.eye(len(square)), atol=1e-5):
            raise InputError(f"a basis whose columns are not orthonormal: their products are {square.tolist()}")

    @property
    def given(self) -> Array:
        """The value where it is known, 0 elsewhere; NaN where a mask, traced perhaps, is neither 0 nor 1."""
        mask = jnp.asarray(self.mask)
        given = jnp.where(mask == 1, jnp.asarray(self.value, float), 0.0)
        return given if mask.dtype == bool else jnp.where((mask == 0) | (mask == 1), given, jnp.nan)

    def coordinates(self, x: Array) -> Array:
        """Return x M."""
        return x if self.basis is None else x @ jnp.asarray(self.basis, x.dtype)

    def imposed(self, x: Array, value: Array) -> Array:
        """Return x with the coordinates that are known replaced by those of `value`."""
        if jnp.shape(self.value) != x.shape:
            raise InputError(
                f"a known value of shape {jnp.shape(self.value)} for x of shape {x.shape}: expected the same"
            )
        mixed = jnp.where(jnp.asarray(self.mask, bool), value.astype(x.dtype), self.coordinates(x))
        return mixed if self.basis is None else mixed @ jnp.asarray(self.basis, x.dtype).T

    def drawn(self, key: Key, time: Time, sde: GaussianPath) -> Array:
        """Draw alpha c + sigma z: the coordinates at `time`, given what is known.

        Raises `InputError` for a path with other rates along other numbers, in a basis that mixes them.
        """
        if self.basis is not None and jax.eval_shape(sde.log_snr, 0.5).shape != ():
            raise InputError(f"{type(sde).__name__} has a schedule for each number: expected a basis of None")
        value = self.given
        return sde.alpha(time) * value + sde.sigma(time) * sde.noise(key, value.shape, value.dtype)


def inpainting(image: Array | np.ndarray, mask: Array | np.ndarray) -> Known:
    """Return what is known of an image where `mask` is true (Song et al. 2021, appendix I.2)."""
    return Known(image, mask)


def colourisation(image: Array | np.ndarray) -> Known:
    """Return what is known of an image [h, w, 3] when its grey is: (red + green + blue) / sqrt(3) of each pixel.

    Song et al. 2021, appendix I.3. A grey image has its grey in all three channels. Raises `InputError` for others.
    """
    if jnp.ndim(image) < 1 or jnp.shape(image)[-1] != 3:
        raise InputError(
            f"an image of shape {jnp.shape(image)} to colour: expected [h, w, 3], its grey in each channel"
        )
    return Known(jnp.asarray(image, float) @ COLOURS, np.array([True, False, False]), COLOURS)


@dataclass(frozen=True)
class Imputed(FixedGridSolver):
    """A solver that knows a part of x_0: after each of its moves, of a predictor and of a corrector, that part of x is
    replaced by a draw from its own marginal at the time reached, x <- x (1 - m) + (alpha_s y + sigma_s z) m.

    Song et al. 2021, appendix I.2. Of a corrector of several moves (`Langevin`), after each of them. The last step
    without noise ends with the mean of the move in the unknown part and with y itself in the known one. What is drawn
    is p(unknown | known) as far as a corrector mixes the two at every time: the predictor alone sees at t a known part
    that is independent of the unknown one. A solver of several moves a step (`Restart`) takes an `Imputed` as its
    part. A solver with a memory uses at most `MOVED` values from before a replacement. Raises `InputError` for a
    solver without steps.
    """

    solver: FixedGridSolver
    known: Known

    def __post_init__(self):
        check_steps(self, self.solver)
        if not isinstance(self.known, Known):
            raise InputError(f"known = {self.known!r:.60}: expected what is known, such as inpainting(image, mask)")

    def reached(self, t: Time, s: Time) -> Time:
        """Return the time of the marginal that the known part is drawn from once x is carried from t to s."""
        return s

    def moves(self, corrector: Corrector) -> tuple[Corrector, int]:
        """Return the corrector after which the known part is replaced, and how often the two are repeated."""
        if not isinstance(corrector, LangevinDynamics):
            return corrector, 1
        return replace(corrector, steps=1), corrector.steps

    def begun(self, key: Key, x: Array, time: Time, sde: GaussianPath) -> Array:
        """Return x at the start of the grid, what is known replaced."""
        return self.known.imposed(x, self.known.drawn(key, time, sde))

    def filled(self, key: Key, step: Step, time: Time, sde: GaussianPath) -> Step:
        """Return a move with what is known replaced, in x by a draw and in the mean by y."""
        x = self.known.imposed(step.x, self.known.drawn(key, time, sde))
        return step._replace(x=x, mean=self.known.imposed(step.mean, self.known.given))

    def init(self, x: Array, grid: Array) -> Any:
        """Return the solver's state."""
        return self.solver.init(x, grid)

    def check(self, sde: GaussianPath, grid: Array) -> None:
        """Refuse what the solver refuses."""
        self.solver.check(sde, grid)

    def forget(self, state: Any, keep: int = 0) -> Any:
        """Return the solver's."""
        return self.solver.forget(state, keep)

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s."""
        if isinstance(self.solver, PredictorCorrector):
            predictor = replace(self, solver=self.solver.predictor)
            both = replace(self.solver, predictor=predictor, corrector=_Corrector(self.solver.corrector, self))
            return both.step(key, x, t, s, state, sde=sde, denoise=denoise)
        moving, filling = jax.random.split(key)
        step, state = self.solver.step(moving, x, t, s, state, sde=sde, denoise=denoise)
        return self.filled(filling, step, self.reached(t, s), sde), self.forget(state, MOVED)

    def solve(self, key: Key, x: Array, grid: Array, frames: int, *, sde: GaussianPath, denoise: Denoiser) -> Solution:
        """Scan `step` over the grid, from an x in which what is known is replaced."""
        first, rest = jax.random.split(key)
        x = finite(self.begun(first, x, grid[0], sde), NOT_FINITE)
        return super().solve(rest, x, grid, frames, sde=sde, denoise=denoise)


@dataclass(frozen=True)
class _Corrector:
    """A corrector after which what is known is replaced."""

    corrector: Corrector
    imputed: Imputed

    def correct(
        self,
        key: Key,
        x: Array,
        time: Time,
        interval: tuple[Time, Time],
        *,
        sde: GaussianPath,
        denoise: Denoiser,
    ) -> Step:
        corrector, moves = self.imputed.moves(self.corrector)

        def move(carry: Step, key: Key) -> tuple[Step, None]:
            moving, filling = jax.random.split(key)
            step = corrector.correct(moving, carry.x, time, interval, sde=sde, denoise=denoise)
            step = step._replace(evaluations=carry.evaluations + step.evaluations)
            return self.imputed.filled(filling, step, time, sde), None

        return jax.lax.scan(move, Step(x, x, jnp.zeros((), int)), jax.random.split(key, moves))[0]
