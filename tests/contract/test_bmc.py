"""One contract for every BMC: the fake that other tests use, and our driver before a real Redfish service with a
real machine behind it. Then the same driver before services that are broken or hostile.
"""

import asyncio
import json
import os
import time
from base64 import b64encode
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from aiohttp import web

from appliance.bmc.fake import FakeBmc
from appliance.bmc.port import Bmc, FullBmc, Picturing
from appliance.bmc.redfish import RedfishDialler, RedfishLimits
from appliance.errors import (
    BmcError,
    BmcPasswordChangeError,
    BmcSessionsFullError,
    BmcTaskError,
    BmcUnsupportedError,
)
from appliance.lab.certificate import self_signed
from appliance.lab.rack import Rack
from appliance.lab.spec import RackSpec
from appliance.model.bmc import (
    BmcEndpoint,
    BootMode,
    BootOverride,
    BootTarget,
    BootTerm,
    EventLogEntry,
    FirmwareItem,
    Health,
    Indicator,
    PowerCommand,
    PowerState,
    Sensor,
    SensorKind,
    SystemIdentity,
)
from appliance.model.hardware import Firmware
from appliance.model.secret import Secret
from pxe.client import Mac
from tests.contract.redfish_bmc import MAKES, Document, Handler, RedfishService, VirtualClock, habits_of, tree_of
from tests.pictures import png

T = TypeVar("T")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a rack needs root")


# --- the contract ---------------------------------------------------------------------------------------------


READINGS = (
    Sensor(name="Inlet Temp", kind=SensorKind.TEMPERATURE, reading=21.0, unit="Cel", health=Health.OK),
    Sensor(name="Fan 1", kind=SensorKind.FAN, reading=5400.0, unit="{rev}/min", health=Health.UNKNOWN),
)
EVENTS = (
    EventLogEntry(
        id="1", time=1714564800.0, severity=Health.CRITICAL, message="Power supply 1 lost", origin="Power Supply"
    ),
    EventLogEntry(id="2", time=None, severity=Health.OK, message="Power supply 1 back"),
)
ITEMS = (
    FirmwareItem(id="BMC", name="BMC", version="1.73", updateable=True),
    FirmwareItem(id="BIOS", name="BIOS", version="2.1", updateable=False),
)


class Bench(Protocol):
    """For every BMC whose machine is a certain one, and off."""

    def run(self, scenario: Callable[[FullBmc], Awaitable[T]]) -> T: ...


class FakeBench:
    def __init__(self) -> None:
        self._bmc = FakeBmc(
            SystemIdentity(
                path="/redfish/v1/Systems/1",
                uuid=None,
                serial="SN0001",
                manufacturer="Innervate Lab",
                product="Virtual Server",
                macs=(Mac("52:54:00:77:00:01"),),
                power=PowerState.OFF,
            )
        )
        self._bmc.readings = READINGS
        self._bmc.watts = 187.0
        self._bmc.events = EVENTS
        self._bmc.items = ITEMS

    def run(self, scenario: Callable[[FullBmc], Awaitable[T]]) -> T:
        async def play() -> T:
            return await scenario(self._bmc)

        return asyncio.run(play())


class MakeBench:
    """Our driver before a service in the likeness of a make."""

    def __init__(self, make: str, folder: Path) -> None:
        self.service = RedfishService(folder, tree_of(make), habits_of(make))

    def run(self, scenario: Callable[[FullBmc], Awaitable[T]]) -> T:
        async def play() -> T:
            async with self.service.serve() as bmc:
                return await scenario(bmc)

        return asyncio.run(play())


class RackBench:
    def __init__(self, rack: Rack) -> None:
        self._rack = rack

    def run(self, scenario: Callable[[FullBmc], Awaitable[T]]) -> T:
        return self._rack.inside(lambda: asyncio.run(self._play(scenario)))

    async def _play(self, scenario: Callable[[FullBmc], Awaitable[T]]) -> T:
        dialler = RedfishDialler(VirtualClock())
        try:
            return await scenario(dialler.dial(self._rack.nodes[0].bmc))
        finally:
            await dialler.close()


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    workdir = tmp_path_factory.mktemp("rack")
    with Rack.start(RackSpec(nodes=1, firmware=Firmware.BIOS, workdir=workdir, memory_mib=64)) as started:
        yield started


@pytest.fixture(params=["fake", *MAKES])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """BMCs that can do everything."""
    return FakeBench() if request.param == "fake" else MakeBench(request.param, tmp_path)


@pytest.fixture(params=["fake", *MAKES, pytest.param("rack", marks=needs_root)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Those, and a real Redfish service with a real machine behind it."""
    if request.param == "fake":
        yield FakeBench()
        return
    if request.param in MAKES:
        yield MakeBench(request.param, tmp_path)
        return
    bench = RackBench(request.getfixturevalue("rack"))
    yield bench
    bench.run(_back_to_start)


async def _back_to_start(bmc: FullBmc) -> None:
    await bmc.set_boot_once(BootTarget.NONE)
    await bmc.command(PowerCommand.FORCE_OFF)


def test_identity_is_complete(bench: Bench) -> None:
    identity = bench.run(lambda bmc: bmc.identify())
    assert identity.serial == "SN0001"
    assert identity.manufacturer
    assert identity.product
    assert identity.macs == (Mac("52:54:00:77:00:01"),)
    assert identity.power is PowerState.OFF
    assert identity.path.startswith("/redfish/v1/Systems/")


@pytest.mark.parametrize(
    ("commands", "state"),
    [
        ([PowerCommand.ON], PowerState.ON),
        ([PowerCommand.ON, PowerCommand.ON], PowerState.ON),
        ([PowerCommand.ON, PowerCommand.FORCE_OFF], PowerState.OFF),
        ([PowerCommand.FORCE_OFF], PowerState.OFF),
        ([PowerCommand.ON, PowerCommand.FORCE_RESTART], PowerState.ON),
        ([PowerCommand.ON, PowerCommand.CYCLE], PowerState.ON),
        ([PowerCommand.ON, PowerCommand.NMI], PowerState.ON),
    ],
)
def test_power_follows_commands(bench: Bench, commands: list[PowerCommand], state: PowerState) -> None:
    async def scenario(bmc: Bmc) -> PowerState:
        for command in commands:
            await bmc.command(command)
        return await bmc.power_state()

    assert bench.run(scenario) is state


def test_override_is_read_back_and_spent_by_one_boot(bench: Bench) -> None:
    async def scenario(bmc: Bmc) -> list[BootTarget]:
        read_back = [await bmc.set_boot_once(BootTarget.NETWORK), await bmc.boot_override()]
        await bmc.command(PowerCommand.ON)
        return [*read_back, await bmc.boot_override()]

    assert bench.run(scenario) == [BootTarget.NETWORK, BootTarget.NETWORK, BootTarget.NONE]


def test_override_waits_for_the_reset_of_a_running_machine(bench: Bench) -> None:
    async def scenario(bmc: Bmc) -> tuple[BootTarget, BootTarget]:
        await bmc.command(PowerCommand.ON)
        before = await bmc.set_boot_once(BootTarget.DISK)
        await bmc.command(PowerCommand.FORCE_RESTART)
        deadline = time.monotonic() + 10
        # QEMU reports the reset a moment after it accepted the command.
        while (after := await bmc.boot_override()) is not BootTarget.NONE and time.monotonic() < deadline:
            pass
        return before, after

    assert bench.run(scenario) == (BootTarget.DISK, BootTarget.NONE)


def test_override_can_be_taken_back(bench: Bench) -> None:
    async def scenario(bmc: Bmc) -> BootTarget:
        await bmc.set_boot_once(BootTarget.NETWORK)
        return await bmc.set_boot_once(BootTarget.NONE)

    assert bench.run(scenario) is BootTarget.NONE


def test_bmc_can_be_used_again_after_close(bench: Bench) -> None:
    async def scenario(bmc: Bmc) -> PowerState:
        await bmc.power_state()
        await bmc.close()
        return await bmc.power_state()

    assert bench.run(scenario) is PowerState.OFF


@pytest.mark.parametrize(
    "wanted",
    [
        BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE, mode=BootMode.UEFI),
        BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE, mode=BootMode.LEGACY),
        BootOverride(target=BootTarget.DISK, term=BootTerm.CONTINUOUS, mode=BootMode.UEFI),
        BootOverride(target=BootTarget.CD, term=BootTerm.ONCE, mode=BootMode.UEFI),
        BootOverride(
            target=BootTarget.HTTP, term=BootTerm.ONCE, mode=BootMode.UEFI, http_uri="http://10.77.0.1/boot.efi"
        ),
    ],
    ids=lambda wanted: f"{wanted.target.value}-{wanted.term.value}-{wanted.mode.value}",
)
def test_override_is_what_was_asked_for(whole: Bench, wanted: BootOverride) -> None:
    async def scenario(bmc: FullBmc) -> list[BootOverride]:
        return [await bmc.set_boot(wanted), await bmc.boot()]

    assert whole.run(scenario) == [wanted, wanted]


def test_continuous_override_outlives_a_boot(whole: Bench) -> None:
    wanted = BootOverride(target=BootTarget.DISK, term=BootTerm.CONTINUOUS, mode=BootMode.UEFI)

    async def scenario(bmc: FullBmc) -> list[BootTerm]:
        await bmc.set_boot(wanted)
        await bmc.command(PowerCommand.ON)
        kept = await bmc.boot()
        return [kept.term, (await bmc.set_boot(replace(wanted, target=BootTarget.NONE, term=BootTerm.DISABLED))).term]

    assert whole.run(scenario) == [BootTerm.CONTINUOUS, BootTerm.DISABLED]


def test_medium_goes_in_and_out(whole: Bench) -> None:
    image = "http://10.77.0.1/rescue.iso"

    async def scenario(bmc: FullBmc) -> list[tuple[str, bool]]:
        (drive,) = await bmc.media()
        assert "CD" in drive.media_types
        drives = [drive, await bmc.insert(drive.id, image), *await bmc.media(), await bmc.eject(drive.id)]
        return [(drive.image, drive.inserted) for drive in drives]

    assert whole.run(scenario) == [("", False), (image, True), (image, True), ("", False)]


def test_drive_that_is_not_there(whole: Bench) -> None:
    with pytest.raises(BmcUnsupportedError, match="no drive 'tape'"):
        whole.run(lambda bmc: bmc.insert("tape", "http://10.77.0.1/rescue.iso"))


def test_indicator(whole: Bench) -> None:
    async def scenario(bmc: FullBmc) -> list[Indicator]:
        shown = [await bmc.indicator(), await bmc.set_indicator(Indicator.LIT)]
        return [*shown, await bmc.indicator(), await bmc.set_indicator(Indicator.OFF)]

    assert whole.run(scenario) == [Indicator.OFF, Indicator.LIT, Indicator.LIT, Indicator.OFF]


def test_sensors_and_power_draw(whole: Bench) -> None:
    async def scenario(bmc: FullBmc) -> tuple[set[Sensor], float]:
        readings = await bmc.sensors()
        return {sensor for sensor in readings if sensor.kind is not SensorKind.POWER}, await bmc.power_draw()

    assert whole.run(scenario) == (set(READINGS), 187.0)


def test_event_log_is_read_over_its_pages_and_cleared(whole: Bench) -> None:
    async def scenario(bmc: FullBmc) -> list[tuple[EventLogEntry, ...]]:
        before = await bmc.event_log()
        await bmc.clear_event_log()
        return [before, await bmc.event_log()]

    assert whole.run(scenario) == [EVENTS, ()]


def test_firmware_is_listed_and_updated(whole: Bench) -> None:
    heard: list[int | None] = []

    async def scenario(bmc: FullBmc) -> tuple[FirmwareItem, ...]:
        await bmc.update("http://10.77.0.1/bmc.bin", heard.append, ("BMC",))
        return await bmc.firmware()

    assert whole.run(scenario) == ITEMS
    assert heard[-1] == 100


def test_firmware_that_is_not_there_is_not_updated(whole: Bench) -> None:
    with pytest.raises(BmcUnsupportedError, match="no"):
        whole.run(lambda bmc: bmc.update("http://10.77.0.1/x.bin", lambda _: None, ("toaster",)))


def test_password_is_changed_and_used(whole: Bench) -> None:
    async def scenario(bmc: FullBmc) -> PowerState:
        await bmc.change_password(Secret("correct horse"))
        await bmc.close()
        return await bmc.power_state()

    assert whole.run(scenario) is PowerState.OFF


def test_bmc_works_after_its_reset(whole: Bench) -> None:
    async def scenario(bmc: FullBmc) -> PowerState:
        await bmc.reset_bmc()
        return await bmc.power_state()

    assert whole.run(scenario) is PowerState.OFF


@needs_root
def test_rack_refuses_a_wrong_password(rack: Rack) -> None:
    endpoint = replace(rack.nodes[0].bmc, password=Secret("guess"))
    with pytest.raises(BmcError, match="refuses user 'admin'") as caught:
        rack.inside(lambda: asyncio.run(_ask(endpoint)))
    assert "guess" not in str(caught.value) + caught.value.evidence


@needs_root
def test_bmc_at_a_dead_address(rack: Rack) -> None:
    endpoint = replace(rack.nodes[0].bmc, url="https://10.77.0.99")
    with pytest.raises(BmcError, match=r"cannot be reached|in time") as caught:
        rack.inside(lambda: asyncio.run(_ask(endpoint, RedfishLimits(request_seconds=0.5))))
    assert caught.value.next_action


async def _ask(endpoint: BmcEndpoint, limits: RedfishLimits | None = None) -> SystemIdentity:
    dialler = RedfishDialler(VirtualClock(), limits)
    try:
        return await dialler.dial(endpoint).identify()
    finally:
        await dialler.close()


# --- services of our own making -------------------------------------------------------------------------------

SYSTEM: Document = {
    "PowerState": "On",
    "SerialNumber": "S1",
    "Boot": {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"},
    "Actions": {"#ComputerSystem.Reset": {"target": "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"}},
}
TREE: dict[str, Document] = {
    "/redfish/v1/": {
        "Systems": {"@odata.id": "/redfish/v1/Systems"},
        "Links": {"Sessions": {"@odata.id": "/redfish/v1/Sessions"}},
    },
    "/redfish/v1/Systems": {"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]},
    "/redfish/v1/Systems/1": SYSTEM,
}


@pytest.fixture
def service(tmp_path: Path) -> RedfishService:
    return RedfishService(tmp_path, deepcopy(TREE))


def always(response: Callable[[], web.StreamResponse]) -> Handler:
    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return response()

    return handler


async def _failure(service: RedfishService, limits: RedfishLimits | None = None, pin: str = "") -> BmcError:
    """The error of asking for the power state; the request must end well before the test's patience does."""
    async with asyncio.timeout(20), service.serve(limits, pin) as bmc:
        with pytest.raises(BmcError) as caught:
            await bmc.power_state()
    assert caught.value.next_action
    assert len(caught.value.evidence) <= 300
    return caught.value


def test_session_is_used_once_and_deleted(service: RedfishService) -> None:
    async def scenario() -> None:
        async with service.serve() as bmc:
            states = await asyncio.gather(*(bmc.power_state() for _ in range(5)))
            assert states == [PowerState.ON] * 5
            assert service.sessions == {"token-1"}

    asyncio.run(scenario())
    assert service.sessions == set()
    assert service.requests[-1] == "DELETE /redfish/v1/Sessions/1"


def test_expired_session_is_renewed_before_the_command_which_is_sent_once(service: RedfishService) -> None:
    async def scenario() -> None:
        async with service.serve() as bmc:
            await bmc.power_state()
            service.sessions.clear()
            await bmc.command(PowerCommand.FORCE_OFF)

    asyncio.run(scenario())
    assert service.opened == 2
    assert service.requests.count("POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset") == 1


def test_command_that_meets_a_busy_service_is_not_repeated(service: RedfishService) -> None:
    name = "POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset"
    service.answers[name] = always(lambda: web.Response(status=503, headers={"Retry-After": "1"}))

    async def scenario() -> None:
        async with service.serve() as bmc:
            with pytest.raises(BmcError, match="refused POST"):
                await bmc.command(PowerCommand.ON)

    asyncio.run(scenario())
    assert service.requests.count(name) == 1


def test_get_waits_as_long_as_the_service_asks(service: RedfishService) -> None:
    busy = iter([web.Response(status=503, headers={"Retry-After": "7"}), web.json_response(SYSTEM)])
    service.answers["GET /redfish/v1/Systems/1"] = always(lambda: next(busy))

    async def scenario() -> PowerState:
        async with service.serve() as bmc:
            return await bmc.power_state()

    assert asyncio.run(scenario()) is PowerState.ON
    assert service.clock.sleeps[0] == 7.0


def test_get_does_not_wait_for_hours(service: RedfishService) -> None:
    refuse = always(lambda: web.Response(status=503, headers={"Retry-After": "9999"}))
    service.answers["GET /redfish/v1/Systems/1"] = refuse
    assert "HTTP 503" in asyncio.run(_failure(service)).evidence
    assert sum(service.clock.sleeps) < 30


def test_strong_etag_is_sent_back_and_a_weak_one_is_not(service: RedfishService) -> None:
    etags = deque(['"strong"', 'W/"weak"', '""', ""])
    sent: list[str | None] = []

    async def system(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(SYSTEM, headers={"ETag": etags[0]} if etags[0] else {})

    async def patch(request: web.BaseRequest) -> web.StreamResponse:
        sent.append(request.headers.get("If-Match"))
        return web.Response(status=204)

    async def scenario() -> None:
        service.answers["PATCH /redfish/v1/Systems/1"] = patch
        service.answers["GET /redfish/v1/Systems/1"] = system
        async with service.serve() as bmc:
            for _ in range(len(etags)):
                await bmc.set_boot_once(BootTarget.NETWORK)
                etags.rotate(-1)

    asyncio.run(scenario())
    assert sent == ['"strong"', None, None, None]


def test_advertised_sessions_that_do_not_exist_fall_back_to_basic(service: RedfishService) -> None:
    service.answers["POST /redfish/v1/Sessions"] = always(lambda: web.Response(status=405))

    async def scenario() -> PowerState:
        async with service.serve() as bmc:
            return await bmc.power_state()

    assert asyncio.run(scenario()) is PowerState.ON


def test_refused_session_never_falls_back_to_basic(service: RedfishService) -> None:
    service.answers["POST /redfish/v1/Sessions"] = always(lambda: web.json_response({}, status=401))
    assert "refuses user" in str(asyncio.run(_failure(service)))
    assert service.requests == ["GET /redfish/v1/", "GET /redfish/v1/", "POST /redfish/v1/Sessions"]


def test_changed_certificate_stops_everything_before_the_first_request(service: RedfishService) -> None:
    other = self_signed("bmc", IPv4Address("127.0.0.1")).fingerprint
    error = asyncio.run(_failure(service, pin=other))
    assert "certificate" in str(error)
    assert "changed" in str(error)
    assert other in error.evidence
    assert service.requests == []


def test_several_systems_are_named(service: RedfishService) -> None:
    paths = ["/redfish/v1/Systems/1", "/redfish/v1/Systems/2"]
    service.tree["/redfish/v1/Systems"] = {"Members": [{"@odata.id": path} for path in paths]}
    assert asyncio.run(_failure(service)).evidence == ", ".join(paths)


@pytest.mark.parametrize(
    "limits",
    [RedfishLimits(request_seconds=0.3), RedfishLimits(operation_seconds=0.3)],
    ids=["request", "operation"],
)
def test_slow_service_is_given_up(service: RedfishService, limits: RedfishLimits) -> None:
    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    service.answers["GET /redfish/v1/Systems/1"] = hang
    assert "in time" in str(asyncio.run(_failure(service, limits)))


def test_service_that_is_busy_for_ever_is_given_up(service: RedfishService) -> None:
    busy = always(lambda: web.Response(status=503, headers={"Retry-After": "0"}))
    service.answers["GET /redfish/v1/Systems"] = busy
    assert "HTTP 503" in asyncio.run(_failure(service)).evidence


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>\x1b[31mlogin</html>", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"Members": 5}', "no members"),
        (b'{"Members": []}', "knows no system"),
        (b"x" * (1 << 21), "without end"),
    ],
)
def test_garbage(service: RedfishService, body: bytes, message: str) -> None:
    service.answers["GET /redfish/v1/Systems"] = always(lambda: web.Response(body=body))
    error = asyncio.run(_failure(service))
    assert message in str(error)
    assert "\x1b" not in str(error) + error.evidence


def test_garbage_as_the_root(service: RedfishService) -> None:
    service.answers["GET /redfish/v1/"] = always(lambda: web.Response(body=b"[" * 100_000))
    assert "not JSON" in str(asyncio.run(_failure(service)))


@pytest.mark.parametrize("there", ["https://10.9.9.9/redfish/v1/Systems", "//10.9.9.9/x", "http://127.0.0.1/x"])
def test_redirect_to_another_host_is_not_followed(service: RedfishService, there: str) -> None:
    moved = always(lambda: web.Response(status=308, headers={"Location": there}))
    service.answers["GET /redfish/v1/Systems"] = moved
    assert "another host" in str(asyncio.run(_failure(service)))


def test_redirect_on_the_same_host_is_followed(service: RedfishService) -> None:
    service.answers["GET /redfish/v1/Systems"] = always(
        lambda: web.Response(status=308, headers={"Location": "/redfish/v1/Systems/"})
    )
    service.tree["/redfish/v1/Systems/"] = service.tree["/redfish/v1/Systems"]

    async def scenario() -> PowerState:
        async with service.serve() as bmc:
            return await bmc.power_state()

    assert asyncio.run(scenario()) is PowerState.ON


def test_redirect_loop_ends(service: RedfishService) -> None:
    loop = always(lambda: web.Response(status=308, headers={"Location": "/redfish/v1/Systems"}))
    service.answers["GET /redfish/v1/Systems"] = loop
    assert "HTTP 308" in asyncio.run(_failure(service)).evidence


def test_link_to_another_host_is_not_followed(service: RedfishService) -> None:
    service.tree["/redfish/v1/Systems"] = {"Members": [{"@odata.id": "https://10.9.9.9/redfish/v1/Systems/1"}]}
    assert "another host" in str(asyncio.run(_failure(service)))


def test_password_that_must_be_changed(service: RedfishService) -> None:
    body = {"error": {"@Message.ExtendedInfo": [{"MessageId": "Base.1.18.PasswordChangeRequired"}]}}
    service.answers["POST /redfish/v1/Sessions"] = always(lambda: web.json_response(body, status=403))
    assert "new password" in str(asyncio.run(_failure(service)))


def test_service_that_hangs_up(service: RedfishService) -> None:
    async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    service.answers["GET /redfish/v1/Systems"] = hang_up
    assert "cannot be reached" in str(asyncio.run(_failure(service)))


def test_refusal_is_quoted(service: RedfishService) -> None:
    body = json.dumps({"error": {"message": "power supply \x1b[1mmissing"}})
    service.answers["GET /redfish/v1/Systems/1"] = always(lambda: web.Response(status=400, text=body))
    assert asyncio.run(_failure(service)).evidence == "HTTP 400: power supply [1mmissing"


# --- what makes do, and what goes wrong with it ---------------------------------------------------------------


def likeness(make: str, folder: Path) -> RedfishService:
    return RedfishService(folder, tree_of(make), habits_of(make))


def play(service: RedfishService, scenario: Callable[[FullBmc], Awaitable[T]]) -> T:
    async def whole() -> T:
        async with asyncio.timeout(20), service.serve() as bmc:
            return await scenario(bmc)

    return asyncio.run(whole())


@pytest.mark.parametrize("make", MAKES)
def test_every_session_is_deleted_and_no_action_is_sent_twice(make: str, tmp_path: Path) -> None:
    service = likeness(make, tmp_path)

    async def scenario(bmc: FullBmc) -> None:
        await bmc.command(PowerCommand.ON)
        await bmc.insert((await bmc.media())[0].id, "http://10.77.0.1/rescue.iso")
        await bmc.clear_event_log()

    play(service, scenario)
    posts = [request for request in service.requests if request.startswith("POST") and "Actions" in request]
    assert len(posts) == len(set(posts))
    assert (service.opened, service.sessions) == (1, set())


def test_supermicro_is_told_everything_each_time(tmp_path: Path) -> None:
    service = likeness("supermicro", tmp_path)
    play(service, lambda bmc: bmc.set_boot_once(BootTarget.CD))
    whole = {
        "BootSourceOverrideEnabled": "Once",
        "BootSourceOverrideTarget": "UsbCd",
        "BootSourceOverrideMode": "UEFI",
    }
    assert service.sent[-1] == ("PATCH /redfish/v1/Systems/1", {"Boot": whole})


@pytest.mark.parametrize(("make", "settings"), [("ami", "Systems/Self/SD"), ("dell", "System.Embedded.1/Settings")])
def test_boot_changes_go_to_the_settings(make: str, settings: str, tmp_path: Path) -> None:
    service = likeness(make, tmp_path)
    play(service, lambda bmc: bmc.set_boot_once(BootTarget.NETWORK))
    (patched,) = [request for request in service.requests if request.startswith("PATCH")]
    assert patched.endswith(settings)


def test_idrac_5_rests_between_changes(tmp_path: Path) -> None:
    service = likeness("dell", tmp_path)

    async def scenario(bmc: FullBmc) -> None:
        await bmc.set_indicator(Indicator.LIT)
        await bmc.set_indicator(Indicator.OFF)

    play(service, scenario)
    assert service.clock.sleeps == [20.0]


def test_lenovo_has_its_media_patched(tmp_path: Path) -> None:
    service = likeness("lenovo", tmp_path)
    play(service, lambda bmc: bmc.insert("EXT1", "http://10.77.0.1/rescue.iso"))
    assert service.sent[-1][0] == "PATCH /redfish/v1/Managers/1/VirtualMedia/EXT1"


RESET = "POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset"


def test_power_that_changed_too_soon_is_looked_at_once(tmp_path: Path) -> None:
    service = likeness("hpe", tmp_path)
    service.answers[RESET] = always(lambda: web.json_response({"error": {"message": "too soon"}}, status=400))
    with pytest.raises(BmcError, match="refuses on now") as caught:
        play(service, lambda bmc: bmc.command(PowerCommand.ON))
    assert caught.value.evidence == "power is off; HTTP 400: too soon"
    assert service.requests.count(RESET) == 1


def test_refused_command_with_nothing_left_to_do_is_done(tmp_path: Path) -> None:
    service = likeness("hpe", tmp_path)
    service.answers[RESET] = always(lambda: web.json_response({}, status=400))
    play(service, lambda bmc: bmc.command(PowerCommand.FORCE_OFF))
    assert service.requests.count(RESET) == 1


def test_restart_of_what_is_off_switches_it_on(tmp_path: Path) -> None:
    service = likeness("dell", tmp_path)
    play(service, lambda bmc: bmc.command(PowerCommand.CYCLE))
    assert service.sent[-1][1] == {"ResetType": "On"}


@pytest.mark.parametrize(("refusals", "patches"), [(1, 2), (2, 2)])
def test_stale_etag_is_read_again_once(refusals: int, patches: int, tmp_path: Path) -> None:
    service = likeness("hpe", tmp_path)
    name = "PATCH /redfish/v1/Systems/1"
    left = [412] * refusals + [204] * 2
    service.answers[name] = always(lambda: web.Response(status=left.pop(0)))
    if refusals == 1:
        play(service, lambda bmc: bmc.set_boot_once(BootTarget.NETWORK))
    else:
        with pytest.raises(BmcError) as caught:
            play(service, lambda bmc: bmc.set_boot_once(BootTarget.NETWORK))
        assert "HTTP 412" in caught.value.evidence
    assert service.requests.count(name) == patches


UPDATE = "POST /redfish/v1/UpdateService/Actions/SimpleUpdate"
MONITOR = "/redfish/v1/TaskService/TaskMonitors/77"


@pytest.mark.parametrize(
    ("looks", "message"),
    [
        ([(202, {}), (200, {"TaskState": "Exception", "Messages": [{"Message": "bad image"}]})], "task failed"),
        ([(202, {"TaskState": "Exception"})], "task failed"),
        ([(200, {"TaskState": "Completed", "TaskStatus": "Critical"})], "task failed"),
        ([(500, {"error": {"message": "bad image"}})], "task failed"),
        ([(404, {})], "lost its task"),
        ([(202, {}), (404, {})], "lost its task"),
        ([(202, {"TaskState": "Running"})], "in time"),
        ([(503, {})], "in time"),
    ],
)
def test_task_that_does_not_end_well(looks: list[tuple[int, Document]], message: str, tmp_path: Path) -> None:
    service = likeness("hpe", tmp_path)
    left = list(looks)
    headers = {"Location": MONITOR, "Retry-After": "30"}
    service.answers[UPDATE] = always(lambda: web.Response(status=202, headers=headers))

    def look() -> web.StreamResponse:
        status, document = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response(document, status=status)

    service.answers[f"GET {MONITOR}"] = always(look)
    with pytest.raises(BmcTaskError, match=message) as caught:
        play(service, lambda bmc: bmc.update("http://10.77.0.1/bmc.bin", lambda _: None))
    assert caught.value.next_action
    assert service.clock.sleeps[0] == 30.0
    assert service.requests.count(UPDATE) == 1


@pytest.mark.parametrize("entry", ["Base.1.18.SessionLimitExceeded", "IDRAC.2.8.RAC0218"])
def test_full_session_table_has_a_name(service: RedfishService, entry: str) -> None:
    body = {"error": {"@Message.ExtendedInfo": {"MessageId": entry}}}
    service.answers["POST /redfish/v1/Sessions"] = always(lambda: web.json_response(body, status=503))
    error = asyncio.run(_failure(service))
    assert isinstance(error, BmcSessionsFullError)
    assert "reset the BMC" in error.next_action
    assert service.requests.count("POST /redfish/v1/Sessions") == 1


DUE = {
    "error": {
        "@Message.ExtendedInfo": [
            {
                "MessageId": "Base.1.18.PasswordChangeRequired",
                "MessageArgs": ["/redfish/v1/AccountService/Accounts/1"],
            }
        ]
    }
}


@pytest.mark.parametrize("with_session", [True, False])
def test_factory_password_is_refused_then_changed(with_session: bool, tmp_path: Path) -> None:
    service = likeness("hpe", tmp_path)

    async def log_in(request: web.BaseRequest) -> web.StreamResponse:
        if service.password != "calvin":
            return await service.open(request)
        if not with_session:
            return web.json_response(DUE, status=403)
        opened = await service.open(request)
        headers = {name: opened.headers[name] for name in ("X-Auth-Token", "Location")}
        return web.json_response(DUE["error"], status=201, headers=headers)

    async def scenario(bmc: FullBmc) -> PowerState:
        with pytest.raises(BmcPasswordChangeError, match="new password"):
            await bmc.power_state()
        assert service.sessions == set()
        await bmc.change_password(Secret("correct horse"))
        return await bmc.power_state()

    service.answers["POST /redfish/v1/Sessions"] = log_in
    assert play(service, scenario) is PowerState.OFF
    assert service.sessions == set()


def test_password_counts_as_changed_though_the_old_session_does_not_end(tmp_path: Path) -> None:
    service = likeness("hpe", tmp_path)
    service.answers["DELETE /redfish/v1/Sessions/1"] = always(lambda: web.Response(status=500))

    async def scenario(bmc: FullBmc) -> PowerState:
        await bmc.change_password(Secret("correct horse"))
        await bmc.close()
        return await bmc.power_state()

    assert play(service, scenario) is PowerState.OFF
    assert service.password == "correct horse"


def test_root_that_lacks_its_systems_while_the_bmc_starts_is_read_again(service: RedfishService) -> None:
    systems = service.tree["/redfish/v1/"].pop("Systems")

    async def scenario(bmc: FullBmc) -> PowerState:
        with pytest.raises(BmcError, match="offers no systems") as caught:
            await bmc.power_state()
        assert caught.value.evidence == "it has Links"
        service.tree["/redfish/v1/"]["Systems"] = systems
        return await bmc.power_state()

    assert play(service, scenario) is PowerState.ON
    assert service.opened == 1


def test_refused_password_is_not_quoted(tmp_path: Path) -> None:
    service = likeness("hpe", tmp_path)
    said = {"error": {"message": "the password 'correct horse' is too weak"}}
    service.answers["PATCH /redfish/v1/AccountService/Accounts/1"] = always(lambda: web.json_response(said, status=400))
    with pytest.raises(BmcError) as caught:
        play(service, lambda bmc: bmc.change_password(Secret("correct horse")))
    assert caught.value.evidence == "HTTP 400: the password '***' is too weak"


async def shown(bmc: FullBmc) -> bytes:
    assert isinstance(bmc, Picturing)
    return await bmc.screen()


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/redfish/v1/Managers/1", lambda bmc: bmc.media()),
        ("/redfish/v1/Managers/1", shown),
        ("/redfish/v1/Chassis/1", lambda bmc: bmc.sensors()),
        ("/redfish/v1/Chassis/1", lambda bmc: bmc.power_draw()),
        ("/redfish/v1/Systems/1", lambda bmc: bmc.indicator()),
        ("/redfish/v1/Systems/1", lambda bmc: bmc.event_log()),
        ("/redfish/v1/UpdateService", lambda bmc: bmc.firmware()),
        ("/redfish/v1/Systems/1", lambda bmc: bmc.boot()),
        ("/redfish/v1/Managers/1", lambda bmc: bmc.reset_bmc()),
    ],
)
def test_what_is_not_linked_is_unsupported(
    path: str, call: Callable[[FullBmc], Awaitable[object]], tmp_path: Path
) -> None:
    service = likeness("hpe", tmp_path)
    service.tree[path] = {"@odata.id": path}
    with pytest.raises(BmcUnsupportedError) as caught:
        play(service, call)
    assert caught.value.next_action


DELL_SERVICE = "/redfish/v1/Managers/iDRAC.Embedded.1/Oem/Dell/DellLCService"
EXPORT = f"{DELL_SERVICE}/Actions/DellLCService.ExportServerScreenShot"


def test_dell_is_asked_for_the_screen_at_its_own_service(tmp_path: Path) -> None:
    """By its documentation: a service of its own that the manager links to, a picture in base64."""
    service = likeness("dell", tmp_path)
    path = next(path for path in service.tree if path.startswith("/redfish/v1/Managers/") and path.count("/") == 4)
    manager: Document = service.tree[path]
    manager.setdefault("Links", {})["Oem"] = {"Dell": {"DellLCService": {"@odata.id": DELL_SERVICE}}}
    action: Document = {"#DellLCService.ExportServerScreenShot": {"target": EXPORT}}
    service.tree[DELL_SERVICE] = {"@odata.id": DELL_SERVICE, "Actions": action}

    async def shot(_request: web.BaseRequest) -> web.Response:
        return web.json_response({"ServerScreenShotFile": b64encode(png()).decode()})

    service.answers[f"POST {EXPORT}"] = shot
    assert play(service, shown) == png()
    assert service.sent[-1] == (f"POST {EXPORT}", {"FileType": "ServerScreenShot"})


def test_endpoint_that_makes_no_sense() -> None:
    endpoint = BmcEndpoint(url="https://127.0.0.1", user="a", password=Secret("b"), fingerprint="beef")
    with pytest.raises(BmcError, match="cannot use"):
        RedfishDialler(VirtualClock()).dial(endpoint)
