"""Every fault, with every make, at every operation: each ends in success or in a named error, in time and truly."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar, assert_never

import pytest

from appliance.bmc.redfish import RedfishBmc, RedfishDialler, RedfishLimits
from appliance.errors import BmcError, BmcSessionsFullError, BmcTaskError
from appliance.model.bmc import BootOverride, BootTarget, BootTerm, Indicator, PowerCommand, PowerState
from appliance.simulator.bmc import SimulatedBmc
from appliance.simulator.faults import Fault, Injection, Strike
from appliance.simulator.personality import HABITS, Make, tree_of
from appliance.simulator.server import BmcServer, farm
from tests.contract.bmc_faults import (
    OPERATIONS,
    TASK_SECONDS,
    TURNS,
    Case,
    Outcome,
    Told,
    cases,
    limits_for,
    play,
)
from tests.contract.redfish_bmc import VirtualClock

T = TypeVar("T")


async def _all(chosen: list[Case], folder: Path) -> list[Outcome]:
    gate = asyncio.Semaphore(4)
    async with asyncio.timeout(90), farm(folder) as made:
        return await asyncio.gather(*(play(case, made, gate) for case in chosen))


@pytest.mark.parametrize("make", Make)
def test_nothing_is_wrong_without_a_fault(make: Make, tmp_path: Path) -> None:
    chosen = [Case(make=make, operation=operation, injection=None) for operation in OPERATIONS]
    outcomes = asyncio.run(_all(chosen, tmp_path))
    assert [outcome.told for outcome in outcomes] == [Told.SUCCESS] * len(OPERATIONS)
    assert [wrong for outcome in outcomes for wrong in _wrongs(None, outcome)] == []


@pytest.mark.parametrize("make", Make)
@pytest.mark.parametrize("fault", Fault)
def test_fault_ends_in_success_or_a_named_error(fault: Fault, make: Make, tmp_path: Path) -> None:
    chosen = cases(fault, make)
    outcomes = asyncio.run(_all(chosen, tmp_path))
    pairs = list(zip(chosen, outcomes, strict=True))
    assert [f"{case}: {wrong}" for case, outcome in pairs for wrong in _wrongs(fault, outcome)] == []
    unexpected = [f"{case}: {outcome.told!r}" for case, outcome in pairs if not _expected(fault, case, outcome.told)]
    assert unexpected == []


def _wrongs(fault: Fault | None, outcome: Outcome) -> list[str]:
    """What no fault excuses."""
    told, wrongs = outcome.told, []
    if told is Told.SUCCESS and not outcome.true:
        wrongs.append("false success")
    if isinstance(told, BmcError) and not (str(told) and told.evidence and told.next_action):
        wrongs.append(f"{told!r} lacks evidence or a next action")
    if outcome.seconds > TURNS * limits_for(fault).operation_seconds + TASK_SECONDS:
        wrongs.append(f"took {outcome.seconds} s")
    if outcome.repeated:
        wrongs.append(f"sent again: {outcome.repeated}")
    if outcome.left:
        wrongs.append(f"sessions not deleted: {outcome.left}")
    if isinstance(outcome.after, BmcError):
        wrongs.append(f"unusable when the fault was gone: {outcome.after!r}")
    return wrongs


# Where these are everywhere nothing can succeed.
_HOPELESS = (
    Fault.SILENT,
    Fault.ERROR_500,
    Fault.SLOW_BYTES,
    Fault.GARBAGE,
    Fault.HUGE_BODY,
    Fault.REDIRECT_LOOP,
    Fault.SESSIONS_FULL,
    Fault.NEW_CERTIFICATE,
)
_REFUSED = re.compile(r"refused (GET|PATCH|POST) |refuses (on|force-off|force-restart) now|refused the log-in")


def _expected(fault: Fault, case: Case, told: Told | BmcError) -> bool:
    """Whether the operation ended as this fault makes it end; an error is to say what the trouble is."""
    power = case.operation.name in ("power on", "force off", "restart")
    if told is Told.SUCCESS:
        everywhere = case.injection is not None and case.injection.strike is Strike.ALWAYS
        return not (power and fault is Fault.LIES_ABOUT_POWER) and not (everywhere and fault in _HOPELESS)
    match fault:
        case Fault.SILENT | Fault.SLOW_BYTES:
            return "does not answer in time" in str(told)
        case Fault.ERROR_500 | Fault.BUSY | Fault.REDIRECT_LOOP | Fault.TOO_SOON:
            return _REFUSED.search(str(told)) is not None
        case Fault.GARBAGE:
            return "not JSON" in str(told)
        case Fault.HUGE_BODY:
            return "answers without end" in str(told)
        case Fault.WRONG_TYPES:
            return "malformed" in str(told)
        case Fault.SESSIONS_FULL:
            return isinstance(told, BmcSessionsFullError)
        case Fault.STALE_ETAGS:
            return isinstance(told, BmcError) and "HTTP 412" in told.evidence
        case Fault.LOST_TASKS:
            return isinstance(told, BmcTaskError)
        case Fault.LIES_ABOUT_POWER:
            return power and told is Told.UNPROVEN
        case Fault.DROPS_BOOT_MODE:
            return "boot" in case.operation.name and told is Told.OTHERWISE
        case Fault.NEEDS_RESET:
            return isinstance(told, BmcError) and told.next_action == "reset the BMC"
        case Fault.NEW_CERTIFICATE:
            return "certificate" in str(told)
        case Fault.BAD_ETAGS | Fault.FORGETS_LEAVES:
            return False
        case _:
            assert_never(fault)


# --- more than one operation ----------------------------------------------------------------------------------


def _before(
    scenario: Callable[[RedfishBmc, BmcServer], Awaitable[T]],
    folder: Path,
    limits: RedfishLimits | None = None,
    make: Make = Make.HPE,
) -> T:
    async def whole() -> T:
        clock = VirtualClock()
        sim = SimulatedBmc(tree_of(make), HABITS[make], clock, user="root", password="calvin")
        async with asyncio.timeout(30), farm(folder) as made:
            server, dialler = await made.add(sim), RedfishDialler(clock, limits)
            try:
                return await scenario(dialler.dial(server.endpoint), server)
            finally:
                await dialler.close()

    return asyncio.run(whole())


def test_operation_ends_though_bytes_keep_coming(tmp_path: Path) -> None:
    async def scenario(bmc: RedfishBmc, server: BmcServer) -> float:
        await bmc.power_state()
        server.inject(Injection(fault=Fault.SLOW_BYTES))
        began = asyncio.get_running_loop().time()
        with pytest.raises(BmcError, match="in time") as caught:
            await bmc.identify()
        assert caught.value.evidence
        took = asyncio.get_running_loop().time() - began
        server.inject(None)
        return took

    limits = RedfishLimits(request_seconds=60.0, operation_seconds=0.5)
    assert 0.4 < _before(scenario, tmp_path, limits) < 10.0


def test_time_counts_from_the_turn(tmp_path: Path) -> None:
    """Four operations that take most of their time each: none suffers from those before it."""

    async def scenario(bmc: RedfishBmc, server: BmcServer) -> list[PowerState | BaseException]:
        await bmc.power_state()
        server.inject(Injection(fault=Fault.SILENT))
        asked = [asyncio.ensure_future(_outcome(bmc.power_state())) for _ in range(4)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        server.inject(None)
        return await asyncio.gather(*asked)

    limits = RedfishLimits(request_seconds=5.0, operation_seconds=1.0)
    first, *others = _before(scenario, tmp_path, limits)
    assert isinstance(first, BmcError)
    assert others == [PowerState.OFF] * 3


def test_turn_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    async def scenario(bmc: RedfishBmc, server: BmcServer) -> BaseException | PowerState:
        await bmc.power_state()
        server.inject(Injection(fault=Fault.SILENT))
        hanging, waiting = (asyncio.ensure_future(_outcome(bmc.power_state())) for _ in range(2))
        given_up = await waiting
        hanging.cancel()
        await asyncio.wait([hanging])
        server.inject(None)
        assert await bmc.power_state() is PowerState.OFF
        return given_up

    error = _before(scenario, tmp_path, RedfishLimits(turn_seconds=0.2))
    assert isinstance(error, BmcError)
    assert "busy with earlier operations" in str(error)
    assert error.evidence == "its turn did not come within 0.2 s"


async def _outcome(asked: Awaitable[T]) -> T | BmcError:
    try:
        return await asked
    except BmcError as error:
        return error


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.SILENT])
def test_bmc_that_was_in_trouble_for_long_is_usable_at_once(fault: Fault, tmp_path: Path) -> None:
    """The rest between requests that trouble made longer leaves time enough for a whole operation."""

    async def scenario(bmc: RedfishBmc, server: BmcServer) -> str:
        await bmc.identify()
        for _ in range(12):
            server.inject(Injection(fault=fault))
            await _outcome(bmc.command(PowerCommand.ON))
        server.inject(None)
        return (await bmc.identify()).serial

    assert _before(scenario, tmp_path, RedfishLimits(request_seconds=0.1)) == "SN0001"


def test_rest_that_is_longer_than_the_operation_is_not_begun(tmp_path: Path) -> None:
    async def scenario(bmc: RedfishBmc, server: BmcServer) -> tuple[BmcError, float]:
        await bmc.set_indicator(Indicator.LIT)
        before = server.bmc.clock.monotonic()
        with pytest.raises(BmcError, match="has to rest") as caught:
            await bmc.set_indicator(Indicator.OFF)
        return caught.value, server.bmc.clock.monotonic() - before

    error, slept = _before(scenario, tmp_path, RedfishLimits(operation_seconds=10.0), Make.DELL)
    assert error.evidence == "it needs 20.0 s before the next request, which was not sent"
    assert slept == 0.0


def test_reset_of_the_bmc_is_what_it_asks_for_and_what_helps(tmp_path: Path) -> None:
    async def scenario(bmc: RedfishBmc, server: BmcServer) -> BootTarget:
        server.inject(Injection(fault=Fault.NEEDS_RESET))
        with pytest.raises(BmcError) as caught:
            await bmc.command(PowerCommand.ON)
        assert caught.value.next_action == "reset the BMC"
        await bmc.reset_bmc()
        assert server.bmc.resets == 1
        return await bmc.set_boot_once(BootTarget.NETWORK)

    assert _before(scenario, tmp_path) is BootTarget.NETWORK


@pytest.mark.parametrize("make", Make)
def test_machine_starts_from_what_it_was_told_once(make: Make, tmp_path: Path) -> None:
    async def scenario(bmc: RedfishBmc, server: BmcServer) -> list[BootTarget]:
        await bmc.set_boot_once(BootTarget.NETWORK)
        for command in (PowerCommand.ON, PowerCommand.FORCE_RESTART):
            await bmc.command(command)
        lasting = BootOverride(target=BootTarget.DISK, term=BootTerm.CONTINUOUS)
        await bmc.set_boot(lasting)
        await bmc.set_indicator(Indicator.LIT)
        for command in (PowerCommand.FORCE_OFF, PowerCommand.ON, PowerCommand.CYCLE):
            await bmc.command(command)
        return [boot.source for boot in server.bmc.machine.boots]

    told = [BootTarget.NETWORK, BootTarget.NONE, BootTarget.DISK, BootTarget.DISK]
    assert _before(scenario, tmp_path, make=make) == told
