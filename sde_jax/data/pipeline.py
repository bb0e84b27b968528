"""From a source to batches.

The training stream is a function of (seed, position) and has no other state. Position k falls in epoch
e = k // N of a source of N examples, and reads example pi_e(k mod N), with pi_e a permutation drawn from
(seed, e). Global batch n is the positions n B .. (n + 1) B - 1, so it may straddle two epochs, and process p
of P reads its p-th part of b = B / P rows: the parts, one after the other, are the batch that one process alone would
read, row by row. A run that did n steps is resumed with `start=n`, on any number of processes.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from sde_jax.data.axes import channels_seem_first
from sde_jax.data.sources import Source
from sde_jax.data.transforms import crop_at_random, flip_at_random
from sde_jax.errors import InputError

_BATCHES_AHEAD_PER_THREAD = 2


def batches(
    source: Source,
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    flip: bool = False,
    crop: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int = 2,
) -> Iterator[dict[str, np.ndarray]]:
    """The endless stream of shuffled batches, from global batch `start` on, read ahead by threads.

    `batch_size` = B counts the rows of a global batch and may exceed the number of examples. Each item is
    {"data": [b, ...] as the source has them, "label": [b] int32, "index": [b] int64} with
    b = B / `process_count`. No example occurs twice in an epoch. With `flip`, each image is mirrored with
    probability 1/2, drawn from (seed, position). `num_threads` = 0 reads in the caller's thread. Raises
    InputError for settings out of range, for flips and crops of what is no picture with channels last, and
    whatever the source raises for an example that cannot be read.
    """
    _check_stream(source, batch_size, seed, start, process_index, process_count, num_threads)
    if flip or crop:
        _check_pictures(source)
    example_at = _examples(source, seed, flip, crop, epochs_kept=num_threads + 2)
    rows = batch_size // process_count

    def batch(n: int) -> dict[str, np.ndarray]:
        first = n * batch_size + process_index * rows
        return _stacked([example_at(position) for position in range(first, first + rows)])

    # A batch is one element of grain's: each costs 9 us there, whatever is done in it.
    return _read(_grain().MapDataset.range(start, sys.maxsize // batch_size).map(batch), num_threads)


def examples_of(batch: int, *, count: int, batch_size: int, seed: int) -> np.ndarray:
    """The indices of global batch number `batch` of `batches` over a source of `count` examples, [batch_size]."""
    index_at = _shuffled(count, seed, epochs_kept=1)
    return np.array([index_at(batch * batch_size + row) for row in range(batch_size)])


def in_order(source: Source, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Every example exactly once, by index; the last batch holds what is left over.

    Items as in `batches`, of at most `batch_size` rows. Raises InputError for a batch size below 1.
    """
    _check_at_least("batch_size", batch_size, 1)
    return _read(_grain().MapDataset.source(source).batch(batch_size), num_threads=2)


def _examples(
    source: Source, seed: int, flip: bool, crop: int, epochs_kept: int
) -> Callable[[int], Mapping[str, np.ndarray]]:
    """Return the function from a position of the stream to its example, mirrored and cut as asked."""
    index_at = _shuffled(len(source), seed, epochs_kept)

    def example(position: int) -> Mapping[str, np.ndarray]:
        return source[index_at(position)]

    if not (flip or crop):
        return example
    examples = _grain().MapDataset.range(sys.maxsize).map(example)
    if flip:
        examples = examples.random_map(flip_at_random, seed=int(_seeds(seed, 1).generate_state(1)[0]))
    if crop:
        cut = functools.partial(crop_at_random, margin=crop)
        examples = examples.random_map(cut, seed=int(_seeds(seed, 2).generate_state(1)[0]))
    return examples.__getitem__


def _stacked(examples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}


def _shuffled(count: int, seed: int, epochs_kept: int) -> Callable[[int], int]:
    # Not grain's own shuffle, which takes 35 us an index at 1,500 examples and 2 ms at 20.
    @functools.lru_cache(maxsize=epochs_kept)
    def permutation(epoch: int) -> np.ndarray:
        return np.random.default_rng(_seeds(seed, 0, epoch)).permutation(count)

    def index_at(position: int) -> int:
        epoch, row = divmod(position, count)
        return int(permutation(epoch)[row])

    return index_at


def _seeds(seed: int, *use: int) -> np.random.SeedSequence:
    # A spawn key, so that neither the uses of one seed nor neighbouring seeds share random numbers.
    return np.random.SeedSequence(seed, spawn_key=use)


def _grain():
    # grain takes a second to import and configs, which import this package, must not pay for it.
    import grain

    return grain


def _read(dataset, num_threads: int) -> Iterator[dict[str, np.ndarray]]:
    options = _grain().ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=_BATCHES_AHEAD_PER_THREAD * num_threads
    )
    return iter(dataset.to_iter_dataset(options))


def _check_stream(
    source: Source,
    batch_size: int,
    seed: int,
    start: int,
    process_index: int,
    process_count: int,
    num_threads: int,
) -> None:
    _check_at_least("batch_size", batch_size, 1)
    _check_at_least("seed", seed, 0)
    _check_at_least("start", start, 0)
    _check_at_least("process_count", process_count, 1)
    _check_at_least("num_threads", num_threads, 0)
    if len(source) == 0:
        raise InputError("the source is empty; expected at least one example to draw batches from")
    if not 0 <= process_index < process_count:
        raise InputError(f"process_index is {process_index}; expected 0 to {process_count - 1}")
    if batch_size % process_count:
        raise InputError(
            f"batch_size is {batch_size}, which {process_count} processes cannot share equally; choose a"
            f" multiple of {process_count}"
        )


def _check_pictures(source: Source) -> None:
    shape = source[0]["data"].shape
    if len(shape) != 3 or channels_seem_first(shape):
        raise InputError(
            f"flip or crop of examples of shape {shape}; expected [height, width, channels], which are mirrored along"
            " width: put the channels last"
        )


def _check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{name} is {value}; expected an integer of at least {least}")
