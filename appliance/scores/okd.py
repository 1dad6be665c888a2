"""OkdCluster: bare machines become one OKD, in the order of its documentation, and stay what the site program says.

OKD documentation, "Installing a user-provisioned bare metal cluster". A bootstrap machine starts the control planes and
leaves; workers come after it has left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from appliance.capabilities import (
    AddressPlan,
    BareMachines,
    BootOverride,
    ContainerRegistry,
    HostNetworks,
    LoadBalancer,
    NameService,
    NetworkBoot,
    PowerControl,
    Shell,
)
from appliance.errors import PlanError
from appliance.install.network import Seen, resolved
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.balancer import BalancerPlace
from appliance.model.cluster import ClusterName, ClusterSpec, NodeRole, SetRef
from appliance.model.hardware import Disk, HardwareFacts
from appliance.model.ids import ImageName, MachineName, StepId
from appliance.model.okd import (
    CheckOkd,
    ConfirmOkd,
    JoinOkd,
    LeadOkd,
    MakeOkd,
    OkdHost,
    OkdRole,
    OkdSpec,
    OkdWay,
    ServeOkd,
    StartOkd,
)
from appliance.okd import catalogue
from appliance.okd.artifacts import OkdFile, artifacts_of
from appliance.okd.disks import device_of
from appliance.okd.ignition import is_single
from appliance.okd.version import OkdVersion
from appliance.plan import AnswerKind, BootDisk, Deferred, DiskRef, InstallerRef, Plan, RunInstaller, Step
from appliance.roles.disk import DiskPolicy, Overwrite, SmallestDisk, choose_disk, describe
from appliance.scores.cluster_life import at_hand, check_unhosted, chosen, members, taken, waits
from appliance.scores.score import Move, chain, step_of
from images.artifact_set import ArtifactSet

NAME = "okd"
PODS, SERVICES = IPv4Network("10.128.0.0/14"), IPv4Network("172.30.0.0/16")
DISK_BYTES = 100 * 10**9
_MEMORY = {OkdRole.BOOTSTRAP: 16 << 30, OkdRole.MASTER: 16 << 30, OkdRole.WORKER: 8 << 30}
"""OKD documentation, minimum resource requirements; a machine shows a little less than it has."""
_SHOWN_OF_MEMORY = 0.95
_CHECK_SECONDS, _SERVE_SECONDS, _MAKE_SECONDS = 1800.0, 600.0, 900.0
_INSTALL_SECONDS, _BOOT_SECONDS, _START_SECONDS = 7200.0, 7200.0, 5400.0
_LEAD_SECONDS, _JOIN_SECONDS, _CONFIRM_SECONDS = 600.0, 3600.0, 5400.0


class OkdNeeds(
    BareMachines,
    PowerControl,
    BootOverride,
    NetworkBoot,
    AddressPlan,
    HostNetworks,
    NameService,
    ContainerRegistry,
    LoadBalancer,
    Shell,
    Protocol,
): ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OkdCluster:
    """`set` names an artifact set (`okd-4.19.0-okd-scos.10-amd64`), `endpoint` is where API and applications are
    reached: None for the site's balancer. `bootstrap`, `control_planes` and `workers` are a role of the topology, or
    machines by name; without workers the control planes take pods. The cluster's own domain is NAME.DOMAIN, below that
    of the site. A machine that belongs to the cluster already is left alone."""

    cluster: str
    set: str
    endpoint: IPv4Address | None = None
    bootstrap: str | tuple[str, ...] = "bootstrap"
    control_planes: str | tuple[str, ...] = "control-plane"
    workers: str | tuple[str, ...] = "worker"
    disk: DiskPolicy = field(default_factory=lambda: SmallestDisk(minimum_bytes=DISK_BYTES))
    overwrite: Overwrite = Overwrite.BLANK_ONLY
    pods: IPv4Network = PODS
    services: IPv4Network = SERVICES
    prefix: int = 23
    name: str = field(default=NAME, init=False)

    def plan(self, site: OkdNeeds, inventory: Inventory) -> Plan:
        described = _known(self.set, inventory)
        roles = {
            OkdRole.BOOTSTRAP: chosen(self.bootstrap, site, inventory),
            OkdRole.MASTER: chosen(self.control_planes, site, inventory),
            OkdRole.WORKER: chosen(self.workers, site, inventory),
        }
        founded = any(record.member is not None for record in roles[OkdRole.MASTER])
        wanted = [(role, one) for role, those in roles.items() for one in those if not (founded and _starts(role))]
        unknown = [record.name for _, record in wanted if record.facts is None]
        if not roles[OkdRole.MASTER] or unknown:
            return Plan(site=self.name, deferred=(Deferred(score=self.name, reason=waits(self.cluster, unknown)),))
        hosts = tuple(self._host(site, record, role) for role, record in wanted)
        spec = self._spec(site, inventory, described, hosts, founded=founded)
        self._check(site, spec, [record for _, record in wanted])
        steps = _Steps(spec, described, self.disk, self.overwrite, {record.name: record for _, record in wanted}, site)
        names = {host.name for host in spec.nodes}
        missing = tuple(
            f"{one.name} stays in {self.cluster}: taking nodes out of an OKD is yours"
            for one in members(spec.cluster.name, site, inventory)
            if one.name not in names
        )
        return Plan(site=self.name, steps=steps.plan(founded=founded), missing=missing)

    def _spec(
        self, site: OkdNeeds, inventory: Inventory, described: ArtifactSet, hosts: tuple[OkdHost, ...], *, founded: bool
    ) -> OkdSpec:
        place = inventory.registry
        if place is None:
            raise PlanError(
                f"{self.cluster}: no registry serves this site",
                next_action="give the site a ClusterRack(registry=Registry()) as its topology",
            )
        cluster = ClusterSpec(
            name=ClusterName(self.cluster),
            set=SetRef.of(self.set, described),
            endpoint=self.endpoint or site.cluster_address,
            registry=place.host,
            pods=self.pods,
            services=self.services,
        )
        return OkdSpec(
            cluster=cluster,
            domain=site.domain,
            machines=site.boot_network.network,
            hosts=hosts,
            way=OkdWay.UPI,
            founded=founded,
            prefix=self.prefix,
            keys=site.shell.authorized_keys,
        )

    def _host(self, site: OkdNeeds, record: MachineRecord, role: OkdRole) -> OkdHost:
        assert record.facts is not None  # noqa: S101  others wait
        address, mac = site.address_of(record.name), site.boot_mac_of(record.name)
        if address is None or mac is None:
            raise PlanError(
                f"{record.name}: an OKD machine has an address and a name of its own",
                evidence=f"address {address or 'from the pool'}, MAC {mac or 'not stated'}",
                next_action="state both in the topology: Server(address=..., mac=...)",
            )
        _check_size(record, record.facts, role)
        disk, stated = self._disk(record, record.facts), site.network_of(record.name)
        seen = Seen(machine=record.name, facts=record.facts, boot_mac=mac, boot_networks=site.boot_network.networks)
        if stated is not None:
            raise PlanError(
                f"{record.name}: SCOS is not told of the network that is stated for it",
                evidence=f"Server(network=...) in the topology, {len(resolved(stated, seen).links)} links",
                next_action="leave it out: its addresses come by DHCP, and change it later by nmstate in the cluster",
            )
        device = device_of(record.name, disk)
        return OkdHost(
            name=record.name, role=role, address=address, mac=mac, device=device, wwn=disk.wwn, serial=disk.serial
        )

    def _disk(self, record: MachineRecord, facts: HardwareFacts) -> Disk:
        """Of a member, the one that it was installed on, whatever is on it now."""
        if record.installed is not None and (has := record.installed.disk) is not None and record.member is not None:
            return next(disk for disk in facts.disks if (disk.serial, disk.wwn) == (has.serial, has.wwn))
        try:
            return choose_disk(facts, self.disk, 0, self.overwrite)
        except PlanError as error:
            raise PlanError(
                f"{record.name}: {error}", evidence=error.evidence, next_action=error.next_action
            ) from error

    def _check(self, site: OkdNeeds, spec: OkdSpec, records: Sequence[MachineRecord]) -> None:
        if not spec.keys:
            raise PlanError(
                f"{self.cluster}: nobody could enter its machines",
                next_action="put an OpenSSH public key line into the topology's ShellAccess",
            )
        for record in records:
            check_unhosted(record, self.cluster)
            other = record.slurm.home.name if record.slurm is not None else None
            if record.member is not None:
                other = record.member.cluster.name
            if other is not None and other != spec.cluster.name:
                raise taken(record.name, other, self.cluster)
            if record.member is not None and record.member.cluster.set != spec.cluster.set:
                raise _no_upgrade(record.name, record.member.cluster.set.version)
        if is_single(spec):
            raise PlanError(
                f"{self.cluster}: a single node has no steps yet", next_action="name three control planes, or more"
            )
        if site.balancer.place is not BalancerPlace.APPLIANCE and self.endpoint is None:
            raise PlanError(
                f"{self.cluster}: OKD's control planes do not share an address by themselves on platform none",
                next_action="have the appliance balance: Balancer(address=...), or name endpoint= of your own balancer",
            )
        boot = site.boot_network
        if spec.cluster.endpoint == boot.address and boot.http_port == 80:
            raise PlanError(
                f"{self.cluster}: its applications and the boot services both want port 80 at {boot.address}",
                next_action="give Balancer(address=...) another address of the appliance, or BootNetwork http_port=",
            )


def _starts(role: OkdRole) -> bool:
    return role is OkdRole.BOOTSTRAP


def _known(name: str, inventory: Inventory) -> ArtifactSet:
    found = at_hand(name, inventory)
    OkdVersion.parse(found.version)
    artifacts_of(found)
    return found


def _check_size(record: MachineRecord, facts: HardwareFacts, role: OkdRole) -> None:
    needs = _MEMORY[role]
    if record.member is None and facts.memory_bytes < needs * _SHOWN_OF_MEMORY:
        raise PlanError(
            f"{record.name} is too small for a {role.value} of OKD",
            evidence=f"{facts.memory_bytes >> 30} GiB of memory, {needs >> 30} GiB are the least",
            next_action="take another machine for it",
        )


def _no_upgrade(machine: MachineName, version: str) -> PlanError:
    return PlanError(
        f"{machine} runs OKD {version}: an OKD is upgraded by itself",
        next_action=f"name the set of {version} again; upgrade it inside, with images from this site's registry",
    )


@dataclass(frozen=True, slots=True)
class _Steps:
    """From what machines are to the cluster."""

    spec: OkdSpec
    described: ArtifactSet
    disk: DiskPolicy
    overwrite: Overwrite
    records: dict[MachineName, MachineRecord]
    site: OkdNeeds

    def plan(self, *, founded: bool) -> tuple[Step, ...]:
        spec, lead = self.spec, self.spec.planes[0].name
        coming = [host for host in spec.nodes if self.records[host.name].member is None]
        first = self.records[lead].member
        if not coming and first is not None and first.confirmed:
            return ()
        steps = [*self._ground(lead)]
        latest: tuple[StepId, ...] = (steps[-1].id,)
        if not founded:
            started = [*self._started(lead, latest)]
            steps += started
            latest = tuple(step.id for step in started if isinstance(step.do, LeadOkd))
        for host in coming:
            if host.role is OkdRole.WORKER or founded:
                installed = () if founded and self._runs(host) else self._installed(host, latest)
                steps += installed
                steps.append(self._joined(host, tuple(step.id for step in installed[-1:]) or latest))
        steps.append(self._confirm(lead, tuple(step.id for step in steps if isinstance(step.do, JoinOkd | LeadOkd))))
        return tuple(steps)

    def _ground(self, lead: MachineName) -> Iterator[Step]:
        spec, words = self.spec, catalogue.standing(self.described).words
        moves = (
            Move(
                do=CheckOkd(spec=spec),
                summary=f"look whether {spec.cluster.name} can be: {words}",
                budget=_CHECK_SECONDS,
            ),
            Move(
                do=ServeOkd(spec=spec, starting=spec.bootstrap is not None),
                summary=f"serve names below {spec.zone}, and lead {spec.cluster.endpoint} to its machines",
                budget=_SERVE_SECONDS,
            ),
            Move(do=MakeOkd(spec=spec), summary=f"make the Ignition of {spec.cluster.name}", budget=_MAKE_SECONDS),
        )
        yield from chain(NAME, lead, moves)

    def _started(self, lead: MachineName, after: tuple[StepId, ...]) -> Iterator[Step]:
        """Bootstrap machine and control planes at the same time: each waits for the other."""
        spec, booted = self.spec, list[StepId]()
        for host in (*((spec.bootstrap,) if spec.bootstrap is not None else ()), *spec.planes):
            steps = self._installed(host, after)
            yield from steps
            booted.append(steps[-1].id)
        started = step_of(
            NAME, lead, StartOkd(spec=spec), f"see that {spec.cluster.name} holds itself", _START_SECONDS, tuple(booted)
        )
        yield started
        leaves = spec.bootstrap.name if spec.bootstrap is not None else lead
        what = f"{spec.cluster.endpoint} leads to nodes alone: {leaves} is needed no more"
        yield step_of(NAME, leaves, LeadOkd(spec=spec), what, _LEAD_SECONDS, (started.id,))
        for host in spec.planes:
            yield self._joined(host, (started.id,))

    def _installed(self, host: OkdHost, after: tuple[StepId, ...]) -> tuple[Step, ...]:
        record = self.records[host.name]
        assert record.facts is not None  # noqa: S101  others wait
        disk, scos = choose_disk(record.facts, self.disk, 0, self.overwrite), self._scos()
        ref = DiskRef.of(disk)
        run = RunInstaller(
            installer=scos,
            disk=ref,
            hostname=host.name,
            domain=self.spec.domain,
            authorized_keys=self.spec.keys,
            okd=self.spec,
        )
        holds = f"disk {describe(disk)} of {host.name}, which now holds: {disk.contents}"
        says = f"install SCOS as {host.role.value} of {self.spec.cluster.name} on {holds}"
        first, *others = chain(
            NAME,
            host.name,
            (
                Move(do=run, summary=says, budget=_INSTALL_SECONDS),
                Move(
                    do=BootDisk(disk=ref, image=scos, by_itself=True),
                    summary=f"boot {host.name} from its disk",
                    budget=_BOOT_SECONDS,
                ),
            ),
        )
        return (replace(first, needs=after), *others)

    def _scos(self) -> InstallerRef:
        found = artifacts_of(self.described).files
        return InstallerRef(
            name=ImageName(f"scos-{self.described.version}"),
            answers=AnswerKind.SCOS,
            kernel_sha256=found[OkdFile.KERNEL].sha256,
            initrd_sha256=found[OkdFile.INITRAMFS].sha256,
            files_sha256=found[OkdFile.ROOTFS].sha256,
            raw_bytes=DISK_BYTES,
        )

    def _runs(self, host: OkdHost) -> bool:
        """Whether what was installed there has reported: of a cluster that holds itself it only has to come in."""
        installed = self.records[host.name].installed
        return installed is not None and installed.image == self._scos()

    def _joined(self, host: OkdHost, after: tuple[StepId, ...]) -> Step:
        role = NodeRole.CONTROL_PLANE if host.role is OkdRole.MASTER else NodeRole.WORKER
        says = f"see {host.name} ready in {self.spec.cluster.name} as {role.value}"
        return step_of(NAME, host.name, JoinOkd(spec=self.spec, role=role), says, _JOIN_SECONDS, after)

    def _confirm(self, lead: MachineName, after: tuple[StepId, ...]) -> Step:
        says = f"see that {self.spec.cluster.name} is whole: version, operators, {len(self.spec.nodes)} nodes"
        return step_of(NAME, lead, ConfirmOkd(spec=self.spec), says, _CONFIRM_SECONDS, after)
