"""The samplers of few evaluations that come nearest to a denoiser's own fine solution."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Float

from sde_jax.errors import InputError, whole
from sde_jax.prediction import check_denoiser
from sde_jax.pytree import function
from sde_jax.sampling import Tuned
from sde_jax.sde import GaussianPath, require_falling
from sde_jax.tuning.draws import DenoiserOf, Draws, arrival, drawn, fine_grid, root_mean, squared_distances
from sde_jax.tuning.family import Family
from sde_jax.tuning.least_squares import Loss
from sde_jax.tuning.starts import Start, starts, tuned
from sde_jax.typing import Array, Denoiser, Key


@dataclass(frozen=True)
class Effort:
    """What tuning spends.

    fitted, watched, tested: prior draws that are fitted (at most: of wide states fewer serve), that choose where to
    stop and from which start, and on which errors are told; fine_steps: of the fine solution, in equal steps of log-SNR
    by a method of order 4; batch_size: draws carried at once; memory: the newest values whose weights are fitted;
    rounds: of least squares; starts: published formulas fitted from. Raises `InputError` out of range.
    """

    fitted: int = 256
    watched: int = 128
    tested: int = 512
    fine_steps: int = 100
    batch_size: int = 256
    memory: int = 5
    rounds: int = 10
    starts: int = 1

    def __post_init__(self):
        least = {"tested": 2, "fine_steps": 20, "rounds": 0}
        low = [(n, v, least.get(n, 1)) for n, v in vars(self).items() if not whole(v, least.get(n, 1))]
        if low:
            raise InputError("\n".join(f"{name} = {value}: expected {bound} or more" for name, value, bound in low))

    @property
    def draws(self) -> int:
        """How many draws there are in all."""
        return self.fitted + self.watched + self.tested


STANDARD = Effort()
RESIDUALS, FEWEST = 128, 96
"""Residuals an unknown, and draws, beyond which more to fit is time spent for nothing: wide states need few draws."""


@dataclass(frozen=True)
class Tuning:
    """A tuned sampler and how near it comes to the fine solution: root mean squared distances of a draw's end.

    start: the published formula that the fit began with; fitted, watched, tested: its error on these draws; published,
    best: the error on the tested draws of the best of all published formulas and grids there, and its name; ratio:
    tested / published; standard_error: of the ratio, over the tested draws; reference: the distance of the fine
    solution from one in half as many steps on the tested draws, below which no error means anything; rounds: made.
    """

    solver: Tuned
    start: str
    fitted: float
    watched: float
    tested: float
    published: float
    best: str
    ratio: float
    standard_error: float
    reference: float
    rounds: int

    @property
    def helps(self) -> bool:
        """Whether it is nearer than the best published formula by more than two standard errors."""
        return self.ratio + 2 * self.standard_error < 1


def tune(
    key: Key,
    sde: GaussianPath,
    denoise: Denoiser,
    shape: tuple[int, ...],
    evaluations: Sequence[int] = (5, 8, 10),
    end: float = 1e-3,
    effort: Effort = STANDARD,
) -> Mapping[int, Tuning]:
    """Return a sampler for each number of evaluations, from t = 1 to `end`, fitted to the fine solution of `denoise`.

    Minimises the mean over prior draws of |x_end(q) - x_end|^2, x_end the probability flow's and x_end(q) the member's
    of `Family`, by Levenberg-Marquardt through the whole sampler: grid, told times and weights together, as LD3 (Tong
    et al. 2025) and S4S (Frankel et al. 2025) do by gradient descent. The draws come from `key` alone.
    `shape` is that of the state. Raises as `tune_given` does.
    """
    return tune_given(key, (), sde, Partial(_same, function(denoise)), shape, evaluations, end, effort)


def _same(denoise: Denoiser, given: Any) -> Denoiser:
    return denoise


def tune_given(
    key: Key,
    given: Any,
    sde: GaussianPath,
    denoiser_of: DenoiserOf,
    shape: tuple[int, ...],
    evaluations: Sequence[int] = (5, 8, 10),
    end: float = 1e-3,
    effort: Effort = STANDARD,
    told: Callable[[str], None] = lambda _: None,
) -> Mapping[int, Tuning]:
    """Return what `tune` does, each draw carried by a denoiser of its own: `denoiser_of` what is given for it.

    given: a pytree of arrays [effort.draws, ...], such as labels; denoiser_of: where it is a pytree, such as
    `jax.tree_util.Partial(f, params)`, its arrays are handed to the compiled programs; told: called with a line when
    something is done. Raises `InputError` for an end outside (0, 1), fewer than 2 evaluations, a path of diagonal
    schedule or rising log-SNR, and a denoiser that changes shape; for what is given where there is not one a draw.
    """
    _check(sde, shape, evaluations, end)
    denoiser_of = function(denoiser_of)
    if any(jnp.shape(leaf)[:1] != (effort.draws,) for leaf in jax.tree.leaves(given)):
        raise InputError(f"given: expected arrays [{effort.draws}, ...], one for each draw of {effort}")
    check_denoiser(denoiser_of(jax.tree.map(lambda leaf: leaf[0], given)), shape)
    bench = Bench.of(key, given, sde, denoiser_of, shape, end, effort)
    told(f"{effort.draws:,} draws carried in {effort.fine_steps} steps, {bench.reference:.2g} from half as many")
    found = {}
    for steps in evaluations:
        found[steps] = bench.tuning(steps)
        told(f"{steps} evaluations: {found[steps].ratio:.3g} of the error of {found[steps].best}")
    return found


def _check(sde: GaussianPath, shape: tuple[int, ...], evaluations: Sequence[int], end: float) -> None:
    if not 0 < end < 1:
        raise InputError(f"end = {end}: expected 0 < end < 1")
    odd = [steps for steps in evaluations if not whole(steps, 2)]
    if odd or not evaluations:
        raise InputError(f"evaluations = {[*evaluations]}: expected whole numbers, each 2 or more")
    require_falling(sde)
    if jax.eval_shape(sde.log_snr, 0.5).shape:
        raise InputError(f"{type(sde).__name__}: a schedule of its own for each entry of x; expected one for all")


@dataclass(frozen=True)
class Bench:
    """Draws on which samplers of a denoiser are measured and fitted."""

    sde: GaussianPath
    denoiser_of: DenoiserOf
    draws: Draws
    end: float
    effort: Effort
    reference: float
    _squares: Callable[..., Array] = field(repr=False)

    @classmethod
    def of(
        cls,
        key: Key,
        given: Any,
        sde: GaussianPath,
        denoiser_of: DenoiserOf,
        shape: tuple[int, ...],
        end: float,
        effort: Effort,
    ) -> "Bench":
        """Draw, and carry the draws down the fine grid; the tested ones once more in half as many steps."""
        keys = jax.random.split(key, effort.draws)
        carried = partial(drawn, sde=sde, denoiser_of=denoiser_of, shape=shape, batch=effort.batch_size)
        draws = carried(keys, given, grid=fine_grid(sde, effort.fine_steps, end))
        count = min(effort.tested, 256)
        few = jax.tree.map(lambda leaf: leaf[-count:], (keys, given))
        coarse = carried(*few, grid=fine_grid(sde, effort.fine_steps // 2, end)).end
        if not np.all(np.isfinite(draws.end)):
            raise InputError("the fine solution came to NaN or infinity: look at the denoiser, or let it end earlier")
        reference = root_mean(squared_distances(coarse, draws.end[-count:]))

        @jax.jit
        def squares(denoiser_of: DenoiserOf, solver: tuple[Any, ...], draws: Draws) -> Array:
            return jax.vmap(lambda draw: jnp.sum(jnp.square(_missed(sde, denoiser_of, Tuned(*solver), draw))))(draws)

        return cls(sde, denoiser_of, draws, end, effort, reference, squares)

    @property
    def fitted(self) -> Draws:
        """The draws that are fitted."""
        return self.draws.part(0, self.effort.fitted)

    @property
    def watched(self) -> Draws:
        """The draws that choose."""
        return self.draws.part(self.effort.fitted, self.effort.fitted + self.effort.watched)

    @property
    def tested(self) -> Draws:
        """The draws on which errors are told."""
        return self.draws.part(self.effort.fitted + self.effort.watched, self.effort.draws)

    def squares(self, solver: Tuned, draws: Draws) -> Float[np.ndarray, " n"]:
        """Return the squared distance of each draw's end from the fine solution's."""
        arrays = jax.tree.map(jnp.asarray, (solver.times, solver.told, solver.weights), is_leaf=_row)
        parts = [self._squares(self.denoiser_of, arrays, batch) for batch in draws.batches(self.effort.batch_size)]
        return np.concatenate([np.asarray(part, float) for part in parts])

    def tuning(self, steps: int) -> Tuning:
        """Return the best sampler of so many steps that is found."""
        there = [*starts(self.sde, steps, self.end)]
        few = self.watched
        there = sorted(there, key=lambda start: _loss(self.squares(start.solver, few)))
        fits = [self._fit(start) for start in there[: self.effort.starts]]
        start, solver, rounds = min(fits, key=lambda fit: _loss(self.squares(fit[1], self.watched)))
        errors = {name: root_mean(self.squares(solver, getattr(self, name))) for name in ("fitted", "watched")}
        squares = self.squares(solver, self.tested)
        best, published = min(
            ((other.name, self.squares(other.solver, self.tested)) for other in there), key=lambda pair: _loss(pair[1])
        )
        ratio = root_mean(squares) / root_mean(published)
        relative = squares / squares.mean() - published / published.mean()
        return Tuning(
            solver=solver,
            start=start.name,
            **errors,
            tested=root_mean(squares),
            published=root_mean(published),
            best=best,
            ratio=ratio,
            standard_error=0.5 * ratio * float(relative.std(ddof=1)) / len(squares) ** 0.5,
            reference=self.reference,
            rounds=rounds,
        )

    def _fit(self, start: Start) -> tuple[Start, Tuned, int]:
        family = Family.of(self.sde, start.solver, self.effort.memory)

        def residuals(q: Array, denoiser_of: DenoiserOf, draws: Draws) -> Array:
            return jax.vmap(partial(_missed, self.sde, denoiser_of, family.member(q)))(draws)

        size = self.effort.batch_size
        numbers = max(1, self.draws.end[0].size)
        needed = max(FEWEST, -(-RESIDUALS * family.size // numbers))
        fitted = self.draws.part(0, min(needed, self.effort.fitted)).batches(size)
        loss = Loss(residuals, self.denoiser_of)
        fit = loss.minimised(np.zeros(family.size), fitted, self.watched.batches(size), self.effort.rounds)
        member = family.member(jnp.asarray(fit.q, float))
        steps = family.steps
        rows = np.zeros((steps, steps))
        for n, row in enumerate(member.weights):
            rows[n, : n + 1] = np.asarray(row)
        return start, tuned(member.times, member.told, rows), fit.rounds


def _missed(sde: GaussianPath, denoiser_of: DenoiserOf, solver: Tuned, draw: Draws) -> Array:
    times = jnp.asarray(solver.times)
    return arrival(solver, sde, denoiser_of(draw.given), draw.start, times) - draw.end


def _loss(squares: np.ndarray) -> float:
    mean = float(np.mean(squares))
    return mean if np.isfinite(mean) else np.inf


def _row(value: Any) -> bool:
    return isinstance(value, tuple) and not any(isinstance(part, tuple) for part in value)
