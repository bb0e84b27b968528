"""How processes find each other: the others call process 0, and all go on once all have called."""

import errno
import ipaddress
import json
import selectors
import socket
import sys
import time
from contextlib import closing, suppress

from sde_jax.errors import InputError, whole

Connections = dict[int, socket.socket]
"""By the number of the process on the other side."""
WORDS = 5.0
"""Seconds that a caller has to say who it is."""
AGAIN = 0.2
"""Seconds between two calls."""
SILENCE = 10.0
"""Seconds after which process 0 says whom it is waiting for."""
LONGEST = 100, 10_000
"""Bytes of what a caller says, and of the answer."""
WAITING = 100
"""Callers that are heard at one time; of more, the one that has been silent for longest is let go."""
ALIKE = "start all with the same count, and each with an index of its own"


def gather(port: int, count: int, wait: float, host: str = "") -> Connections:
    """Return, on process 0, its connections with the `count` - 1 others, once all have called at this port.

    It listens at `listening(host)`. Whoever says something else than a process would is let go. Raises `InputError`,
    here and on those that have called, where the port is in use, where another count or a number twice is said, and
    where some have not called within `wait` seconds.
    """
    came: Connections = {}
    try:
        with _door(host, port, count) as door, closing(_Callers(door)) as callers:
            _await_calls(callers, count, wait, came)
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
        except (OSError, ValueError, RecursionError) as error:  # not there yet, or gone before all had called
            why = str(error)
            time.sleep(AGAIN)
            continue
        return {0: peer}
    advice = "is process 0 started, and may this machine reach that port?"
    raise InputError(f"process 0 did not answer at {host}:{port} within {wait:g} s ({why}); {advice}")


def listening(host: str) -> str | None:
    """Return the address at which process 0 listens when the others call it at `host`, an address or localhost.

    None, every one, for another name: its own machine may not know it by the address that other machines do.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _admitted(host: str, port: int, words: list[int], reach: float, wait: float) -> socket.socket:
    """Return a connection with process 0, once it has admitted all; raises `InputError` with its refusal."""
    peer = socket.create_connection((host, port), timeout=max(reach, AGAIN))
    try:
        peer.sendall(f"{json.dumps(words)}\n".encode())
        # It has begun to wait later than this process, and then says who is missing.
        refusal = json.loads(_line(peer, time.monotonic() + wait + WORDS))
        if not isinstance(refusal, str):
            raise ValueError("something else than a process answers")
        if refusal:
            raise InputError(refusal)
    except BaseException:
        peer.close()
        raise
    return peer


def _line(peer: socket.socket, end: float) -> bytes:
    """Return the line that process 0 answers until the moment `end`."""
    said = bytearray()
    while not said.endswith(b"\n"):
        peer.settimeout(max(end - time.monotonic(), AGAIN))
        more = peer.recv(1)  # and nothing of what follows the line
        said += more
        if not more or len(said) > LONGEST[1]:
            raise ConnectionError("it hung up" if not more else "something else than a process answers")
    return bytes(said)


def _door(host: str, port: int, count: int) -> socket.socket:
    address = listening(host)
    six = socket.has_dualstack_ipv6() if address is None else ":" in address
    try:
        family = socket.AF_INET6 if six else socket.AF_INET
        both = six and address is None
        return socket.create_server((address or "", port), family=family, dualstack_ipv6=both, backlog=count + WAITING)
    except OSError as error:
        if address and error.errno == errno.EADDRNOTAVAIL:
            advice = "give process 0 one that it has, or 0.0.0.0 for every one"
            raise InputError(f"--coordinator={host}: this machine has no such address; {advice}") from None
        advice = "end what uses it, or choose another port of --coordinator, the same for all"
        raise InputError(f"port {port}: cannot be used on this machine ({error.strerror}); {advice}") from None


def _await_calls(callers: "_Callers", count: int, wait: float, came: Connections) -> None:
    began, told = time.monotonic(), False
    while missing := [i for i in range(1, count) if i not in came]:
        who = f"process{'es' if len(missing) > 1 else ''} {', '.join(map(str, missing[:8]))} of {count}"
        waited = time.monotonic() - began
        if waited > wait:
            raise InputError(f"{who} did not call within {wait:g} s; are they started, and may they reach this port?")
        if waited > SILENCE and not told:
            print(f"sde-jax: waiting for {who}", file=sys.stderr, flush=True)
            told = True
        heard = callers.heard(min(1.0, wait))
        for gone in [i for i, peer in came.items() if not _waits(peer)]:
            came.pop(gone).close()
        for peer, index, theirs in heard:
            twice = index in came
            came[-1 if twice else index] = peer
            if theirs != count:
                raise InputError(f"process {index} has --process_count={theirs}, process 0 has {count}; {ALIKE}")
            if twice:
                raise InputError(f"two processes have --process_index={index}; {ALIKE}")


def _waits(peer: socket.socket) -> bool:
    """Return whether one who has called still waits for the others: does not hang up, and says nothing."""
    try:
        peer.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


class _Callers:
    """Those who have come to a door and not yet said who they are: processes, and strangers."""

    def __init__(self, door: socket.socket):
        self._door, self._selector = door, selectors.DefaultSelector()
        self._said: dict[socket.socket, tuple[bytearray, float]] = {}
        door.setblocking(False)
        self._selector.register(door, selectors.EVENT_READ)

    def heard(self, seconds: float) -> list[tuple[socket.socket, int, int]]:
        """Return the connections of processes that have said so within `seconds`, with their indices and counts."""
        found = []
        for key, _ in self._selector.select(seconds):
            peer = key.fileobj
            if peer is self._door:
                self._open()
            elif isinstance(peer, socket.socket) and peer in self._said and (words := self._words(peer)) is not None:
                found.append((peer, *words))
        late = time.monotonic() - WORDS
        for peer in [peer for peer, (_, came) in self._said.items() if came < late]:
            self._let_go(peer)
        return found

    def close(self) -> None:
        """Let all go who have not said who they are."""
        for peer in list(self._said):
            self._let_go(peer)
        self._selector.close()

    def _open(self) -> None:
        with suppress(OSError):
            peer, _ = self._door.accept()
            peer.setblocking(False)
            if len(self._said) == WAITING:
                self._let_go(next(iter(self._said)))
            self._said[peer] = bytearray(), time.monotonic()
            self._selector.register(peer, selectors.EVENT_READ)

    def _words(self, peer: socket.socket) -> tuple[int, int] | None:
        """Return the index and count that a caller has said; None where it has not yet, or is a stranger."""
        said, _ = self._said[peer]
        try:
            more = peer.recv(LONGEST[0])
        except OSError:
            more = b""
        said += more
        if more and b"\n" not in said and len(said) < LONGEST[0]:
            return None
        words = _understood(bytes(said)) if said.endswith(b"\n") else None
        if words is None:
            self._let_go(peer)
        else:
            self._selector.unregister(peer)
            del self._said[peer]
        return words

    def _let_go(self, peer: socket.socket) -> None:
        self._selector.unregister(peer)
        del self._said[peer]
        peer.close()


def _understood(said: bytes) -> tuple[int, int] | None:
    """Return the index and count in a line like "[1, 2]"; None where no process says so."""
    try:
        index, count = json.loads(said)
    except (ValueError, TypeError, RecursionError):
        return None
    return (index, count) if whole(count, 1) and whole(index, 1, count - 1) else None


def _tell(came: Connections, refusal: str) -> None:
    for peer in came.values():
        with suppress(OSError):
            peer.settimeout(WORDS)
            peer.sendall(f"{json.dumps(refusal)}\n".encode())
