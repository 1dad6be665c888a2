"""The doctor on a real appliance's parts: disks that are full, files with a flipped byte, BMCs that are dead, services
that do not answer; and a healthy one, where there is nothing to find."""

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.bmc.dialler import Dialler
from appliance.bmc.fake import FakeBmc
from appliance.bmc.port import FullBmc
from appliance.doctor.desk import DoctorDesk
from appliance.doctor.facts import Kept, Service
from appliance.doctor.watch import WireWatch
from appliance.errors import BmcError, BmcLoginError, BmcSilentError
from appliance.model.bmc import BmcEndpoint, PowerState, SystemIdentity
from appliance.model.doctor import Check, DoctorRequest, Finding, Verdict
from appliance.model.ids import ImageName, MachineName, machine_name
from appliance.model.secret import Secret
from appliance.model.site import BootNetwork, Server
from appliance.model.views import SegmentView
from appliance.plan import ImageRef
from appliance.services.doctor import Ward, checks_of
from appliance.services.segment import endpoints_of
from appliance.services.stock import Stock
from appliance.site import Site
from appliance.system import SystemClock, SystemRng
from appliance.topology import Rack
from images.processes import HostProcesses
from pxe.boot import LocalDisk
from pxe.client import Client
from pxe.content import Content, ContentTable, FileContent
from pxe.dhcp.guards import Guards
from pxe.dhcp.subnet import DhcpConfig, Subnet
from pxe.dns.responder import Zone
from pxe.http.responder import HttpReply, HttpRequest
from pxe.routes import with_scripts
from pxe.service import BootServices, ServiceConfig
from tests.contract.segment import DEVICE, inside, segment

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

OURS = IPv4Address("10.20.0.1")
NETWORK = BootNetwork(
    device=DEVICE,
    network=IPv4Network("10.20.0.0/24"),
    address=OURS,
    first=IPv4Address("10.20.0.100"),
    last=IPv4Address("10.20.0.120"),
    domain="lab.test",
)
NODE = machine_name("node-0")
BMC = BmcEndpoint(url="https://10.9.0.11", user="admin", password=Secret("secret"), fingerprint="ab" * 32)


_IDENTITY = SystemIdentity(
    path="/redfish/v1/Systems/1",
    uuid=None,
    serial="SN0001",
    manufacturer="",
    product="",
    macs=(),
    power=PowerState.OFF,
)


class Clock(SystemClock):
    """`ahead` makes it wrong."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


class Disk:
    def intent_for(self, client: Client) -> LocalDisk:
        return LocalDisk()


class NoAgents:
    def handle(self, request: HttpRequest) -> HttpReply:
        return HttpReply(body=b"")


def kept(folder: Path, name: str, size: int = 3000) -> FileContent:
    """A file of the store: an object by its hash."""
    data = (name.encode() * size)[:size]
    path = folder / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    return FileContent(path=path, size=size, digest=path.name)


def stock_in(folder: Path) -> Stock:
    folder.mkdir()
    kernel, initrd, manifest, blob, program = (
        kept(folder, name) for name in ("vmlinuz", "initrd", "manifest", "blob", "snponly")
    )
    image = ImageRef(
        name=ImageName("debian-13"), manifest_sha256=manifest.digest, blob_sha256=blob.digest, raw_bytes=1 << 20
    )
    artifacts: dict[str, Content] = {one.digest: one for one in (kernel, initrd, manifest, blob)}
    return Stock(
        programs=ContentTable({"snponly.efi": program}),
        artifacts=artifacts,
        kernel_sha256=kernel.digest,
        initrd_sha256=initrd.digest,
        images={image.name: image},
    )


@dataclass
class Appliance:
    """All that the doctor looks at, in a namespace of its own."""

    namespace: str
    folder: Path
    stock: Stock
    site: Site[Rack]
    clock: Clock
    bmc: FakeBmc
    synchronised: bool | None = True
    volumes: tuple[Path, ...] = ()
    troubles: tuple[SegmentView, ...] = ()
    dialler: Dialler | None = None

    def examined(self, *checks: Check) -> tuple[Finding, ...]:
        """All of them where none is named."""
        with inside(self.namespace):
            return asyncio.run(self._examined(checks or tuple(Check)))

    async def _examined(self, wanted: tuple[Check, ...]) -> tuple[Finding, ...]:
        watch = WireWatch(DEVICE, HostProcesses(), self.clock)
        listening = asyncio.create_task(watch.run())
        ward = Ward(
            site=self.site,
            stock=self.stock,
            scripts=with_scripts(self.stock.programs, endpoints_of(NETWORK)).entries,
            volumes={str(number): (path, True) for number, path in enumerate(self.volumes or (self.folder,))},
            watch=watch,
            processes=HostProcesses(),
            clock=self.clock,
            bmc_of=self._bmc_of,
            macs_of=lambda _name: (),
            troubles=lambda: self.troubles,
            synchronised=lambda: self.synchronised,
            services=lambda: (Service(name="container registry", running_since=1.0, ends=0, last=""),),
            sets=lambda: (Kept(name="k3s-v1.33.4-amd64", provenance="genuine", gaps=()),),
        )
        desk = DoctorDesk({check: examine for check, examine in checks_of(ward).items() if check in wanted}, self.clock)
        view = desk.start(DoctorRequest())
        while view.running:
            view = await desk.look(view.version, 30)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        if self.dialler is not None:
            await self.dialler.close()
        return view.findings

    def _bmc_of(self, name: MachineName) -> FullBmc:
        return self.bmc if self.dialler is None else self.dialler.dial(self.site.topology.bmc_of(name))


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with segment({"ours": f"{OURS}/24", "other": "10.20.0.9/24"}) as hosts:
        yield hosts["ours"]


@pytest.fixture
def appliance(namespace: str, tmp_path: Path) -> Appliance:
    stock = stock_in(tmp_path / "images")
    rack = Rack(
        name="lab",
        servers=(Server(name=NODE, bmc=BMC, address=IPv4Address("10.20.0.50")),),
        boot_network=NETWORK,
        image_names=(ImageName("debian-13"),),
    )
    return Appliance(
        namespace, tmp_path, stock, Site(name="lab", topology=rack, scores=()), Clock(), FakeBmc(_IDENTITY)
    )


@contextmanager
def serving(appliance: Appliance) -> Iterator[BootServices]:
    subnet = Subnet(network=NETWORK.network, server=OURS, pool_first=NETWORK.first, pool_last=NETWORK.last)
    config = ServiceConfig(
        device=DEVICE,
        endpoints=endpoints_of(NETWORK),
        zone=Zone(domain="lab.test", server=OURS, hosts={}, networks=(NETWORK.network,)),
        programs=appliance.stock.programs,
        dhcp=DhcpConfig(local=(subnet,)),
        journal=appliance.folder / "leases.journal",
        guards=Guards(identity=None),
    )
    with inside(appliance.namespace):
        services = BootServices(
            config=config,
            policy=Disk(),
            artifacts=ContentTable(appliance.stock.artifacts),
            application=NoAgents(),
            observe=lambda _event: None,
            clock=SystemClock(),
        )
        services.start()
    try:
        yield services
    finally:
        services.stop()


def bad(findings: tuple[Finding, ...]) -> Finding:
    (finding,) = (one for one in findings if one.verdict is not Verdict.OK)
    assert finding.next_action
    assert finding.command
    return finding


def test_a_healthy_appliance_has_no_finding(appliance: Appliance) -> None:
    """But for switches, silent for so short a time, and the disk of this machine, which may be in the clear. It has no
    clusters, of which nothing is said then."""
    with serving(appliance):
        findings = appliance.examined()
    assert {one.check for one in findings} == set(Check) - {Check.CLUSTERS}
    silent = {Check.SPANNING_TREE, Check.BOND, Check.NEIGHBOUR}
    others = silent | {Check.ENCRYPTION}
    assert {one.check: one for one in findings if one.verdict is not Verdict.OK}.keys() <= others
    assert {one.verdict for one in findings if one.check in silent} <= {Verdict.UNKNOWN, Verdict.OK}


def test_services_that_do_not_answer(appliance: Appliance) -> None:
    findings = appliance.examined(Check.DOWNLOAD)
    assert {one.verdict for one in findings} == {Verdict.FAILURE}
    told = "\n".join(one.cause for one in findings)
    for url in ("tftp://10.20.0.1/snponly.efi", "/boot.ipxe", "/autoexec.ipxe", "/artifact/"):
        assert url in told


def test_what_is_handed_out_otherwise_than_it_is_on_the_disk(appliance: Appliance) -> None:
    with serving(appliance) as services:
        other = kept(appliance.folder, "another kernel")
        services.set_artifacts(ContentTable({appliance.stock.kernel_sha256: replace(other, digest="")}))
        finding = bad(appliance.examined(Check.DOWNLOAD))
    assert finding.verdict is Verdict.FAILURE
    assert "otherwise than it is on the disk" in finding.cause
    assert other.digest[:16] in finding.evidence


def test_a_flipped_byte_in_an_image(appliance: Appliance) -> None:
    blob = appliance.stock.artifacts[appliance.stock.images[ImageName("debian-13")].blob_sha256]
    assert isinstance(blob, FileContent)
    data = bytearray(blob.path.read_bytes())
    data[1234] ^= 1
    blob.path.write_bytes(data)
    finding = bad(appliance.examined(Check.IMAGES))
    assert (finding.check, finding.verdict) == (Check.IMAGES, Verdict.FAILURE)
    assert "the image debian-13 is damaged" in finding.cause
    assert hashlib.sha256(data).hexdigest()[:16] in finding.evidence


def test_an_image_that_is_not_there(appliance: Appliance) -> None:
    blob = appliance.stock.artifacts[appliance.stock.images[ImageName("debian-13")].blob_sha256]
    assert isinstance(blob, FileContent)
    blob.path.unlink()
    assert "cannot be read" in bad(appliance.examined(Check.IMAGES)).cause
    appliance.stock = replace(appliance.stock, images={}, artifacts={})
    assert "names the image debian-13" in bad(appliance.examined(Check.IMAGES)).cause


@contextmanager
def tmpfs(folder: Path, *options: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="mount is not installed")
def test_a_full_disk(appliance: Appliance) -> None:
    with tmpfs(appliance.folder / "small", "size=4m") as folder:
        appliance.volumes = (folder,)
        assert [one.verdict for one in appliance.examined(Check.SPACE)] == [Verdict.OK]
        (folder / "filling").write_bytes(b"x" * (4 << 20))
        finding = bad(appliance.examined(Check.SPACE))
        assert (finding.check, finding.verdict) == (Check.SPACE, Verdict.FAILURE)
        assert "is full" in finding.cause
        assert str(folder) in finding.command


@pytest.mark.skipif(shutil.which("mount") is None, reason="mount is not installed")
@pytest.mark.parametrize(
    ("options", "words"), [(("nr_inodes=60",), "no room for another file"), (("ro",), "read-only")]
)
def test_a_disk_that_takes_no_more_files(appliance: Appliance, options: tuple[str, ...], words: str) -> None:
    with tmpfs(appliance.folder / "small", "size=400m", *options) as folder:
        if options != ("ro",):
            for number in range(59):
                (folder / str(number)).touch()
        appliance.volumes = (folder,)
        assert words in bad(appliance.examined(Check.SPACE)).cause


def test_a_disk_that_is_gone(appliance: Appliance) -> None:
    appliance.volumes = (appliance.folder / "absent",)
    assert "cannot be read" in bad(appliance.examined(Check.SPACE)).cause


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BmcSilentError("no answer", evidence="connection refused"), "does not answer as it should"),
        (BmcLoginError("wrong password", next_action="correct the vault"), "does not let us in"),
    ],
    ids=["dead", "login"],
)
def test_a_bmc_that_keeps_us_out_is_its_machines_trouble(appliance: Appliance, error: BmcError, words: str) -> None:
    appliance.bmc.failures.append(error)
    finding = bad(appliance.examined(Check.BMCS))
    assert (finding.verdict, finding.machine) == (Verdict.FAILURE, "node-0")
    assert words in finding.cause
    assert str(error) in finding.evidence
    assert finding.command == "innervate bmc find https://10.9.0.11 --login"


def test_a_port_where_nobody_listens(appliance: Appliance) -> None:
    """The real driver, and the kernel's own refusal."""
    appliance.dialler = Dialler(SystemClock(), SystemRng())
    (server,) = appliance.site.topology.servers
    there = replace(server, bmc=replace(BMC, url="https://127.0.0.1:9"))
    appliance.site = replace(appliance.site, topology=replace(appliance.site.topology, servers=(there,)))
    finding = bad(appliance.examined(Check.BMCS))
    assert (finding.verdict, finding.machine) == (Verdict.FAILURE, "node-0")
    assert "127.0.0.1" in finding.evidence


@pytest.mark.parametrize(
    ("ahead", "synchronised", "verdict"),
    [(0.0, True, Verdict.OK), (-60 * 365 * 86400.0, True, Verdict.FAILURE), (0.0, False, Verdict.WARNING)],
    ids=["well", "1966", "unsynchronised"],
)
def test_clock(appliance: Appliance, ahead: float, synchronised: bool, verdict: Verdict) -> None:
    appliance.clock.ahead, appliance.synchronised = ahead, synchronised
    assert [one.verdict for one in appliance.examined(Check.CLOCK)] == [verdict]


def test_what_the_services_found_counts_too(appliance: Appliance) -> None:
    text = "another appliance serves DHCP on this segment (hardware address 00:11:22:33:44:55)"
    appliance.troubles = (SegmentView(kind="dhcp-standing", subject="", text=text, since=0.0),)
    finding = bad(appliance.examined(Check.DHCP))
    assert finding.verdict is Verdict.FAILURE
    assert text in finding.evidence
    assert finding.command == "innervate take-over"
    # The examination takes its time, on a loaded machine longer than a trouble is young.
    appliance.troubles = (replace(appliance.troubles[0], since=appliance.clock.now() + 3600),)
    assert [one.verdict for one in appliance.examined(Check.DHCP)] == [Verdict.OK], "it has only just begun"
    rival = SegmentView(kind="rival-server", subject="10.20.0.9", text="a second server", since=appliance.clock.now())
    appliance.troubles = (rival,)
    assert [one.verdict for one in appliance.examined(Check.DHCP)] == [Verdict.WARNING], "that one counts at once"
