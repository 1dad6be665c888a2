"""Our Redfish service over TLS, and clients before it: our own driver, the DMTF library, subscribers."""

import asyncio
import json
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest
import redfish
from aiohttp import web

from appliance.bmc.port import Bmc
from appliance.bmc.redfish import RedfishDialler
from appliance.errors import BmcError, BmcLoginError, BmcUnsupportedError
from appliance.lab.certificate import Certificate, self_signed
from appliance.model.bmc import (
    AccountRole,
    BmcEndpoint,
    BootMode,
    BootOverride,
    BootTarget,
    BootTerm,
    Indicator,
    PowerCommand,
    PowerState,
)
from appliance.model.secret import Secret
from appliance.redfish.assembly import Assembly, World, assembled
from appliance.redfish.errors import RefusedActionError
from appliance.redfish.model import ServiceInfo, SystemView
from appliance.redfish.server import HttpPost, serve
from appliance.redfish.simulated import SimulatedBackend, simulated_view
from appliance.system import SystemClock, SystemRng
from tests.pictures import png

USER, PASSWORD = "operator", "correct horse"
LOCAL = IPv4Address("127.0.0.1")
PXE = BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE, mode=BootMode.UEFI)


class _Seen(SimulatedBackend):
    """Its machines have screens, unless `picture` is None."""

    picture: bytes | None = png()
    visible = True

    async def system(self, system: str) -> SystemView:
        view = await super().system(system)
        return replace(view, manager=replace(view.manager, has_screen=self.visible))

    async def screen(self, system: str) -> bytes:
        await self.system(system)
        if self.picture is None:
            raise RefusedActionError(f"{system} is off", next_action="power it on")
        return self.picture


@dataclass(frozen=True, kw_only=True)
class Served:
    port: int
    certificate: Certificate
    backend: _Seen
    made: Assembly
    authority: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def endpoint(self, password: str = PASSWORD) -> BmcEndpoint:
        pin = self.certificate.fingerprint
        return BmcEndpoint(url=self.url, user=USER, password=Secret(password), fingerprint=pin)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        trusted = ssl.create_default_context(cafile=str(self.authority))
        login = {"Authorization": f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"}
        connector = aiohttp.TCPConnector(ssl=trusted)
        async with aiohttp.ClientSession(self.url, connector=connector, headers=login) as session:
            yield session


@asynccontextmanager
async def serving(folder: Path, machines: int = 1, *, aggregates: bool = False) -> AsyncIterator[Served]:
    made = self_signed("service", LOCAL)
    certificate, key = folder / "service.crt", folder / "service.key"
    certificate.write_bytes(made.certificate)
    key.write_bytes(made.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    clock, stop = SystemClock(), asyncio.Event()
    backend = _Seen([simulated_view(number) for number in range(1, machines + 1)], clock)
    info = ServiceInfo(uuid=UUID(int=7), vendor="Innervate", product="Service", version="1", aggregates=aggregates)
    async with HttpPost(ssl.create_default_context(cafile=str(certificate))) as post:
        world = World(clock=clock, rng=SystemRng(), post=post, allows=lambda _url: True)
        async with assembled(backend, info, world) as assembly:
            await assembly.accounts.add(USER, PASSWORD, AccountRole.ADMINISTRATOR)
            with socket.create_server((str(LOCAL), 0)) as listener:
                server = asyncio.create_task(serve(assembly.app, listener, tls, stop))
                port = listener.getsockname()[1]
                try:
                    yield Served(port=port, certificate=made, backend=backend, made=assembly, authority=certificate)
                finally:
                    stop.set()
                    await server


def play(folder: Path, scene: Callable[[Served], Awaitable[None]], machines: int = 1) -> None:
    async def whole() -> None:
        async with asyncio.timeout(60), serving(folder, machines) as served:
            await scene(served)

    asyncio.run(whole())


@asynccontextmanager
async def driver(served: Served, password: str = PASSWORD) -> AsyncIterator[RedfishDialler]:
    dialler = RedfishDialler(SystemClock())
    try:
        yield dialler
    finally:
        await dialler.close()


def test_our_driver_sees_and_changes_all_that_the_service_shows(tmp_path: Path) -> None:
    async def scene(served: Served) -> None:
        async with driver(served) as dialler:
            bmc, view = dialler.dial(served.endpoint()), simulated_view(1)
            identity = await bmc.identify()
            assert (identity.uuid, identity.serial, identity.macs) == (view.uuid, view.serial, view.macs)
            assert (identity.manufacturer, identity.product) == (view.manufacturer, view.product)
            assert await bmc.set_boot(PXE) == PXE
            assert (await bmc.set_boot_once(BootTarget.NONE)) is BootTarget.NONE
            http = BootOverride(
                target=BootTarget.HTTP, term=BootTerm.ONCE, mode=BootMode.UEFI, http_uri="http://a/b.efi"
            )
            assert await bmc.set_boot(http) == http
            assert await bmc.set_indicator(Indicator.LIT) is Indicator.LIT
            (cd, usb) = await bmc.media()
            assert (await bmc.insert(cd.id, "http://10.0.0.1/a.iso")).image == "http://10.0.0.1/a.iso"
            assert not (await bmc.eject(cd.id)).inserted
            assert not usb.inserted
            assert {sensor.name for sensor in await bmc.sensors()} == {
                s.name for s in await served.backend.sensors("node1")
            }
            assert await bmc.power_draw() == 9.0
            assert {item.name for item in await bmc.firmware()} == {"BIOS", "BMC"}

    play(tmp_path, scene)


def test_our_driver_sees_the_screen(tmp_path: Path) -> None:
    async def scene(served: Served) -> None:
        async with driver(served) as dialler:
            bmc = dialler.dial(served.endpoint())
            assert await bmc.screen() == png()
            served.backend.picture = b"<svg onload=alert(1)>"
            with pytest.raises(BmcError, match="is no PNG"):
                await bmc.screen()
            served.backend.picture = None
            with pytest.raises(BmcError) as caught:
                await bmc.screen()
            assert "node1 is off" in caught.value.evidence

    play(tmp_path, scene)


def test_a_manager_without_a_screen_offers_none(tmp_path: Path) -> None:
    path = "/redfish/v1/Managers/node1"

    async def scene(served: Served) -> None:
        served.backend.visible = False
        async with served.session() as session:
            async with session.get(path) as answer:
                assert list((await answer.json())["Actions"]) == ["#Manager.Reset"]
            async with session.post(f"{path}/Actions/Oem/InnervateManager.CaptureScreen", json={}) as answer:
                assert answer.status >= 400
                assert "no picture of its screen" in await answer.text()

    play(tmp_path, scene)


def test_our_driver_boots_a_machine_once_from_the_network(tmp_path: Path) -> None:
    async def scene(served: Served) -> None:
        async with driver(served) as dialler:
            bmc = dialler.dial(served.endpoint())
            await bmc.set_boot(PXE)
            await bmc.command(PowerCommand.ON)
            await shows(bmc, PowerState.ON)
            assert served.backend.booted("node1") == (BootTarget.NETWORK,)
            assert (await bmc.boot()).term is BootTerm.DISABLED
            assert [entry.message for entry in await bmc.event_log()] == ["Power is on"]
            await bmc.clear_event_log()
            assert await bmc.event_log() == ()
            await bmc.command(PowerCommand.FORCE_OFF)
            await shows(bmc, PowerState.OFF)

    play(tmp_path, scene)


async def shows(bmc: Bmc, power: PowerState) -> None:
    async with asyncio.timeout(20):
        while await bmc.power_state() is not power:
            pass


def test_our_driver_updates_firmware_through_a_task(tmp_path: Path) -> None:
    async def scene(served: Served) -> None:
        async with driver(served) as dialler:
            bmc, told = dialler.dial(served.endpoint()), list[int | None]()
            (bios, _) = await bmc.firmware()
            await bmc.update("https://10.0.0.1/bios-9.9", told.append, (bios.id,))
            assert {item.version for item in await bmc.firmware()} == {"bios-9.9", "2.0.0"}
            percents = [percent for percent in told if percent is not None]
            assert percents == sorted(percents)
            assert percents[-1] >= 80

    play(tmp_path, scene)


def test_our_driver_changes_its_own_password(tmp_path: Path) -> None:
    async def scene(served: Served) -> None:
        async with driver(served) as dialler:
            await dialler.dial(served.endpoint()).change_password(Secret("another battery"))
            assert await dialler.dial(served.endpoint()).power_state() is PowerState.OFF
        async with driver(served) as dialler:
            with pytest.raises(BmcLoginError):
                await dialler.dial(served.endpoint()).power_state()
            assert await dialler.dial(served.endpoint("another battery")).power_state() is PowerState.OFF

    play(tmp_path, scene)


def test_our_driver_leaves_no_session(tmp_path: Path) -> None:
    async def scene(served: Served) -> None:
        async with driver(served) as dialler:
            await dialler.dial(served.endpoint()).power_state()
        async with served.session() as session, session.get("/redfish/v1/SessionService/Sessions") as answer:
            assert (await answer.json())["Members@odata.count"] == 0

    play(tmp_path, scene)


def test_several_systems_are_no_bmc(tmp_path: Path) -> None:
    """A fleet is not a BMC: which of its machines would be meant?"""

    async def scene(served: Served) -> None:
        async with driver(served) as dialler:
            with pytest.raises(BmcError, match="several systems"):
                await dialler.dial(served.endpoint()).power_state()

    play(tmp_path, scene, machines=2)


def test_what_the_service_refuses_is_named(tmp_path: Path) -> None:
    async def scene(served: Served) -> None:
        async with driver(served) as dialler:
            bmc = dialler.dial(served.endpoint())
            with pytest.raises(BmcError) as caught:
                await bmc.command(PowerCommand.NMI)  # it is off
            assert caught.value.evidence
            with pytest.raises((BmcUnsupportedError, BmcError)):
                await bmc.insert("Floppy", "http://10.0.0.1/a.img")

    play(tmp_path, scene)


def test_the_synchronous_library(tmp_path: Path) -> None:
    async def scene(served: Served) -> None:
        def drive() -> None:
            trusted = str(served.authority)
            client = redfish.redfish_client(served.url, USER, PASSWORD, cafile=trusted, timeout=20, max_retry=1)
            client.login(auth="session")
            system = "/redfish/v1/Systems/node1"
            boot = {"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}}
            etag = client.get(system).getheader("ETag")
            assert client.patch(system, body=boot, headers={"If-Match": etag}).status == 200
            assert client.patch(system, body=boot, headers={"If-Match": etag}).status == 412
            reset = f"{system}/Actions/ComputerSystem.Reset"
            assert client.post(reset, body={"ResetType": "On"}).status == 204
            assert client.post(reset, body={"ResetType": "Sideways"}).status == 400
            assert client.get("/redfish/v1/Systems?$expand=.").dict["Members"][0]["Name"] == "Node 1"
            client.logout()

        await asyncio.to_thread(drive)

    play(tmp_path, scene)


def test_events_stream_to_who_listens(tmp_path: Path) -> None:
    async def scene(served: Served) -> None:
        async with served.session() as session:
            stream = await session.get("/redfish/v1/EventService/SSE", headers={"Accept": "text/event-stream"})
            assert stream.status == 200
            body = {"LocationIndicatorActive": True}
            async with session.patch("/redfish/v1/Systems/node1", json=body) as changed:
                assert changed.status == 200
            event = await next_event(stream)
            assert event["Events"][0]["OriginOfCondition"]["@odata.id"] == "/redfish/v1/Systems/node1"
            stream.close()

    play(tmp_path, scene)


async def next_event(stream: aiohttp.ClientResponse) -> dict[str, list[dict[str, dict[str, str]]]]:
    async for line in stream.content:
        if line.startswith(b"data:"):
            event: dict[str, list[dict[str, dict[str, str]]]] = json.loads(line.removeprefix(b"data:"))
            return event
    raise AssertionError("the stream ended")


def test_events_are_delivered_to_subscribers(tmp_path: Path) -> None:
    async def scene(served: Served) -> None:
        heard: asyncio.Queue[dict[str, str]] = asyncio.Queue()

        async def hear(request: web.Request) -> web.Response:
            heard.put_nowait(await request.json())
            return web.Response(status=204)

        listener = web.AppRunner(web.Application())
        listener.app.router.add_post("/events", hear)
        await listener.setup()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(served.authority, served.authority.with_suffix(".key"))
        await web.TCPSite(listener, str(LOCAL), 0, ssl_context=tls).start()
        try:
            where = f"https://127.0.0.1:{listener.addresses[0][1]}/events"
            wish = {"Destination": where, "Protocol": "Redfish", "Context": "rack 7"}
            async with served.session() as session:
                async with session.post("/redfish/v1/EventService/Subscriptions", json=wish) as made:
                    assert made.status == 201
                test = {"MessageId": "ResourceEvent.1.3.ResourceChanged"}
                action = "/redfish/v1/EventService/Actions/EventService.SubmitTestEvent"
                async with session.post(action, json=test) as sent:
                    assert sent.status in (200, 204)
            event = await heard.get()
            assert event["Context"] == "rack 7"
        finally:
            await listener.cleanup()

    play(tmp_path, scene)
