"""One contract for every BMC: the fake that other tests use, and our driver before a real Redfish service with a
real machine behind it. Then the same driver before services that are broken or hostile.
"""

import asyncio
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from aiohttp import web

from appliance.bmc.fake import FakeBmc
from appliance.bmc.port import Bmc
from appliance.bmc.redfish import RedfishDialler, RedfishLimits
from appliance.errors import BmcError
from appliance.lab.certificate import self_signed
from appliance.lab.rack import Rack
from appliance.lab.spec import RackSpec
from appliance.model.bmc import BmcEndpoint, BootTarget, PowerCommand, PowerState, SystemIdentity
from appliance.model.hardware import Firmware
from appliance.model.secret import Secret
from pxe.client import Mac

T = TypeVar("T")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a rack needs root")


class RecordedClock:
    """Sleeps are written down, not slept."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)


# --- the contract ---------------------------------------------------------------------------------------------


class Bench(Protocol):
    def run(self, scenario: Callable[[Bmc], Awaitable[T]]) -> T: ...


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

    def run(self, scenario: Callable[[Bmc], Awaitable[T]]) -> T:
        async def play() -> T:
            return await scenario(self._bmc)

        return asyncio.run(play())


class RackBench:
    def __init__(self, rack: Rack) -> None:
        self._rack = rack

    def run(self, scenario: Callable[[Bmc], Awaitable[T]]) -> T:
        return self._rack.inside(lambda: asyncio.run(self._play(scenario)))

    async def _play(self, scenario: Callable[[Bmc], Awaitable[T]]) -> T:
        dialler = RedfishDialler(RecordedClock())
        try:
            return await scenario(dialler.dial(self._rack.nodes[0].bmc))
        finally:
            await dialler.close()


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    workdir = tmp_path_factory.mktemp("rack")
    with Rack.start(RackSpec(nodes=1, firmware=Firmware.BIOS, workdir=workdir, memory_mib=64)) as started:
        yield started


@pytest.fixture(params=["fake", pytest.param("redfish", marks=needs_root)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "fake":
        yield FakeBench()
        return
    bench = RackBench(request.getfixturevalue("rack"))
    yield bench
    bench.run(_back_to_start)


async def _back_to_start(bmc: Bmc) -> None:
    await bmc.set_boot_once(BootTarget.NONE)
    await bmc.command(PowerCommand.FORCE_OFF)


def test_identity_is_complete(bench: Bench) -> None:
    identity = bench.run(lambda bmc: bmc.identify())
    assert identity.serial == "SN0001"
    assert identity.manufacturer == "Innervate Lab"
    assert identity.product == "Virtual Server"
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
    dialler = RedfishDialler(RecordedClock(), limits)
    try:
        return await dialler.dial(endpoint).identify()
    finally:
        await dialler.close()


# --- services of our own making -------------------------------------------------------------------------------

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SYSTEM = {
    "PowerState": "On",
    "SerialNumber": "S1",
    "Boot": {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"},
    "Actions": {"#ComputerSystem.Reset": {"target": "/redfish/v1/Systems/1/Actions/Reset"}},
}
TREE: dict[str, object] = {
    "/redfish/v1/": {
        "Systems": {"@odata.id": "/redfish/v1/Systems"},
        "Links": {"Sessions": {"@odata.id": "/redfish/v1/Sessions"}},
    },
    "/redfish/v1/Systems": {"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]},
    "/redfish/v1/Systems/1": SYSTEM,
}


class Service:
    """A small Redfish service with sessions; `answers` go before the tree, by "METHOD path"."""

    def __init__(self, folder: Path) -> None:
        self._made = self_signed("bmc", IPv4Address("127.0.0.1"))
        self._folder = folder
        self.answers: dict[str, Handler] = {}
        self.tree = dict(TREE)
        self.requests: list[str] = []
        self.sessions: set[str] = set()
        self.opened = 0
        self.clock = RecordedClock()

    @asynccontextmanager
    async def serve(self, limits: RedfishLimits | None = None, pin: str = "") -> AsyncIterator[Bmc]:
        runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
        runner.app.router.add_route("*", "/{path:.*}", self._answer)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls())
        await site.start()
        port = runner.addresses[0][1]
        endpoint = BmcEndpoint(
            url=f"https://127.0.0.1:{port}",
            user="root",
            password=Secret("calvin"),
            fingerprint=pin or self._made.fingerprint,
        )
        dialler = RedfishDialler(self.clock, limits)
        try:
            yield dialler.dial(endpoint)
        finally:
            await dialler.close()
            await runner.cleanup()

    def _tls(self) -> ssl.SSLContext:
        certificate, key = self._folder / "crt", self._folder / "key"
        certificate.write_bytes(self._made.certificate)
        key.write_bytes(self._made.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = f"{request.method} {request.path}"
        self.requests.append(name)
        if name in self.answers:
            return await self.answers[name](request)
        if name == "POST /redfish/v1/Sessions":
            return await self._open(request)
        token = request.headers.get("X-Auth-Token", "")
        basic = request.headers.get("Authorization", "") == "Basic cm9vdDpjYWx2aW4="
        if request.path != "/redfish/v1/" and token not in self.sessions and not basic:
            return web.json_response({}, status=401)
        if request.method == "DELETE":
            self.sessions.discard(token)
            return web.Response(status=204)
        if request.method != "GET":
            return web.Response(status=204)
        if request.path not in self.tree:
            return web.json_response({}, status=404)
        return web.json_response(self.tree[request.path])

    async def _open(self, request: web.Request) -> web.StreamResponse:
        if await request.json() != {"UserName": "root", "Password": "calvin"}:
            return web.json_response({}, status=401)
        self.opened += 1
        token = f"token-{self.opened}"
        self.sessions.add(token)
        headers = {"X-Auth-Token": token, "Location": f"/redfish/v1/Sessions/{self.opened}"}
        return web.json_response({}, status=201, headers=headers)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def always(response: Callable[[], web.StreamResponse]) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return response()

    return handler


async def _failure(service: Service, limits: RedfishLimits | None = None, pin: str = "") -> BmcError:
    """The error of asking for the power state; the request must end well before the test's patience does."""
    async with asyncio.timeout(20), service.serve(limits, pin) as bmc:
        with pytest.raises(BmcError) as caught:
            await bmc.power_state()
    assert caught.value.next_action
    assert len(caught.value.evidence) <= 300
    return caught.value


def test_session_is_used_once_and_deleted(service: Service) -> None:
    async def scenario() -> None:
        async with service.serve() as bmc:
            states = await asyncio.gather(*(bmc.power_state() for _ in range(5)))
            assert states == [PowerState.ON] * 5
            assert service.sessions == {"token-1"}

    asyncio.run(scenario())
    assert service.sessions == set()
    assert service.requests[-1] == "DELETE /redfish/v1/Sessions/1"


def test_expired_session_is_renewed_before_the_command_which_is_sent_once(service: Service) -> None:
    async def scenario() -> None:
        async with service.serve() as bmc:
            await bmc.power_state()
            service.sessions.clear()
            await bmc.command(PowerCommand.FORCE_OFF)

    asyncio.run(scenario())
    assert service.opened == 2
    assert service.requests.count("POST /redfish/v1/Systems/1/Actions/Reset") == 1


def test_command_that_meets_a_busy_service_is_not_repeated(service: Service) -> None:
    name = "POST /redfish/v1/Systems/1/Actions/Reset"
    service.answers[name] = always(lambda: web.Response(status=503, headers={"Retry-After": "1"}))

    async def scenario() -> None:
        async with service.serve() as bmc:
            with pytest.raises(BmcError, match="refused POST"):
                await bmc.command(PowerCommand.ON)

    asyncio.run(scenario())
    assert service.requests.count(name) == 1
    assert service.clock.sleeps == []


def test_get_waits_as_long_as_the_service_asks(service: Service) -> None:
    busy = iter([web.Response(status=503, headers={"Retry-After": "7"}), web.json_response(SYSTEM)])
    service.answers["GET /redfish/v1/Systems/1"] = always(lambda: next(busy))

    async def scenario() -> PowerState:
        async with service.serve() as bmc:
            return await bmc.power_state()

    assert asyncio.run(scenario()) is PowerState.ON
    assert service.clock.sleeps == [7.0]


def test_get_does_not_wait_for_hours(service: Service) -> None:
    refuse = always(lambda: web.Response(status=503, headers={"Retry-After": "9999"}))
    service.answers["GET /redfish/v1/Systems/1"] = refuse
    assert "HTTP 503" in asyncio.run(_failure(service)).evidence
    assert service.clock.sleeps == []


def test_strong_etag_is_sent_back_and_a_weak_one_is_not(service: Service) -> None:
    etags = iter(['"strong"', 'W/"weak"', '""'])
    sent: list[str | None] = []

    async def system(_: web.Request) -> web.StreamResponse:
        return web.json_response(SYSTEM, headers={"ETag": next(etags)})

    async def patch(request: web.Request) -> web.StreamResponse:
        sent.append(request.headers.get("If-Match"))
        service.answers.pop("GET /redfish/v1/Systems/1", None)
        return web.Response(status=204)

    async def scenario() -> None:
        service.answers["PATCH /redfish/v1/Systems/1"] = patch
        async with service.serve() as bmc:
            for _ in range(3):
                service.answers["GET /redfish/v1/Systems/1"] = system
                await bmc.set_boot_once(BootTarget.NETWORK)

    asyncio.run(scenario())
    assert sent == ['"strong"', None, None]


def test_advertised_sessions_that_do_not_exist_fall_back_to_basic(service: Service) -> None:
    service.answers["POST /redfish/v1/Sessions"] = always(lambda: web.Response(status=405))

    async def scenario() -> PowerState:
        async with service.serve() as bmc:
            return await bmc.power_state()

    assert asyncio.run(scenario()) is PowerState.ON


def test_refused_session_never_falls_back_to_basic(service: Service) -> None:
    service.answers["POST /redfish/v1/Sessions"] = always(lambda: web.json_response({}, status=401))
    assert "refuses user" in str(asyncio.run(_failure(service)))
    assert service.requests == ["GET /redfish/v1/", "GET /redfish/v1/", "POST /redfish/v1/Sessions"]


def test_changed_certificate_stops_everything_before_the_first_request(service: Service) -> None:
    other = self_signed("bmc", IPv4Address("127.0.0.1")).fingerprint
    error = asyncio.run(_failure(service, pin=other))
    assert "certificate" in str(error)
    assert "changed" in str(error)
    assert other in error.evidence
    assert service.requests == []


def test_several_systems_are_named(service: Service) -> None:
    paths = ["/redfish/v1/Systems/1", "/redfish/v1/Systems/2"]
    service.tree["/redfish/v1/Systems"] = {"Members": [{"@odata.id": path} for path in paths]}
    assert asyncio.run(_failure(service)).evidence == ", ".join(paths)


@pytest.mark.parametrize(
    "limits",
    [RedfishLimits(request_seconds=0.3), RedfishLimits(operation_seconds=0.3)],
    ids=["request", "operation"],
)
def test_slow_service_is_given_up(service: Service, limits: RedfishLimits) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    service.answers["GET /redfish/v1/Systems/1"] = hang
    assert "in time" in str(asyncio.run(_failure(service, limits)))


def test_service_that_is_busy_for_ever_is_given_up(service: Service) -> None:
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
def test_garbage(service: Service, body: bytes, message: str) -> None:
    service.answers["GET /redfish/v1/Systems"] = always(lambda: web.Response(body=body))
    error = asyncio.run(_failure(service))
    assert message in str(error)
    assert "\x1b" not in str(error) + error.evidence


def test_garbage_as_the_root(service: Service) -> None:
    service.answers["GET /redfish/v1/"] = always(lambda: web.Response(body=b"[" * 100_000))
    assert "not JSON" in str(asyncio.run(_failure(service)))


@pytest.mark.parametrize("there", ["https://10.9.9.9/redfish/v1/Systems", "//10.9.9.9/x", "http://127.0.0.1/x"])
def test_redirect_to_another_host_is_not_followed(service: Service, there: str) -> None:
    moved = always(lambda: web.Response(status=308, headers={"Location": there}))
    service.answers["GET /redfish/v1/Systems"] = moved
    assert "another host" in str(asyncio.run(_failure(service)))


def test_redirect_on_the_same_host_is_followed(service: Service) -> None:
    service.answers["GET /redfish/v1/Systems"] = always(
        lambda: web.Response(status=308, headers={"Location": "/redfish/v1/Systems/"})
    )
    service.tree["/redfish/v1/Systems/"] = service.tree["/redfish/v1/Systems"]

    async def scenario() -> PowerState:
        async with service.serve() as bmc:
            return await bmc.power_state()

    assert asyncio.run(scenario()) is PowerState.ON


def test_redirect_loop_ends(service: Service) -> None:
    loop = always(lambda: web.Response(status=308, headers={"Location": "/redfish/v1/Systems"}))
    service.answers["GET /redfish/v1/Systems"] = loop
    assert "HTTP 308" in asyncio.run(_failure(service)).evidence


def test_link_to_another_host_is_not_followed(service: Service) -> None:
    service.tree["/redfish/v1/Systems"] = {"Members": [{"@odata.id": "https://10.9.9.9/redfish/v1/Systems/1"}]}
    assert "another host" in str(asyncio.run(_failure(service)))


def test_password_that_must_be_changed(service: Service) -> None:
    body = {"error": {"@Message.ExtendedInfo": [{"MessageId": "Base.1.18.PasswordChangeRequired"}]}}
    service.answers["POST /redfish/v1/Sessions"] = always(lambda: web.json_response(body, status=403))
    assert "new password" in str(asyncio.run(_failure(service)))


def test_service_that_hangs_up(service: Service) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    service.answers["GET /redfish/v1/Systems"] = hang_up
    assert "cannot be reached" in str(asyncio.run(_failure(service)))


def test_refusal_is_quoted(service: Service) -> None:
    body = json.dumps({"error": {"message": "power supply \x1b[1mmissing"}})
    service.answers["GET /redfish/v1/Systems/1"] = always(lambda: web.Response(status=400, text=body))
    assert asyncio.run(_failure(service)).evidence == "HTTP 400: power supply [1mmissing"


def test_endpoint_that_makes_no_sense() -> None:
    endpoint = BmcEndpoint(url="https://127.0.0.1", user="a", password=Secret("b"), fingerprint="beef")
    with pytest.raises(BmcError, match="cannot use"):
        RedfishDialler(RecordedClock()).dial(endpoint)
