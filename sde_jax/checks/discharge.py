"""Traced programs whose checks come out as values.

Programs without a check in them, loops and calls included, are left as they are; those with one carry along what failed
so far. So the checks of a batch's adaptive solve, which stand before and after its loop, cost the loop nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, primitives

from sde_jax.checks.operation import check
from sde_jax.typing import Array

Failed: TypeAlias = dict[str, Array]
"""Of each message, whether its check failed anywhere so far."""
CALLS = (
    primitives.jit_p,
    primitives.closed_call_p,
    primitives.remat_p,
    primitives.custom_jvp_call_p,
    primitives.custom_vjp_call_p,
)
"""Operations that do what the one program within them does."""


def messages(program: ClosedJaxpr | Jaxpr) -> Iterator[str]:
    """Yield what the checks of a program say, in the order in which they are made."""
    for equation in program.eqns:
        if equation.primitive is check:
            yield equation.params["otherwise"]
        for inner in _inner(equation):
            yield from messages(inner)


def discharged(program: ClosedJaxpr, values: Sequence[Any], failed: Failed) -> tuple[list[Any], Failed]:
    """Return a program's results, and what has failed by its end."""
    known = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    known |= dict(zip(program.jaxpr.invars, values, strict=True))
    read = lambda atom: atom.val if isinstance(atom, Literal) else known[atom]  # noqa: E731
    for equation in program.eqns:
        arguments = [read(atom) for atom in equation.invars]
        with equation.ctx.manager:
            results, failed = _result(equation, arguments, failed)
        known |= dict(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in program.jaxpr.outvars], failed


def _result(equation: JaxprEqn, arguments: list[Any], failed: Failed) -> tuple[Sequence[Any], Failed]:
    kind, inner = equation.primitive, [*_inner(equation)]
    if kind is check:
        value, holds = arguments
        message = equation.params["otherwise"]
        return [value], {**failed, message: failed[message] | ~jnp.all(holds)}
    if not any(True for program in inner for _ in messages(program)):
        result = kind.bind(*arguments, **kind.get_bind_params(equation.params))
        return result if kind.multiple_results else [result], failed
    if kind is primitives.scan_p:
        return _scan(equation, arguments, failed)
    if kind is primitives.while_p:
        return _while(equation, arguments, failed)
    if kind is primitives.cond_p:
        return _cond(equation, arguments, failed)
    if kind in CALLS:
        return discharged(inner[0], arguments, failed)
    raise NotImplementedError(
        f"a check within {kind}: expected jit, scan, while_loop, cond, remat or custom derivatives"
    )


def _scan(equation: JaxprEqn, arguments: list[Any], failed: Failed) -> tuple[list[Any], Failed]:
    body, constants, carried = (equation.params[name] for name in ("jaxpr", "num_consts", "num_carry"))
    fixed, first, rows = _split(arguments, constants, carried)

    def step(state: tuple[Failed, list[Any]], row: list[Any]) -> tuple[tuple[Failed, list[Any]], list[Any]]:
        results, failed = discharged(body, [*fixed, *state[1], *row], state[0])
        return (failed, results[:carried]), results[carried:]

    settings = {name: equation.params[name] for name in ("length", "reverse", "unroll")}
    (failed, last), rows = jax.lax.scan(step, (failed, first), rows, **settings)
    return [*last, *rows], failed


def _while(equation: JaxprEqn, arguments: list[Any], failed: Failed) -> tuple[list[Any], Failed]:
    condition, body = equation.params["cond_jaxpr"], equation.params["body_jaxpr"]
    tested, fixed, first = _split(arguments, equation.params["cond_nconsts"], equation.params["body_nconsts"])

    def again(state: tuple[Failed, list[Any]]) -> tuple[Array, Failed]:
        (on,), failed = discharged(condition, [*tested, *state[1]], state[0])
        return on, failed

    def step(state: tuple[Failed, list[Any]]) -> tuple[Failed, list[Any]]:
        on, failed = again(state)
        results, failed = discharged(body, [*fixed, *state[1]], failed)
        # the condition of a batch has a value for each of its examples: those that are done stay as they are
        wide = [jnp.reshape(on, on.shape + (1,) * (old.ndim - on.ndim)) for old in state[1]]
        return failed, [jnp.where(o, new, old) for o, new, old in zip(wide, results, state[1], strict=True)]

    last = jax.lax.while_loop(lambda state: jnp.any(again(state)[0]), step, (failed, first))
    return last[1], again(last)[1]


def _cond(equation: JaxprEqn, arguments: list[Any], failed: Failed) -> tuple[list[Any], Failed]:
    index, *operands = arguments
    ways = [lambda failed, *values, way=way: discharged(way, values, failed) for way in equation.params["branches"]]
    return jax.lax.switch(index, ways, failed, *operands)


def _split(arguments: list[Any], first: int, second: int) -> tuple[list[Any], list[Any], list[Any]]:
    return arguments[:first], arguments[first : first + second], arguments[first + second :]


def _inner(equation: JaxprEqn) -> Iterator[ClosedJaxpr]:
    """Yield the programs within an equation: the bodies of loops, branches and calls."""
    for parameter in equation.params.values():
        for part in parameter if isinstance(parameter, tuple | list) else [parameter]:
            if isinstance(part, ClosedJaxpr):
                yield part
            elif isinstance(part, Jaxpr):
                yield ClosedJaxpr(part, ())
