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
ALIKE = "start all with the same count, and each with an index of its own"


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
        for peer in came.values():
            peer.close()
        raise
    _tell(came, "")
    return came


def call(host: str, port: int, count: int, index: int, wait: float) -> Connections:
    """Return the connection of process `index` with process 0, once all have called there.

    Raises `InputError` where process 0 says so, and where nothing answers within `wait` seconds.
    """
    end, why = time.monotonic() + wait, "nothing answers"
    while (left := end - time.monotonic()) > 0:
        try:
            peer = _admitted(host, port, [index, count], left, wait)
        except InputError:
            raise
        except (OSError, ValueError) as error:  # not there yet, or gone before all had called
            why = str(error)
            time.sleep(AGAIN)
            continue
        return {0: peer}
    advice = "is process 0 started, and may this machine reach that port?"
    raise InputError(f"process 0 did not answer at {host}:{port} within {wait:g} s ({why}); {advice}")


def _admitted(host: str, port: int, words: list[int], reach: float, wait: float) -> socket.socket:
    """Return a connection with process 0, once it has admitted all; raises `InputError` with its refusal."""
    peer = socket.create_connection((host, port), timeout=max(reach, AGAIN))
    try:
        peer.settimeout(wait + WORDS)  # it has begun to wait later than this process, and then says who is missing
        peer.sendall(f"{json.dumps(words)}\n".encode())
        said = peer.makefile().readline()
        if not said:
            raise ConnectionError("it hung up")
        if refusal := json.loads(said):
            raise InputError(refusal)
    except BaseException:
        peer.close()
        raise
    return peer


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
        caller = _caller(door)
        if caller is not None:
            peer, index, theirs = caller
            twice = index in came or not 0 < index < count
            came[-1 if twice else index] = peer
            if theirs != count:
                raise InputError(f"process {index} has --process_count={theirs}, process 0 has {count}; {ALIKE}")
            if twice:
                raise InputError(f"two processes have --process_index={index}; {ALIKE}")


def _caller(door: socket.socket) -> tuple[socket.socket, int, int] | None:
    """Return a connection and the index and count that its process says; None where nobody or a stranger calls."""
    try:
        peer, _ = door.accept()
    except OSError:
        return None
    try:
        peer.settimeout(WORDS)
        index, count = json.loads(peer.makefile().readline(100))
        return peer, int(index), int(count)
    except (OSError, ValueError, TypeError):
        peer.close()
        return None


def _tell(came: Connections, refusal: str) -> None:
    for peer in came.values():
        with suppress(OSError):
            peer.sendall(f"{json.dumps(refusal)}\n".encode())
