"""Slurm clusters: what is wanted of one, and as what a machine belongs to it."""

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address
from typing import Literal

from appliance.errors import SiteError
from appliance.model.cluster import ClusterName, SetRef
from appliance.model.ids import MachineName

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_PATH = re.compile(r"/[A-Za-z0-9._/-]{1,200}")
_KIND = re.compile(r"[a-z0-9][a-z0-9_]{0,39}|")
CONTROLLER_PORT = 6817
"""On which slurmctld answers (SlurmctldPort's default in slurm.conf(5))."""


class SlurmRole(Enum):
    CONTROLLER = "controller"
    WORKER = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmHost:
    """A machine on which slurmctld runs."""

    name: MachineName
    address: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmHome:
    """What every machine of a cluster is told. The first controller decides while it lives, the second stands by.
    `key` counts the cluster's keys: with the next number all machines get another one."""

    name: ClusterName
    set: SetRef
    controllers: tuple[SlurmHost, ...]
    key: int = 1

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not 1 <= self.key <= 1_000_000:
            raise _refused("a cluster", repr((self.name, self.key)))
        if not 1 <= len(self.controllers) <= 2:
            raise _refused("controllers", ", ".join(host.name for host in self.controllers) or "none")

    @property
    def primary(self) -> SlurmHost:
        return self.controllers[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """Of one node: device files in the order of their numbers; `kind` is "" where they are not alike."""

    kind: str
    files: tuple[str, ...]

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind) or not all(map(_PATH.fullmatch, self.files)):
            raise _refused("GPUs", repr((self.kind, self.files)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmNode:
    """`cores` of each socket, `threads` of each core; `memory` in MiB is what jobs may have of it."""

    name: MachineName
    address: IPv4Address
    sockets: int
    cores: int
    threads: int
    memory: int
    gpus: Gpus | None = None

    @property
    def devices(self) -> tuple[str, ...]:
        return self.gpus.files if self.gpus is not None else ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or min(self.sockets, self.cores, self.threads, self.memory) < 1:
            raise _refused("a node", repr(self))

    @property
    def cpus(self) -> int:
        return self.sockets * self.cores * self.threads


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmPartition:
    """`nodes` by name. `minutes` is the longest that a job may take, None without limit."""

    name: str
    nodes: tuple[MachineName, ...]
    default: bool = False
    minutes: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or (self.minutes is not None and self.minutes < 1):
            raise _refused("a partition", repr((self.name, self.minutes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmSpec:
    """All that the cluster's one configuration is rendered from. `state` is the folder in which slurmctld remembers
    jobs: with two controllers it lies on storage that both have."""

    home: SlurmHome
    nodes: tuple[SlurmNode, ...]
    partitions: tuple[SlurmPartition, ...]
    state: str

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.state) or not self.nodes or not self.partitions:
            raise _refused("a cluster", repr((self.home.name, self.state, len(self.nodes), len(self.partitions))))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmMember:
    """As what a machine belongs to a cluster since `since` (seconds since the epoch). A controller has all of `spec`, a
    worker had these `devices`; `confirmed` is noted with the first controller: the cluster ran a job on every node."""

    home: SlurmHome
    role: SlurmRole
    since: float
    spec: SlurmSpec | None = None
    devices: tuple[str, ...] = ()
    confirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSlurm:
    """The packages of that version are on the machine, and nothing of them was started."""

    home: SlurmHome
    role: SlurmRole
    action: Literal["prepare-slurm"] = "prepare-slurm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSlurm:
    """slurmctld runs on the machine with this configuration, and hands it to every node."""

    spec: SlurmSpec
    action: Literal["serve-slurm"] = "serve-slurm"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinSlurm:
    """slurmd runs on the machine and takes jobs. `devices` are files that have to be there before."""

    home: SlurmHome
    devices: tuple[str, ...] = ()
    action: Literal["join-slurm"] = "join-slurm"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainSlurm:
    """`node` takes no new job, and its last one has ended; asked of the controller, from the node itself."""

    home: SlurmHome
    node: MachineName
    action: Literal["drain-slurm"] = "drain-slurm"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveSlurm:
    """Nothing of the cluster runs on the machine any more, and its key is gone from there."""

    home: SlurmHome
    action: Literal["leave-slurm"] = "leave-slurm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmSlurm:
    """Every controller answers, every node but those in `without` is well, and a job ran on each that has nothing else
    to do."""

    spec: SlurmSpec
    without: tuple[MachineName, ...] = ()
    action: Literal["confirm-slurm"] = "confirm-slurm"


SlurmAction = PrepareSlurm | ServeSlurm | JoinSlurm | DrainSlurm | LeaveSlurm | ConfirmSlurm


def home_of(do: SlurmAction) -> SlurmHome:
    return do.spec.home if isinstance(do, ServeSlurm | ConfirmSlurm) else do.home


def _refused(what: str, evidence: str) -> SiteError:
    return SiteError(
        f"{what} of Slurm cannot be that",
        evidence=evidence[:200],
        next_action="state names of lower-case letters, digits and dashes, absolute paths, one or two controllers",
    )
