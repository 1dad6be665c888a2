"""Ten failures of the field, as scenes: what the product shows of them.

`tests/sim/test_ten_failures.py` plays each fault in a simulated rack and compares every field; what pages, terminal
interface and command line make of the scenes is tested without playing anything.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from appliance.api.fake import FakeApplication
from appliance.model.codec import from_json, to_json
from appliance.model.phase import Condition
from appliance.model.views import ExplainView, MachineView, SegmentView

GOLDEN = Path(__file__).parent / "golden" / "failures"
TEN = (
    "dead-bmc",
    "no-dhcp",
    "boot-order",
    "wrong-hash",
    "disk-full",
    "same-mac",
    "rogue-dhcp",
    "other-disk",
    "small-disk",
    "no-link",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The first machine that has a condition, and what is said beside it. `now` in seconds since the epoch."""

    now: float
    machine: MachineView
    explain: ExplainView
    segment: tuple[SegmentView, ...]

    @property
    def condition(self) -> Condition:
        return self.machine.conditions[0]

    @property
    def beside(self) -> str:
        """What is wrong with the boot network, "" for nothing."""
        return " ".join(trouble.text for trouble in self.segment)


def scene_of(name: str) -> Scene:
    return from_json(Scene, (GOLDEN / f"{name}.json").read_bytes())


def text_of(scene: Scene) -> str:
    return json.dumps(json.loads(to_json(scene)), indent=1) + "\n"


def show(application: FakeApplication, scene: Scene) -> Scene:
    """Puts the machine, and what is said beside it, into the application; returns the scene."""
    name = scene.machine.name
    application.now = scene.now
    application.inventory[name] = scene.machine
    application.explained[name] = scene.explain
    application.segment += scene.segment
    return scene
