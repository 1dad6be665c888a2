"""The daemon's side of an upgrade: it takes the bundle, looks at it, orders, and shows what came of it. What writes to
the disk is `appliance.upgrade`, with rights that the daemon lacks."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.errors import ConflictError, MachineryError, NotFoundError, UsageError
from appliance.files import write_whole
from appliance.model.upgrade_views import ApplianceView, Stage
from appliance.ports import Clock
from appliance.store.records import ApplianceNoted
from appliance.upgrade.board import Board
from appliance.upgrade.spool import BUNDLE, FOLDER, ORDER, Order
from images.bundle import examine
from images.errors import ImagesError
from images.signature import read_public

KEY = Path("/usr/share/innervate/innervate.pub")
_LOGGER = logging.getLogger(__name__)
_NOTED = "noted"
_PACE = 5.0
_BUSY = (Stage.ASKED, Stage.WORKING, Stage.RESTARTING, Stage.TRIAL)


class NoSlots:
    """Of a daemon that runs on any other computer."""

    def appliance(self) -> ApplianceView:
        raise _elsewhere()

    async def upgrade(self, pieces: AsyncIterator[bytes]) -> ApplianceView:
        raise _elsewhere()

    async def rollback(self) -> ApplianceView:
        raise _elsewhere()


@dataclass(kw_only=True)
class UpgradeDesk:
    """`key` is the file with the public key of who may sign."""

    state_dir: Path
    remember: Callable[[ApplianceNoted], Awaitable[object]]
    clock: Clock
    board: Board = field(default_factory=Board)
    key: Path = KEY
    _taking: bool = False

    def appliance(self) -> ApplianceView:
        if (view := self.board.view()) is None:
            raise _elsewhere()
        outcome = self.board.outcome()
        asked = (self._folder / ORDER).exists()
        return replace(view, stage=Stage.ASKED if asked else view.stage, outcome=outcome.text if outcome else "")

    async def upgrade(self, pieces: AsyncIterator[bytes]) -> ApplianceView:
        self._free()
        self._taking = True
        draft = self._folder / f"{BUNDLE}.new"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            await _received(pieces, draft)
            await asyncio.to_thread(self._examined, draft)
            draft.replace(self._folder / BUNDLE)
            self._order(Order.UPGRADE)
        except OSError as error:
            action = "free disk space on the data partition"
            raise MachineryError("the bundle could not be kept", evidence=str(error), next_action=action) from error
        finally:
            self._taking = False
            draft.unlink(missing_ok=True)
        return self.appliance()

    async def rollback(self) -> ApplianceView:
        view = self._free()
        if not any(slot.version and not slot.running for slot in view.slots):
            raise ConflictError("the other slot holds no version", next_action="upgrade with a bundle instead")
        self._order(Order.ROLLBACK)
        return self.appliance()

    async def run(self) -> None:
        """Notes what came of a trial, once, whenever it ends."""
        while True:
            try:
                await self._note()
            except OSError as error:
                _LOGGER.warning("what came of a trial cannot be noted: %s", error)
            await self.clock.sleep(_PACE)

    async def _note(self) -> None:
        outcome, noted = self.board.outcome(), self._folder / _NOTED
        if outcome is None:
            return
        mark = repr(outcome.time)
        if noted.exists() and noted.read_text() == mark:
            return
        await self.remember(ApplianceNoted(text=outcome.text, kept=outcome.kept))
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_whole(noted, mark.encode())

    def _free(self) -> ApplianceView:
        view = self.appliance()
        if self._taking or view.stage in _BUSY:
            said = view.text or "a bundle is on its way"
            raise ConflictError("an upgrade is under way", evidence=said, next_action="wait for its end")
        return view

    def _order(self, order: Order) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_whole(self._folder / ORDER, order.value.encode())

    def _examined(self, draft: Path) -> None:
        try:
            with draft.open("rb") as file:
                examine(file, read_public(self.key.read_text()))
        except ImagesError as error:
            raise UsageError(str(error), evidence=error.evidence, next_action=error.next_action) from error

    @property
    def _folder(self) -> Path:
        return self.state_dir / FOLDER


def _elsewhere() -> NotFoundError:
    action = "upgrade it as any other program of this computer"
    return NotFoundError("the daemon does not run on an appliance image", next_action=action)


async def _received(pieces: AsyncIterator[bytes], draft: Path) -> None:
    with draft.open("wb") as file:
        async for piece in pieces:
            await asyncio.to_thread(file.write, piece)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
