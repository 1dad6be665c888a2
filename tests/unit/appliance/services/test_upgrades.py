"""The daemon's side of an upgrade: what it takes, what it refuses, what it notes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest

from appliance.errors import ConflictError, NotFoundError, UsageError
from appliance.model.upgrade_views import Outcome, SlotView, Stage
from appliance.services.upgrades import NoSlots, UpgradeDesk
from appliance.store.records import ApplianceNoted
from appliance.upgrade.board import Board
from appliance.upgrade.spool import BUNDLE, ORDER
from tests.unit.appliance.upgrade.conftest import KEY, bundle_of

SLOTS = (SlotView(slot="a", running=True, good=True, version="0.1.0"), SlotView(slot="b", running=False, good=False))


class Ending:
    """The second look is the last one."""

    looks = 0

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.looks += 1
        if self.looks == 2:
            raise asyncio.CancelledError


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 100):
        yield data[start : start + 100]


def made(folder: Path, records: list[ApplianceNoted] | None = None) -> UpgradeDesk:
    async def remember(record: ApplianceNoted) -> None:
        (records if records is not None else []).append(record)

    (folder / "key").write_text(KEY.public.text)
    board = Board(runtime=folder / "run", kept=folder)
    return UpgradeDesk(state_dir=folder, remember=remember, clock=Ending(), board=board, key=folder / "key")


@pytest.fixture
def desk(tmp_path: Path) -> UpgradeDesk:
    desk = made(tmp_path)
    desk.board.show(Stage.IDLE, slots=SLOTS)
    return desk


def test_a_sound_bundle_is_ordered(desk: UpgradeDesk) -> None:
    data = bundle_of("0.2.0")
    view = asyncio.run(desk.upgrade(pieces(data)))
    assert view.stage is Stage.ASKED
    folder = desk.state_dir / "upgrade"
    assert (folder / BUNDLE).read_bytes() == data
    assert (folder / ORDER).read_text() == "upgrade"
    with pytest.raises(ConflictError, match="under way"):
        asyncio.run(desk.upgrade(pieces(data)))


@pytest.mark.parametrize("data", [b"", b"x" * 1000, bundle_of("0.2.0")[:-1], bundle_of("0.2.0") + b"x"], ids=range(4))
def test_what_is_not_sound_is_refused_and_gone(desk: UpgradeDesk, data: bytes) -> None:
    with pytest.raises(UsageError):
        asyncio.run(desk.upgrade(pieces(data)))
    assert list((desk.state_dir / "upgrade").iterdir()) == []
    assert desk.appliance().stage is Stage.IDLE


@pytest.mark.parametrize("stage", [Stage.WORKING, Stage.RESTARTING, Stage.TRIAL], ids=str)
def test_one_upgrade_at_a_time(desk: UpgradeDesk, stage: Stage) -> None:
    desk.board.show(stage)
    for asked in (lambda: desk.upgrade(pieces(b"")), desk.rollback):
        with pytest.raises(ConflictError):
            asyncio.run(asked())


def test_going_back_needs_a_version_there(desk: UpgradeDesk) -> None:
    with pytest.raises(ConflictError, match="holds no version"):
        asyncio.run(desk.rollback())
    desk.board.show(Stage.FAILED, "why", slots=(SLOTS[0], SlotView(slot="b", running=False, good=False, version="1")))
    assert asyncio.run(desk.rollback()).stage is Stage.ASKED
    assert (desk.state_dir / "upgrade" / ORDER).read_text() == "rollback"


def test_what_came_of_a_trial_is_noted_once(tmp_path: Path) -> None:
    records: list[ApplianceNoted] = []
    desk = made(tmp_path, records)
    desk.board.show(Stage.IDLE, slots=SLOTS)
    desk.board.end(Outcome(time=5.0, kept=False, text="version 0.2.0 was tried and did not stay"))
    for _ in range(2):
        desk.clock = Ending()
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(desk.run())
    assert records == [ApplianceNoted(text="version 0.2.0 was tried and did not stay", kept=False)]
    assert desk.appliance().outcome == "version 0.2.0 was tried and did not stay"


def test_another_computer_has_no_slots(tmp_path: Path) -> None:
    other, none = made(tmp_path), NoSlots()
    asked: list[Callable[[], Coroutine[None, None, object]]] = [
        lambda: other.upgrade(pieces(b"")),
        lambda: none.upgrade(pieces(b"")),
        other.rollback,
        none.rollback,
    ]
    for one in asked:
        with pytest.raises(NotFoundError):
            asyncio.run(one())
    for desk in (other, none):
        with pytest.raises(NotFoundError):
            desk.appliance()
