"""What kinds of steps there are: the table is the whole truth, the documentation is drawn from it."""

from dataclasses import dataclass
from enum import Enum


class StepKind(Enum):
    READ = "read"
    IDEMPOTENT = "idempotent"
    DESTRUCTIVE = "destructive"


class Cost(Enum):
    """What a step takes of what the rack shares."""

    BMC = "BMC"
    POWER = "power-on"
    UPLINK = "uplink"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRule:
    """`before`: what has to be so; `evidence`: what proves it done; `costs`: what it takes while it runs."""

    kind: StepKind
    before: str
    evidence: str
    costs: Cost


STEPS: dict[str, StepRule] = {
    "enrol": StepRule(
        kind=StepKind.READ,
        before="nothing",
        evidence="the BMC's word on serial number, UUID and MACs, which no other machine claims",
        costs=Cost.BMC,
    ),
    "boot-agent": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="a BMC that takes orders",
        evidence="hello from the agent with the nonce of this boot",
        costs=Cost.POWER,
    ),
    "inspect": StepRule(
        kind=StepKind.READ,
        before="the agent runs",
        evidence="hardware facts with the nonce of this boot",
        costs=Cost.NOTHING,
    ),
    "write-image": StepRule(
        kind=StepKind.DESTRUCTIVE,
        before="the agent runs; the disk named by serial number, WWN and size holds what the plan says, or nothing",
        evidence="every block verified and flushed, the first one last",
        costs=Cost.UPLINK,
    ),
    "write-seed": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the image is on the disk",
        evidence="the partition's hash read back",
        costs=Cost.NOTHING,
    ),
    "run-installer": StepRule(
        kind=StepKind.DESTRUCTIVE,
        before="a BMC that takes orders; the disk named by serial number, WWN and size holds what the plan says, or "
        "nothing",
        evidence="the installer's own word that it is done, with the nonce of this boot",
        costs=Cost.UPLINK,
    ),
    "boot-disk": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="image and seed are on the disk",
        evidence="report of the installed system with the nonce of its seed",
        costs=Cost.POWER,
    ),
    "confirm-shell": StepRule(
        kind=StepKind.READ,
        before="the installed system has reported",
        evidence="SSH with the reported host key; each check's output as expected",
        costs=Cost.NOTHING,
    ),
    "set-power": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="a BMC that takes orders",
        evidence="on: the machine's own packets; off: the BMC's word, which nothing contradicts",
        costs=Cost.POWER,
    ),
    "drain": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="nothing; a machine that cannot be reached has nothing left to drain",
        evidence="the hook's exit status",
        costs=Cost.NOTHING,
    ),
    "wipe": StepRule(
        kind=StepKind.DESTRUCTIVE,
        before="the agent runs; the disk named by serial number, WWN and size holds what the plan says, or nothing",
        evidence="zeros read back: a sample after discarding, every block after erasing",
        costs=Cost.NOTHING,
    ),
    "rescue": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the agent runs",
        evidence="host key of the SSH server in the ramdisk",
        costs=Cost.NOTHING,
    ),
    "retire": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="nothing of the machine is needed any more",
        evidence="power is off; lease, name and BMC log-in looked for and not found",
        costs=Cost.BMC,
    ),
    "prepare-node": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the installed system has been confirmed; the set's files and images are at hand, each by its hash",
        evidence="the node's own word that all of it is in place, and that its container runtime runs",
        costs=Cost.UPLINK,
    ),
    "found-cluster": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the node is prepared",
        evidence="the cluster's API answers on the node, with keys that are in the vault",
        costs=Cost.NOTHING,
    ),
    "join-cluster": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the node is prepared; the cluster was founded",
        evidence="the cluster lists the node under the machine's own name and address",
        costs=Cost.NOTHING,
    ),
    "confirm-cluster": StepRule(
        kind=StepKind.READ,
        before="every node has joined",
        evidence="the API answers at the cluster's endpoint; every node is ready, in its version and role",
        costs=Cost.NOTHING,
    ),
    "share-endpoint": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the node is prepared",
        evidence="the node's own word that keepalived took its configuration and runs",
        costs=Cost.NOTHING,
    ),
    "drain-node": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the cluster's API answers; a node that does not answer has nothing left to drain",
        evidence="the cluster's word that the node takes nothing new, and that nothing runs there which could move",
        costs=Cost.NOTHING,
    ),
    "reset-node": StepRule(
        kind=StepKind.DESTRUCTIVE,
        before="the node is drained",
        evidence="the node's own word that no key and no memory of the cluster is left on it",
        costs=Cost.NOTHING,
    ),
    "remove-node": StepRule(
        kind=StepKind.DESTRUCTIVE,
        before="another control plane has the cluster's keys and answers",
        evidence="neither the cluster nor its etcd lists the node",
        costs=Cost.NOTHING,
    ),
    "end-cluster": StepRule(
        kind=StepKind.DESTRUCTIVE,
        before="every node was reset",
        evidence="the appliance's access, which is given up last, looked for and not found",
        costs=Cost.NOTHING,
    ),
    "back-up-cluster": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="a control plane answers",
        evidence="a backup begun since the step was, on the appliance: its revision, size and SHA-256, read back",
        costs=Cost.NOTHING,
    ),
    "restore-cluster": StepRule(
        kind=StepKind.DESTRUCTIVE,
        before="every other control plane was reset; the backup proves itself",
        evidence="the node's own word that keys and memory are the backup's; the API answers and is ready",
        costs=Cost.UPLINK,
    ),
    "upgrade-node": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the node is drained; a backup was taken; the set's files and images are at hand, each by its hash",
        evidence="the cluster's word that the node is ready in the new version and takes pods again",
        costs=Cost.UPLINK,
    ),
    "deploy-application": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the cluster is ready; every digest of the package answers",
        evidence="the cluster's word that each object is well; its smoke test; nothing of another version is left",
        costs=Cost.UPLINK,
    ),
    "retire-application": StepRule(
        kind=StepKind.DESTRUCTIVE,
        before="the cluster's API answers",
        evidence="each of its objects looked for in the cluster, and none found",
        costs=Cost.NOTHING,
    ),
    "prepare-host": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the set's files are at hand, each by its hash",
        evidence="the machine's own mark of exactly these packages, this registry and its certificate",
        costs=Cost.UPLINK,
    ),
    "deploy-hosted": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the host is prepared; every digest of the package answers; no unit has another's name",
        evidence="the host's word: its units and no other, each container runs and is healthy; its smoke test",
        costs=Cost.UPLINK,
    ),
    "retire-hosted": StepRule(
        kind=StepKind.DESTRUCTIVE,
        before="the host answers",
        evidence="units, containers, networks, images and volumes looked for on the host, and none found",
        costs=Cost.NOTHING,
    ),
    "check-okd": StepRule(
        kind=StepKind.READ,
        before="nothing",
        evidence="each file by its hash, installer and boot files of one release, each image answered, the time given",
        costs=Cost.NOTHING,
    ),
    "serve-okd": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="all that can be known beforehand was looked at",
        evidence="each name and address asked of the name service; a connection to each of the four ports",
        costs=Cost.NOTHING,
    ),
    "make-okd": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="names and balancer are there; the installer is the release's",
        evidence="Ignition for each role, younger than twelve hours, sealed with the time of its making",
        costs=Cost.NOTHING,
    ),
    "start-okd": StepRule(
        kind=StepKind.READ,
        before="bootstrap machine and control planes run from their disks",
        evidence="the API's word that bootstrapping is complete, and the installer's",
        costs=Cost.NOTHING,
    ),
    "lead-okd": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="bootstrapping is complete",
        evidence="the balancer's word: the bootstrap machine is behind none of its ports",
        costs=Cost.NOTHING,
    ),
    "join-okd": StepRule(
        kind=StepKind.READ,
        before="the machine runs from its disk; its requests for certificates are judged",
        evidence="the cluster lists the node under the machine's own name and address, ready",
        costs=Cost.NOTHING,
    ),
    "confirm-okd": StepRule(
        kind=StepKind.READ,
        before="every node has joined",
        evidence="version, every operator and machine config pool by the cluster's word; no request pending",
        costs=Cost.NOTHING,
    ),
    "bond-ports": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the machine is entered by SSH; its ports at the switch are access ports, or the channel already",
        evidence="the machine hears the switch by LACP on every port; the switch's own configuration, confirmed",
        costs=Cost.NOTHING,
    ),
    "prepare-slurm": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the set's files are at hand, each by its hash; no job of Slurm runs on the machine",
        evidence="the machine's own mark of exactly these packages",
        costs=Cost.UPLINK,
    ),
    "serve-slurm": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the machine is prepared; who is to leave is drained",
        evidence="the controller answers, and lists the nodes of this configuration and no other",
        costs=Cost.NOTHING,
    ),
    "join-slurm": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="the machine is prepared; a controller has it in its configuration",
        evidence="the controller's word that the node takes jobs, at this address and in this version",
        costs=Cost.NOTHING,
    ),
    "drain-slurm": StepRule(
        kind=StepKind.IDEMPOTENT,
        before="a controller answers",
        evidence="the controller's word that the node takes no jobs and has none, or that it knows none of that name",
        costs=Cost.NOTHING,
    ),
    "leave-slurm": StepRule(
        kind=StepKind.DESTRUCTIVE,
        before="the machine is drained, and in no controller's configuration",
        evidence="the machine's own word that nothing of Slurm runs and that the key is gone",
        costs=Cost.NOTHING,
    ),
    "confirm-slurm": StepRule(
        kind=StepKind.READ,
        before="every node has joined",
        evidence="every controller answers, every node is well, and a job on each answered with the same configuration",
        costs=Cost.NOTHING,
    ),
}
