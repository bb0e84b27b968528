import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sde_jax.nn import InstanceNormalization, InstanceNormalizationPlus, VarianceNormalization
from sde_jax.nn.instance_norms import EPSILON, ClassInstanceNormPlus

KINDS = [InstanceNormalization(), InstanceNormalizationPlus(), VarianceNormalization()]
X = 3 + 2 * jax.random.normal(jax.random.key(0), (6, 4, 16))


def built(kind, channels=16):
    return kind.norm(channels, rngs=nnx.Rngs(0))


def loaded(norm, **values):
    for name, value in values.items():
        assert getattr(norm, name)[...].shape == jnp.shape(value)
        getattr(norm, name)[...] = jnp.asarray(value)
    return norm


def unbiased(x, axis):
    """The factor of what is standardised when its variance is divided by one less than the number of values."""
    biased, count = np.var(x, axis), np.prod([x.shape[i] for i in np.atleast_1d(axis)])
    return np.sqrt((biased + EPSILON) / (biased * count / (count - 1) + EPSILON))


def test_instance_norm_plus_is_the_official_one(golden):
    recorded = np.load(golden / "jax_layers.npz")
    values = {name: recorded[f"INpp_{name}"].ravel() for name in ("alpha", "gamma", "beta")}
    norm = loaded(built(InstanceNormalizationPlus(), 6), **values)
    np.testing.assert_allclose(jax.vmap(norm)(recorded["x_nhwc"]), recorded["InstanceNorm2dPlus_y"], atol=2e-6)


def test_variance_norm_is_the_official_one_up_to_its_unbiased_variance(golden):
    recorded = np.load(golden / "layers.npz")
    x, y = (recorded[name].transpose(0, 2, 3, 1) for name in ("x", "VarianceNorm2d_y"))
    norm = loaded(built(VarianceNormalization(), 6), scale=recorded["VarianceNorm2d_p_alpha"])
    for ours, image, theirs in zip(jax.vmap(norm)(x), x, y, strict=True):
        np.testing.assert_allclose(ours * unbiased(image, (0, 1)), theirs, atol=2e-6)


def test_class_norm_is_the_official_one_up_to_its_unbiased_variances(golden):
    recorded = np.load(golden / "layers.npz")
    x, y = (recorded[name].transpose(0, 2, 3, 1) for name in ("x", "CIN++_y"))
    norm = ClassInstanceNormPlus(6, 10, rngs=nnx.Rngs(0))
    for image, label, theirs in zip(x, recorded["CIN++_labels"], y, strict=True):
        q = unbiased(np.mean(image, (0, 1)), 0)  # of the means alone: the pixels' variance is biased there too
        gamma, alpha, beta = np.split(recorded["CIN++_p_embed.weight"], 3, axis=1)
        loaded(norm, table=np.concatenate([gamma, alpha * q, beta], axis=1))
        np.testing.assert_allclose(norm(image, jnp.asarray(label, jnp.float32)), theirs, atol=5e-6)


def test_channels_are_standardised_and_their_means_return_as_they_compare():
    plain = built(InstanceNormalization())(X)
    np.testing.assert_allclose(jnp.mean(plain, (0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(jnp.var(plain, (0, 1)), 1, rtol=1e-4)
    norm = loaded(built(InstanceNormalizationPlus()), gamma=jnp.ones(16), alpha=jnp.full(16, 0.5))
    means = jnp.mean(norm(X), (0, 1))
    np.testing.assert_allclose(means, 0.5 * jax.nn.standardize(jnp.mean(X, (0, 1)), epsilon=EPSILON), atol=1e-5)
    np.testing.assert_allclose(norm(X) - means, plain, atol=1e-5)
    scaled = loaded(built(VarianceNormalization()), scale=jnp.ones(16))(X)
    np.testing.assert_allclose(scaled - jnp.mean(scaled, (0, 1)), plain, atol=1e-5)
    np.testing.assert_allclose(jnp.mean(scaled, (0, 1)) * jnp.std(X, (0, 1)), jnp.mean(X, (0, 1)), rtol=1e-4)


def test_scales_and_biases_belong_to_the_channels():
    values = jnp.arange(16.0)
    plain, norm = built(InstanceNormalization())(X), built(InstanceNormalization())
    np.testing.assert_allclose(loaded(norm, scale=values, bias=2 * values)(X), values * plain + 2 * values, rtol=1e-5)
    plus, moved = built(InstanceNormalizationPlus()), built(InstanceNormalizationPlus())
    np.testing.assert_allclose(loaded(moved, beta=values)(X), plus(X) + values, rtol=1e-5, atol=1e-5)


def test_a_label_reads_its_row_gamma_alpha_beta_and_one_beyond_the_table_its_end():
    norm, plus = ClassInstanceNormPlus(16, 3, rngs=nnx.Rngs(0)), built(InstanceNormalizationPlus())
    loaded(norm, table=jax.random.normal(jax.random.key(1), (3, 48)))
    for label, row in [(0, 0), (1, 1), (2, 2), (-1, 0), (7, 2)]:
        gamma, alpha, beta = jnp.split(norm.table[...][row], 3)
        expected = loaded(plus, gamma=gamma, alpha=alpha, beta=beta)(X)
        np.testing.assert_allclose(norm(X, jnp.asarray(float(label))), expected, rtol=1e-5, atol=1e-5)


def test_factors_start_near_one_and_offsets_at_zero():
    count = 4096
    plus, classes = built(InstanceNormalizationPlus(), count), ClassInstanceNormPlus(count, 2, rngs=nnx.Rngs(1))
    gamma, alpha, beta = np.split(np.asarray(classes.table[...]), 3, axis=1)
    for factor in (built(VarianceNormalization(), count).scale, plus.gamma, plus.alpha, gamma[0], gamma[1], alpha[1]):
        assert abs(np.mean(factor[...]) - 1) < 4 * 0.02 / np.sqrt(count)
        assert abs(np.std(factor[...]) / 0.02 - 1) < 4 / np.sqrt(2 * count)
    assert len({float(np.asarray(f[...])[0]) for f in (plus.gamma, plus.alpha, gamma[0], gamma[1], alpha[1])}) > 3
    assert not np.any(beta)
    assert not np.any(plus.beta[...])


@pytest.mark.parametrize("kind", KINDS)
def test_moments_are_float32_and_the_dtype_is_kept(kind):
    x = (100 + X).astype(jnp.bfloat16)
    y = built(kind)(x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), built(kind)(x.astype(jnp.float32)), rtol=1e-2, atol=1e-2)
