"""How processes find each other: the others call process 0, and all go on once all have called."""

import json
import socket
import sys
import time
from contextlib import suppress

from sde_jax.errors import InputError

Connections = dict[int, socket.socket]
"""By the number of the process on the other side."""
WORDS = 5.0
"""Seconds that a caller has to say who it is."""
AGAIN = 0.2
"""Seconds between two calls."""
SILENCE = 10.0
"""Seconds after which process 0 says whom it is waiting for."""


def gather(port: int, count: int, wait: float) -> Connections:
    """Return, on process 0, its connections with the `count` - 1 others, once all have called at this port.

    Raises `InputError`, here and on those that have called, where the port is in use, where another count or a number
    twice is said, and where some have not called within `wait` seconds.
    """
    came: Connections = {}
    try:
        with _door(port, count) as door:
            _await_calls(door, count, wait, came)
    except InputError as error:
        _tell(came, str(error))
        raise
    _tell(came, "")
    return came


def call(host: str, port: int, count: int, index: int, wait: float) -> Connections:
    """Return the connection of process `index` with process 0, once all have called there.

    Raises `InputError` where process 0 says so, and where nothing answers within `wait` seconds.
    """
    end, why = time.monotonic() + wait, "nothing answers"
    while time.monotonic() < end:
        try:
            peer = socket.create_connection((host, port), timeout=max(end - time.monotonic(), AGAIN))
            peer.sendall(f"{json.dumps([index, count])}\n".encode())
            refusal = json.loads(peer.makefile().readline())
        except (OSError, ValueError) as error:  # not there yet, or gone before all had come
            why = str(error)
            time.sleep(AGAIN)
            continue
        if refusal:
            raise InputError(refusal)
        return {0: peer}
    advice = "is process 0 started, and may this machine reach that port?"
    raise InputError(f"process 0 did not answer at {host}:{port} within {wait:g} s ({why}); {advice}")


def _door(port: int, count: int) -> socket.socket:
    six = socket.has_dualstack_ipv6()
    try:
        family = socket.AF_INET6 if six else socket.AF_INET
        return socket.create_server(("", port), family=family, dualstack_ipv6=six, backlog=count)
    except OSError as error:
        advice = "end what uses it, or choose another port of --coordinator, the same for all"
        raise InputError(f"port {port}: cannot be used on this machine ({error.strerror}); {advice}") from None


def _await_calls(door: socket.socket, count: int, wait: float, came: Connections) -> None:
    began, told = time.monotonic(), False
    while missing := [i for i in range(1, count) if i not in came]:
        who = f"process{'es' if len(missing) > 1 else ''} {', '.join(map(str, missing[:8]))} of {count}"
        waited = time.monotonic() - began
        if waited > wait:
            raise InputError(f"{who} did not call within {wait:g} s; are they started, and may they reach this port?")
        if waited > SILENCE and not told:
            print(f"sde-jax: waiting for {who}", file=sys.stderr, flush=True)
            told = True
        door.settimeout(min(1.0, wait))
        with suppress(OSError, ValueError, TypeError):  # nobody, or a stranger
            peer, _ = door.accept()
            peer.settimeout(WORDS)
            index, theirs = map(int, json.loads(peer.makefile().readline(100)))
            _admit(peer, index, theirs, count, came)


def _admit(peer: socket.socket, index: int, theirs: int, count: int, came: Connections) -> None:
    problem = ""
    if theirs != count:
        problem = f"process {index} was started with --process_count={theirs}, process 0 with {count}"
    elif not 0 < index < count or index in came:
        problem = f"two processes were started with --process_index={index}"
    came[-1 if problem else index] = peer
    if problem:
        raise InputError(f"{problem}; start all with the same count, and each with an index of its own")


def _tell(came: Connections, refusal: str) -> None:
    for peer in came.values():
        with suppress(OSError):
            peer.sendall(f"{json.dumps(refusal)}\n".encode())
