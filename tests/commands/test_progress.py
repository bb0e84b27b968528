import numpy as np
import pytest

from sde_jax.commands import progress
from sde_jax.sde import VP
from sde_jax.training import Account, level_edges
from sde_jax.training.clock import PARTS

ACCOUNT = Account(dict(zip(PARTS, (1.0, 2.0, 3.0, 4.0, 5.0, 25.0), strict=True)), lost=5.0)


def test_the_parts_of_the_time_sum_to_it():
    times = progress.times(ACCOUNT)
    assert (times["steps"], times["steps made again or left out"], times["previews"]) == (20, 5, 5)
    assert sum(times.values()) == ACCOUNT.wall
    assert progress.times(Account()) == {}


def test_a_loss_that_is_null_is_a_gap():
    steps, losses = progress.curve([{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}])["training"]
    np.testing.assert_array_equal(losses, [2.0, np.nan])
    assert steps == [1, 2]
    assert progress.curve([]) == progress.curve([{"step": 1, "loss": None}]) == {}


def test_losses_by_noise_level_come_with_the_edges_in_log_snr():
    rows = [
        {"step": 1},
        {"step": 2, "loss_by_noise_level": [1.0] * 7 + [None]},
        {"step": 3, "loss_by_noise_level": None},
    ]
    steps, edges, losses = progress.level_losses(rows, VP())
    assert steps == [2]
    np.testing.assert_array_equal(losses, [[1.0] * 7 + [np.nan]])
    alpha, sigma = np.exp(VP().log_alpha(0.001)), np.sqrt(VP().variance(0.001))
    assert edges[-1] == pytest.approx(np.log(alpha**2 / sigma**2), rel=1e-4)
    np.testing.assert_array_equal(edges, 2 * level_edges(VP()))
    assert progress.level_losses(rows[:1], VP()) is None


def test_progress_tells_starts_rollbacks_and_the_time_without_a_process():
    history = [
        {"event": "start", "time": 1000.0, "wall_seconds": 10.0},
        {"event": "rollback", "time": 1030.0, "wall_seconds": 40.0},
        {"event": "start", "time": 2000.0, "wall_seconds": 60.0},
        {"event": "end", "time": 2100.0, "wall_seconds": 160.0},
    ]
    rows = [{"step": 1, "skipped": 3, "images_per_second": v, "flop_utilization": None} for v in (1000, 3000, 2000)]
    facts = progress.progress(rows, history, ACCOUNT)
    assert facts["goodput"] == "50.0% of the wall time in steps that count"
    assert (facts["starts"], facts["rollbacks"], facts["steps left out"]) == ("2", "1", "3")
    assert facts["between starts"].startswith("950 s")  # 1100 s later, of which 150 s were lived
    assert facts["throughput"] == "2,000 images/s, median"
    assert "FLOP utilization" not in facts
    rows[0]["flop_utilization"] = 0.45
    assert progress.progress(rows, history, ACCOUNT)["FLOP utilization"].startswith("45.0%")
    assert progress.progress(rows, [], ACCOUNT) == {}
