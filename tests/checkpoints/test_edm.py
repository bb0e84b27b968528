"""Against EDM's SongUNet in NumPy, on its own state dict: from its names and formulas, without a network of ours."""

import functools
from dataclasses import dataclass, replace
from math import sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.checkpoints import edm_architecture, edm_params, load_edm, write_safetensors
from sde_jax.errors import InputError
from sde_jax.nn import (
    FIR,
    ClassLabel,
    Fourier,
    InputResidual,
    InputSkip,
    NCSNpp,
    OutputSkip,
    functional,
)


@dataclass(frozen=True)
class SongUNet:
    """What distinguishes one network from another; `attention`: the resolutions that have it."""

    size: int = 8
    image: int = 3
    features: int = 8
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 1
    attention: tuple[int, ...] = (4,)
    fourier: bool = False
    taps: tuple[int, ...] = (1, 1)
    encoder: str = "standard"
    decoder: str = "standard"
    classes: int = 0
    augmentations: int = 0

    def state(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Random weights: those that a forward pass asks for, and what no pass of a trained network does."""
        weights = Drawn(seed)
        self.forward(weights, np.zeros((self.image, self.size, self.size)), 0.0, np.zeros(self.classes))
        if self.augmentations:
            noise = len(weights["map_layer0.weight"][0])
            weights("map_augment.weight", noise, self.augmentations)
        return {name: array.astype(np.float32) for name, array in weights.items()}

    def forward(self, weights, x, label, one_hot):
        """The output [channels, size, size] for one image at the label c_noise, and a class as zeros and a one."""
        pass_ = Pass(self, weights)
        embedding = pass_.embed(label, one_hot)
        return pass_.decode(pass_.encode(x, embedding), embedding)


class Drawn(dict):
    """Weights that are drawn when they are asked for."""

    def __init__(self, seed):
        super().__init__()
        self.random = np.random.default_rng(seed)

    def __call__(self, name, *shape):
        fan_in = np.prod(shape[1:])
        drawn = self.random.normal(size=shape) / np.sqrt(max(fan_in, 1))
        self[name] = drawn if len(shape) > 1 or "freqs" in name else 0.2 * drawn + (".norm" in name or "_norm" in name)
        return self[name]


class Given:
    """Weights that are there, each of which must be asked for."""

    def __init__(self, state):
        self.state = {name: array.astype(np.float64) for name, array in state.items()}

    def __call__(self, name, *shape):
        assert self.state[name].shape == shape, name
        return self.state[name]


def silu(x):
    return x / (1 + np.exp(-x))


def correlate(x, w, stride=1):
    """x [i, h, w] with w [o, i, n, n], where all of it lies within x."""
    n = w.shape[-1]
    height, width = (x.shape[1] - n) // stride + 1, (x.shape[2] - n) // stride + 1
    shifted = np.array(
        [[x[:, a : a + stride * height : stride, b : b + stride * width : stride] for b in range(n)] for a in range(n)]
    )
    return np.einsum("oiab,abihw->ohw", w, shifted[:, :, :, :height, :width])


def surrounded(x, width):
    return np.pad(x, ((0, 0), (width, width), (width, width)))


@dataclass
class Pass:
    net: SongUNet
    weights: Drawn | Given

    def dense(self, name, x, outputs):
        return self.weights(f"{name}.weight", outputs, len(x)) @ x + self.weights(f"{name}.bias", outputs)

    def conv(self, name, x, outputs, n=3):
        w, b = self.weights(f"{name}.weight", outputs, len(x), n, n), self.weights(f"{name}.bias", outputs)
        return correlate(surrounded(x, n // 2), w) + b[:, None, None]

    def norm(self, name, x):
        groups = x.reshape(min(32, len(x) // 4), -1)
        unit = (groups - groups.mean(1, keepdims=True)) / np.sqrt(groups.var(1, keepdims=True) + 1e-6)
        scale, shift = self.weights(f"{name}.weight", len(x)), self.weights(f"{name}.bias", len(x))
        return unit.reshape(x.shape) * scale[:, None, None] + shift[:, None, None]

    def filter(self, name):
        """The filter of a layer that resamples, as one row; the state dict has its outer product."""
        taps = np.array(self.net.taps) / sum(self.net.taps)
        if isinstance(self.weights, Drawn):
            self.weights[f"{name}.resample_filter"] = np.outer(taps, taps)[None, None]
        else:
            stored = self.weights(f"{name}.resample_filter", 1, 1, len(taps), len(taps))
            np.testing.assert_allclose(stored[0, 0], np.outer(taps, taps), rtol=1e-6)
        return taps

    def resampled(self, name, x, up):
        """x with every axis halved: y_i = sum_k f_k x_(2i - p + k), p = (n - 1) // 2 of n taps; doubled: 2 times that
        matrix transposed."""
        taps = self.filter(name)
        fine = 2 * x.shape[1] if up else x.shape[1]
        matrix = np.zeros((fine // 2, fine))
        for i in range(fine // 2):
            for k, tap in enumerate(taps):
                j = 2 * i - (len(taps) - 1) // 2 + k
                if 0 <= j < fine:
                    matrix[i, j] = tap
        matrix = 2 * matrix.T if up else matrix
        return np.einsum("ah,bw,chw->cab", matrix, matrix, x)

    def halved_by_conv(self, name, x, outputs):
        """A 3 x 3 convolution, then the filter at every second pixel, on an image with zeros enough for both."""
        taps = self.filter(name)
        w, b = self.weights(f"{name}.weight", outputs, len(x), 3, 3), self.weights(f"{name}.bias", outputs)
        everywhere = correlate(surrounded(x, 1 + (len(taps) - 1) // 2), w)
        kernel = np.einsum("ij,ab->ijab", np.eye(outputs), np.outer(taps, taps))
        return correlate(everywhere, kernel, stride=2) + b[:, None, None]

    def block(self, name, x, outputs, embedding, attends=False, change=None):
        h, skip = silu(self.norm(f"{name}.norm0", x)), x
        if change:
            h, skip = (self.resampled(f"{name}.{part}", y, change == "up") for part, y in (("conv0", h), ("skip", x)))
        h = self.conv(f"{name}.conv0", h, outputs) + self.dense(f"{name}.affine", embedding, outputs)[:, None, None]
        h = self.conv(f"{name}.conv1", silu(self.norm(f"{name}.norm1", h)), outputs)
        if change or len(x) != outputs:
            skip = self.conv(f"{name}.skip", skip, outputs, n=1)
        x = (h + skip) / sqrt(2)
        if attends:
            joint = self.conv(f"{name}.qkv", self.norm(f"{name}.norm2", x), 3 * outputs, n=1)
            query, key, value = joint.reshape(outputs, 3, -1).transpose(1, 0, 2)
            logits = np.exp(query.T @ key / sqrt(outputs))
            attended = np.einsum("qk,ck->cq", logits / logits.sum(1, keepdims=True), value).reshape(x.shape)
            x = (self.conv(f"{name}.proj", attended, outputs, n=1) + x) / sqrt(2)
        return x

    def embed(self, label, one_hot):
        features = self.net.features
        if self.net.fourier:
            phases = 2 * np.pi * label * self.weights("map_noise.freqs", features)
        else:
            phases = label * (1 / 10_000) ** (np.arange(features // 2) / (features // 2 - 1))
        x = np.concatenate([np.sin(phases), np.cos(phases)])
        if self.net.classes:
            x = x + self.dense("map_label", one_hot * sqrt(self.net.classes), len(x))
        return silu(self.dense("map_layer1", silu(self.dense("map_layer0", x, 4 * features)), 4 * features))

    def encode(self, x, embedding):
        image, kept = x, []
        for level, multiplier in enumerate(self.net.multipliers):
            height = self.net.size >> level
            at, width = f"enc.{height}x{height}_", self.net.features * multiplier
            if level == 0:
                kept.append(self.conv(f"{at}conv", x, self.net.features))
            else:
                x = self.block(f"{at}down", kept[-1], len(kept[-1]), embedding, change="down")
                if self.net.encoder == "skip":
                    image = self.resampled(f"{at}aux_down", image, up=False)
                    x = x + self.conv(f"{at}aux_skip", image, len(x), n=1)
                if self.net.encoder == "residual":
                    x = image = (x + self.halved_by_conv(f"{at}aux_residual", image, len(x))) / sqrt(2)
                kept.append(x)
            for i in range(self.net.blocks):
                kept.append(self.block(f"{at}block{i}", kept[-1], width, embedding, height in self.net.attention))
        return kept

    def decode(self, kept, embedding):
        x, image = kept[-1], None
        for level, multiplier in reversed(list(enumerate(self.net.multipliers))):
            height = self.net.size >> level
            at, width = f"dec.{height}x{height}_", self.net.features * multiplier
            if image is None and level == len(self.net.multipliers) - 1:
                x = self.block(f"{at}in0", x, width, embedding, attends=True)
                x = self.block(f"{at}in1", x, width, embedding)
            else:
                x = self.block(f"{at}up", x, len(x), embedding, change="up")
            for i in range(self.net.blocks + 1):
                attends = i == self.net.blocks and height in self.net.attention
                x = self.block(f"{at}block{i}", np.concatenate([x, kept.pop()]), width, embedding, attends)
            if self.net.decoder == "skip" or level == 0:
                shown = self.conv(f"{at}aux_conv", silu(self.norm(f"{at}aux_norm", x)), self.net.image)
                image = shown if image is None else self.resampled(f"{at}aux_up", image, up=True) + shown
        return image


DDPMPP = SongUNet(classes=3, multipliers=(2, 1), augmentations=9)
NCSNPP = SongUNet(fourier=True, taps=(1, 3, 3, 1), encoder="residual")
SKIP = SongUNet(fourier=True, taps=(1, 3, 3, 1), encoder="skip", decoder="skip", multipliers=(1, 2, 1), image=1)
PLAIN = SongUNet(attention=(), blocks=2)
SINGLE = SongUNet(size=4, classes=2, multipliers=(1,), attention=())
BOXES = SongUNet(encoder="residual", decoder="skip", attention=(8, 4))
LABELS = np.array([-1.3, 0.4, 1.1])

OURS = NCSNpp(features=8, channel_multipliers=(1, 2), blocks_per_level=1, attention_resolutions=(4,), dropout=0.0)
PYRAMID = replace(OURS, embedding=Fourier(logarithm=False), resampling=FIR())


@functools.cache
def state_of(net):
    return net.state()


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


def channels_first(x):
    return np.moveaxis(np.asarray(x, np.float64), -1, -3)


def one_hot(net, label):
    return np.eye(net.classes + 1)[label, :-1]  # the label after the last class is none: zeros


@functools.cache
def images(net):
    return np.random.default_rng(1).normal(size=(len(LABELS), net.size, net.size, net.image)).astype(np.float32)


def run(net, classes=None):
    """Our outputs on three images at three labels with three classes, and EDM's."""
    x, state = images(net), state_of(net)
    _, model, _ = load_edm({f"model.{name}": array for name, array in state.items()})
    apply, params = functional(model)
    conditions = None if classes is None else jnp.asarray(classes, jnp.int32)
    lifted = jax.vmap(
        lambda x, label, c: apply(params, x, label, condition=c), in_axes=(0, 0, 0 if net.classes else None)
    )
    ours = jax.jit(lifted)(x, jnp.asarray(LABELS, jnp.float32), conditions)
    weights = Given(state)
    theirs = [
        net.forward(weights, y, label, one_hot(net, c))
        for y, label, c in zip(channels_first(x), LABELS, classes or [0, 0, 0], strict=True)
    ]
    return channels_first(ours), np.stack(theirs)


@pytest.mark.parametrize(
    "net",
    [
        pytest.param(NCSNPP, id="ncsnpp"),
        pytest.param(SKIP, id="skip", marks=pytest.mark.slow),
        pytest.param(PLAIN, id="ddpmpp", marks=pytest.mark.slow),
        pytest.param(BOXES, id="residual-box", marks=pytest.mark.slow),
    ],
)
def test_outputs_are_those_of_edms_network(net):
    assert relative_error(*run(net)) < 1e-5


def test_outputs_for_classes_and_for_none_are_those_of_edms_network():
    ours, theirs = run(DDPMPP, [0, 2, 3])
    assert relative_error(ours, theirs) < 1e-5
    x, label = channels_first(images(DDPMPP)[2]), LABELS[2]
    with_class = DDPMPP.forward(Given(state_of(DDPMPP)), x, label, one_hot(DDPMPP, 1))
    assert relative_error(theirs[2], with_class) > 1e-2


def test_the_denoiser_is_edms_preconditioning_of_the_network_for_the_class():
    x, state, t = images(SINGLE)[0], state_of(SINGLE), 0.02
    sde, _, denoise = load_edm(state, condition=1)
    sigma = 80 * t
    assert float(sde.sigma(t)) == pytest.approx(sigma)
    noisy = channels_first(x) * sigma
    output = SINGLE.forward(Given(state), noisy / np.hypot(sigma, 0.5), np.log(sigma) / 4, one_hot(SINGLE, 1))
    theirs = 0.25 / (sigma**2 + 0.25) * noisy + sigma * 0.5 / np.hypot(sigma, 0.5) * output
    assert relative_error(channels_first(jax.jit(denoise)(x * sigma, t)), theirs) < 1e-5


@pytest.mark.parametrize(
    ("net", "architecture"),
    [
        (PLAIN, replace(OURS, attention_resolutions=(), blocks_per_level=2)),
        (
            SINGLE,
            replace(OURS, channel_multipliers=(1,), attention_resolutions=(), condition=ClassLabel(2)),
        ),
        (
            DDPMPP,
            replace(OURS, channel_multipliers=(2, 1), condition=ClassLabel(3)),
        ),
        (NCSNPP, replace(PYRAMID, input_pyramid=InputResidual())),
        (
            SKIP,
            replace(PYRAMID, channel_multipliers=(1, 2, 1), input_pyramid=InputSkip(), output_pyramid=OutputSkip()),
        ),
        (
            BOXES,
            replace(
                OURS,
                attention_resolutions=(8, 4),
                resampling=FIR((1, 1)),
                input_pyramid=InputResidual(),
                output_pyramid=OutputSkip(),
            ),
        ),
    ],
)
def test_the_architecture_is_read_off_names_and_shapes(net, architecture):
    assert edm_architecture(state_of(net)) == (architecture, (net.size, net.size, net.image))


def test_a_file_holds_what_the_state_dict_does(tmp_path):
    write_safetensors(tmp_path / "edm.safetensors", state_of(PLAIN), {})
    _, model, _ = load_edm(tmp_path / "edm.safetensors")
    jax.tree.map(np.testing.assert_array_equal, functional(model)[1], edm_params(state_of(PLAIN)))


def changed(net, **changes):
    """A state dict with arrays replaced, or left out for None; two underscores stand for a dot."""
    state = state_of(net) | {name.replace("__", "."): array for name, array in changes.items()}
    return {name: array for name, array in state.items() if array is not None}


def test_all_that_differs_from_the_network_is_named_in_one_error():
    state = changed(
        NCSNPP,
        enc__4x4_block0__norm0__weight=None,
        map_noise__freqs=None,
        dec__8x8_block1__conv1__bias=np.zeros(12),
        u=np.zeros(3),
    )
    with pytest.raises(InputError) as error:
        edm_params(state)
    message = str(error.value)
    assert "2 missing (map_noise.freqs; enc.4x4_block0.norm0.weight)" in message
    assert "1 unexpected (u)" in message
    assert "1 of another shape (dec.8x8_block1.conv1.bias [12] there, [8] expected)" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enc__8x8_block0__affine__weight": np.zeros((16, 32))}, "ADM network .* not supported"),
        ({"out_conv__weight": np.zeros((3, 8, 3, 3))}, "ADM network .* not supported"),
        ({"enc__8x8_block0__conv_res0__weight": np.zeros((8, 8, 3, 3))}, "EDM2, which is not supported"),
        ({"enc__8x8_conv__weight": None}, "no SongUNet"),
        ({"enc__4x4_block0__conv1__weight": np.zeros((12, 12, 3, 3))}, r"levels of \[8, 12\] channels"),
        ({"enc__4x4_down__skip__resample_filter": np.full((1, 1, 3, 3), 1 / 9)}, "resample_filter is none"),
        ({"optimizer": {"state": 1}}, "hold 'optimizer', expected arrays by name"),
    ],
)
def test_weights_of_other_networks_are_refused(changes, message):
    with pytest.raises(InputError, match=message) as error:
        edm_architecture(changed(PLAIN, **changes))
    assert "\n" not in str(error.value)


def test_weights_that_do_not_tell_the_network_are_refused():
    no_filters = {name: array for name, array in state_of(PLAIN).items() if "resample_filter" not in name}
    no_blocks = {name: array for name, array in state_of(PLAIN).items() if "enc.4x4_block0" not in name}
    with pytest.raises(InputError, match="resample_filter is missing"):
        edm_architecture(no_filters)
    with pytest.raises(InputError, match=r"enc\.4x4_block0\.conv1\.weight is missing"):
        edm_architecture(no_blocks)
    with pytest.raises(InputError, match="hold nothing"):
        edm_architecture({})


def test_a_file_without_a_state_dict_is_refused(tmp_path):
    with pytest.raises(InputError, match="are a list, expected arrays by name"):
        edm_params([np.zeros(3)])  # type: ignore[arg-type]
    (tmp_path / "page.pkl").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(InputError, match="web page"):
        load_edm(tmp_path / "page.pkl")


@pytest.mark.parametrize(("net", "condition"), [(DDPMPP, 3), (DDPMPP, -1), (DDPMPP, 1.0), (PLAIN, 0)])
def test_a_class_that_the_network_does_not_have_is_refused(net, condition):
    with pytest.raises(InputError, match=f"condition is {condition!r}"):
        load_edm(state_of(net), condition=condition)


@pytest.mark.parametrize("kind", ["int32", "<U3", "complex64", "nan"])
def test_weights_that_are_no_finite_numbers_are_refused(kind):
    state = state_of(PLAIN)
    name = next(name for name in state if name.endswith("map_layer0.weight"))
    weight = np.asarray(state[name])
    state[name] = np.full_like(weight, np.nan) if kind == "nan" else np.ones(weight.shape).astype(kind)
    with pytest.raises(InputError, match=r"map_layer0\.weight holds .*: expected the weights of a trained network"):
        edm_params(state)
