"""What the upgrade tells the daemon, which may not look for itself: files that it reads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from appliance.errors import UsageError
from appliance.files import write_whole
from appliance.model.codec import from_json, to_json
from appliance.model.text import clean
from appliance.model.upgrade_views import ApplianceView, Outcome, SlotView, Stage
from appliance.upgrade.ports import Disk
from appliance.upgrade.writing import content_of
from images.grubenv import Slot

RUNTIME = Path("/run/innervate-upgrade")
KEPT = Path("/data/slots")
_TEXT = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """`runtime` lasts until the next boot, `kept` longer."""

    runtime: Path = RUNTIME
    kept: Path = KEPT

    def view(self) -> ApplianceView | None:
        """None where nothing was said yet."""
        return _read(ApplianceView, self.runtime / "status.json")

    def show(self, stage: Stage, text: str = "", *, slots: Sequence[SlotView] = ()) -> None:
        """Without `slots` they stay as they were."""
        seen = self.view() or ApplianceView(slots=())
        view = replace(seen, stage=stage, text=clean(text, _TEXT), slots=tuple(slots) or seen.slots)
        self.runtime.mkdir(mode=0o755, exist_ok=True)
        write_whole(self.runtime / "status.json", to_json(view), mode=0o644)

    def outcome(self) -> Outcome | None:
        return _read(Outcome, self.kept / "outcome.json")

    def end(self, outcome: Outcome) -> None:
        write_whole(self.kept / "outcome.json", to_json(outcome), mode=0o644)

    def complain(self, text: str) -> None:
        """Why a trial does not succeed, for the version that comes after it."""
        write_whole(self.kept / "reason", clean(text, _TEXT).encode(), mode=0o644)

    def reason(self) -> str:
        try:
            return clean((self.kept / "reason").read_text("utf-8", "replace"), _TEXT)
        except FileNotFoundError:
            return ""

    def forget_reason(self) -> None:
        (self.kept / "reason").unlink(missing_ok=True)


def slots_of(disk: Disk, running: Slot, good: Slot) -> tuple[SlotView, ...]:
    found = {slot: content_of(disk, slot) for slot in Slot}
    return tuple(
        SlotView(
            slot=slot.value,
            running=slot is running,
            good=slot is good,
            version=manifest.version if manifest else "",
            build=manifest.build if manifest else "",
        )
        for slot, manifest in found.items()
    )


def _read(kind: type[T], path: Path) -> T | None:
    try:
        return from_json(kind, path.read_bytes())
    except (FileNotFoundError, UsageError):
        return None
