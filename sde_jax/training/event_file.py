"""A file of TensorBoard's events."""

import re
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.record_writer import masked_crc32c

from sde_jax.errors import writing


class EventFile:
    """A new file of events in a directory, where what its earlier files say of `first` and later steps is hidden.

    An event is in the file when a call returns. The writers of TensorBoard and tensorboardX hand events to a thread
    through a queue instead: on a full disk the thread dies, the queue fills, and its caller waits for ever. Raises as
    `errors.writing` does.
    """

    def __init__(self, directory: Path, first: int, suffix: str):
        self.path = directory / f"events.out.tfevents.{_moment(directory)}.{socket.gethostname()}{suffix}"
        with writing(self.path):
            directory.mkdir(exist_ok=True)
            self._file = self.path.open("xb")
        start = SessionLog(status=SessionLog.START)
        self._write(Event(step=first, file_version="brain.Event:2"), Event(step=first, session_log=start))

    def scalars(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add the numbers of a step, by their tags."""
        self._write(*(Event(step=step, summary=summary.scalar(tag, number)) for tag, number in numbers.items()))

    def picture(self, step: int, tag: str, pixels: np.ndarray) -> None:
        """Add a picture, uint8 [height, width, channels]."""
        self._write(Event(step=step, summary=summary.image(tag, pixels, dataformats="HWC")))

    def close(self) -> None:
        """Let go of the file, of which all that could be written is written."""
        with suppress(OSError):
            self._file.close()

    def _write(self, *events: Event) -> None:
        for event in events:
            event.wall_time = time.time()
        with writing(self.path):
            self._file.write(b"".join(_record(event.SerializeToString()) for event in events))
            self._file.flush()


def _record(content: bytes) -> bytes:
    """Return a record of a TFRecord file: the length and the content, each with its checksum."""
    length = struct.pack("<Q", len(content))
    return b"".join(part + struct.pack("<I", masked_crc32c(part)) for part in (length, content))


def _moment(directory: Path) -> int:
    """Return the Unix time for a new file's name, later than that of each file there: TensorBoard reads by name."""
    found = [re.match(r"events\.out\.tfevents\.(\d+)", path.name) for path in directory.glob("events.*")]
    return max([int(time.time()), *(1 + int(match.group(1)) for match in found if match)])
