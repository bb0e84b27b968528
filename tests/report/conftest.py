import numpy as np
import pytest

from sde_jax.report import Report, render

HOSTILE = "<script>window.pwned=1</script>"


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
        noise_levels=(log_snr, np.exp(-(log_snr**2) / 20)),
        grids={
            f"Samples {HOSTILE}": rng.integers(0, 256, (16, 8, 8, 1), dtype=np.uint8),
            "Colours": rng.integers(0, 256, (5, 6, 4, 3), dtype=np.uint8),
        },
        trajectory=rng.integers(0, 256, (12, 16, 8, 8, 1), dtype=np.uint8),
        trajectory_times=np.linspace(1.0, 0.0, 12),
        bits_per_dim=rng.normal(2.8, 0.3, 64),
        baseline_bits_per_dim=rng.normal(3.6, 0.3, 64),
        environment={"python": "3.11", HOSTILE: HOSTILE},
    )


@pytest.fixture(scope="session")
def page(report):
    return render(report)
