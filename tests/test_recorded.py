"""The official code's recorded values, and what finds them wrong."""

import functools
import itertools
import shutil

import jax
import numpy as np
import pytest

from sde_jax import InputError
from sde_jax.recorded import compare
from sde_jax.recorded.runs import replay

PATHS = ["vp", "subvp", "ve"]
INPUTS = {"N", "s0", "x", "t", "z", "eps", "data"}


def arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


PATTERNS = [
    *(f"{kind}_{path}" for kind in ("sde", "steps") for path in PATHS),
    *(f"pc_{path}_*" for path in PATHS),
    "ctrl_*",
]
PATTERNS += ["ode_lik_vp", *(pytest.param(f"ode_lik_{path}", marks=pytest.mark.slow) for path in PATHS[1:])]


@functools.cache
def compared_with(golden, pattern):
    return tuple(compare(golden.folder, pattern))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_everything_recorded_by_the_official_code_is_reproduced(golden, pattern):
    wrong = [comparison for comparison in compared_with(golden, pattern) if not comparison.agrees]
    assert not wrong


@pytest.mark.parametrize("pattern", ["sde_vp", "sde_subvp", "sde_ve", "steps_subvp"])
def test_every_recorded_array_is_an_input_or_is_compared(golden, pattern):
    compared = {comparison.name.removeprefix(f"{pattern}/") for comparison in compared_with(golden, pattern)}
    recorded = {name for name in arrays(golden / f"{pattern}.npz") if not name.endswith("_noise")}
    assert compared == recorded - INPUTS


def test_a_number_that_is_wrong_by_more_than_the_tolerance_is_named(golden, tmp_path):
    record = arrays(golden / "sde_vp.npz")
    record["std"][9] *= 1 + 3e-5
    record["grid_timestep_0.001"][500] += 1
    record["discrete_betas"] = record["discrete_betas"][:-1]
    record["rev_f_pf0"] *= np.nan
    np.savez(tmp_path / "sde_vp.npz", **record)
    wrong = {comparison.name: comparison.difference for comparison in compare(tmp_path) if not comparison.agrees}
    assert wrong.keys() == {f"sde_vp/{name}" for name in ("std", "grid_timestep_0.001", "discrete_betas", "rev_f_pf0")}
    np.testing.assert_allclose(wrong["sde_vp/std"], 3e-5, rtol=0.1)


STEPS, SHAPE = 25, (2, 3)
RUNS = [
    (f"{path}_{predictor}_{corrector}_denoise{clean}", moves + (predictor != "none"))
    for (path, predictor, clean), (corrector, moves) in itertools.product(
        [
            ("vp", "ancestral_sampling", 0),
            ("subvp", "reverse_diffusion", 1),
            ("ve", "none", 0),
            ("ve_celeba", "euler_maruyama", 1),
        ],
        [("none", 0), ("langevin", 2), ("ald", 1)],
    )
]


def run(draws, steps=STEPS):
    noise = np.random.default_rng(0).normal(size=(steps * draws, *SHAPE))
    return {"N": steps, "eps": 1e-3, "snr": 0.16, "s0": 0.5, "prior_noise": np.ones(SHAPE), "noise": noise,
            "out": np.zeros(SHAPE)}  # fmt: skip


@pytest.mark.parametrize(("name", "draws"), RUNS)
def test_any_predictor_runs_with_any_corrector_and_counts_the_denoisers_calls(name, draws):
    with jax.enable_x64(True):
        samples = replay(name, run(draws))
    assert np.all(np.isfinite(samples.x))
    np.testing.assert_array_equal(samples.evaluations, STEPS * draws)


@pytest.mark.parametrize("option", ["_pf1", "_probability_flow"])
def test_the_flow_is_a_run_without_noise(option):
    with jax.enable_x64(True):
        record = run(1, steps=2000)
        names = (f"vp_reverse_diffusion_none{name}_denoise1" for name in (option, "_pf0"))
        flow, other = (np.asarray(replay(name, record).x) for name in names)
    # the exact flow of N(0, s0^2), from the prior's 1 to s0 at data
    np.testing.assert_allclose(flow, 0.5 * np.ones(SHAPE), rtol=0.02)
    assert np.std(other) > 0.1


@pytest.mark.parametrize(
    ("name", "draws", "sentence"),
    [
        ("vp_heun_none_denoise1", 1, "expected pc_PATH_PREDICTOR_CORRECTOR"),
        ("vpx_none_langevin", 1, "vpx: expected vp, subvp or ve"),
        ("subvp_ancestral_sampling_none", 1, "no such predictor on this path"),
        ("vp_reverse_diffusion_none", 2, "50 draws in 25 steps do not fit"),
        ("vp_reverse_diffusion_ald", 1, "25 draws in 25 steps do not fit"),
    ],
)
def test_a_run_that_nothing_here_stands_for_is_refused(name, draws, sentence):
    with pytest.raises(InputError, match=sentence):
        replay(name, run(draws))


def test_a_folder_without_records_and_a_record_without_its_arrays_are_refused(golden, tmp_path):
    with pytest.raises(InputError, match=r"nothing recorded matches \*: expected files sde_\*\.npz"):
        compare(tmp_path)
    shutil.copy(golden / "sde_vp.npz", tmp_path / "pc_vp_none_ald.npz")
    with pytest.raises(InputError, match="holds no array 'noise'"):
        compare(tmp_path)
