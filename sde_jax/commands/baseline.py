"""What a user could have had without this library: a Gaussian mixture fitted to the same data."""

from typing import Any

import jax
import numpy as np
from sklearn.mixture import GaussianMixture

from sde_jax.commands.sample import save_arrays
from sde_jax.commands.workdir import Workdir
from sde_jax.data import Source, in_order
from sde_jax.likelihood import Encoding, Quantization

COMPONENTS = 10
DRAWS = 20
LARGEST = 256
"""Numbers an image beyond which full covariances make no sense as a baseline."""


def run(workdir: Workdir, seed: int) -> dict[str, Any]:
    """Fit a mixture of full-covariance Gaussians to the dequantised training images; score the held-out ones.

    Writes `baseline.json` and `baseline.npz`, and returns what the JSON says: bits per dimension and its standard
    error over images.
    """
    record = workdir.read_record()
    splits = record.experiment.data.open()
    train, held_out = jax.random.split(jax.random.key(seed))
    # bits/dim are the same in every range
    encoding = record.scaling if record.levels is None else Quantization(record.levels)
    # Many draws of every image and a floor under the eigenvalues make the baseline as good as we could make it.
    mixture = GaussianMixture(COMPONENTS, covariance_type="full", reg_covar=1e-3, random_state=seed)
    draws = [_flat(splits.train, encoding, key) for key in jax.random.split(train, DRAWS)]
    mixture.fit(np.concatenate(draws))
    x = _flat(splits.held_out, encoding, held_out)
    bits = -mixture.score_samples(x) / (x.shape[1] * np.log(2)) + encoding.log2_scale
    facts = {
        "baseline": f"{COMPONENTS}-component full-covariance Gaussian mixture (scikit-learn)",
        "baseline_bits_per_dim": float(bits.mean()),
        "baseline_bits_per_dim_standard_error": float(bits.std(ddof=1) / np.sqrt(len(bits))),
    }
    workdir.write("baseline.npz", lambda file: save_arrays(file, {"bits_per_dim": bits}))
    workdir.write_json("baseline.json", facts)
    return facts


def _flat(source: Source, encoding: Encoding, key: jax.Array) -> np.ndarray:
    examples = np.concatenate([batch["data"] for batch in in_order(source, 256)])
    return np.asarray(encoding.draw(key, examples)[0], np.float64).reshape(len(examples), -1)
