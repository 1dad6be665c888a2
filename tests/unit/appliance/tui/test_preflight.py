"""What the doctor finds, before a plan is approved: cause and next action, and a word more to begin anyway."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, Served
from appliance.api.fake_doctor import FakeDoctor
from appliance.api.fake_findings import DEAD_BMC, FINDINGS, ROGUE_DHCP, SLOW_PORT
from appliance.doctor.say import good
from appliance.model.doctor import Check, DoctorView, Finding
from appliance.model.words import Errand
from appliance.tui.messages import Examined
from appliance.tui.plan import approval
from appliance.tui.state import Apply, Ask, Planned, State, Task
from appliance.tui.update import updated
from tests.unit.appliance.tui.rack import Screen, install, play


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", FINDINGS)
def test_each_finding_is_told_before_the_plan(
    name: str, socket_path: Path, server: Served, application: FakeApplication
) -> None:
    finding = FINDINGS[name]
    application.plans = [install(finding.machine or "node-0")]
    application.doctor_desk.finds = (finding,)

    async def look(screen: Screen) -> None:
        await screen.press("f3")
        await screen.sees("Before you begin", finding.check.value)
        for text in (finding.cause, f"next: {finding.next_action}", finding.command):
            assert text in flat(screen.text)

    play(socket_path, server, application, look)


def test_all_findings_have_a_page(socket_path: Path, server: Served, application: FakeApplication) -> None:
    application.doctor_desk.finds = (DEAD_BMC, good(Check.CLOCK, "the clock is synchronised"))

    async def look(screen: Screen) -> None:
        await screen.press("colon")
        await screen.type("doctor")
        await screen.press("enter")
        await screen.sees("1 ok, 1 failure, examined at", "ok clock: the clock is synchronised")
        for text in (DEAD_BMC.cause, f"next: {DEAD_BMC.next_action}", DEAD_BMC.command):
            assert text in flat(screen.text)

    play(socket_path, server, application, look)


def test_a_failure_of_the_site_takes_a_word_more(
    socket_path: Path, server: Served, application: FakeApplication
) -> None:
    application.plans = [install("node-0")]
    application.broken = application.slow = frozenset()
    application.doctor_desk = FakeDoctor(finds=(ROGUE_DHCP, DEAD_BMC, SLOW_PORT))

    async def begin(screen: Screen) -> None:
        await screen.press("f3")
        await screen.sees("Before you begin", "other-dhcp", "spanning-tree")
        assert "dead-bmc" not in screen.text, "it is not in the plan"
        await screen.press("y")
        await screen.sees("(lab anyway)")
        await screen.type("lab")
        await screen.press("enter")
        await screen.sees("nothing is done")
        assert not application.runs().runs
        await screen.press("y")
        await screen.type("lab anyway")
        await screen.press("enter")
        await screen.sees("Run run-1")

    play(socket_path, server, application, begin)


def seen(state: State, *found: Finding) -> State:
    return updated(state, Examined(view=DoctorView(version=1, findings=found)))[0]


def test_what_is_found_while_the_name_is_typed_asks_anew() -> None:
    place = Planned(task=Task(), plan=install("node-0"))
    asked = State(now=0.0, places=(place,), prompt=approval(place))
    warned = seen(asked, SLOW_PORT, DEAD_BMC)
    assert warned.prompt == asked.prompt, "a warning, and another machine, change nothing"
    stopped = seen(asked, ROGUE_DHCP)
    assert stopped.prompt is not None
    assert stopped.prompt.wanted == "lab anyway"
    assert stopped.prompt.typed == ""


def test_an_errand_takes_the_word_too_and_says_what_was_accepted() -> None:
    place = Planned(task=Task(machine="node-0", errand=Errand.RESCUE), plan=replace(install("node-0"), steps=()))
    asked = approval(place, DoctorView(version=1, findings=(SLOW_PORT, DEAD_BMC)))
    assert asked is not None
    assert asked.ask is Ask.YES
    stopped = approval(place, DoctorView(version=1, findings=(ROGUE_DHCP,)))
    assert stopped is not None
    assert (stopped.ask, stopped.wanted) == (Ask.NAME, "node-0 anyway")
    assert isinstance(stopped.then, Apply)
    assert stopped.then.despite == (Check.DHCP,)
