"""Every operation of a BMC before simulated ones with faults: how it ended, and whether that is the truth."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from appliance.bmc.evidence import Finding, Rung, Sighting, Verdict, judge
from appliance.bmc.redfish import RedfishBmc, RedfishDialler, RedfishLimits
from appliance.errors import BmcError
from appliance.model.bmc import (
    BootMode,
    BootOverride,
    BootTarget,
    BootTerm,
    Indicator,
    PowerCommand,
    PowerState,
)
from appliance.model.secret import Secret
from appliance.simulator.bmc import SESSIONS, SimulatedBmc
from appliance.simulator.faults import IN_PLACE, Fault, Injection, Strike, of_answers
from appliance.simulator.personality import HABITS, Make, tree_of
from appliance.simulator.server import BmcServer, Farm
from appliance.simulator.state import SIGN_SECONDS
from tests.contract.power_proof import prove
from tests.contract.redfish_bmc import VirtualClock

IMAGE = "http://10.77.0.1/rescue.iso"
FIRMWARE = "http://10.77.0.1/bmc.bin"
NEW_PASSWORD = "correct horse"
PROOF_SECONDS = 4.0
TASK_SECONDS = 120.0
TURNS = 5
"""Of the BMC that an operation takes at most: a power command and the looks that follow."""

_NETWORK = BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE, mode=BootMode.UEFI)
_URI = BootOverride(
    target=BootTarget.HTTP, term=BootTerm.ONCE, mode=BootMode.UEFI, http_uri="http://10.77.0.1/boot.efi"
)
_HANGING = (Fault.SILENT, Fault.SLOW_BYTES)
_LOOKS = 3
"""Of which one is to succeed without a fault: a machine that is busy with other things may be late."""


class Told(Enum):
    """What an operation ended in that raised no error."""

    SUCCESS = "success"
    OTHERWISE = "reads back otherwise"
    UNPROVEN = "not proven"


@dataclass(frozen=True, kw_only=True)
class Play:
    bmc: RedfishBmc
    server: BmcServer
    clock: VirtualClock

    @property
    def sim(self) -> SimulatedBmc:
        return self.server.bmc


@dataclass(frozen=True, kw_only=True)
class Operation:
    """`true`: whether the simulated machine and BMC are now what success says."""

    name: str
    run: Callable[[Play], Awaitable[Told]]
    true: Callable[[SimulatedBmc], bool] = lambda _: True
    changes: bool = True
    on: bool = False


def limits_for(fault: Fault | None) -> RedfishLimits:
    """Real waiting is kept short; virtual waiting costs nothing."""
    hanging = fault in _HANGING
    return RedfishLimits(
        request_seconds=0.4 if hanging else 20.0,
        operation_seconds=20.0 if hanging else 120.0,
        task_seconds=TASK_SECONDS,
        body_bytes=1 << 16,
    )


# --- the operations -------------------------------------------------------------------------------------------


def _told(well: bool) -> Told:
    return Told.SUCCESS if well else Told.OTHERWISE


def _power(command: PowerCommand) -> Callable[[Play], Awaitable[Told]]:
    async def run(play: Play) -> Told:
        machine, clock = play.sim.machine, play.clock
        began = clock.now()
        finding = await prove(
            play.bmc, command, sightings=lambda: machine.sightings(clock.now()), clock=clock, budget=PROOF_SECONDS
        )
        if finding == Finding(verdict=Verdict.CONFIRMED, rung=Rung.BMC):
            # Its word alone: a machine that is still at work shows it by and by.
            word = Sighting(rung=Rung.BMC, power=PowerState.OFF, at=clock.now())
            await clock.sleep(SIGN_SECONDS * 2)
            finding = judge(command, began, (word, *machine.sightings(clock.now())))
        return Told.SUCCESS if finding.verdict is Verdict.CONFIRMED else Told.UNPROVEN

    return run


async def _identify(play: Play) -> Told:
    identity = await play.bmc.identify()
    return _told(identity.serial == "SN0001" and [str(mac) for mac in identity.macs] == ["52:54:00:77:00:01"])


def _set_boot(wanted: BootOverride) -> Callable[[Play], Awaitable[Told]]:
    async def run(play: Play) -> Told:
        return _told(await play.bmc.set_boot(wanted) == wanted)

    return run


def _drive(play: Play) -> str:
    """Known beforehand, as it is to an operator."""
    (path,) = (path for path in play.sim.tree if path.rpartition("/")[0].endswith("/VirtualMedia"))
    return path.rpartition("/")[2]


async def _insert(play: Play) -> Told:
    slot = await play.bmc.insert(_drive(play), IMAGE)
    return _told(slot.inserted and slot.image == IMAGE)


async def _eject(play: Play) -> Told:
    slot = await play.bmc.eject(_drive(play))
    return _told(not slot.inserted and not slot.image)


async def _light(play: Play) -> Told:
    return _told(await play.bmc.set_indicator(Indicator.LIT) is Indicator.LIT)


async def _sensors(play: Play) -> Told:
    named = {sensor.name: sensor.reading for sensor in await play.bmc.sensors()}
    return _told(named.get("Inlet Temp") == 21.0 and named.get("Fan 1") == 5400.0)


async def _events(play: Play) -> Told:
    return _told([entry.id for entry in await play.bmc.event_log()] == ["1", "2"])


async def _firmware(play: Play) -> Told:
    return _told([item.id for item in await play.bmc.firmware()] == ["BMC", "BIOS"])


async def _update(play: Play) -> Told:
    await play.bmc.update(FIRMWARE, lambda _: None, ("BMC",))
    return Told.SUCCESS


async def _change_password(play: Play) -> Told:
    await play.bmc.change_password(Secret(NEW_PASSWORD))
    return Told.SUCCESS


async def _reset_bmc(play: Play) -> Told:
    await play.bmc.reset_bmc()
    return Told.SUCCESS


OPERATIONS = (
    Operation(name="identify", run=_identify, changes=False),
    Operation(name="power on", run=_power(PowerCommand.ON), true=lambda sim: len(sim.machine.boots) == 1),
    Operation(
        name="force off",
        run=_power(PowerCommand.FORCE_OFF),
        true=lambda sim: sim.machine.power is PowerState.OFF,
        on=True,
    ),
    Operation(
        name="restart",
        run=_power(PowerCommand.FORCE_RESTART),
        true=lambda sim: len(sim.machine.boots) == 2 and sim.machine.power is PowerState.ON,
        on=True,
    ),
    Operation(name="boot once", run=_set_boot(_NETWORK), true=lambda sim: sim.machine.override == _NETWORK),
    Operation(name="http boot uri", run=_set_boot(_URI), true=lambda sim: sim.machine.override == _URI),
    Operation(name="insert", run=_insert, true=lambda sim: list(sim.machine.media.values()) == [IMAGE]),
    Operation(name="eject", run=_eject, true=lambda sim: not sim.machine.media),
    Operation(name="indicator", run=_light, true=lambda sim: sim.machine.indicator is Indicator.LIT),
    Operation(name="sensors", run=_sensors, changes=False),
    Operation(name="event log", run=_events, changes=False),
    Operation(name="firmware list", run=_firmware, changes=False),
    Operation(name="update", run=_update, true=lambda sim: sim.machine.updates == [FIRMWARE]),
    Operation(name="change_password", run=_change_password, true=lambda sim: sim.password == NEW_PASSWORD),
    Operation(name="reset_bmc", run=_reset_bmc, true=lambda sim: sim.resets == 1),
)
_FROM_THE_START = ("identify", "power on", "change_password")


# --- one case -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Case:
    """`late`: the fault begins after the log-in."""

    make: Make
    operation: Operation
    injection: Injection | None
    late: bool = True

    def __str__(self) -> str:
        strike = self.injection.strike.name.lower() if self.injection else "never"
        return f"{self.operation.name} ({strike}, {'after' if self.late else 'before'} the log-in)"


def cases(fault: Fault, make: Make) -> list[Case]:
    made = [
        Case(make=make, operation=operation, injection=Injection(fault=fault), late=late)
        for operation in OPERATIONS
        for late in ((True, False) if operation.name in _FROM_THE_START else (True,))
    ]
    strikes = (Strike.AFTER, Strike.INSTEAD) if fault in IN_PLACE else (Strike.AFTER,)
    made += [
        Case(make=make, operation=operation, injection=Injection(fault=fault, strike=strike))
        for operation in OPERATIONS
        for strike in strikes
        if operation.changes and of_answers(fault)
    ]
    return made


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`seconds` are virtual; `repeated` are POSTs of the same to the same; `left` are sessions never deleted."""

    told: Told | BmcError
    true: bool
    seconds: float
    repeated: list[tuple[str, str]]
    after: PowerState | BmcError
    left: set[str]


async def play(case: Case, farm: Farm, gate: asyncio.Semaphore) -> Outcome:
    """`gate` keeps cases from disturbing each other where there is no fault."""
    clock = VirtualClock()
    sim = SimulatedBmc(tree_of(case.make), HABITS[case.make], clock, user="root", password="calvin")
    server = await farm.add(sim)
    fault = case.injection.fault if case.injection else None
    dialler = RedfishDialler(clock, limits_for(fault))
    whole = Play(bmc=dialler.dial(server.endpoint), server=server, clock=clock)
    async with gate:
        await _prepare(case, whole)
    server.inject(case.injection)
    began, before = clock.monotonic(), len(sim.sent)
    told = await _ended(case.operation, whole)
    seconds, sent = clock.monotonic() - began, sim.sent[before:]
    true = case.operation.true(sim)
    server.inject(None)
    await clock.sleep(120.0)
    async with gate:
        after = await _power_state(whole, fault)
        await dialler.close()
    return Outcome(
        told=told,
        true=true,
        seconds=seconds,
        repeated=_repeated(sent, but="" if "boot" in case.operation.name else SESSIONS),
        after=after,
        left=set(sim.sessions),
    )


async def _prepare(case: Case, whole: Play) -> None:
    """The machine that the operation wants, and the driver logged in where that is to be."""
    sim = whole.sim
    if case.operation.on:
        sim.machine.command(PowerCommand.ON, whole.clock.now())
        next(document for document in sim.tree.values() if "PowerState" in document)["PowerState"] = "On"
    if case.operation.name == "eject":
        drive = _drive(whole)
        sim.machine.media[drive] = IMAGE
        next(document for path, document in sim.tree.items() if path.endswith(f"/VirtualMedia/{drive}")).update(
            {"Image": IMAGE, "Inserted": True}
        )
    await whole.clock.sleep(30.0)
    if case.late:
        shown = await _power_state(whole, case.injection.fault if case.injection else None)
        assert isinstance(shown, PowerState), shown


async def _ended(operation: Operation, whole: Play) -> Told | BmcError:
    try:
        async with asyncio.timeout(30):
            return await operation.run(whole)
    except BmcError as error:
        return error


async def _power_state(whole: Play, fault: Fault | None) -> PowerState | BmcError:
    for left in reversed(range(_LOOKS if fault in _HANGING else 1)):
        try:
            return await whole.bmc.power_state()
        except BmcError as error:
            if not left:
                return error
    raise AssertionError("no look at all")


def _repeated(sent: list[tuple[str, dict[str, object]]], *, but: str) -> list[tuple[str, str]]:
    posts = Counter((name, json.dumps(body)) for name, body in sent if name.startswith("POST"))
    return [post for post, times in posts.items() if times > 1 and post[0] != f"POST {but}"]
