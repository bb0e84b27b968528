"""The line between processes: the kernel hangs up for one that is gone, so that the others know at once."""

import json
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from sde_jax.errors import whole
from sde_jax.processes import job
from sde_jax.processes.rendezvous import Connections

PATIENCE = 5.0
"""Seconds that a process has to print what it is told and to end."""

LONGEST = 1 << 20
"""Characters of what a process says."""


class Notice(NamedTuple):
    """The end of a job: the process it comes from, what all print, their exit code, and whether stacks would help."""

    process: int
    text: str
    code: int
    stacks: bool = False


def _notice(said: Any) -> Notice:
    notice = Notice(*said)
    if not (whole(notice.process, 0, job.count() - 1) and whole(notice.code, 0, 255) and isinstance(notice.text, str)):
        raise ValueError("no process gives such notice")
    return notice


class Line:
    """The connections of process 0 with all others; it passes on what one of them tells."""

    def __init__(self, connections: Connections):
        self._peers = {process: _watched(peer) for process, peer in connections.items()}
        self._said = {process: peer.makefile() for process, peer in connections.items()}
        self._ended: set[int] = set()
        self._change = threading.Condition()

    def listen(self, hear: Callable[[Notice], None], gone: Callable[[int], Notice]) -> None:
        """Call `hear`, on a thread, with a notice, and with `gone(i)` when process i is gone without `bye`."""
        for process in self._peers:
            threading.Thread(target=self._follow, args=(process, hear, gone), daemon=True).start()

    def tell(self, notice: Notice) -> None:
        """Tell the others of the job's end, and give them time: they can print it only while process 0 is there."""
        others = self._peers.keys() - {notice.process}
        self._send(others, list(notice))
        if job.is_first():
            self._await(others, PATIENCE)
            self._send(self._peers.keys() & {notice.process}, "heard")
            self._await(self._peers.keys(), PATIENCE)
        else:
            self._await(others, 2 * PATIENCE)

    def bye(self) -> None:
        """Say that from now on nothing is wrong when this process is gone."""
        self._send(self._peers.keys(), "bye")

    def _follow(self, process: int, hear: Callable[[Notice], None], gone: Callable[[int], Notice]) -> None:
        # A connection that breaks, or brings what no process says, is one that ends.
        with suppress(OSError, ValueError, TypeError, RecursionError):
            while line := self._said[process].readline(LONGEST):
                said = json.loads(line)
                if said == "bye":
                    return
                if said == "heard":
                    self._end(process)
                else:  # elsewhere: this thread goes on to see the other process end
                    threading.Thread(target=hear, args=(_notice(said),), daemon=True).start()
        self._end(process)
        hear(gone(process))

    def _end(self, process: int) -> None:
        with self._change:
            self._ended.add(process)
            self._change.notify_all()

    def _send(self, to: Iterable[int], said: object) -> None:
        for process in to:
            with suppress(OSError):  # gone, as `_follow` finds
                self._peers[process].sendall(json.dumps(said).encode() + b"\n")

    def _await(self, processes: Iterable[int], seconds: float) -> None:
        with self._change:
            self._change.wait_for(lambda: self._ended.issuperset(processes), seconds)


def _watched(peer: socket.socket) -> socket.socket:
    """Return a connection that breaks some 15 seconds after the machine on its other side is lost."""
    peer.settimeout(None)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 5), ("TCP_USER_TIMEOUT", 15_000)):
        if hasattr(socket, name):  # Linux has all of them
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return peer
