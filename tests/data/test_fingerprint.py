"""Two sources have one fingerprint exactly where their data are the same."""

import hashlib

import numpy as np

from sde_jax.data import Arrays, fingerprint

DATA = np.random.default_rng(0).integers(0, 256, (300, 3, 2)).astype(np.uint8)


def test_the_fingerprint_is_the_sha_256_of_number_type_shape_and_bytes():
    # The layout is a promise: statistics that were cached under a fingerprint are looked up by it again.
    expected = hashlib.sha256(b"300 |u1 (3, 2)" + DATA.tobytes()).hexdigest()
    assert fingerprint(Arrays(DATA)) == expected
    floats = DATA.astype(np.float32)
    assert fingerprint(Arrays(floats)) == hashlib.sha256(b"300 <f4 (3, 2)" + floats.tobytes()).hexdigest()


def test_labels_do_not_change_a_fingerprint_and_every_byte_and_their_order_do():
    expected = fingerprint(Arrays(DATA))
    assert fingerprint(Arrays(DATA, np.arange(300))) == expected
    other = DATA.copy()
    other[299, 2, 1] ^= 1
    others = [other, DATA[::-1], DATA[:299], DATA.reshape(300, 2, 3), DATA.reshape(600, 3), DATA.astype(np.int32)]
    assert len({expected, *(fingerprint(Arrays(data)) for data in others)}) == 7


def test_no_examples_have_a_fingerprint():
    assert fingerprint(Arrays(DATA[:0])) == hashlib.sha256(b"0").hexdigest()
