"""The material that plans are made of: what is known of each machine, and which images are at hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from appliance.model.application import AppName, Deployed
from appliance.model.bmc import SystemIdentity
from appliance.model.cluster import ClusterName, Member
from appliance.model.hardware import HardwareFacts
from appliance.model.hosted import ContainerHost
from appliance.model.ids import ImageName, MachineName
from appliance.model.links import MachineNetwork
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.site_services import RegistryPlace
from appliance.model.slurm import SlurmMember
from appliance.plan import DiskRef, InstallerRef, OsRef
from appliance.roles.disk import DiskPolicy, Overwrite
from images.artifact_set import ArtifactSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the installed system said of itself at its first boot. `network` is the one of its seed; None: DHCP."""

    image: OsRef
    hostname: str
    address: IPv4Address
    host_keys: tuple[str, ...]
    confirmed: bool = False
    smoke_passed: bool = False
    disk: DiskRef | None = None
    network: MachineNetwork | None = None

    @property
    def is_static(self) -> bool:
        """It reported from an address that is its own, whatever DHCP gives to its firmware."""
        stated = self.network.addresses if self.network is not None else ()
        return any(address.ip == self.address for address in stated)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRecord:
    """`facts_current` until a disk is written to or the machine starts anew: then what `facts` says of disks is old.

    `replaced`: another machine has taken its role; it gets none before a person has repaired it. `drained`: its hook
    ran since it was installed. `bonded` is the network that it got since, together with its switch.
    """

    name: MachineName
    phase: Phase = Phase.UNKNOWN
    since: float = 0.0
    conditions: tuple[Condition, ...] = ()
    identity: SystemIdentity | None = None
    facts: HardwareFacts | None = None
    facts_current: bool = False
    installed: Installed | None = None
    role: str = ""
    spare_of: str = ""
    replaced: bool = False
    drained: bool = False
    member: Member | None = None
    slurm: SlurmMember | None = None
    host: ContainerHost | None = None
    bonded: MachineNetwork | None = None

    @property
    def in_hand(self) -> bool:
        """Whether the site program leaves it alone: it is being emptied or repaired, or was taken out of service."""
        return self.phase in (Phase.RELEASING, Phase.RETIRED, Phase.RESCUE, Phase.PREPARING)

    @property
    def failed(self) -> bool:
        return any(condition.kind is ConditionKind.FAILED for condition in self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """With `by_role` only machines that have a role are installed, each on the disk that `disks` states for it.
    `ignition` is the ramdisk that configures an image on a disk, None where it was not built.
    `sets` are the artifact sets that the appliance holds, by name; `registry` is where their images are.
    `applications` are those that run, by cluster and name."""

    machines: Mapping[MachineName, MachineRecord]
    images: Mapping[ImageName, OsRef]
    ignition: InstallerRef | None = None
    by_role: bool = False
    disks: Mapping[str, tuple[DiskPolicy, Overwrite]] = field(default_factory=dict)
    sets: Mapping[str, ArtifactSet] = field(default_factory=dict)
    registry: RegistryPlace | None = None
    applications: Mapping[tuple[ClusterName, AppName], Deployed] = field(default_factory=dict)

    def record(self, name: MachineName) -> MachineRecord:
        """A machine of which nothing was seen yet has the empty record."""
        return self.machines.get(name) or MachineRecord(name=name)
