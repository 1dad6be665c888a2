import pytest

from pxe.errors import ConfigError
from pxe.http.admission import LARGE, Admission, Caps, Welcome


def test_arrivals_up_to_twice_the_cap_hear_why() -> None:
    door = Admission(Caps(connections=2))
    seen = [door.arrive(f"10.0.0.{n}") for n in range(5)]
    assert seen == [Welcome.COME_IN] * 2 + [Welcome.COME_BACK] * 2 + [Welcome.GO_AWAY]
    for n in range(5):
        door.leave(f"10.0.0.{n}")
    assert door.arrive("10.0.0.9") is Welcome.COME_IN


def test_one_client_cannot_fill_the_hall() -> None:
    door = Admission(Caps(connections=100, per_client=1))
    assert [door.arrive("10.0.0.1") for _ in range(3)] == [Welcome.COME_IN, Welcome.COME_BACK, Welcome.GO_AWAY]
    assert door.arrive("10.0.0.2") is Welcome.COME_IN


@pytest.mark.parametrize(
    ("agent", "admitted"),
    [("iPXE/1.21.1", False), ("", False), ("GRUB 2.06-13", True), ("UefiHttpBoot/1.0", True)],
)
def test_second_large_download_waits_for_the_next_wave_unless_the_client_cannot(agent: str, admitted: bool) -> None:
    door = Admission(Caps(downloads=1))
    assert door.begin_download(LARGE, "")
    assert door.begin_download(LARGE - 1, agent)
    assert door.begin_download(LARGE, agent) is admitted


def test_ended_download_makes_room() -> None:
    door = Admission(Caps(downloads=1))
    assert door.begin_download(LARGE, "")
    door.end_download(LARGE - 1)
    assert not door.begin_download(LARGE, "")
    door.end_download(LARGE)
    assert door.begin_download(LARGE, "")


def test_bodies_share_a_budget() -> None:
    door = Admission(Caps(bodies=10))
    assert door.expect_body(8)
    assert not door.expect_body(3)
    assert door.expect_body(2)
    door.end_body(8)
    assert door.expect_body(3)


@pytest.mark.parametrize(
    ("now", "moved", "deadline"),
    [
        (100.0, 0, 110.0),
        (105.0, 100_000, 115.0),
        (112.0, 500, 120.5),
        (118.0, 0, 120.0),
    ],
)
def test_patience_ends_without_progress_and_below_the_rate(now: float, moved: int, deadline: float) -> None:
    caps = Caps(idle=10, grace=20, rate=1000)
    assert caps.patience(started=100.0, now=now, moved=moved) == deadline


def test_cap_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        Caps(workers=0)
    assert caught.value.evidence == "workers"
