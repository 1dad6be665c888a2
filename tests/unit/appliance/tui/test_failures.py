"""Ten failures of the field: each machine's screen names the cause and says what to do, without scrolling."""

from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, Served
from appliance.api.fake_scenes import FAILURES, Failure, fail
from tests.unit.appliance.tui.rack import Screen, play


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_failure(failure: Failure, socket_path: Path, server: Served, application: FakeApplication) -> None:
    application.inventory, application.segment = {}, []
    fail(application, failure)

    async def look(screen: Screen) -> None:
        await screen.sees("1 machine ", f"{failure.kind.value}")
        overview = flat(screen.text)
        assert failure.cause in overview
        assert failure.segment in overview
        await screen.press("enter")
        await screen.sees("Why it is where it is")
        machine = flat(screen.text)
        for text in (failure.cause, f"seen: {failure.evidence}", f"next: {failure.action}"):
            assert text in machine

    play(socket_path, server, application, look)


def flat(text: str) -> str:
    return " ".join(text.split())
