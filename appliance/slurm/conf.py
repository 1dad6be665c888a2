"""slurm.conf(5), gres.conf(5) and cgroup.conf(5) of a cluster: one text of each for all of its machines.

Controllers have these files; nodes get them from a controller ("configless"), when they start and when it is told to
reconfigure. So no node has another configuration than the cluster.
"""

from collections.abc import Iterator

from appliance.model.slurm import CONTROLLER_PORT, Gpus, SlurmHome, SlurmNode, SlurmPartition, SlurmSpec

_MADE = "# Made by the appliance from its inventory. What is changed here is made anew.\n"

CGROUP = f"""\
{_MADE}\
CgroupPlugin=autodetect
ConstrainCores=yes
ConstrainDevices=yes
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
"""
"""Debian 13 has cgroup v2, for which `autodetect` is cgroup/v2."""


def slurm_conf(spec: SlurmSpec) -> str:
    return _MADE + "\n".join((*_cluster(spec), *map(_node, spec.nodes), *map(_partition, spec.partitions), ""))


def gres_conf(spec: SlurmSpec) -> str:
    lines = [line for node in spec.nodes if node.gpus is not None for line in _devices(node, node.gpus)]
    return _MADE + "\n".join(("AutoDetect=off", *lines, ""))


def slurmd_options(home: SlurmHome) -> str:
    """/etc/default/slurmd: where a node gets its configuration."""
    servers = ",".join(f"{host.address}:{CONTROLLER_PORT}" for host in home.controllers)
    return f'{_MADE}SLURMD_OPTIONS="--conf-server {servers}"\n'


def _cluster(spec: SlurmSpec) -> Iterator[str]:
    yield f"ClusterName={spec.home.name}"
    for host in spec.home.controllers:
        yield f"SlurmctldHost={host.name}({host.address})"
    yield f"StateSaveLocation={spec.state}"
    yield from _SETTINGS.splitlines()
    if any(node.gpus is not None for node in spec.nodes):
        yield "GresTypes=gpu"
    # A job that does not say how much memory it needs would get all of a node's.
    yield f"DefMemPerCPU={max(1, min(node.memory // node.cpus for node in spec.nodes))}"


def _node(node: SlurmNode) -> str:
    counts = f"Boards=1 SocketsPerBoard={node.sockets} CoresPerSocket={node.cores} ThreadsPerCore={node.threads}"
    gres = f" Gres={_gres(node.gpus)}" if node.gpus is not None else ""
    return f"NodeName={node.name} NodeAddr={node.address} {counts} RealMemory={node.memory}{gres} State=UNKNOWN"


def _gres(gpus: Gpus) -> str:
    return ":".join(word for word in ("gpu", gpus.kind, str(len(gpus.files))) if word)


def _partition(partition: SlurmPartition) -> str:
    longest = "INFINITE" if partition.minutes is None else str(partition.minutes)
    default = "YES" if partition.default else "NO"
    nodes = ",".join(partition.nodes)
    return f"PartitionName={partition.name} Nodes={nodes} Default={default} MaxTime={longest} State=UP"


def _devices(node: SlurmNode, gpus: Gpus) -> Iterator[str]:
    kind = f" Type={gpus.kind}" if gpus.kind else ""
    for file in gpus.files:
        yield f"NodeName={node.name} Name=gpu{kind} File={file}"


_SETTINGS = """\
SlurmUser=slurm
AuthType=auth/munge
CredType=cred/munge
SlurmctldParameters=enable_configless
SlurmctldPidFile=/run/slurmctld/slurmctld.pid
SlurmdPidFile=/run/slurm/slurmd.pid
SlurmdSpoolDir=/var/lib/slurm/slurmd
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup,task/affinity
JobAcctGatherType=jobacct_gather/cgroup
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=1
SlurmctldTimeout=60
SlurmdTimeout=120
MpiDefault=none
DebugFlags=GLOB_SILENCE"""
