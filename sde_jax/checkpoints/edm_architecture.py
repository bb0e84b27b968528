"""What network a state dict of EDM is: names and shapes tell it all."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from sde_jax.errors import InputError
from sde_jax.nn import (
    FIR,
    Box,
    ClassLabel,
    Fourier,
    InputPyramid,
    InputResidual,
    InputSkip,
    NCSNpp,
    NoPyramid,
    OutputSkip,
    Positional,
    Resampling,
    Unconditional,
)

Modules = Mapping[int, set[str]]
"""The names of a half's modules at every resolution."""


def edm_architecture(state: Mapping[str, Any]) -> tuple[NCSNpp, tuple[int, int, int]]:
    """Return the network that a state dict of EDM's SongUNet {name: array} is of, and the shape of its images.

    Names may begin with "model.", as they do for a network in its preconditioner. What dropout it was trained with
    is not in the weights and stands at 0. Raises `InputError` for any other network, ADM's and EDM2's by name.
    """
    state = without_prefix(state)
    encoder, decoder = _modules(state, "enc"), _modules(state, "dec")
    _require_song_unet(state, encoder)
    heights = sorted(encoder, reverse=True)
    features, channels = state[f"enc.{heights[0]}x{heights[0]}_conv.weight"].shape[:2]
    widths = [_width(state, height) for height in heights]
    if not features or any(width % features for width in widths):
        raise InputError(f"EDM: levels of {widths} channels, expected multiples of the first convolution's {features}")
    pyramid = _input_pyramid(encoder)
    fourier = "map_noise.freqs" in state or _shape(state, "map_layer0.weight")[1:] == (2 * features,)
    classes = _shape(state, "map_label.weight")[1:2]
    network = NCSNpp(
        features=features,
        channel_multipliers=tuple(width // features for width in widths),
        blocks_per_level=max(_blocks(names) for names in encoder.values()),
        attention_resolutions=tuple(h for h in heights if _has(state, rf"enc\.{h}x{h}_block\d+\.(norm2|qkv|proj)\.")),
        dropout=0.0,
        embedding=Fourier(logarithm=False) if fourier else Positional(),
        resampling=_resampling(state, residual=isinstance(pyramid, InputResidual)),
        input_pyramid=pyramid,
        output_pyramid=OutputSkip() if any("aux_conv" in decoder[height] for height in heights[1:]) else NoPyramid(),
        condition=ClassLabel(*classes) if classes else Unconditional(),
    )
    return network, (heights[0], heights[0], channels)


def without_prefix(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state dict without "model." before its names; raises `InputError` unless it is {name: array}."""
    if not isinstance(state, Mapping):
        problem = f"are a {type(state).__name__}"
    else:
        others = [name for name, value in state.items() if not isinstance(name, str) or not hasattr(value, "shape")]
        problem = f"hold {', '.join(map(repr, others[:4])) or 'nothing'}" if others or not state else ""
    if problem:
        raise InputError(f"EDM: the weights {problem}, expected arrays by name alone: the state dict itself")
    return {name.removeprefix("model."): array for name, array in state.items()}


def _require_song_unet(state: Mapping[str, Any], encoder: Modules) -> None:
    what = f"no SongUNet of EDM, or without its first convolution ({', '.join(list(state)[:3])}, ...)"
    if _has(state, r".*\.conv_res0\."):
        what = "a network of EDM2, which is not supported"
    elif _has(state, r"out_conv\.") or any(_scales(state, name) for name in state):
        what = "an ADM network (DhariwalUNet: its blocks scale by the noise label), which is not supported"
    elif encoder and _shape(state, f"enc.{max(encoder)}x{max(encoder)}_conv.weight")[2:] == (3, 3):
        return
    raise InputError(f"EDM: the weights are of {what}; expected the state dict of a SongUNet: DDPM++ or NCSN++")


def _scales(state: Mapping[str, Any], name: str) -> bool:
    """Whether a name is of a block's linear map of the embedding with two numbers for every channel."""
    block, affine, _ = name.partition(".affine.weight")
    channels = _shape(state, f"{block}.norm1.weight")[:1]
    return bool(affine and channels) and _shape(state, name)[:1] == (2 * channels[0],)


def _modules(state: Mapping[str, Any], half: str) -> Modules:
    modules: dict[int, set[str]] = defaultdict(set)
    for name in state:
        found = re.match(rf"{half}\.(\d+)x\1_(\w+)\.", name)
        if found:
            modules[int(found[1])].add(found[2])
    return modules


def _width(state: Mapping[str, Any], height: int) -> int:
    names = [f"enc.{height}x{height}_block0.{layer}.weight" for layer in ("conv1", "norm1", "conv0")]
    shapes = [_shape(state, name) for name in names if _shape(state, name)]
    if not shapes:
        raise InputError(f"EDM: {names[0]} is missing, expected a block at every resolution of the encoder")
    return shapes[0][0]


def _blocks(names: set[str]) -> int:
    return sum(bool(re.fullmatch(r"block\d+", name)) for name in names)


def _input_pyramid(encoder: Modules) -> InputPyramid:
    names = set().union(*encoder.values())
    return InputResidual() if "aux_residual" in names else InputSkip() if "aux_skip" in names else NoPyramid()


def _resampling(state: Mapping[str, Any], *, residual: bool) -> Resampling:
    """Return what the filters [1, 1, n, n] are, outer products with sum 1, all of them equal."""
    filters = [np.asarray(a, float) for name, a in state.items() if name.endswith(".resample_filter")]
    if not filters and any("_down." in name for name in state):
        raise InputError("EDM: resample_filter is missing, expected the whole state dict, with its buffers")
    if not filters:
        return Box()
    for taps in ((1, 1), (1, 3, 3, 1)):
        expected = np.outer(taps, taps) / sum(taps) ** 2
        if all(f.shape == (1, 1, *expected.shape) and np.allclose(f, expected, atol=1e-3) for f in filters):
            # a convolution that halves the resolution is EDM's filter before it, not ours without one
            return Box() if len(taps) == 2 and not residual else FIR(taps)
    raise InputError("EDM: resample_filter is none that is known: expected those of [1, 1] or of [1, 3, 3, 1]")


def _shape(state: Mapping[str, Any], name: str) -> tuple[int, ...]:
    return tuple(state[name].shape) if name in state else ()


def _has(state: Mapping[str, Any], pattern: str) -> bool:
    return any(re.match(pattern, name) for name in state)
