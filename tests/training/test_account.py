import numpy as np
import pytest

from sde_jax.training import Account
from sde_jax.training.clock import PARTS

SECONDS = dict(zip(PARTS, (1.0, 2.0, 3.0, 4.0, 5.0, 25.0), strict=True))


def test_goodput_is_the_fraction_of_the_wall_time_in_steps_that_count():
    account = Account(SECONDS, lost=5.0)
    assert (account.wall, account.good, account.goodput) == (40.0, 20.0, 0.5)


def test_shares_sum_to_one_and_goodput_is_the_steps_less_what_is_lost():
    row = Account(SECONDS, lost=5.0).row()
    assert sum(row[f"share_{part}"] for part in PARTS) == pytest.approx(1)
    assert row["share_data"] == 3 / 40
    assert row["goodput"] == pytest.approx(row["share_step"] - row["lost_seconds"] / row["wall_seconds"])


def test_an_account_comes_back_from_its_row():
    account = Account.of({"step": 3, **Account(SECONDS, lost=5.0).row()})
    np.testing.assert_allclose(list(account.seconds.values()), list(SECONDS.values()), rtol=1e-15)
    assert tuple(account.seconds) == PARTS
    assert account.lost == 5.0


@pytest.mark.parametrize("row", [{}, {"step": 1, "seconds": 3.0}, {"wall_seconds": None, "share_step": None}])
def test_a_row_without_an_account_is_one_of_no_time(row):
    assert Account.of(row) == Account()
    assert (Account().wall, Account().goodput) == (0, 0)
    assert set(Account().row().values()) == {0}


def test_time_adds_up_part_by_part():
    twice = Account(SECONDS, lost=5.0).plus(SECONDS)
    assert twice == Account({part: 2 * seconds for part, seconds in SECONDS.items()}, lost=5.0)


def test_going_back_loses_the_steps_since_then_alone_and_once():
    then = Account(SECONDS, lost=5.0)  # 20 s good
    now = then.plus({**SECONDS, "data": 100.0})
    assert now.rewound(then).good == then.good
    assert now.rewound(then).lost == 5 + 25
    assert now.rewound(then).wall == now.wall
    assert now.rewound(then).rewound(then) == now.rewound(then)
    assert now.rewound(Account()).good == 0
