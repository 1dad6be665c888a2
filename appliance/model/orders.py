"""What the conductor tells others: BMCs, and the services that know a machine.

The journal holds each order before it leaves; its key makes a repetition visible.
"""

from dataclasses import dataclass
from enum import Enum
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOrder:
    """A one-time token into the drive of the BMC: whoever boots and has it is the machine that the BMC belongs to."""

    order: Literal["token"] = "token"


class Trace(Enum):
    """What the appliance keeps of a machine for its service, in the order in which it goes."""

    LEASE = "lease"
    NAME = "name"
    LOGIN = "BMC log-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetOrder:
    trace: Trace
    order: Literal["forget"] = "forget"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOrder:
    """The step's work on a cluster is begun, on the node or by the cluster's API."""

    order: Literal["cluster"] = "cluster"


Order = PowerOrder | BootOrder | TokenOrder | ForgetOrder | ClusterOrder
