"""What the conductor tells a BMC. The journal holds each order before it leaves; its key makes a repetition visible."""

from dataclasses import dataclass
from typing import Literal

from appliance.model.bmc import BootTarget, PowerCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerOrder:
    command: PowerCommand
    order: Literal["power"] = "power"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootOrder:
    """One-time boot source override."""

    target: BootTarget
    order: Literal["boot-once"] = "boot-once"


Order = PowerOrder | BootOrder
