"""How many programs this process has compiled, by JAX's own monitoring events."""

from collections.abc import Callable

import jax

COMPILED = "/jax/core/compile/backend_compile_duration"


def counted() -> Callable[[], int]:
    """Return the function that says how many programs were compiled, or read from the cache, since this call."""
    count = 0

    def listen(event: str, *_: object, **__: object) -> None:
        nonlocal count
        count += event == COMPILED

    jax.monitoring.register_event_duration_secs_listener(listen)
    jax.block_until_ready(jax.jit(lambda: 0.0)())
    assert count == 1, f"JAX does not tell of a compilation by {COMPILED}"
    return lambda: count
