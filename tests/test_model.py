import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax import nn
from sde_jax.data import Scaling
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Objective, Sampler, Training
from sde_jax.likelihood import Quantization
from sde_jax.model import Model, Record
from sde_jax.prediction import X0
from sde_jax.sampling import DDIM, sample
from sde_jax.sde import VE
from sde_jax.training import Geometric, Symmetry


@pytest.fixture(scope="module")
def model() -> Model:
    """A model on VE that knows its data exactly: x_0 is 0.5 everywhere."""
    samplers = {"ddim": Sampler(DDIM(), steps=5, end=0.1)}
    experiment = Experiment(
        sde=VE(0.1, 9.0), network=nn.MLP(width=4, depth=1), objective=Objective(X0()), samplers=samplers
    )
    return Model(Record(experiment, (2, 3, 1), 17), lambda params, x, noise: jnp.full_like(x, params), 0.5, 7)


def test_a_models_denoiser_is_that_of_its_own_parameters(model):
    x = jnp.linspace(-2, 2, 6).reshape(2, 3, 1)
    np.testing.assert_array_equal(model.denoise(x, 0.3), jnp.full_like(x, 0.5))
    np.testing.assert_array_equal(model.denoiser(-0.25)(x, 0.3), jnp.full_like(x, -0.25))


@pytest.mark.slow
def test_a_model_draws_with_its_path_its_denoiser_and_the_samplers_grid(model):
    keys, sampler = jax.random.split(jax.random.key(0), 3), model.samplers["ddim"]
    drawn = model.sample(keys, sampler, frames=2)
    grid = np.linspace(1, 0.1, 6)
    expected = sample(keys, DDIM(), VE(0.1, 9.0), lambda x, t: jnp.full_like(x, 0.5), grid, (2, 3, 1), frames=2)
    assert drawn.trajectory.shape == (3, 2, 2, 3, 1)
    np.testing.assert_allclose(drawn.x, expected.x, rtol=1e-5)
    np.testing.assert_allclose(drawn.trajectory, expected.trajectory, rtol=1e-5)
    # DDIM keeps (x - x_0) / sigma, which is that of the prior noise.
    noise = (drawn.trajectory[:, 0] - 0.5) / VE(0.1, 9.0).sigma(1.0)
    np.testing.assert_allclose((drawn.x - 0.5) / VE(0.1, 9.0).sigma(0.1), noise, rtol=2e-4)


def conditional(condition: nn.Condition, **training) -> Model:
    """A model whose estimate of x_0 is the number that its condition comes to."""

    def apply(params, x, noise, condition=None):
        return jnp.full_like(x, sum(jnp.sum(part) for part in jax.tree.leaves(condition)) + params)

    experiment = Experiment(
        sde=VE(0.1, 9.0),
        network=nn.MLP(width=4, depth=1, condition=condition),
        objective=Objective(X0()),
        training=Training(**training),
        samplers={"ddim": Sampler(DDIM(), steps=2, end=0.1)},
    )
    return Model(Record(experiment, (2, 2, 1), 17), apply, 0.25, 7)


HEARS = nn.Conditions({"label": nn.ClassLabel(3), "augmentation": nn.Vector(9)})
X = jnp.zeros((2, 2, 1))


def test_a_denoiser_is_told_its_condition_and_otherwise_no_label_and_no_augmentation():
    model = conditional(HEARS, augmentation=Geometric())
    conditions = model.conditions(np.array([2, 0, -1]))
    assert conditions["label"].tolist() == [2, 0, 3]
    np.testing.assert_array_equal(conditions["augmentation"], np.zeros((3, 9)))
    first = jax.tree.map(lambda a: a[0], conditions)
    np.testing.assert_array_equal(model.denoiser(0.5, first)(X, 0.3), np.full((2, 2, 1), 2.5))
    np.testing.assert_array_equal(model.denoise(X, 0.3), np.full((2, 2, 1), 3.25))
    plain = conditional(nn.Unconditional())
    assert plain.conditions(np.array([-1, -1])) is None
    np.testing.assert_array_equal(plain.denoise(X, 0.3), np.full((2, 2, 1), 0.25))


def test_samples_have_the_conditions_that_they_are_given():
    model, keys = conditional(nn.ClassLabel(3)), jax.random.split(jax.random.key(0), 3)
    draw = jax.jit(lambda labels: model.sample(keys, model.samplers["ddim"], 2, model.conditions(labels)))
    drawn = draw(np.array([2, 0, -1]))
    # DDIM keeps (x - x_0) / sigma, which is that of the prior noise.
    x0 = np.array([2.25, 0.25, 3.25]).reshape(3, 1, 1, 1)
    noise = (drawn.trajectory[:, 0] - x0) / model.sde.sigma(1.0)
    np.testing.assert_allclose((drawn.x - x0) / model.sde.sigma(0.1), noise, atol=2e-3)


@pytest.mark.parametrize("labels", [np.array([0, 3]), np.array([-2]), np.array(1), np.zeros((2, 2), int)], ids=str)
def test_labels_that_a_network_does_not_know_are_refused(labels):
    with pytest.raises(InputError, match=r"expected \[n\], each of 0 .. 2, or -1 for none"):
        conditional(nn.ClassLabel(3)).conditions(labels)
    with pytest.raises(InputError, match="knows no classes"):
        conditional(nn.Unconditional()).conditions(np.array([0]))


def test_samples_for_which_no_labels_are_asked_go_through_the_classes():
    index = np.arange(5, 9)
    assert conditional(nn.ClassLabel(3)).record.labels_at(index).tolist() == [2, 0, 1, 2]
    assert conditional(HEARS, augmentation=Geometric()).record.label_count == 3
    assert conditional(nn.Unconditional()).record.labels_at(index).tolist() == [-1] * 4


def test_a_run_minimises_the_loss_that_its_settings_say():
    settings = {"augmentation": Geometric(0.5), "symmetry": Symmetry(turns=True), "label_dropout": 0.25}
    model = conditional(HEARS, **settings)
    loss = model.record.loss(model.apply)
    assert (loss.condition, loss.encoding, loss.apply) == (HEARS, Quantization(17), model.apply)
    assert {name: getattr(loss, name) for name in settings} == settings
    assert {name: a.shape for name, a in model.record.batch(5).items()} == {"data": (5, 2, 2, 1), "label": (5,)}


def test_a_record_is_read_back_as_it_was_written():
    experiment = Experiment(network=nn.MLP(width=4, depth=1))
    for record in (
        Record(experiment, (2, 3, 1), 17, classes=("cat", "dog")),
        Record(experiment, (2,), scaling=Scaling((1.0, 2.0), (0.5, 3.0))),
    ):
        assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_a_record_of_an_earlier_version_is_one_of_levels():
    data = Record(Experiment(), (8, 8, 1), 17).to_json()
    earlier = {name: data[name] for name in ("experiment", "shape", "levels")}
    assert Record.from_json(earlier) == Record(Experiment(), (8, 8, 1), 17)


def test_levels_lie_in_the_range_of_data_and_real_numbers_by_their_scaling():
    experiment, scaling = Experiment(data_range=(0.0, 1.0)), Scaling((3.0,), (2.0,))
    assert Record(experiment, (2, 2, 1), 17).encoding == Quantization(17, 0.0, 1.0)
    assert Record(experiment, (2,), None, scaling).encoding == scaling
    assert Record(experiment, (2,), None, scaling).batch(5)["data"].dtype == np.float32
    assert Record(experiment, (2, 2, 1), 300).batch(5)["data"].dtype == np.int32


@pytest.mark.parametrize(
    ("shape", "levels", "image"),
    [((4, 4, 3), 256, True), ((4, 4, 2), 256, False), ((4, 4, 3), 257, False), ((4, 4, 1), None, False)],
)
def test_pictures_are_grey_or_rgb_of_up_to_256_levels(shape, levels, image):
    assert Record(Experiment(), shape, levels).is_image == image


@pytest.mark.parametrize(("shape", "levels"), [((), 2), ((0, 2), 2), ((2,), 1), ((2,), 2**16 + 1)])
def test_examples_without_numbers_or_levels_are_refused(shape, levels):
    with pytest.raises(InputError, match="expected one number or more an example"):
        Record(Experiment(), shape, levels)


@pytest.mark.parametrize(
    ("training", "shape", "told"),
    [
        ({"flip": True}, (2,), "expected images to mirror or crop"),
        ({"crop": 1}, (2,), "expected images to mirror or crop"),
        ({"crop": 2}, (4, 2, 1), "less than the sides"),
        ({"symmetry": Symmetry(shift=1)}, (2,), "expected images"),
        ({"symmetry": Symmetry(turns=True)}, (4, 2, 1), "quarter turns"),
        ({"augmentation": Geometric()}, (2,), "expected images"),
    ],
)
def test_examples_that_are_no_images_are_neither_mirrored_nor_cropped_nor_augmented(training, shape, told):
    network = nn.MLP(condition=nn.Vector(9)) if "augmentation" in training else nn.MLP()
    with pytest.raises(InputError, match=told):
        Record(Experiment(network=network, training=Training(**training)), shape)
