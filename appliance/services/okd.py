"""Brings bare machines into OKD clusters: the release's programs make what they boot with, the cluster says the rest.

Nothing is started before everything that can be known beforehand is so.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path
from typing import assert_never

from appliance.conductor.decision import ClusterSight
from appliance.errors import ClusterError, ConflictError, InnervateError, SiteError
from appliance.kubernetes import objects
from appliance.kubernetes.api import Kubernetes
from appliance.kubernetes.kubeconfig import kubeconfig
from appliance.model.cluster import ClusterSpec
from appliance.model.ids import MachineName
from appliance.model.okd import (
    CheckOkd,
    ConfirmOkd,
    JoinOkd,
    LeadOkd,
    MakeOkd,
    OkdAction,
    OkdSpec,
    ServeOkd,
    StartOkd,
)
from appliance.model.secret import Secret
from appliance.okd import catalogue, serving
from appliance.okd import objects as okd_objects
from appliance.okd.artifacts import OkdArtifacts, OkdFile, artifacts_of, read_stream, strangers
from appliance.okd.install_config import install_config
from appliance.okd.version import OkdVersion
from appliance.ports import Clock
from appliance.services.balancer import BalancerDesk
from appliance.services.cluster_hold import Opened, at_work, done, failed, not_begun, url_of
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_watch import Connect
from appliance.services.names import NamesDesk
from appliance.services.okd_asks import SiteAsks
from appliance.services.okd_keys import KUBECONFIG, Made, OkdKeys
from appliance.services.okd_programs import OkdPrograms, Tools
from appliance.services.supplies import Supplies
from appliance.store.records import Problem
from images.artifact_set import ArtifactSet, SetFile
from images.engine import Engine

_LOGGER = logging.getLogger(__name__)
_CLOCKS_APART = 2.0
"""Seconds: certificates of a cluster that begins are only just valid."""
_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class OkdSite:
    """What of the site's own OKD clusters need."""

    made: OkdKeys
    programs: OkdPrograms
    names: NamesDesk
    asks: SiteAsks


@dataclass(frozen=True, slots=True, kw_only=True)
class OkdGround:
    """`path_of` is where a file of a set lies. `balancer` is None where somebody else leads to clusters."""

    site: OkdSite
    supplies: Supplies
    path_of: Callable[[str, SetFile], Path]
    keys: ClusterKeys
    balancer: BalancerDesk | None
    connect: Connect
    clock: Clock


class OkdDesk:
    def __init__(self, ground: OkdGround) -> None:
        self._on = ground

    def offer(self) -> None:
        """What was lent to machines is lent again before anybody asks: one may be in the middle of its installation."""
        for name, spec in self._on.site.made.specs().items():
            try:
                self._on.supplies.offer(spec.cluster.set)
            except InnervateError as error:
                _LOGGER.warning("machines of %s get no files: %s; %s", name, error, error.evidence)

    async def look(self, machine: MachineName, do: OkdAction) -> ClusterSight:
        match do:
            case CheckOkd(spec=spec):
                return await self._check(spec)
            case ServeOkd(spec=spec):
                return await self._served(spec, starting=do.starting)
            case MakeOkd(spec=spec):
                return self._was_made(spec)
            case StartOkd(spec=spec):
                return await self._started(spec)
            case LeadOkd(spec=spec):
                return await self._leads(spec)
            case JoinOkd(spec=spec):
                return await self._joined(machine, spec)
            case ConfirmOkd(spec=spec):
                return await self._confirmed(spec)
            case _:
                assert_never(do)

    async def begin(self, machine: MachineName, do: OkdAction) -> str:
        match do:
            case ServeOkd(spec=spec):
                await self._on.site.names.want(spec.cluster.name, serving.records(spec))
                await self._lead(spec, starting=do.starting)
                return "names and balancer told"
            case MakeOkd(spec=spec):
                return await self._make(spec)
            case LeadOkd(spec=spec):
                await self._lead(spec, starting=False)
                return f"{machine} is behind no port any more"
            case CheckOkd() | StartOkd() | JoinOkd() | ConfirmOkd():
                return "nothing has to be begun"
            case _:
                assert_never(do)

    async def _check(self, spec: OkdSpec) -> ClusterSight:
        """All that is wrong at once: nobody wants to find the next one a day later."""
        described, evidence, wrong = self._on.supplies.described(spec.cluster.set), dict[str, str](), list[str]()
        for what, look in (
            ("files", self._files(described)),
            ("release", self._release(described)),
            ("images", self._images(spec)),
            ("time", self._time()),
        ):
            try:
                evidence[what] = await look
            except InnervateError as error:
                wrong.append(f"{what}: {error}{f' ({error.evidence})' if error.evidence else ''}")
        if wrong:
            return failed(_unfit(spec, wrong))
        return done("all is there", {"provenance": catalogue.standing(described).words, **evidence})

    async def _files(self, described: ArtifactSet) -> str:
        found = artifacts_of(described)
        await asyncio.to_thread(self._hash, described, found)
        return f"{len(found.files)} hashed"

    def _hash(self, described: ArtifactSet, found: OkdArtifacts) -> None:
        for file in found.files.values():
            path = self._on.path_of(described.name, file)
            if _sha256(path) != file.sha256:
                raise ConflictError(f"{file.name} is not what the set says", evidence=str(path))

    async def _release(self, described: ArtifactSet) -> str:
        found, version = artifacts_of(described), OkdVersion.parse(described.version)
        tools = self._tools(described)
        says = (await asyncio.to_thread(self._on.site.programs.version, tools)).split()
        if str(version) not in says:
            raise ConflictError(f"the installer is of another release than {version}", evidence=" ".join(says)[:200])
        stream = read_stream(await asyncio.to_thread(self._on.site.programs.stream, tools), described.arch)
        if odd := strangers(found, stream):
            raise ConflictError("boot files of another release than the installer", evidence="; ".join(odd))
        return f"OKD {version} on SCOS {stream.release}"

    async def _images(self, spec: OkdSpec) -> str:
        await self._on.supplies.ready(spec.cluster.set)
        described = self._on.supplies.described(spec.cluster.set)
        return f"{len(described.images)} answered at {spec.cluster.registry}"

    async def _time(self) -> str:
        off = await self._on.site.asks.time_off(self._on.clock.now())
        if off is None:
            raise SiteError("nobody gives machines the time", evidence="no answer to NTP; the site has no TimeService")
        if abs(off) > _CLOCKS_APART:
            raise SiteError("the time that machines get is not ours", evidence=f"{off:+.1f} s")
        return f"{off:+.0f} s from ours"

    async def _served(self, spec: OkdSpec, *, starting: bool) -> ClusterSight:
        if self._on.site.names.wanted_by(spec.cluster.name) != serving.records(spec):
            return not_begun(f"the names of {spec.zone} are not told")
        if not self._is_led(spec, starting=starting):
            return not_begun(f"{spec.cluster.endpoint} does not lead to {spec.cluster.name}")
        if wrong := [why async for why in self._unserved(spec)]:
            return at_work("; ".join(wrong[:_SHOWN]))
        ports = ", ".join(map(str, serving.PORTS))
        return done(
            "served", {"names": str(len(spec.hosts) + 3), "ports": ports, "address": str(spec.cluster.endpoint)}
        )

    async def _unserved(self, spec: OkdSpec) -> AsyncIterator[str]:
        asks = self._on.site.asks
        names = {name: spec.cluster.endpoint for name in (spec.api, spec.api_inside, f"any.{spec.apps[2:]}")}
        for name, address in (names | {f"{host.name}.{spec.domain}": host.address for host in spec.hosts}).items():
            if await asks.addresses(name) != (address,):
                yield f"{name} is not {address} to the name service"
        for host in spec.hosts:
            if await asks.name(host.address) != f"{host.name}.{spec.domain}":
                yield f"{host.address} is not {host.name} to the name service"
        for port in serving.PORTS:
            if not await asks.listens(spec.cluster.endpoint, port):
                yield f"nobody listens at {spec.cluster.endpoint}, port {port}"

    def _is_led(self, spec: OkdSpec, *, starting: bool) -> bool:
        wanted, balancer = serving.listeners(spec, starting=starting), self._leader(spec)
        return balancer is None or balancer.wanted_by(spec.cluster.name) == wanted

    async def _lead(self, spec: OkdSpec, *, starting: bool) -> None:
        if (balancer := self._leader(spec)) is not None:
            await balancer.want(spec.cluster.name, serving.listeners(spec, starting=starting))

    def _leader(self, spec: OkdSpec) -> BalancerDesk | None:
        """None for an address that is somebody else's to lead."""
        balancer = self._on.balancer
        return balancer if balancer is not None and balancer.address == spec.cluster.endpoint else None

    def _was_made(self, spec: OkdSpec) -> ClusterSight:
        made, now = self._on.site.made.of(spec.cluster.name), self._on.clock.now()
        if made is None or made.spec.cluster != spec.cluster or not made.is_fresh(now):
            return not_begun("making the machines' Ignition")
        age = f"{(now - made.made) / 60:.0f} minutes"
        return done("made", {"files": ", ".join(sorted(made.tree)), "age": age, "made": f"{made.made:.0f}"})

    async def _make(self, spec: OkdSpec) -> str:
        described = self._on.supplies.described(spec.cluster.set)
        tools, config = self._tools(described), install_config(spec, described.arch, self._on.supplies.authority)
        made = self._on.clock.now()
        tree = await asyncio.to_thread(self._on.site.programs.ignition, tools, spec, config)
        said = await asyncio.to_thread(self._on.site.programs.access, tools, Secret(tree.get(KUBECONFIG, "")))
        self._on.keys.keep(spec.cluster.name, replace(objects.access(said), server=spec.api))
        self._on.site.made.keep(Made(spec=spec, made=made, tree=tree))
        return f"{len(tree)} files"

    async def _started(self, spec: OkdSpec) -> ClusterSight:
        """The API's word first: the installer's own wait would hold a thread for an hour."""
        async with self._open(spec.cluster) as api:
            if not okd_objects.bootstrapped(await api.found(okd_objects.BOOTSTRAP)):
                return at_work("the API answers; bootstrapping is not complete yet")
        tools = self._tools(self._on.supplies.described(spec.cluster.set))
        access = self._on.keys.access(spec.cluster.name)
        assert access is not None  # noqa: S101  the API was asked with it
        written = kubeconfig(spec.cluster.name, url_of(spec.cluster), access)
        says = await asyncio.to_thread(self._on.site.programs.confirmed, tools, "bootstrap-complete", written)
        self._on.site.made.start(spec.cluster.name)
        return done("started", {"API": spec.api, "the installer": says})

    async def _leads(self, spec: OkdSpec) -> ClusterSight:
        if not self._is_led(spec, starting=False):
            return not_begun("the bootstrap machine is behind the balancer")
        balancer, names = self._leader(spec), {host.name for host in spec.nodes}
        own = {one.name for one in serving.listeners(spec, starting=False)}
        states = [one for one in await balancer.states() if one.listener in own] if balancer is not None else []
        if odd := sorted({one.backend for one in states} - names):
            return at_work(f"{', '.join(odd)} is behind it still")
        serve = sorted({one.backend for one in states if one.serves and one.listener == f"{spec.cluster.name}-api"})
        if balancer is not None and not serve:
            return at_work("no control plane answers the balancer yet")
        return done("leads to nodes alone", {"API": ", ".join(serve) or f"led by others at {spec.cluster.endpoint}"})

    async def _joined(self, machine: MachineName, spec: OkdSpec) -> ClusterSight:
        host = spec.host(machine)
        async with self._open(spec.cluster) as api:
            node = {node.name: node for node in await api.nodes()}.get(machine)
        if node is None:
            return at_work(f"the cluster does not list {machine} yet")
        if host.address not in node.addresses:
            return at_work(f"the cluster has {machine} at {', '.join(map(str, node.addresses)) or 'no address'}")
        if not node.ready:
            return at_work(f"{machine} is not ready: {node.why}")
        return done("joined", {"node": node.name, "kubelet": node.version, "address": str(host.address)})

    async def _confirmed(self, spec: OkdSpec) -> ClusterSight:
        async with self._open(spec.cluster) as api:
            if lacks := await api.ready():
                return at_work(f"the API at {spec.api} is not ready: {lacks}")
            if waits := [why async for why in _unsettled(api, spec)]:
                return at_work("; ".join(waits[:_SHOWN]))
            release, _ = okd_objects.version_of(await api.found(okd_objects.VERSION))
            operators = objects.items(await api.found(okd_objects.OPERATORS))
        words = catalogue.standing(self._on.supplies.described(spec.cluster.set)).words
        nodes = ", ".join(host.name for host in spec.nodes)
        return done(
            "ready", {"release": release, "nodes": nodes, "operators": str(len(operators)), "provenance": words}
        )

    def _open(self, cluster: ClusterSpec) -> Opened:
        access = self._on.keys.access(cluster.name)
        if access is None:
            raise ClusterError(
                f"the appliance has no access to the cluster {cluster.name}",
                evidence="its Ignition was never made here",
                next_action="plan again",
            )
        return self._on.connect(url_of(cluster), access)

    def _tools(self, described: ArtifactSet) -> Tools:
        found = artifacts_of(described).files
        paths = {role: self._on.path_of(described.name, found[role]) for role in (OkdFile.INSTALLER, OkdFile.OC)}
        return Tools(installer=paths[OkdFile.INSTALLER], oc=paths[OkdFile.OC])


def okd_desk(
    site: OkdSite,
    supplies: Supplies,
    path_of: Callable[[str, SetFile], Path],
    keys: ClusterKeys,
    balancer: BalancerDesk | None,
    connect: Connect,
    clock: Clock,
) -> OkdDesk:
    return OkdDesk(
        OkdGround(
            site=site, supplies=supplies, path_of=path_of, keys=keys, balancer=balancer, connect=connect, clock=clock
        )
    )


def is_okd(cluster: ClusterSpec) -> bool:
    return cluster.set.engine is Engine.OKD


async def _unsettled(api: Kubernetes, spec: OkdSpec) -> AsyncIterator[str]:
    pending = await api.requests()
    if pending:
        yield f"{len(pending)} requests for certificates are pending"
    nodes = {node.name: node for node in await api.nodes()}
    for host in spec.nodes:
        node = nodes.get(host.name)
        if node is None or not node.ready:
            yield f"{host.name} is not ready{f': {node.why}' if node is not None else ''}"
    found = await api.found(okd_objects.VERSION)
    if found is None:
        yield "the cluster has no version yet"
        return
    release, version = okd_objects.version_of(found)
    if release != spec.cluster.set.version:
        yield f"the cluster runs {release or 'no release yet'}"
    operators, pools = [await api.found(path) for path in (okd_objects.OPERATORS, okd_objects.POOLS)]
    said = [okd_objects.said_of(objects.items(one)) for one in (operators, pools)]
    for why in okd_objects.unwell(version, *said):
        yield why


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _unfit(spec: OkdSpec, wrong: list[str]) -> Problem:
    return Problem(
        code="cluster",
        message=f"{spec.cluster.name} was not begun: {len(wrong)} of what it needs is not so",
        evidence="; ".join(wrong)[:1500],
        next_action="mend what is named, and plan again: no machine was started",
    )
