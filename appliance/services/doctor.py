"""What the doctor looks at: this site, its boot network and this appliance. Looks in parallel, judges purely."""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from appliance.bmc.port import FullBmc, Timekeeping
from appliance.doctor import bmcs, clusters, host, looks, segment, serving, wire
from appliance.doctor.desk import Examine
from appliance.doctor.device import nic, own_macs
from appliance.doctor.facts import Answer, Claim, Download, Kept, Servers, Service, Shelf, Source, Time, Volume
from appliance.doctor.watch import WireWatch
from appliance.errors import BmcLoginError, InnervateError
from appliance.model.cluster_views import ClusterView
from appliance.model.doctor import Check, DoctorRequest, Finding
from appliance.model.ids import ImageName, MachineName
from appliance.model.views import SegmentView
from appliance.ports import Clock
from appliance.scores.install_linux import InstallLinux
from appliance.services.library import artifact_path
from appliance.services.stock import Stock, files_of
from appliance.site import Site
from appliance.topology import Rack
from images.ports import Listening
from pxe.boot import Mode
from pxe.content import BytesContent, Content, FileContent
from pxe.dhcp.rivals import START_SECONDS
from pxe.routes import AUTOEXEC

_BMC_SECONDS = 8.0
_BMCS_AT_ONCE = 16
_TIME_SERVERS = 8
_TFTP_PORT = 69
_NTP_PORT = 123
_LARGEST_DOWNLOAD = 64 << 20
_NOBODY = "02-00-00-00-00-00"
_STANDING = "dhcp-standing"
_OF_OTHERS = frozenset({"rival-server", _STANDING})
_SETTLE_SECONDS = START_SECONDS + 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """`scripts` are what our services make themselves, by name; `volumes` are folders, and whether the daemon writes
    there. `synchronised` as `looks.synchronised`."""

    site: Site[Rack]
    stock: Stock
    scripts: Mapping[str, Content]
    volumes: Mapping[str, tuple[Path, bool]]
    watch: WireWatch
    processes: Listening
    clock: Clock
    bmc_of: Callable[[MachineName], FullBmc]
    macs_of: Callable[[MachineName], Collection[str]]
    troubles: Callable[[], tuple[SegmentView, ...]]
    synchronised: Callable[[], bool | None] = looks.synchronised
    tftp_port: int = _TFTP_PORT
    ntp_port: int = _NTP_PORT
    services: Callable[[], tuple[Service, ...]] = tuple
    sets: Callable[[], tuple[Kept, ...]] = tuple
    clusters: Callable[[], tuple[ClusterView, ...]] = tuple

    @property
    def device(self) -> str:
        return self.site.topology.boot_network.device

    @property
    def address(self) -> IPv4Address:
        return self.site.topology.boot_network.address


def checks_of(ward: Ward) -> Mapping[Check, Examine]:
    return {
        Check.DHCP: partial(_dhcp, ward),
        Check.ADDRESSES: partial(_addresses, ward),
        Check.LINK: partial(_link, ward),
        Check.SPANNING_TREE: partial(_spanning_tree, ward),
        Check.BOND: partial(_bond, ward),
        Check.NEIGHBOUR: partial(_neighbour, ward),
        Check.CLOCK: partial(_clock, ward),
        Check.SPACE: partial(_space, ward),
        Check.ENCRYPTION: partial(_encryption, ward),
        Check.IMAGES: partial(_images, ward),
        Check.BMCS: partial(_bmcs, ward),
        Check.DOWNLOAD: partial(_download, ward),
        Check.SERVICES: partial(_services, ward),
        Check.SETS: partial(_sets, ward),
        Check.CLUSTERS: partial(_clusters, ward),
    }


async def _services(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    return serving.services(ward.services(), ward.clock.now())


async def _sets(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    return serving.sets(ward.sets())


async def _clusters(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    return clusters.clusters(ward.clusters())


async def _dhcp(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    network = ward.site.topology.boot_network
    offers = await looks.offers(ward.processes, ward.device)
    # The services themselves listen for 4.5 s before they answer: that they do not yet is no trouble.
    settled = ward.clock.now() - _SETTLE_SECONDS
    heard = [one for one in ward.troubles() if one.kind in _OF_OTHERS]
    troubles = [one for one in heard if one.kind != _STANDING or one.since <= settled]
    facts = Servers(
        gives_addresses=network.mode is Mode.FULL,
        device=ward.device,
        own=frozenset({str(network.address)}),
        offers=offers,
        told=tuple(trouble.text for trouble in troubles),
        passive=any(trouble.kind == _STANDING for trouble in troubles),
    )
    return segment.other_dhcp(facts)


async def _addresses(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    claims = tuple(_claims(ward))
    found = await asyncio.to_thread(looks.claimed, ward.device, claims)
    return segment.duplicates(found, ward.device)


def _claims(ward: Ward) -> Iterator[Claim]:
    rack = ward.site.topology
    yield Claim(address=ward.address, known=own_macs())
    for server in rack.servers:
        if (address := server.address_in(rack.boot_network.network)) is not None:
            stated = (str(server.mac),) if server.mac is not None else ()
            known = frozenset(mac.lower() for mac in (*stated, *ward.macs_of(server.name)))
            yield Claim(address=address, machine=server.name, known=known)


async def _link(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    return wire.link(nic(ward.device), ward.device)


async def _spanning_tree(ward: Ward, request: DoctorRequest) -> tuple[Finding, ...]:
    await _listen(ward, request, wire.BPDU_SECONDS)
    return wire.spanning_tree(ward.watch.facts(), ward.device)


async def _bond(ward: Ward, request: DoctorRequest) -> tuple[Finding, ...]:
    await _listen(ward, request, wire.NEIGHBOUR_SECONDS)
    return wire.bond(ward.watch.facts(), ward.device)


async def _neighbour(ward: Ward, request: DoctorRequest) -> tuple[Finding, ...]:
    await _listen(ward, request, wire.NEIGHBOUR_SECONDS)
    return wire.neighbour(ward.watch.facts(), nic(ward.device), ward.device)


async def _listen(ward: Ward, request: DoctorRequest, enough: float) -> None:
    """Who is patient waits until the wire was listened to for `enough` seconds."""
    facts = ward.watch.facts()
    if request.patient and not facts.problem and facts.listened < enough:
        await ward.clock.sleep(enough - facts.listened)


async def _clock(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    others, sources = await asyncio.gather(_bmc_clocks(ward), _sources(ward))
    return host.clock(Time(now=ward.clock.now(), synchronised=ward.synchronised(), others=others, sources=sources))


async def _sources(ward: Ward) -> tuple[Source, ...]:
    """Those of this computer, and those that the site program lets it give on."""
    stated = ward.site.topology.time.upstreams if ward.site.topology.time is not None else ()
    names = tuple(dict.fromkeys((*map(str, stated), *await looks.time_servers(ward.processes))))[:_TIME_SERVERS]
    return await looks.clocks(ward.processes, names, ward.ntp_port)


async def _bmc_clocks(ward: Ward) -> dict[str, float]:
    rack = ward.site.topology
    gate = _gate(rack)

    async def one(name: MachineName) -> float | None:
        async with gate:
            return await _ahead(ward, name)

    names = [server.name for server in rack.servers]
    told = await asyncio.gather(*map(one, names))
    return {str(name): ahead for name, ahead in zip(names, told, strict=True) if ahead is not None}


async def _ahead(ward: Ward, name: MachineName) -> float | None:
    """None where the BMC does not tell: whether it answers at all is another check."""
    try:
        async with asyncio.timeout(_BMC_SECONDS):
            bmc = ward.bmc_of(name)
            told = await bmc.time() if isinstance(bmc, Timekeeping) else None
    except (InnervateError, TimeoutError):
        return None
    return None if told is None else told - ward.clock.now()


async def _space(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    return host.space(await _volumes(ward))


async def _encryption(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    return host.encryption(await _volumes(ward))


async def _volumes(ward: Ward) -> list[Volume]:
    seen = (asyncio.to_thread(looks.volume, name, path, kept=kept) for name, (path, kept) in ward.volumes.items())
    return await asyncio.gather(*seen)


async def _images(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    stock, wanted = ward.stock, frozenset(_wanted(ward.site))
    files = await looks.every((file.path, name, file.digest) for name, file in _files(stock))
    return host.images(Shelf(wanted=wanted, offered=frozenset(stock.images), files=files))


def _wanted(site: Site[Rack]) -> Iterator[ImageName]:
    yield from site.topology.images
    for score in site.scores:
        if isinstance(score, InstallLinux):
            yield ImageName(score.image)


def _files(stock: Stock) -> Iterator[tuple[str, FileContent]]:
    """What machines get, under the name that people know; each once."""
    names = {stock.kernel_sha256: "the ramdisk's kernel", stock.initrd_sha256: "the ramdisk"}
    for image in (*stock.images.values(), *((stock.ignition,) if stock.ignition is not None else ())):
        names |= files_of(image)
    for digest, content in stock.artifacts.items():
        if isinstance(content, FileContent):
            yield names.get(digest, f"the artefact {digest[:12]}"), content
    for name, program in stock.programs.entries.items():
        if isinstance(program, FileContent) and program.digest:
            yield f"the boot program {name}", program


async def _bmcs(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    rack = ward.site.topology
    gate = _gate(rack)

    async def one(name: MachineName) -> Answer:
        async with gate:
            return await _answer(ward, name, rack.bmc_of(name).url)

    return bmcs.bmcs(await asyncio.gather(*map(one, rack.machines)))


def _gate(rack: Rack) -> asyncio.Semaphore:
    return asyncio.Semaphore(min(rack.limits.bmcs or _BMCS_AT_ONCE, _BMCS_AT_ONCE))


async def _answer(ward: Ward, name: MachineName, url: str) -> Answer:
    try:
        async with asyncio.timeout(_BMC_SECONDS):
            await ward.bmc_of(name).power_state()
    except TimeoutError:
        return Answer(machine=name, url=url, problem=f"no answer within {_BMC_SECONDS:.0f} s")
    except InnervateError as error:
        login = isinstance(error, BmcLoginError)
        evidence, action = error.evidence, error.next_action
        return Answer(machine=name, url=url, problem=str(error), evidence=evidence, next_action=action, login=login)
    return Answer(machine=name, url=url)


async def _download(ward: Ward, _request: DoctorRequest) -> tuple[Finding, ...]:
    """What firmware and iPXE fetch, in that order: program, first script, boot script, kernel."""
    http_port = ward.site.topology.boot_network.http_port
    fetched = [_by_tftp(ward, name) for name in tuple(ward.stock.programs)[:1]]
    wanted = [("/boot.ipxe?mac=" + _NOBODY, "")]
    if (script := ward.scripts.get(AUTOEXEC)) is not None:
        wanted.append((f"/{AUTOEXEC}", _digest(script)))
    kernel = ward.stock.artifacts.get(ward.stock.kernel_sha256)
    if kernel is not None and kernel.size <= _LARGEST_DOWNLOAD:
        path = artifact_path(ward.stock.kernel_sha256)
        wanted.append((path, await asyncio.to_thread(_digest, kernel)))
    loaded = [asyncio.to_thread(looks.by_http, ward.address, http_port, path, digest) for path, digest in wanted]
    return host.downloads(await asyncio.gather(*fetched, *loaded))


async def _by_tftp(ward: Ward, name: str) -> Download:
    content = ward.stock.programs.content(name)
    digest = "" if content is None else await asyncio.to_thread(_digest, content)
    return await looks.by_tftp(ward.processes, ward.address, name, digest, ward.tftp_port)


def _digest(content: Content) -> str:
    """Of what is on the disk now, whatever it should be."""
    match content:
        case BytesContent():
            return hashlib.sha256(content.data).hexdigest()
        case FileContent():
            return looks.stored("", content.path, "").found
