"""Against torch-fidelity's Inception-v3 with random weights; nothing is downloaded."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.checkpoints import read_inception, read_torch
from sde_jax.checkpoints.inception import folded
from sde_jax.features import TF1Bilinear
from sde_jax.nn.inception import InceptionV3

torch: Any = pytest.importorskip("torch")
theirs: Any = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Smooth colours with noise, so that no layer sees a constant."""
    draws = np.random.default_rng(0)
    lengths, phases = draws.uniform(5, 50, (3, 1, 1, 3)), draws.uniform(0, 6, (3, 1, 299, 3))
    waves = np.sin(np.arange(299)[:, None, None] / lengths + phases)
    return np.clip(128 + 90 * waves + draws.normal(0, 20, waves.shape), 0, 255).astype(np.uint8)


def float64_network(outputs: list[str]):
    """Their network with weights of its own making."""
    extractor = theirs.FeatureExtractorInceptionV3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(extractor, "load_state_dict", lambda self, state: None)
        torch.manual_seed(0)
        module = extractor("inception", outputs)
    # Asked for float64 by its name, it computes in float32.
    module.to(torch.float64)
    module.feature_extractor_internal_dtype = torch.float64
    return module


@pytest.fixture(scope="module")
def network(images):
    """Their network, its normalisations those of these images, so that signals pass through all layers."""
    module = float64_network(["2048", "logits_unbiased", "logits"])
    for norm in (part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)):
        norm.momentum = 1.0
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias, 0, 0.3)
    torch.nn.init.normal_(module.fc.bias)
    module.train()
    with torch.no_grad():
        module(torch.from_numpy(images).permute(0, 3, 1, 2))
    return module.eval()


def relative_error(ours, reference) -> float:
    return float(np.abs(np.asarray(ours) - reference).max() / np.abs(reference).max())


def test_features_and_logits_are_those_of_torch_fidelity(network, images, tmp_path: Path):
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    with torch.no_grad():
        features, unbiased, biased = (a.numpy() for a in network(torch.from_numpy(images).permute(0, 3, 1, 2)))
    weights = read_inception(tmp_path / "weights.pth", InceptionV3(logit_bias=True))

    def errors(params, dtype) -> list[float]:
        params, x = jax.tree.map(lambda a: jnp.asarray(a, dtype), (params, (images - 128.0) / 128))
        ours = jax.jit(jax.vmap(weights.read, (None, 0)))(params, x)
        logits = ours.logits - params["fc"]["bias"]
        pairs = ((ours.features, features), (ours.logits, biased), (logits, unbiased))
        return [relative_error(*pair) for pair in pairs]

    with jax.enable_x64(True):
        exact = errors(folded(read_torch(tmp_path / "weights.pth"), weights.params), jnp.float64)
    rounded = errors(weights.params, jnp.float32)
    print("relative errors of features, logits and unbiased logits, in float64 and float32:", exact, rounded)
    assert max(exact) < 2e-7  # they return float32
    assert max(rounded) < 3e-4
    assert features.std(0).max() > 0.05 * features.max()  # the images are told apart


def test_what_is_recorded_of_it_is_so(inception_state, inception_image, inception_recorded):
    network = float64_network(["2048", "logits_unbiased"])
    network.load_state_dict({name: torch.from_numpy(array) for name, array in inception_state.items()}, strict=False)
    network.INPUT_IMAGE_SIZE = 107
    with torch.no_grad():
        found = network.eval()(torch.from_numpy(inception_image).permute(2, 0, 1)[None])
    for array, name in zip(found, ("features", "logits"), strict=True):
        np.testing.assert_allclose(array[0].numpy(), inception_recorded[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(32, 32), (64, 40), (299, 299), (500, 310)])
def test_images_are_resized_as_by_torch_fidelity(shape):
    like_tensorflow: Any = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.float32)
    batch = torch.from_numpy(image.transpose(2, 0, 1))[None]
    expected = like_tensorflow.interpolate_bilinear_2d_like_tensorflow1x(batch, size=(299, 299), align_corners=False)
    ours = TF1Bilinear()(jnp.asarray(image), 299)
    np.testing.assert_allclose(ours, expected[0].numpy().transpose(1, 2, 0), atol=1e-4)
