"""TFRecord files are read as their writers elsewhere wrote them, and no flipped bit goes by."""

from pathlib import Path

import numpy as np
import pytest
from tensorboardX.crc32c import crc32c as independent_crc32c
from tensorboardX.record_writer import RecordWriter
from tensorflow_datasets.proto import tf_example_pb2

from sde_jax.data import TFRecordImages, batches
from sde_jax.data.crc32c import crc32c
from sde_jax.data.record_files import Concatenated, TFRecordFile
from sde_jax.errors import InputError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (7, 3, 6, 5)).astype(np.uint8)


def written(path: Path, records: list[bytes]) -> Path:
    writer = RecordWriter(str(path))
    for record in records:
        writer.write(record)
    writer.close()
    return path


def encoded(image: np.ndarray, **changed) -> bytes:
    content = tf_example_pb2.Example()
    content.features.feature["shape"].int64_list.value.extend(changed.get("shape", image.shape))
    content.features.feature["data"].bytes_list.value.append(changed.get("data", image.tobytes()))
    return content.SerializeToString()


def refusal(read) -> str:
    with pytest.raises(InputError) as raised:
        read()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_checksum_is_castagnolis():
    # RFC 3720, B.4: 32 bytes of zeros, of ones, ascending; and the check value of the catalogue of CRCs.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("size", [0, 1, 3, 4, 511, 512, 513, 1024, 5000])
def test_the_checksum_block_by_block_is_that_byte_by_byte(size):
    content = RANDOM.bytes(size)
    assert crc32c(content) == independent_crc32c(content)


def test_records_are_those_that_were_written(tmp_path):
    records = [RANDOM.bytes(size) for size in (0, 1, 3000, 512)]
    file = TFRecordFile(written(tmp_path / "a", records))
    assert [file[index] for index in range(len(file))] == records
    other = TFRecordFile(written(tmp_path / "b", records[2:]))
    both = Concatenated([file, other, file])
    assert [both[index] for index in range(len(both))] == [*records, *records[2:], *records]


def test_every_flipped_bit_is_found(tmp_path):
    path = written(tmp_path / "a", [b"first", b"second one"])
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(InputError, match=r"record [01] cannot be read"):
            list(map(TFRecordFile(path).__getitem__, range(2)))


def test_a_file_that_is_cut_off_compressed_empty_or_missing_is_refused_by_name(tmp_path):
    path = written(tmp_path / "a", [b"first", b"second one"])
    content = path.read_bytes()
    second = 12 + 5 + 4
    for size in (3, second - 1, second + 1, second + 12, len(content) - 1):
        path.write_bytes(content[:size])
        assert f"a: record {int(size > second)} cannot be read (the file ends" in refusal(lambda: TFRecordFile(path))
    path.write_bytes(b"\x1f\x8b\x08" + bytes(50))
    assert "record 0 cannot be read (the checksum of its length" in refusal(lambda: TFRecordFile(path))
    path.write_bytes(b"")
    assert "a cannot be read" in refusal(lambda: TFRecordFile(path))
    assert "nowhere cannot be read" in refusal(lambda: TFRecordFile(tmp_path / "nowhere"))


def test_images_with_their_channels_first_are_read_with_them_last(tmp_path):
    path = written(tmp_path / "faces.tfrecords", [encoded(image) for image in IMAGES])
    splits = TFRecordImages(str(path), held_out=2).open()
    order = np.random.RandomState(0).permutation(7)
    assert (splits.shape, splits.levels) == ((6, 5, 3), 256)
    for source, rows in ((splits.train, np.sort(order[:5])), (splits.held_out, np.sort(order[5:]))):
        assert len(source) == len(rows)
        for index, row in enumerate(rows):
            np.testing.assert_array_equal(source[index]["data"], IMAGES[row].transpose(1, 2, 0))
            assert (source[index]["label"], source[index]["index"]) == (-1, index)
    assert next(batches(splits.train, batch_size=4, seed=0))["data"].shape == (4, 6, 5, 3)


def test_records_that_are_no_such_images_are_refused_by_number(tmp_path):
    good = encoded(IMAGES[0])
    cases = {
        b"\xff\xff": "record 1 is no tf.train.Example",
        b"": "record 1 has no feature 'data'; expected data, shape: it has none",
        encoded(IMAGES[0], shape=(3, 6, 6)): "record 1 has the shape (3, 6, 6) and 90 bytes",
        encoded(IMAGES[0], shape=(90,)): "record 1 has the shape (90,)",
        encoded(IMAGES[0], shape=(2, 9, 5)): "record 1 has the shape (2, 9, 5)",
        encoded(IMAGES[0], shape=(3, 5, 6)): "record 1 has height, width and channels (5, 6, 3); expected (6, 5, 3)",
    }
    for record, reason in cases.items():
        path = written(tmp_path / "faces", [good, record])
        assert reason in refusal(lambda path=path: TFRecordImages(str(path), 0).open().train[1])
    assert "faces has 2 examples; expected more than" in refusal(lambda: TFRecordImages(str(path), 2).open())
    with pytest.raises(InputError, match="held_out"):
        TFRecordImages("x", -1)
