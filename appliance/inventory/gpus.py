"""GPUs that compute: what lshw(1) lists in the class `display`, with the ids of pci.ids(5) that `-numeric` adds."""

import re
from collections.abc import Iterator

from appliance.model.hardware import Gpu
from appliance.model.text import clean
from images.agent.fields import Json

NVIDIA, AMD = "10de", "1002"
_MOST = 64
_NODES = 20_000
_VENDOR = re.compile(r"\[([0-9A-Fa-f]{4})\]\s*$")
_DEVICE = re.compile(r"\s*\[([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})\]\s*$")
_BUS = re.compile(r"pci@([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])")


def parse_gpus(lshw: Json) -> tuple[Gpu, ...]:
    """In the order of their places. A BMC's graphics are of other makers, and no use to jobs."""
    found = {gpu.bus: gpu for gpu in map(_gpu, _displays(lshw)) if gpu is not None}
    return tuple(found[bus] for bus in sorted(found))[:_MOST]


def _displays(tree: Json) -> Iterator[dict[str, Json]]:
    """Of the first nodes of a tree that somebody else has grown."""
    waiting, seen = [tree], 0
    while waiting and (seen := seen + 1) < _NODES:
        match waiting.pop():
            case list(several):
                waiting.extend(several)
            case dict(node):
                waiting.append(node.get("children"))
                if node.get("class") == "display":
                    yield node
            case _:
                pass


def _gpu(node: dict[str, Json]) -> Gpu | None:
    match node:
        case {"businfo": str(bus), "product": str(product), "vendor": str(vendor)}:
            place, maker, device = _BUS.fullmatch(bus), _VENDOR.search(vendor[-40:]), _DEVICE.search(product[-200:])
        case _:
            return None
    if place is None or maker is None or maker[1].lower() not in (NVIDIA, AMD):
        return None
    model = _DEVICE.sub("", product[-200:])
    return Gpu(
        vendor=maker[1].lower(),
        device=device[2].lower() if device is not None else "",
        bus=place[1],
        model=clean(model, 80) if model else "",
    )
