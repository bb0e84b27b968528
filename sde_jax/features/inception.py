"""Features of Inception-v3, by which published FIDs are measured."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from sde_jax.checkpoints import read_inception
from sde_jax.errors import InputError
from sde_jax.features.reader import Reader
from sde_jax.features.resize import Resize, TF1Bilinear
from sde_jax.nn.inception import SIZE
from sde_jax.typing import Array, Params

FEATURES = 2048


@dataclass(frozen=True)
class Inception:
    """`pool3` of Inception-v3, 2,048 features, and its 1,008 logits without their bias.

    Levels become 0 ... 255 and grey images three equal channels; `resize` makes them 299 x 299, and (x - 128) / 128
    enters the network, all in float32.

    weights: the file of the weights, which the user has; it is read as `checkpoints.read_inception` says.
    Distances are comparable with published FIDs where the file is the published one, `resize` is TensorFlow 1's and
    images have 256 levels: `comparable` says so.
    """

    weights: str
    resize: Resize = field(default_factory=TF1Bilinear)

    def open(self, shape: tuple[int, ...], levels: int | None) -> Reader:
        """Return the extractor; its name has the first 16 digits of the SHA-256 of `weights`.

        Raises `InputError` unless examples are images of 1 or 3 channels in levels, or where `weights` cannot be used.
        """
        if len(shape) != 3 or shape[-1] not in (1, 3) or levels is None:
            what = "real numbers" if levels is None else f"{levels} levels"
            raise InputError(
                f"Inception: examples have shape {tuple(shape)} and {what}; expected images [height, width, 1 or 3] in "
                "levels: choose features of the data themselves (Raw), or of a classifier (Trained)"
            )
        weights = read_inception(self.weights)

        def read(params: Params, image: Array) -> tuple[Array, Array]:
            x = jnp.broadcast_to(image.astype(jnp.float32) * (255 / (levels - 1)), (*shape[:2], 3))
            features, logits = weights.read(params, (self.resize(x, SIZE) - 128) / 128)
            return features, logits

        grey = "grey in three equal channels; " if shape[-1] == 1 else ""
        return Reader(
            params=jax.tree.map(jnp.asarray, weights.params),
            read=read,
            shape=tuple(shape),
            size=FEATURES,
            name=f"Inception-v3 of 2015-12-05, sha256 {weights.sha256[:16]}",
            protocol=f"levels as 0 ... 255; {grey}{SIZE}x{SIZE} {self.resize.words}; (x - 128) / 128",
            comparable=weights.published and self.resize.published and levels == 256,
        )
