"""A file of weights in whichever of the known formats: its content says which."""

import os
from typing import Any

from sde_jax.checkpoints import torch_file
from sde_jax.checkpoints.contents import contents_of
from sde_jax.checkpoints.flax_file import read_flax
from sde_jax.checkpoints.npz_file import is_npz, read_npz
from sde_jax.checkpoints.safetensors_file import read_safetensors
from sde_jax.checkpoints.torch_file import read_torch
from sde_jax.errors import InputError

PROTOCOLS = (b"\2", b"\3", b"\4", b"\5")
"""Of pickles that begin with their number."""


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """Return the containers and arrays of a file of PyTorch or Flax, or the arrays of one of safetensors or NumPy.

    The name of the file is not looked at. Raises `InputError` if it is none of these, or damaged.
    """
    content = contents_of(path)
    start = content[:16]
    length = int.from_bytes(start[:8], "little")
    if is_npz(content):
        return read_npz(path)
    if start.startswith((torch_file.ZIP, torch_file.LEGACY)):
        return read_torch(path)
    if start[8:9] == b"{" and length <= len(content) - 8:
        return read_safetensors(path)[0]
    if start[0] == 0x80 and start[1:2] in PROTOCOLS:
        raise InputError(
            f"{path} is a bare pickle, which is code, and is not executed; expected weights alone: where it can be "
            "loaded, save the network's state_dict() with safetensors or torch.save"
        )
    # A map of msgpack, which is what Flax writes.
    if 0x80 <= start[0] <= 0x8F or start[0] in (0xDE, 0xDF):
        return read_flax(path)
    page = content[:256].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml"))
    what = "a web page saved in place of a file" if page else f"of no known format (it begins with {start!r})"
    raise InputError(
        f"{path} is {what}; expected a file of torch.save, safetensors, numpy.savez or flax.serialization.to_bytes: "
        "download it again, or save it anew in one of these"
    )
