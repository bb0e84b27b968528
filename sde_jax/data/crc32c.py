"""CRC-32C (Castagnoli), the checksum of TFRecord files.

The register r of the bitwise reflected polynomial 0x82F63B78 goes from byte to byte by r -> (r >> 8) ^ T[(r ^ byte) &
255], from r = ~0 to the checksum ~r. The step is linear over GF(2): a block of bytes changes a register of 0 into the
sum (xor) of what each of its bytes alone would leave, which a table knows; and a register before it counts as if it
were added to the first four bytes. So a block is one look-up a byte, and no loop.
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78
_BLOCK = 512


def crc32c(content: bytes) -> int:
    """The CRC-32C of bytes, 32 bits without a sign."""
    tables, first, last = _tables()
    register, head = 0xFFFFFFFF, len(content) % _BLOCK
    for byte in content[:head]:
        register = (register >> 8) ^ last[(register ^ byte) & 0xFF]
    if head == len(content):
        return register ^ 0xFFFFFFFF
    blocks = np.frombuffer(content, np.uint8, offset=head).reshape(-1, _BLOCK)
    for alone in np.bitwise_xor.reduce(tables[np.arange(_BLOCK), blocks], axis=1).tolist():
        carried = (first[place][register >> 8 * place & 0xFF] for place in range(4))
        register = functools.reduce(int.__xor__, carried, alone)
    return register ^ 0xFFFFFFFF


@functools.cache
def _tables() -> tuple[np.ndarray, list[list[int]], list[int]]:
    """Row j, column b: the register that byte b leaves at place j of a block of zeros, [_BLOCK, 256] uint32.

    And its first four rows and its last one, T, as lists, which are faster for a number at a time.
    """
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ (table & 1) * np.uint32(_POLYNOMIAL)
    rows = [table]
    while len(rows) < _BLOCK:
        rows.append((rows[-1] >> 8) ^ table[rows[-1] & 0xFF])
    rows = np.stack(rows[::-1])
    return rows, rows[:4].tolist(), rows[-1].tolist()
