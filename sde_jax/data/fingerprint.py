"""One number that tells whether two sources hold the same data."""

import hashlib

from sde_jax.data.pipeline import in_order
from sde_jax.data.sources import Source

_EXAMPLES_AT_ONCE = 256


def fingerprint(source: Source) -> str:
    """Return the SHA-256, in hexadecimal, of a source's data in order: their number, type, shape and every byte.

    Labels do not count, nor do the file and the format that the data were read from. Every example is read once, a few
    hundred are held at a time. Raises what the source raises for an example that cannot be read.
    """
    digest = hashlib.sha256(f"{len(source)}".encode())
    for batch in in_order(source, _EXAMPLES_AT_ONCE) if len(source) else ():
        data = batch["data"]
        # Little-endian, so that every machine finds the same.
        data = data.astype(data.dtype.newbyteorder("<"), copy=False)
        if not batch["index"][0]:
            digest.update(f" {data.dtype.str} {data.shape[1:]}".encode())
        digest.update(data.tobytes())
    return digest.hexdigest()
