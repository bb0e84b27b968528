"""Variants of the official networks (Song et al. 2021) as ours: outputs and gradients.

fixtures/official_networks.json names them: a `config` that they share and what each has of its own, and the labels.
For each, official_torch_networks.npz or official_flax_networks.npz has y, and grad_x, the gradient of sum(y w) by x,
float32 [examples, height, width, channels]. They come from the official networks' code run on a CPU, in float32 and
without dropout: PyTorch's under torch 2.13.0, JAX's under jax 0.10.2 and flax 0.12.8. Copies of that code were used, in
which imports and signatures differ, upfirdn2d is the native one, and one line of NCSN's residual block is mended, which
calls a normalisation's class with the image and cannot run. These copies, given the inputs of five networks that the
official code itself had recorded, returned what it had recorded bit for bit.

Weights, x and w are not stored: `drawn` makes each from its official name and shape alone, on either side.
"""

import json
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.checkpoints import FlaxLayout, TorchLayout, official_architecture, official_shapes, to_params
from sde_jax.nn import abstract

FIXTURES = Path(__file__).parent / "fixtures"
LAYOUTS = {"torch": TorchLayout(), "flax": FlaxLayout()}
CASES = json.loads((FIXTURES / "official_networks.json").read_text())


def uniform(name, shape):
    """Numbers in [-1, 1) from the stream that a name seeds; of PCG64 NumPy promises that it stays as it is."""
    bits = np.random.PCG64(zlib.crc32(name.encode())).random_raw(int(np.prod(shape)))
    return ((bits >> np.uint64(11)) * 2.0**-52 - 1).reshape(shape)


def drawn(name, shape):
    """An official array: kernels of about variance 1 / fan-in, scales around 1, the rest around 0."""
    u = uniform(name, shape)
    if sum(n > 1 for n in shape) > 1 and not name.endswith("embedding"):
        return (u * (3 * max(shape[0], shape[-1]) / u.size) ** 0.5).astype(np.float32)
    around_one = name.endswith(("weight", "scale", "alpha", "gamma", "embedding"))
    return (around_one + 0.3 * u).astype(np.float32)


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


class Recorded:
    """A network of the official code as ours, and what it was given and gave back."""

    def __init__(self, name):
        case = CASES["networks"][name]
        config, layout = CASES["config"] | case["config"], LAYOUTS[case["layout"]]
        shape = (config["data.image_size"], config["data.image_size"], config["data.num_channels"])
        architecture = official_architecture(config)
        self.apply, like = abstract(architecture, shape)
        shapes = official_shapes(architecture, like, layout)
        self.params = to_params(architecture, like, {key: drawn(key, shapes[key]) for key in shapes}, layout)
        self.labels = jnp.asarray(case["labels"])
        self.x, self.w = (uniform(key, (len(self.labels), *shape)).astype(np.float32) for key in "xw")
        with np.load(FIXTURES / f"official_{case['layout']}_networks.npz") as recorded:
            self.y, self.grad_x = recorded[f"{name}/y"], recorded[f"{name}/grad_x"]

    def output(self, x):
        return jax.vmap(self.apply, (None, 0, 0))(self.params, x, self.labels)


@pytest.mark.parametrize("name", ["ncsnpp_box_input_skip", "ncsnpp_unconditional", "ddpm_instance"])
def test_outputs_are_those_of_the_official_network(name):
    network = Recorded(name)
    with jax.default_matmul_precision("float32"):
        assert relative_error(jax.jit(network.output)(network.x), network.y) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES["networks"])
def test_outputs_and_gradients_are_those_of_the_official_network(name):
    network = Recorded(name)

    def weighted_sum(x):
        y = network.output(x)
        return jnp.sum(y * network.w), y

    with jax.default_matmul_precision("float32"):
        (_, y), gradient = jax.jit(jax.value_and_grad(weighted_sum, has_aux=True))(network.x)
    assert relative_error(y, network.y) < 1e-5
    assert relative_error(gradient, network.grad_x) < 1e-4


def test_every_recorded_network_is_named():
    recorded = {
        key.partition("/")[0] for kind in LAYOUTS for key in np.load(FIXTURES / f"official_{kind}_networks.npz")
    }
    assert recorded == CASES["networks"].keys()
