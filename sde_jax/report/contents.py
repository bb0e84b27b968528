"""What a report may tell about a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Report:
    """What there is to tell about a run; a part that is empty or None gets no section.

    title: the run's name.
    summary: (name, value, explanation) of the numbers that matter most, in reading order. A float is shown to
      four digits; a string, such as "3.41 ± 0.02", as it is.
    config: the run's settings, nested JSON.
    curve: name -> (steps [n], increasing; losses [n]). A loss that is not finite is a gap, and counted.
    level_losses: (steps [n], increasing; edges [k + 1], increasing; losses [n, k]) of the k intervals of log_snr.
    time: name -> seconds of each part of the run's time.
    progress: name -> number or words about how the training went.
    previews: caption -> picture, uint8 [h, w, c], c = 1 or 3, in the order in which they were made.
    restorations: caption -> picture, as `previews`, of a measurement and what it may have been, or of calibration.
    noise_levels: (log_snr [n], loss [n]); log_snr is ln(alpha^2 / sigma^2).
    grids: caption -> uint8 [n, h, w, c], c = 1 or 3.
    points: caption -> (samples [n, d], held-out examples [m, d] or None) of data that are vectors of real numbers.
    columns: the names of those d numbers, where they have any.
    trajectory: uint8 [frames, n, h, w, c], the samples while they are generated, noise first.
    trajectory_times: [frames], the diffusion time t of each frame, falling within [0, 1].
    bits_per_dim: [n], negative log-likelihood of each held-out example, bits per dimension.
    passes: how often each of them was scored, with dequantisation and probes drawn anew.
    bound_bits_per_dim: the mean of the variational bound on the same examples, and its standard error or None.
    baseline_bits_per_dim: that of something to compare with, one number, [m], or [n] of the same examples.
    evaluations: the rows of `evaluation.json`, mappings of the fields of `Finding`.
    neighbours: (samples uint8 [k, h, w, c]; the m training images nearest to each [k, m, h, w, c]; their distances
      [k, m]).
    memorisation: what is known of memorised training examples, in sentences; shown with the neighbours.
    environment: name -> version, device and the like.
    """

    title: str
    summary: Sequence[tuple[str, str | int | float, str]] = ()
    config: Mapping[str, object] = field(default_factory=dict)
    curve: Mapping[str, tuple[ArrayLike, ArrayLike]] = field(default_factory=dict)
    level_losses: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None
    time: Mapping[str, float] = field(default_factory=dict)
    progress: Mapping[str, object] = field(default_factory=dict)
    previews: Mapping[str, ArrayLike] = field(default_factory=dict)
    restorations: Mapping[str, ArrayLike] = field(default_factory=dict)
    noise_levels: tuple[ArrayLike, ArrayLike] | None = None
    grids: Mapping[str, ArrayLike] = field(default_factory=dict)
    points: Mapping[str, tuple[ArrayLike, ArrayLike | None]] = field(default_factory=dict)
    columns: Sequence[str] = ()
    trajectory: ArrayLike | None = None
    trajectory_times: ArrayLike | None = None
    bits_per_dim: ArrayLike | None = None
    passes: int | None = None
    bound_bits_per_dim: tuple[float, float | None] | None = None
    baseline_bits_per_dim: ArrayLike | None = None
    evaluations: Sequence[Mapping[str, object]] = ()
    neighbours: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None
    memorisation: Sequence[str] = ()
    environment: Mapping[str, object] = field(default_factory=dict)
