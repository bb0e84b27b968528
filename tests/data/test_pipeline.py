"""The training stream is a function of (seed, position); reading in order is a bijection."""

import gc
import itertools
import threading

import numpy as np
import pytest

from sde_jax.data import Arrays, Source, batches, in_order
from sde_jax.errors import InputError

EXAMPLES = 23


def source(count: int = EXAMPLES) -> Source:
    """Asymmetric images that differ from each other and from their mirror images."""
    images = np.arange(count * 2 * 3).reshape(count, 2, 3, 1) % 251
    return Arrays(images.astype(np.uint8), np.arange(count) % 5)


def take(count: int, **settings) -> list[dict[str, np.ndarray]]:
    stream = batches(settings.pop("source", source()), **{"batch_size": 6, "seed": 3, **settings})
    return list(itertools.islice(stream, count))


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("settings", [{}, {"flip": True}, {"flip": True, "crop": 1}], ids=str)
@pytest.mark.parametrize("done", [1, 3, 4, 9, 1000])
def test_a_stream_restarted_at_n_is_the_stream_that_was_never_stopped(done, settings):
    whole = take(done + 3, **settings)
    assert_same(take(3, start=done, **settings), whole[done:])


@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("start", [0, 5])
def test_process_p_of_count_reads_the_p_th_part_of_every_global_batch(count, start):
    whole = take(9, flip=True, start=start)
    for process in range(count):
        rows = take(9, flip=True, start=start, process_index=process, process_count=count)
        assert_same(rows, [{name: np.split(value, count)[process] for name, value in batch.items()} for batch in whole])


@pytest.mark.parametrize("batch_size", [1, 6, EXAMPLES, 40])
def test_every_epoch_reads_every_example_exactly_once_in_an_order_of_its_own(batch_size):
    epochs = 4
    stream = take(-(-epochs * EXAMPLES // batch_size), batch_size=batch_size)
    read = np.concatenate([batch["index"] for batch in stream])[: epochs * EXAMPLES].reshape(epochs, EXAMPLES)
    for epoch in read:
        assert sorted(epoch) == list(range(EXAMPLES))
    assert len({tuple(epoch) for epoch in read}) == epochs


def test_an_example_comes_with_its_own_image_and_label():
    examples = source()
    for batch in take(8):
        for row, index in enumerate(batch["index"]):
            expected = examples[index]
            np.testing.assert_array_equal(batch["data"][row], expected["data"])
            assert batch["label"][row] == expected["label"]


def test_batches_have_the_declared_shapes_and_types():
    (batch,) = take(1)
    assert {name: (value.shape, str(value.dtype)) for name, value in batch.items()} == {
        "data": ((6, 2, 3, 1), "uint8"),
        "label": ((6,), "int32"),
        "index": ((6,), "int64"),
    }


def test_seeds_differ_in_order_and_in_flips():
    orders = {tuple(np.concatenate([batch["index"] for batch in take(4, seed=seed)])) for seed in range(8)}
    assert len(orders) == 8


def test_the_shuffle_of_one_seed_is_not_that_of_the_next_seed_one_epoch_later():
    later = np.concatenate([batch["index"] for batch in take(2, batch_size=EXAMPLES, seed=0)[1:]])
    earlier = np.concatenate([batch["index"] for batch in take(1, batch_size=EXAMPLES, seed=1)])
    assert not np.array_equal(later, earlier)


def test_a_flip_mirrors_half_of_the_images_left_to_right_and_changes_nothing_else():
    plain, flipped = take(200), take(200, flip=True)
    assert_same(flipped, take(200, flip=True))
    count = 0
    for a, b in zip(plain, flipped, strict=True):
        np.testing.assert_array_equal(a["index"], b["index"])
        np.testing.assert_array_equal(a["label"], b["label"])
        for image, other in zip(a["data"], b["data"], strict=True):
            mirrored = np.array_equal(other, image[:, ::-1])
            assert mirrored or np.array_equal(other, image)
            count += mirrored
    # 1,200 fair coins: five standard deviations are 87.
    assert abs(count - 600) < 87


def test_the_same_example_is_flipped_in_some_epochs_and_not_in_others():
    flips = [
        np.array_equal(batch["data"][0], source(1)[0]["data"])
        for batch in take(64, source=source(1), batch_size=1, flip=True)
    ]
    assert 0 < sum(flips) < 64


def test_a_crop_is_a_window_of_the_image_and_its_mirrored_margin_each_as_often_as_the_others():
    plain, cropped = take(150), take(150, crop=1)
    counts = np.zeros((3, 3))
    for a, b in zip(plain, cropped, strict=True):
        np.testing.assert_array_equal(a["label"], b["label"])
        for image, other in zip(a["data"], b["data"], strict=True):
            wide = np.pad(image, ((1, 1), (1, 1), (0, 0)), "reflect")
            windows = {(i, j): wide[i : i + 2, j : j + 3] for i in range(3) for j in range(3)}
            found = [place for place, window in windows.items() if np.array_equal(window, other)]
            for place in found:
                counts[place] += 1 / len(found)
    # up and down by one give the same rows of two
    assert counts.sum() == 900
    np.testing.assert_allclose(counts.sum(0) / 900, 1 / 3, atol=0.08)
    np.testing.assert_allclose(counts[1].sum() / 900, 1 / 3, atol=0.08)


def test_flips_are_the_same_with_and_without_crops():
    image = np.zeros((1, 4, 4, 1), np.uint8)
    image[0, 1, 1] = image[0, 2, 1] = 1  # left of the middle, and not within one pixel of being right of it
    image[0, 1, 0] = image[0, 2, 0] = 2
    settings = {"source": Arrays(image), "batch_size": 1, "flip": True}
    turned = lambda batch: batch["data"][0, :, 2:].sum() > batch["data"][0, :, :2].sum()  # noqa: E731
    flips, cropped = ([turned(batch) for batch in take(40, **settings, crop=crop)] for crop in (0, 1))
    assert flips == cropped
    assert 0 < sum(flips) < 40


@pytest.mark.parametrize("num_threads", [0, 1, 5])
def test_the_stream_does_not_depend_on_the_number_of_threads(num_threads):
    assert_same(take(12, flip=True, num_threads=num_threads), take(12, flip=True))


@pytest.mark.parametrize("batch_size", [1, 5, EXAMPLES, 100])
def test_reading_in_order_gives_every_example_once_and_a_partial_last_batch(batch_size):
    read = list(in_order(source(), batch_size))
    np.testing.assert_array_equal(np.concatenate([batch["index"] for batch in read]), np.arange(EXAMPLES))
    images = np.stack([source()[index]["data"] for index in range(EXAMPLES)])
    np.testing.assert_array_equal(np.concatenate([batch["data"] for batch in read]), images)
    sizes = [len(batch["index"]) for batch in read]
    assert all(size == batch_size for size in sizes[:-1])
    assert sizes[-1] == (EXAMPLES % batch_size or batch_size)


def test_an_example_that_cannot_be_read_raises_what_its_source_raises():
    class Damaged(Arrays):
        def __getitem__(self, index):
            raise InputError("image 7 is damaged")

    damaged = Damaged(np.zeros((3, 2, 2, 1), np.uint8))
    for stream in (batches(damaged, batch_size=2, seed=0), in_order(damaged, 2)):
        with pytest.raises(InputError) as raised:
            next(stream)
        assert str(raised.value) == "image 7 is damaged"


def test_a_stream_that_is_dropped_leaves_no_thread_behind():
    before = set(threading.enumerate())
    stream = batches(source(), batch_size=6, seed=0)
    next(stream)
    readers = set(threading.enumerate()) - before
    assert readers
    del stream
    gc.collect()
    for thread in readers:
        thread.join(timeout=5)
    assert not any(thread.is_alive() for thread in readers)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"start": -1}, "start is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"num_threads": -1}, "num_threads is -1"),
        ({"process_count": 0}, "process_count is 0"),
        ({"process_index": 2, "process_count": 2}, "process_index is 2; expected 0 to 1"),
        ({"process_index": -1}, "process_index is -1"),
        ({"batch_size": 7, "process_count": 2}, "batch_size is 7"),
        ({"source": source(0)}, "empty"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name_before_anything_is_read(settings, named):
    with pytest.raises(InputError, match=named):
        batches(settings.pop("source", source()), **{"batch_size": 6, "seed": 0, **settings})


def test_reading_in_order_refuses_an_empty_batch():
    with pytest.raises(InputError, match="batch_size is 0"):
        in_order(source(), 0)
