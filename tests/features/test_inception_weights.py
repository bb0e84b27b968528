"""Files of Inception-v3's weights: three formats, one network, and what is wrong with others."""

import hashlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.checkpoints import read_inception, write_safetensors
from sde_jax.checkpoints.inception import folded
from sde_jax.errors import InputError
from sde_jax.nn import outline, stateless
from sde_jax.nn.inception import InceptionV3

CONV = "Mixed_6b.branch7x7_2"


@pytest.fixture(scope="module")
def state(inception_state) -> dict[str, np.ndarray]:
    return dict(inception_state)


def saved(path: Path, state) -> Path:
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **state)
    else:
        write_safetensors(path, state)
    return path


@pytest.fixture(scope="module")
def file(state, tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("weights") / "inception.safetensors", state)


def test_the_normalisation_is_part_of_the_convolution(state, file):
    weights = read_inception(file)
    conv = weights.params["convs"][CONV]
    x = np.random.default_rng(1).normal(size=(9, 9, 128)).astype(np.float32)

    def convolved(kernel):
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x[None], kernel, (1, 1), "SAME", dimension_numbers=dimensions)[0]

    named = {name.removeprefix(f"{CONV}."): array for name, array in state.items() if name.startswith(CONV)}
    y = convolved(named["conv.weight"].transpose(2, 3, 1, 0))
    y = (y - named["bn.running_mean"]) / np.sqrt(named["bn.running_var"] + 0.001)
    y = y * named["bn.weight"] + named["bn.bias"]
    np.testing.assert_allclose(convolved(conv["kernel"]) + conv["bias"], y, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(weights.params["fc"]["kernel"], state["fc.weight"].T)


def test_numpy_and_safetensors_hold_the_same_weights(state, file, tmp_path):
    counted = state | {"Conv2d_1a_3x3.bn.num_batches_tracked": np.int64(3)}
    other = read_inception(saved(tmp_path / "weights.npz", counted), InceptionV3(logit_bias=True))
    one = read_inception(file)
    np.testing.assert_array_equal(other.params["fc"]["bias"], state["fc.bias"])
    assert jax.tree.all(jax.tree.map(np.array_equal, one.params["convs"], other.params["convs"]))
    assert one.sha256 != other.sha256
    assert not one.published


def test_the_checksum_is_that_of_the_file(file, tmp_path):
    assert read_inception(file).sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fc.weight": np.zeros((1000, 2048), np.float32)}, r"fc.weight \[1000, 2048\] there, \[1008, 2048\] expected"),
        ({"AuxLogits.fc.weight": np.zeros((1000, 768), np.float32)}, r"1 unexpected \(AuxLogits.fc.weight\)"),
        ({f"{CONV}.bn.bias": None}, rf"1 missing \({CONV}.bn.bias\)"),
        ({f"{CONV}.bn.running_var": np.full(128, -1, np.float32)}, "running_var holds NaN, infinity or a negative"),
        ({f"{CONV}.bn.bias": np.full(128, np.nan, np.float32)}, "bn.bias holds NaN"),
        ({f"{CONV}.bn.bias": np.zeros(128, np.int32)}, "holds int32 numbers"),
    ],
)
def test_the_weights_of_another_network_are_refused_with_the_first_differences(state, tmp_path, change, said):
    _, like = stateless(outline(InceptionV3(), (299, 299, 3)))
    changed = {name: array for name, array in (state | change).items() if array is not None}
    with pytest.raises(InputError, match=said):
        folded(changed, like)


def test_a_file_that_is_no_state_dict_is_named(tmp_path):
    write_safetensors(tmp_path / "some", {"a": jnp.zeros(2)})
    with pytest.raises(InputError, match=r"some: Inception-v3: not the weights.*and torch-fidelity publish"):
        read_inception(tmp_path / "some")
    np.savez(tmp_path / "objects.npz", a=np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match=r"no file of numpy\.savez, or damaged"):
        read_inception(tmp_path / "objects.npz")


def test_features_and_logits_are_those_that_torch_fidelity_had(file, inception_image, inception_recorded):
    weights = read_inception(file)
    reading = jax.jit(weights.read)(weights.params, (jnp.asarray(inception_image, jnp.float32) - 128) / 128)
    for ours, theirs in zip(reading, (inception_recorded["features"], inception_recorded["logits"]), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())
