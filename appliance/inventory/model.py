"""The material that plans are made of: what is known of each machine, and which images are at hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from appliance.model.bmc import SystemIdentity
from appliance.model.hardware import HardwareFacts
from appliance.model.ids import ImageName, MachineName
from appliance.model.phase import Condition, Phase
from appliance.plan import ImageRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the installed system said of itself at its first boot."""

    image: ImageRef
    hostname: str
    address: IPv4Address
    host_keys: tuple[str, ...]
    confirmed: bool = False
    smoke_passed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRecord:
    name: MachineName
    phase: Phase = Phase.UNKNOWN
    since: float = 0.0
    conditions: tuple[Condition, ...] = ()
    identity: SystemIdentity | None = None
    facts: HardwareFacts | None = None
    installed: Installed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    machines: Mapping[MachineName, MachineRecord]
    images: Mapping[ImageName, ImageRef]

    def record(self, name: MachineName) -> MachineRecord:
        """A machine of which nothing was seen yet has the empty record."""
        return self.machines.get(name) or MachineRecord(name=name)
