"""The weights of the official networks of Song et al. 2021 as ours, and ours as theirs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np

from sde_jax.checkpoints.official_module import Leaf, OfficialModule, Path
from sde_jax.checkpoints.score_sde_modules import official_modules
from sde_jax.checkpoints.tree import require_match
from sde_jax.errors import InputError
from sde_jax.typing import Params


class Layout(Protocol):
    """How one of the two official codes names its arrays and orders their axes."""

    def prefixes(self, modules: list[OfficialModule]) -> list[str]:
        """Return how the names of every module's arrays begin."""
        ...

    def name(self, prefix: str, part: str, leaf: Leaf) -> str:
        """Return an array's name."""
        ...

    def given(self, official: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arrays of a file by their names, without what is no parameter."""
        ...

    def to_ours(self, leaf: Leaf, array: np.ndarray) -> np.ndarray:
        """Return an official array with the axes that ours has."""
        ...

    def to_official(self, leaf: Leaf, array: np.ndarray) -> np.ndarray:
        """Return an array of ours with the axes that the official one has."""
        ...


@dataclass(frozen=True)
class TorchLayout:
    """PyTorch's: all_modules.<number>.<layer>.<array>, after `module.` or not; `sigmas` is no parameter."""

    def prefixes(self, modules: list[OfficialModule]) -> list[str]:
        """Return all_modules.<number>; what PyTorch does not number has no arrays either."""
        numbers = np.cumsum([module.listed for module in modules]) - 1
        return [f"all_modules.{number}" for number in numbers]

    def name(self, prefix: str, part: str, leaf: Leaf) -> str:
        """Return an array's name; raises `InputError` for arrays that the PyTorch code does not have."""
        if leaf.torch is None:
            raise InputError("PyTorch's official code has NCSN++ and DDPM, with GroupNorm alone: expected Flax's file")
        return ".".join(filter(None, (prefix, part, leaf.torch)))

    def given(self, official: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arrays without the `module.` of data parallelism and without `sigmas`."""
        named = {name.removeprefix("module."): array for name, array in official.items()}
        return {name: array for name, array in named.items() if name != "sigmas"}

    def to_ours(self, leaf: Leaf, array: np.ndarray) -> np.ndarray:
        """Return the array transposed."""
        return array.transpose(leaf.axes)

    def to_official(self, leaf: Leaf, array: np.ndarray) -> np.ndarray:
        """Return the array transposed back."""
        return array.transpose(np.argsort(leaf.axes))


@dataclass(frozen=True)
class FlaxLayout:
    """Flax's: <class>_<number among its class>/<layer>/<array>."""

    def prefixes(self, modules: list[OfficialModule]) -> list[str]:
        """Return <class>_<number>."""
        seen: Counter[str] = Counter()
        prefixes = []
        for module in modules:
            prefixes.append(f"{module.kind}_{seen[module.kind]}" if module.numbered else module.kind)
            seen[module.kind] += 1
        return prefixes

    def name(self, prefix: str, part: str, leaf: Leaf) -> str:
        """Return an array's name."""
        return "/".join(filter(None, (prefix, part, leaf.flax)))

    def given(self, official: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arrays."""
        return dict(official)

    def to_ours(self, leaf: Leaf, array: np.ndarray) -> np.ndarray:
        """Return the array without leading axes of length 1."""
        return array.reshape(array.shape[leaf.ones :])

    def to_official(self, leaf: Leaf, array: np.ndarray) -> np.ndarray:
        """Return the array with them."""
        return array.reshape((1,) * leaf.ones + array.shape)


def official_shapes(architecture: Any, params: Params, layout: Layout) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array of the official network, by its name; `params` may be shapes alone.

    Raises `InputError` where ours has parameters that no official network has.
    """
    leaves = dict(_flattened(params))
    return {
        name: layout.to_official(leaf, np.broadcast_to(0.0, leaves[path].shape)).shape
        for name, path, leaf in _required(architecture, params, layout)
        if path in leaves
    }


def to_params(architecture: Any, params: Params, official: Mapping[str, Any], layout: Layout) -> Params:
    """Return the parameters of ours, NumPy arrays, that an official network's arrays are.

    params: parameters of `architecture`, arrays or their shapes, whose structure and dtypes the result has. What the
    PyTorch code keeps and never uses, the dense layers of blocks that hear no noise label, is left out.
    Raises `InputError` where names or shapes are not those of this network.
    """
    leaves, pairs = dict(_flattened(params)), _required(architecture, params, layout)
    unused = {name for name, path, _ in pairs if path not in leaves and path[-2] == "embedding"}
    found = {name: array for name, array in layout.given(official).items() if name not in unused}
    require_match(
        {name: np.shape(array) for name, array in found.items()},
        official_shapes(architecture, params, layout),
        "official weights",
    )
    ours = {
        path: np.asarray(layout.to_ours(leaf, np.asarray(found[name])), leaves[path].dtype)
        for name, path, leaf in pairs
        if path in leaves
    }
    return jax.tree.unflatten(jax.tree.structure(params), [ours[path] for path in leaves])


def to_official(architecture: Any, params: Params, layout: Layout) -> dict[str, np.ndarray]:
    """Return the arrays of an official network, by their names there, that parameters of ours are.

    Raises `InputError` where ours has parameters that no official network has.
    """
    leaves = dict(_flattened(params))
    return {
        name: layout.to_official(leaf, np.asarray(leaves[path]))
        for name, path, leaf in _required(architecture, params, layout)
        if path in leaves
    }


def _required(architecture: Any, params: Params, layout: Layout) -> list[tuple[str, Path, Leaf]]:
    """Return every array's official name and its path in our parameters, which all have one, and may lack some."""
    pairs = list(_pairs(architecture, params, layout))
    extra = {path for path, _ in _flattened(params)} - {path for _, path, _ in pairs}
    if extra:
        first = ".".join(map(str, min(extra, key=str)))
        raise InputError(
            f"{len(extra)} parameters ({first}, ...) have no counterpart in the official networks: expected a network "
            "without condition, of this library's own parts"
        )
    return pairs


def _pairs(architecture: Any, params: Params, layout: Layout) -> Iterator[tuple[str, Path, Leaf]]:
    """Yield every array's official name, and its path in our parameters, which may lack it."""
    modules = official_modules(architecture, params)
    for prefix, module in zip(layout.prefixes(modules), modules, strict=True):
        for part in module.parts:
            for leaf in part.leaves:
                yield layout.name(prefix, part.name, leaf), (*part.path, leaf.ours), leaf


def _flattened(params: Params) -> Iterator[tuple[Path, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        yield tuple(key.key for key in path), leaf
