"""What a topology can offer, as industry concepts: replacing the tool behind one must not touch any score.

A capability states givens that a plan is computed from; the conductor's drivers act on them.
Scores name what they need as a Protocol of capabilities:

    class Needs(PowerControl, NetworkBoot, Protocol): ...
    class Discover:
        def plan(self, site: Needs, inventory: Inventory) -> Plan: ...
"""

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from appliance.model.balancer import Balancer
from appliance.model.bmc import BmcEndpoint, BootTarget
from appliance.model.host_network import HostNetwork
from appliance.model.ids import ImageName, MachineName
from appliance.model.site import BootNetwork, ShellAccess
from appliance.model.site_services import Registry
from appliance.model.switch import Switch
from appliance.plan import ShellCheck
from pxe.client import Mac

if TYPE_CHECKING:
    from appliance.roles.role import Role


class Capability(Protocol):
    """Marks the Protocols in this file, so that a check can tell them from the combinations that scores make."""


@runtime_checkable
class BareMachines(Capability, Protocol):
    """There are machines at all, each with a name."""

    @property
    def machines(self) -> tuple[MachineName, ...]: ...


@runtime_checkable
class PowerControl(Capability, Protocol):
    """Power is commanded from afar."""

    def bmc_of(self, machine: MachineName) -> BmcEndpoint: ...


@runtime_checkable
class BootOverride(Capability, Protocol):
    """The next boot can be sent to another source than the configured order."""

    @property
    def boot_targets(self) -> frozenset[BootTarget]: ...


@runtime_checkable
class VirtualMedia(Capability, Protocol):
    """A remote image can be inserted as if it were a disc."""

    def media_slots_of(self, machine: MachineName) -> int: ...


@runtime_checkable
class NetworkBoot(Capability, Protocol):
    """Machines boot from this segment."""

    @property
    def boot_network(self) -> BootNetwork: ...


@runtime_checkable
class AddressPlan(Capability, Protocol):
    """Addresses are given out on purpose; None where the pool decides."""

    def address_of(self, machine: MachineName) -> IPv4Address | None: ...


@runtime_checkable
class HostNetworks(Capability, Protocol):
    """What network an installed machine has; None where DHCP decides."""

    def network_of(self, machine: MachineName) -> HostNetwork | None: ...

    def boot_mac_of(self, machine: MachineName) -> Mac | None:
        """Of the NIC that it boots from; None where nobody stated it."""
        ...


@runtime_checkable
class NameService(Capability, Protocol):
    """Names of machines resolve."""

    @property
    def domain(self) -> str: ...


@runtime_checkable
class ImageLibrary(Capability, Protocol):
    """Operating system images are at hand."""

    @property
    def images(self) -> tuple[ImageName, ...]: ...


@runtime_checkable
class ContainerRegistry(Capability, Protocol):
    """Images of containers are at hand, for whoever asks on the boot network. Which sets of them, and who has signed
    its certificate, says the inventory."""

    @property
    def registry(self) -> Registry: ...


@runtime_checkable
class LoadBalancer(Capability, Protocol):
    """Connections to an address are passed on to whoever is well behind it. Where that is done is a value; what is
    listened on, a score says."""

    @property
    def balancer(self) -> Balancer: ...

    @property
    def cluster_address(self) -> IPv4Address:
        """At which clusters are reached."""
        ...


@runtime_checkable
class SwitchPorts(Capability, Protocol):
    """Ports of these switches may be changed."""

    @property
    def switches(self) -> tuple[Switch, ...]: ...


@runtime_checkable
class RolePlan(BareMachines, Capability, Protocol):
    """Machines are wanted for something: how many for what, by which rules; an override is (machine, role)."""

    @property
    def roles(self) -> "tuple[Role, ...]": ...

    @property
    def role_overrides(self) -> tuple[tuple[str, str], ...]: ...


@runtime_checkable
class Draining(Capability, Protocol):
    """What runs on a machine before it is taken out of service, if anything."""

    @property
    def drain(self) -> ShellCheck | None: ...


@runtime_checkable
class Shell(Capability, Protocol):
    """Installed machines can be entered."""

    @property
    def shell(self) -> ShellAccess: ...
