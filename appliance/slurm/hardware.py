"""A machine's facts as Slurm counts them."""

import re
from ipaddress import IPv4Address

from appliance.inventory.gpus import AMD, NVIDIA
from appliance.model.hardware import Gpu, HardwareFacts
from appliance.model.ids import MachineName
from appliance.model.slurm import Gpus, SlurmNode

_MIB = 1 << 20
_FIRST_RENDER = 128  # minors of render nodes: drm(7)
_MODEL = re.compile(r"\[([^\[\]]+)\]\s*$")


def node_of(name: MachineName, address: IPv4Address, facts: HardwareFacts, *, gpus: bool) -> SlurmNode | None:
    """None where nobody has said how many cores or how much memory it has.

    A node that registers with less than its configuration says is of no use to Slurm. What does not divide evenly
    (cores of two kinds, an empty socket) is therefore counted as whole cores of one socket."""
    if facts.cores < 1 or facts.memory_bytes < _MIB:
        return None
    sockets, cores, threads = _counted(facts)
    return SlurmNode(
        name=name,
        address=address,
        sockets=sockets,
        cores=cores,
        threads=threads,
        memory=max(1, usable(facts.memory_bytes)),
        gpus=_gpus(facts.gpus) if gpus else None,
    )


def usable(memory: int) -> int:
    """MiB for jobs of so many bytes: the system keeps a twentieth, at least 512 MiB where there is as much, because
    the installed kernel manages a little less than the one that counted, and runs beside the jobs."""
    whole = memory // _MIB
    return whole - min(max(whole // 20, 512), whole // 2)


def _counted(facts: HardwareFacts) -> tuple[int, int, int]:
    sockets, threads = max(1, facts.sockets), max(facts.threads, facts.cores)
    if facts.cores % sockets or threads % facts.cores:
        return 1, facts.cores, 1
    return sockets, facts.cores // sockets, threads // facts.cores


def _gpus(found: tuple[Gpu, ...]) -> Gpus | None:
    """Of the maker that most of them are of: drivers number their devices by place."""
    makers = [gpu.vendor for gpu in found]
    if not makers:
        return None
    maker = max((NVIDIA, AMD), key=makers.count)
    alike = [gpu for gpu in found if gpu.vendor == maker]
    kinds = {_kind(gpu) for gpu in alike}
    return Gpus(
        kind=kinds.pop() if len(kinds) == 1 else "",
        files=tuple(_file(maker, number) for number in range(len(alike))),
    )


def _file(maker: str, number: int) -> str:
    return f"/dev/nvidia{number}" if maker == NVIDIA else f"/dev/dri/renderD{_FIRST_RENDER + number}"


def _kind(gpu: Gpu) -> str:
    """`TU104GL [Tesla T4]` is a `tesla_t4`."""
    found = _MODEL.search(gpu.model)
    words = re.findall(r"[a-z0-9]+", (found[1] if found else gpu.model).lower())
    return "_".join(words)[:40].rstrip("_")
