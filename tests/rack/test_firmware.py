"""The boot chain on each kind of firmware, by the boot services alone: from power-on to what proves the chain.

The proofs are the product's own events (which firmware asked DHCP, which file went out whole, which script was given)
and what firmware and kernel write on the serial console.
"""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.bmc.redfish import RedfishDialler
from appliance.lab.demo import IMAGES, ensure_images
from appliance.lab.rack import Rack
from appliance.lab.spec import BRIDGE, BRIDGE_ADDRESS, RackFirmware, RackNode, RackSpec, UefiKind
from appliance.model.bmc import BootTarget, PowerCommand
from appliance.model.hardware import Firmware
from appliance.system import SystemClock
from images.build import Product, find_all
from images.ramdisk.modules import Variant
from images.store import Artifact, Store
from pxe.boot import PROGRAM_NAMES, BootIntent, Chain, Endpoints, RunKernel
from pxe.client import Arch, Client, Mac, Stage
from pxe.content import Content, ContentTable, FileContent
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Kind
from pxe.dhcp.subnet import ClientClass, DhcpConfig, Subnet
from pxe.dns.responder import Zone
from pxe.http.responder import HttpReply, HttpRequest
from pxe.http.server import HttpEvent
from pxe.ladder import ChainChanged
from pxe.routes import ScriptEvent
from pxe.service import BootServices, PxeEvent, ServiceConfig
from pxe.tftp.responder import Outcome
from pxe.tftp.server import TftpEvent

pytestmark = [pytest.mark.rack, pytest.mark.timeout(600)]

AAVMF = Path("/usr/share/AAVMF")
ATTEMPT = "5f1d8a90c4b24bb7a1f0f6f2f2c3d4e5"
EARLIER = "0" * 32
E = TypeVar("E")


class Policy:
    """One intent for all: a boot that is replaced by the next one as soon as its script went out."""

    def __init__(self, *intents: BootIntent) -> None:
        self._intents = list(intents)

    def intent_for(self, client: Client) -> BootIntent:
        return self._intents[0]

    def given(self) -> None:
        if len(self._intents) > 1:
            del self._intents[0]


class Site:
    """A rack of one machine, the boot services in its network, and all that they noticed."""

    def __init__(self, rack: Rack, policy: Policy) -> None:
        self.rack = rack
        self._policy = policy
        self.node: RackNode = rack.nodes[0]
        self.events: list[PxeEvent] = []
        self.requests: list[HttpRequest] = []
        self.forget_classes: Callable[[], None] = lambda: None
        self._started = time.monotonic()
        self._times: list[float] = []
        self._changed = threading.Condition()

    def observe(self, event: PxeEvent) -> None:
        if isinstance(event, ScriptEvent):
            self._policy.given()
        with self._changed:
            self.events.append(event)
            self._times.append(time.monotonic() - self._started)
            self._changed.notify_all()

    def handle(self, request: HttpRequest) -> HttpReply:
        """As the application: whoever speaks is noted, and told to come back later."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        return HttpReply(status=HTTPStatus.SERVICE_UNAVAILABLE)

    def power(self, command: PowerCommand) -> None:
        """Boot order as on a new server: network first."""

        async def press() -> None:
            dialler = RedfishDialler(SystemClock())
            try:
                bmc = dialler.dial(self.node.bmc)
                await bmc.set_boot_once(BootTarget.NETWORK)
                await bmc.command(command)
            finally:
                await dialler.close()

        self._started = time.monotonic()
        self.rack.inside(lambda: asyncio.run(press()))

    def seen(self, kind: type[E], seconds: float, where: Callable[[E], bool], count: int = 1) -> E:
        """The event, the `count`th of its kind that is so; fails when it does not come within `seconds`."""

        def found() -> list[E]:
            return [event for event in self.events if isinstance(event, kind) and where(event)]

        with self._changed:
            came = self._changed.wait_for(lambda: len(found()) >= count, seconds)
        assert came, f"no {kind.__name__} within {seconds} s; {self.told()}"
        return found()[count - 1]

    def hello(self, seconds: float) -> None:
        """The ramdisk's agent speaks."""
        with self._changed:
            came = self._changed.wait_for(lambda: any(r.path == "/agent/hello" for r in self.requests), seconds)
        assert came, f"no hello within {seconds} s; {self.told()}"

    def says(self, text: str, seconds: float, count: int = 1) -> None:
        """On its serial console."""
        pace, deadline = threading.Event(), time.monotonic() + seconds
        while self._console().count(text) < count:
            assert time.monotonic() < deadline, f"not within {seconds} s: {text}; {self.told()}"
            pace.wait(0.1)

    def told(self) -> str:
        """Seconds since power was last switched, and what was seen."""
        lines = [f"{at:5.1f} {event}" for at, event in zip(self._times, self.events, strict=True)]
        return "\n".join([*lines[-40:], self._console()[-2000:]])

    def _console(self) -> str:
        file = self.node.spec.console
        return file.read_bytes().decode(errors="replace") if file.exists() else ""


def content_of(store: Store, artifact: Artifact) -> FileContent:
    return FileContent(path=store.path_of(artifact.sha256), size=artifact.size, digest=artifact.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    programs: Mapping[str, Content]
    artifacts: Mapping[str, Content]


@pytest.fixture(scope="module")
def stock(rack_firmware: RackFirmware) -> Stock:
    store = Store(IMAGES)
    found = find_all(store, Variant.CLOUD)
    return Stock(
        programs={
            artifact.name: content_of(store, artifact)
            for artifact in found.entry(Product.FIRMWARE).artifacts
            if artifact.name in PROGRAM_NAMES
        },
        artifacts={artifact.name: content_of(store, artifact) for artifact in found.entry(Product.RAMDISK).artifacts},
    )


RAMDISK = RunKernel(
    kernel="/artifact/vmlinuz",
    initrd="/artifact/initrd.zst",
    arguments=(f"innervate.server=http://{BRIDGE_ADDRESS.ip}", f"innervate.nonce={ATTEMPT}", "console=ttyS0,115200"),
    attempt=ATTEMPT,
)


def config_of(
    folder: Path, stock: Stock, chains: Mapping[Mac, Chain], classes: tuple[ClientClass, ...]
) -> ServiceConfig:
    network = IPv4Network(BRIDGE_ADDRESS.network)
    subnet = Subnet(
        network=network,
        server=BRIDGE_ADDRESS.ip,
        pool_first=network.network_address + 100,
        pool_last=network.network_address + 120,
    )
    return ServiceConfig(
        device=BRIDGE,
        dhcp=DhcpConfig(local=(subnet,), classes=classes),
        endpoints=Endpoints(address=BRIDGE_ADDRESS.ip),
        journal=folder / "leases.journal",
        zone=Zone(domain="rack.test", server=BRIDGE_ADDRESS.ip, hosts={}, networks=(network,)),
        programs=ContentTable(stock.programs),
        chains=chains,
    )


@contextmanager
def site(
    spec: RackSpec, stock: Stock, chain: Chain | None = None, classes: tuple[ClientClass, ...] = ()
) -> Iterator[Site]:
    policy = Policy(replace(RAMDISK, attempt=EARLIER), RAMDISK)
    with Rack.start(spec) as rack:
        place = Site(rack, policy)
        chains = {place.node.spec.mac: chain} if chain is not None else {}
        config = config_of(spec.workdir, stock, chains, classes)
        dhcp = config.dhcp
        assert dhcp is not None
        services = BootServices(
            config=config,
            policy=policy,
            artifacts=ContentTable(stock.artifacts),
            application=place,
            observe=place.observe,
            clock=SystemClock(),
        )
        rack.inside(services.start)
        try:
            place.forget_classes = lambda: services.set_dhcp(replace(dhcp, classes=()))
            yield place
        finally:
            services.stop()


def spec_of(folder: Path, uefi: UefiKind) -> RackSpec:
    return RackSpec(nodes=1, firmware=Firmware.UEFI, uefi=uefi, workdir=folder, files=ensure_images(uefi=uefi))


def acked(stage: Stage, arch: Arch) -> Callable[[DhcpEvent], bool]:
    return lambda event: event.kind is Kind.ACK and event.stage is stage and event.arch is arch


def sent(name: str) -> Callable[[TftpEvent], bool]:
    return lambda event: event.outcome is Outcome.FINISHED and event.name.lstrip("/") == name


def downloaded(path: str) -> Callable[[HttpEvent], bool]:
    return lambda event: (
        (event.method, event.path, event.status) == ("GET", path, 200) and event.sent == event.total > 0
    )


def replaced(place: Site) -> None:
    """The first script was overtaken by a new boot: its kernel is gone, and the machine asks for another script."""
    gone = place.seen(HttpEvent, 60, lambda event: event.status == HTTPStatus.GONE)
    assert f"/{EARLIER}/artifact/vmlinuz" in gone.path
    place.seen(ScriptEvent, 30, lambda _: True, 2)
    place.seen(HttpEvent, 60, lambda event: event.path.endswith(f"/{ATTEMPT}/artifact/initrd.zst"))


def test_http_boot(tmp_path: Path, stock: Stock) -> None:
    """No TFTP at all: program, script and kernel come over HTTP, the kernel under the name of its boot."""
    with site(spec_of(tmp_path, UefiKind.HTTP), stock) as place:
        place.power(PowerCommand.ON)
        asked = place.seen(DhcpEvent, 30, acked(Stage.HTTP_BOOT, Arch.HTTP_X64))
        assert asked.filename == f"http://{BRIDGE_ADDRESS.ip}/nbp/snponly.efi"
        place.seen(HttpEvent, 30, downloaded("/nbp/snponly.efi"))
        place.seen(HttpEvent, 30, downloaded("/nbp/autoexec.ipxe"))
        place.seen(DhcpEvent, 30, lambda event: event.stage is Stage.IPXE)
        script = place.seen(ScriptEvent, 30, lambda event: event.intent is RunKernel)
        assert script.mac == place.node.spec.mac
        assert script.uuid == place.node.spec.uuid
        replaced(place)
        place.says("Linux version", 60)
        assert not [event for event in place.events if isinstance(event, TftpEvent)]


@pytest.mark.long
def test_undionly_on_bios(tmp_path: Path, stock: Stock, rack_firmware: RackFirmware) -> None:
    """QEMU's only ROM is iPXE, so its first DHCP is answered as that of a plain PXE ROM, by a class of the site's.

    From there all is real: the ROM loads undionly.kpxe by TFTP and runs it, and that one drives the ROM's UNDI.
    """
    spec = RackSpec(nodes=1, firmware=Firmware.BIOS, workdir=tmp_path, files=rack_firmware)
    plain = ClientClass(name="plain-pxe", user_class=b"iPXE", boot_file="undionly.kpxe")
    with site(spec, stock, classes=(plain,)) as place:
        place.power(PowerCommand.ON)
        rom = place.seen(DhcpEvent, 60, lambda event: event.kind is Kind.ACK)
        assert (rom.arch, rom.filename) == (Arch.BIOS, "undionly.kpxe")
        place.seen(TftpEvent, 60, sent("undionly.kpxe"))
        place.forget_classes()
        place.says("PXE->EB: !PXE at", 30)
        again = place.seen(DhcpEvent, 60, lambda event: event.kind is Kind.ACK and event.filename != "undionly.kpxe")
        assert (again.stage, again.arch) == (Stage.IPXE, Arch.BIOS)
        script = place.seen(ScriptEvent, 60, lambda event: event.intent is RunKernel)
        assert (script.mac, script.uuid) == (place.node.spec.mac, place.node.spec.uuid)
        place.says("Linux version", 90)


@pytest.mark.long
def test_secure_boot_refuses_ipxe_and_gets_shim(tmp_path: Path, stock: Stock) -> None:
    """Nobody said that Secure Boot is on: PXE is refused, then HTTP Boot, which OVMF tries next; that is evidence."""
    with site(spec_of(tmp_path, UefiKind.SECURE), stock) as place:
        place.power(PowerCommand.ON)
        place.seen(TftpEvent, 60, sent("snponly.efi"))
        place.seen(HttpEvent, 60, downloaded("/nbp/snponly.efi"))
        place.says("Access Denied", 30, 2)
        assert not [event for event in place.events if isinstance(event, ChainChanged)]
        place.power(PowerCommand.CYCLE)
        changed = place.seen(ChainChanged, 60, lambda _: True)
        assert (changed.mac, changed.chain) == (place.node.spec.mac, Chain.SIGNED)
        place.seen(TftpEvent, 60, sent("grubx64.efi"))
        place.seen(ScriptEvent, 60, lambda event: event.intent is RunKernel)


@pytest.mark.long
def test_secure_boot_to_the_agent(tmp_path: Path, stock: Stock) -> None:
    """Stated: shim at once, then GRUB, and a kernel that is locked down but runs our agent."""
    with site(spec_of(tmp_path, UefiKind.SECURE), stock, Chain.SIGNED) as place:
        place.power(PowerCommand.ON)
        place.seen(TftpEvent, 60, sent("shimx64.efi"))
        place.seen(TftpEvent, 60, sent("grubx64.efi"))
        place.seen(TftpEvent, 60, sent("grub/grub.cfg"))
        script = place.seen(ScriptEvent, 60, lambda event: event.intent is RunKernel)
        assert (script.mac, script.uuid) == (place.node.spec.mac, place.node.spec.uuid)
        replaced(place)
        place.says("Secure boot enabled", 120)
        place.hello(120)


@pytest.mark.long
def test_secure_boot_over_http(tmp_path: Path, stock: Stock) -> None:
    """No TFTP at all: shim, GRUB and its configuration come from where the firmware fetched shim."""
    with site(spec_of(tmp_path, UefiKind.SECURE_HTTP), stock, Chain.SIGNED) as place:
        place.power(PowerCommand.ON)
        place.seen(HttpEvent, 60, downloaded("/nbp/shimx64.efi"))
        place.seen(HttpEvent, 60, downloaded("/nbp/grubx64.efi"))
        place.seen(ScriptEvent, 60, lambda event: event.intent is RunKernel)
        place.says("Secure boot enabled", 120)
        assert not [event for event in place.events if isinstance(event, TftpEvent)]


def arm64_firmware(files: RackFirmware) -> RackFirmware:
    """As installed on this machine: 128 MiB that no other rack needs."""
    return replace(files, ovmf_code=AAVMF / "AAVMF_CODE.fd", ovmf_vars=AAVMF / "AAVMF_VARS.fd")


@pytest.mark.long
@pytest.mark.skipif(
    shutil.which("qemu-system-aarch64") is None or not AAVMF.is_dir(),
    reason="NOT TESTED: needs Debian's qemu-system-arm and qemu-efi-aarch64",
)
def test_arm64_to_the_boot_script(tmp_path: Path, stock: Stock, rack_firmware: RackFirmware) -> None:
    """Debian has no snponly for it: its iPXE brings its own drivers."""
    files = arm64_firmware(rack_firmware)
    spec = RackSpec(nodes=1, firmware=Firmware.UEFI, uefi=UefiKind.ARM64, workdir=tmp_path, files=files)
    with site(spec, stock) as place:
        place.power(PowerCommand.ON)
        asked = place.seen(DhcpEvent, 120, acked(Stage.FIRMWARE, Arch.EFI_ARM64))
        assert asked.filename == "ipxe-arm64.efi"
        place.seen(TftpEvent, 60, sent("ipxe-arm64.efi"))
        place.seen(DhcpEvent, 120, lambda event: event.stage is Stage.IPXE)
        script = place.seen(ScriptEvent, 60, lambda event: event.intent is RunKernel)
        assert (script.mac, script.uuid) == (place.node.spec.mac, place.node.spec.uuid)
