"""An examination: all checks at once, findings as they come, and no check that hides another."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from appliance.doctor.desk import DoctorDesk, Examine
from appliance.doctor.say import good, warning
from appliance.errors import MachineryError
from appliance.model.doctor import Check, DoctorRequest, DoctorView, Finding, Verdict
from appliance.system import SystemClock


def play(checks: dict[Check, Examine], scene: Callable[[DoctorDesk], Awaitable[None]]) -> None:
    async def whole() -> None:
        desk = DoctorDesk(checks, SystemClock())
        try:
            await scene(desk)
        finally:
            await desk.close()

    asyncio.run(whole())


async def ended(desk: DoctorDesk) -> DoctorView:
    view = desk.doctor()
    while view.running:
        view = await desk.look(view.version, 10)
    return view


async def fine(_request: DoctorRequest) -> tuple[Finding, ...]:
    return (good(Check.LINK, "well"),)


async def unlucky(_request: DoctorRequest) -> tuple[Finding, ...]:
    raise MachineryError("no socket", evidence="EPERM", next_action="run as root")


async def broken(_request: DoctorRequest) -> tuple[Finding, ...]:
    raise ZeroDivisionError


def test_findings_come_as_they_are_found() -> None:
    gate = asyncio.Event()

    async def slow(request: DoctorRequest) -> tuple[Finding, ...]:
        await gate.wait()
        return (warning(Check.CLOCK, "late", action="wait"),)

    async def scene(desk: DoctorDesk) -> None:
        assert desk.doctor() == DoctorView()
        first = desk.start(DoctorRequest())
        assert first.running
        assert first.waiting == (Check.LINK, Check.CLOCK)
        view = await desk.look(first.version, 10)
        assert view.waiting == (Check.CLOCK,)
        assert [finding.check for finding in view.findings] == [Check.LINK]
        assert desk.start(DoctorRequest()) == view, "one that is under way counts for both"
        assert await desk.look(view.version, 0.01) == view, "nothing new within that time"
        gate.set()
        last = await ended(desk)
        assert [finding.check for finding in last.findings] == [Check.CLOCK, Check.LINK], "the worst first"
        assert last.ended is not None
        assert not last.waiting
        anew = desk.start(DoctorRequest())
        assert anew.findings == ()
        assert (await ended(desk)).version > last.version

    play({Check.LINK: fine, Check.CLOCK: slow}, scene)


def test_a_check_that_fails_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(desk: DoctorDesk) -> None:
        desk.start(DoctorRequest())
        found = {finding.check: finding for finding in (await ended(desk)).findings}
        assert found[Check.LINK].verdict is Verdict.OK
        unknown = found[Check.DHCP]
        assert (unknown.verdict, unknown.cause, unknown.evidence) == (Verdict.UNKNOWN, "no socket", "EPERM")
        assert found[Check.SPACE].verdict is Verdict.UNKNOWN
        assert "ZeroDivisionError" in caplog.text

    play({Check.LINK: fine, Check.DHCP: unlucky, Check.SPACE: broken}, scene)


def test_patience_is_told_to_every_check() -> None:
    asked: list[DoctorRequest] = []

    async def note(request: DoctorRequest) -> tuple[Finding, ...]:
        asked.append(request)
        return ()

    async def scene(desk: DoctorDesk) -> None:
        desk.start(DoctorRequest(patient=True))
        await ended(desk)

    play({Check.LINK: note, Check.BOND: note}, scene)
    assert asked == [DoctorRequest(patient=True)] * 2
