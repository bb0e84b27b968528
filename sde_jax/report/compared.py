"""What a page may tell about several runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Run:
    """One of the runs; a part that is empty or None is left out.

    name: unlike those of the others. numbers: name -> number that has no error, such as the training steps.
    bits_per_dim, index: [n] each, of held-out examples by index. curve: (steps [n], increasing; losses [n]).
    evaluations: as in `Report`. grids: sampler -> uint8 [n, h, w, c].
    points: sampler -> as in `Report`.
    """

    name: str
    numbers: Mapping[str, float | int] = field(default_factory=dict)
    bits_per_dim: ArrayLike | None = None
    index: ArrayLike | None = None
    curve: tuple[ArrayLike, ArrayLike] | None = None
    evaluations: Sequence[Mapping[str, object]] = ()
    grids: Mapping[str, ArrayLike] = field(default_factory=dict)
    points: Mapping[str, tuple[ArrayLike, ArrayLike | None]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two or more runs, of which all but the first are compared with it.

    remarks: what to know before numbers are compared, in sentences. settings: those that differ, each with its value in
    every run, in words. same_data: whether examples of one index are the same in all runs; differences are
    told of such alone.
    """

    title: str
    runs: Sequence[Run]
    remarks: Sequence[str] = ()
    settings: Sequence[tuple[str, Sequence[str]]] = ()
    same_data: bool = True
