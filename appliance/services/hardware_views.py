"""A machine's disks and NICs as the API shows them. Pure."""

from collections.abc import Iterator

from appliance.model.hardware import Disk, HardwareFacts, Neighbour
from appliance.model.views import DiskView, LinkView


def disk_view(disk: Disk) -> DiskView:
    return DiskView(
        name=disk.name,
        serial=disk.serial,
        wwn=disk.wwn,
        size_bytes=disk.size_bytes,
        model=disk.model,
        rotational=disk.rotational,
        contents=disk.contents,
    )


def links_of(facts: HardwareFacts) -> Iterator[LinkView]:
    """Each NIC once, then the neighbours that no NIC is known for."""
    heard = {neighbour.nic: neighbour for neighbour in facts.neighbours if neighbour.nic}
    for nic in facts.nics:
        near = heard.get(nic.name)
        yield LinkView(
            nic=nic.name,
            mac=str(nic.mac),
            up=nic.carrier,
            speed_mbps=nic.speed_mbps,
            switch=_switch(near) if near else "",
            port=near.port if near else "",
        )
    for neighbour in facts.neighbours:
        if not neighbour.nic:
            yield LinkView(nic="", switch=_switch(neighbour), port=neighbour.port)


def _switch(neighbour: Neighbour) -> str:
    return neighbour.system or neighbour.chassis
