"""Ten failures of the field: each machine's screen names the cause and says what to do, without scrolling."""

from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, Served
from tests.failures import TEN, scene_of, show
from tests.unit.appliance.tui.rack import Screen, play


@pytest.mark.parametrize("name", TEN)
def test_failure(name: str, socket_path: Path, server: Served, application: FakeApplication) -> None:
    application.inventory, application.segment = {}, []
    scene = show(application, scene_of(name))
    shown = scene.condition

    async def look(screen: Screen) -> None:
        await screen.sees("1 machine ", f"{shown.kind.value}")
        overview = flat(screen.text)
        assert shown.reason in overview
        assert scene.beside in overview
        await screen.press("enter")
        await screen.sees("Why it is where it is")
        machine = flat(screen.text)
        for text in (shown.reason, f"seen: {flat(shown.evidence)}", f"next: {shown.next_action}"):
            assert text in machine

    play(socket_path, server, application, look)


def flat(text: str) -> str:
    return " ".join(text.split())
