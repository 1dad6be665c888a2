"""Racks as every surface draws them, front and rear. `INNERVATE_GOLDEN=write` accepts what is seen."""

import asyncio
import os
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication
from appliance.cli import show_racks
from appliance.model.phase import Phase
from appliance.model.place import Place
from appliance.model.views import MachinesView, MachineView
from appliance.tui.overview import overview
from appliance.tui.rack import layout
from appliance.tui.state import Data, Overview, State
from appliance.tui.text import plain
from appliance.web.pages import Pages
from tests.unit.appliance.cli.conftest import drawn

GOLDEN = Path(__file__).parents[2] / "golden" / "racks"
NOW = 1_800_000_000.0
SCENES: dict[str, dict[str, Place | None]] = {
    "empty": {"a": None},
    "one-unit": {"a": Place(rack="r1", unit=1)},
    "42-units": {f"n{unit}": Place(rack="r1", unit=unit) for unit in (1, 2, 41, 42)},
    "48-units": {f"n{unit}": Place(rack="r1", unit=unit) for unit in range(1, 49)},
    "high": {"a": Place(rack="r1", unit=1, height=4), "b": Place(rack="r1", unit=11, height=2)},
    "halves": {
        "a": Place(rack="r1", unit=5, half="left"),
        "b": Place(rack="r1", unit=5, half="right"),
        "c": Place(rack="r1", unit=7, half="right", height=2),
    },
    "rear": {
        "whole": Place(rack="r1", unit=1, height=2),
        "whole-left": Place(rack="r1", unit=3, half="left"),
        "shallow": Place(rack="r1", unit=4, face="front"),
        "behind-it": Place(rack="r1", unit=4, face="rear"),
        "behind-right": Place(rack="r1", unit=3, half="left", face="rear"),
        "other": Place(rack="r2", unit=1),
    },
    "rear-alone": {"a": Place(rack="r1", unit=3, face="rear"), "b": None},
}


def machines(scene: str) -> tuple[MachineView, ...]:
    return tuple(
        MachineView(name=name, phase=Phase.ACTIVE, since=NOW, place=place) for name, place in SCENES[scene].items()
    )


def page(found: tuple[MachineView, ...]) -> str:
    application = FakeApplication(now=NOW, inventory={machine.name: machine for machine in found}, plans=[])
    html = asyncio.run(Pages(application, lambda: NOW).rack("1-1"))
    return html[html.index('<div class="racks">') : html.index("</main>")].rstrip() + "\n"


def screen(found: tuple[MachineView, ...]) -> str:
    state = State(now=NOW, width=80, data=Data(machines=found, heard=NOW))
    return "".join(f"{plain(line).rstrip()}\n" for line in overview(state, Overview()).body)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("surface", ["page.html", "screen.txt", "text.txt"])
def test_snapshot(scene: str, surface: str) -> None:
    found, file = machines(scene), GOLDEN / f"{scene}.{surface}"
    match surface:
        case "page.html":
            seen = page(found)
        case "screen.txt":
            seen = screen(found)
        case _:
            seen = drawn(show_racks.racks(MachinesView(machines=found)))
    if os.environ.get("INNERVATE_GOLDEN") == "write":
        file.write_text(seen)
    assert seen == file.read_text()


@pytest.mark.parametrize("scene", SCENES)
def test_every_machine_is_drawn_once_on_every_surface(scene: str) -> None:
    """What changes of it while somebody looks finds one place; its back is no second one."""
    found = machines(scene)
    html, rows = page(found), layout(found, 80).machines
    assert sorted(one.name for one in rows) == sorted(SCENES[scene])
    assert [html.count(f'id="cell-{name}"') for name in SCENES[scene]] == [1] * len(found)
