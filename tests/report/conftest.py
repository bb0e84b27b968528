import numpy as np
import pytest

from sde_jax.report import Report, render

HOSTILE = "<script>window.pwned=1</script>"


def evaluations(hostile=""):
    """Rows as `sde-jax evaluate` writes them: a distance over checkpoints and samplers, and a likelihood."""
    basis = {
        "features": f"inception sha256:0123abcd{hostile}",
        "protocol": f"bilinear to 299 by 299, [-1, 1]{hostile}",
        "comparable": False,
        "reference": "f" * 64,
        "reference_split": "train",
        "reference_samples": 50000,
    }
    grids = [("ode", 8, 23), ("ode", 18, 53), ("ode", 36, 107), ("pc", 100, 200), ("pc", 500, 1000)]
    distances = [
        {
            "part": "samples",
            "metric": "fid",
            "checkpoint_step": step,
            "sampler": sampler,
            "steps": steps,
            "evaluations": calls,
            "value": 4 + 2e5 / step + 400 / calls,
            "standard_error": 0.3,
            "interval": [3.4 + 2e5 / step + 400 / calls, 4.6 + 2e5 / step + 400 / calls] if sampler == "pc" else None,
            "samples": 5000,
            "seed": 1,
            "details": {"extrapolated": 3.9},
            "warnings": [f"5,000 samples are fewer than 2,048 features need{hostile}"] if step == 10000 else [],
            "settings": {"metric": {"type": "Frechet"}},
            **basis,
        }
        for step in (10000, 20000, 40000)
        for sampler, steps, calls in grids
    ]
    bits = [
        {
            "part": "likelihood",
            "metric": "bits_per_dim",
            "checkpoint_step": step,
            "value": value,
            "standard_error": 0.02,
            "samples": 297,
            "passes": 2,
            "seed": 0,
        }
        for step, value in ((10000, 3.2), (20000, None), (40000, 2.81))
    ]
    return [*bits, *distances]


@pytest.fixture(scope="session")
def evaluation_rows():
    return evaluations()


@pytest.fixture(scope="session")
def report():
    """Every section, and a name that wants to be a script in every place that holds text."""
    rng = np.random.default_rng(0)
    steps = np.arange(1, 201)
    losses = np.exp(-steps / 40) + 0.1 * rng.uniform(size=200)
    log_snr = rng.uniform(-8, 8, 120)
    return Report(
        title=f"run {HOSTILE}",
        summary=[
            (f"Bits {HOSTILE}", f"2.8 {HOSTILE}", f"held out {HOSTILE}"),
            ("Steps", 50000, ""),
            ("Loss", 0.123456, ""),
        ],
        config={
            "seed": 12345,
            "model": {"channels": 32, "attention": {"at": [8, 16]}, HOSTILE: HOSTILE},
            "blocks": [{"a": 0.5}],
        },
        curve={f"training {HOSTILE}": (steps, losses), "held out": (steps[::20], losses[::20])},
        level_losses=(
            steps,
            np.linspace(-8, 8, 9),
            np.exp(-steps[:, None] / np.linspace(20, 90, 8) - np.arange(8)) * rng.uniform(0.8, 1.2, (200, 8)),
        ),
        time={"steps": 54321.0, f"data {HOSTILE}": 1234.5, "compile": 61.0, "nothing": 0.0},
        progress={"goodput": 0.97, f"starts {HOSTILE}": 3},
        previews={f"step {n}00 {HOSTILE}": rng.integers(0, 256, (60, 60, 3), dtype=np.uint8) for n in (1, 2, 3)},
        restorations={f"restored {HOSTILE}": rng.integers(0, 256, (40, 80, 3), dtype=np.uint8)},
        noise_levels=(log_snr, np.exp(-(log_snr**2) / 20)),
        grids={
            f"Samples {HOSTILE}": rng.integers(0, 256, (16, 8, 8, 1), dtype=np.uint8),
            "Colours": rng.integers(0, 256, (5, 6, 4, 3), dtype=np.uint8),
        },
        trajectory=rng.integers(0, 256, (12, 16, 8, 8, 1), dtype=np.uint8),
        trajectory_times=np.linspace(1.0, 0.0, 12),
        bits_per_dim=rng.normal(2.8, 0.3, 64),
        passes=2,
        bound_bits_per_dim=(2.9, 0.05),
        points={
            f"plane {HOSTILE}": (rng.normal(size=(300, 2)), rng.normal(size=(200, 2))),
        },
        evaluations=evaluations(HOSTILE),
        neighbours=(
            rng.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8),
            rng.integers(0, 256, (3, 2, 8, 8, 1), dtype=np.uint8),
            [[3.0, 4.0], [0.5, 2.0], [1.25, 9.0]],
        ),
        memorisation=[f"1 of 3 samples copied {HOSTILE}"],
        baseline_bits_per_dim=rng.normal(3.6, 0.3, 64),
        environment={"python": "3.11", HOSTILE: HOSTILE},
    )


@pytest.fixture(scope="session")
def page(report):
    return render(report)
