"""The load is what the figures claim it to be."""

import pytest

from tests.bench import traffic
from tests.bench.case import Size
from tests.bench.cases import CASES


def test_nine_in_a_hundred_questions_are_for_no_host() -> None:
    names = [line.split(".")[0] for line in traffic.questions().splitlines()]
    assert sum(name not in traffic.HOSTS for name in names) / len(names) == traffic.NXDOMAIN_SHARE
    assert set(traffic.HOSTS) <= set(names)


def test_unique_questions_are_unique_and_for_no_host() -> None:
    names = [line.split(".")[0] for line in traffic.unique_questions().splitlines()]
    assert len(set(names)) == len(names)
    assert not set(names) & set(traffic.HOSTS)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", Size)
def test_goals_name_what_is_measured(name: str, size: Size) -> None:
    bench = CASES[name](size)
    contenders = {case.name: {one.name: one.ours for one in case.contenders} for case in bench.cases}
    assert len(contenders) == len(bench.cases)
    for goal in bench.goals:
        assert contenders[goal.case][goal.ours] is True
        assert not goal.peer or contenders[goal.case][goal.peer] is False


@pytest.mark.parametrize("name", CASES)
def test_goals_are_the_same_in_both_sizes(name: str) -> None:
    """Or there are none, where the quick one shows only that it runs."""
    full, quick = ([(goal.id, goal.metric, goal.bound) for goal in CASES[name](size).goals] for size in Size)
    assert quick in (full, [])
