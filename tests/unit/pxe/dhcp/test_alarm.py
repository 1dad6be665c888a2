import pytest

from pxe.dhcp.alarm import Level, level_of


@pytest.mark.parametrize(
    ("uses", "levels"),
    [
        ([0, 79, 80, 94, 95, 99, 100], [0, 0, 80, 80, 95, 95, 100]),
        ([80, 79, 75, 74, 79, 80], [80, 80, 80, 0, 0, 80]),
        ([100, 95, 94, 90, 89, 75, 74], [100, 100, 95, 95, 80, 80, 0]),
        ([100, 0], [100, 0]),
    ],
)
def test_levels_rise_at_once_and_fall_late(uses: list[int], levels: list[int]) -> None:
    level, seen = Level.NORMAL, []
    for used in uses:
        level = level_of(used, 100, level)
        seen.append(int(level))
    assert seen == levels


def test_pool_without_addresses_is_never_full() -> None:
    assert level_of(0, 0, Level.NORMAL) is Level.NORMAL
