"""The virtual rack as a topology: the same kind of value that describes a real one."""

import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance.errors import SiteError, UsageError
from appliance.lab.spec import BRIDGE, BRIDGE_ADDRESS, BmcKind, RackNode, RackSpec, RackState, nodes_of
from appliance.model.bmc import BmcEndpoint
from appliance.model.codec import from_json
from appliance.model.hardware import Firmware
from appliance.model.ids import ImageName, machine_name
from appliance.model.place import Place
from appliance.model.secret import Secret
from appliance.model.site import BootNetwork, Server, ShellAccess, SolConsole, UnixConsole
from appliance.topology import ClusterRack, Rack

VARIABLE = "INNERVATE_LAB"
IMAGE = ImageName("debian-13")

_STATE_FILE = "rack.json"  # appliance.lab.supervisor writes it
_KEY_FILE = "id_ed25519.pub"
_DOMAIN = "rack.test"
_DEFAULT_NODES = 2
_NEVER_MATCHES = "00" * 32  # no certificate has this SHA-256


def lab_rack(workdir: Path | None = None) -> Rack:
    """The rack that runs in `workdir`, else in $INNERVATE_LAB, else a rack of two nodes to check and plan with.

    The last one can be printed but not reached. Raises `SiteError` where the folder holds no running rack.
    """
    folder = workdir or _named()
    return Rack(
        name="lab",
        servers=_servers(folder),
        boot_network=boot_network(),
        image_names=(IMAGE,),
        shell=_shell(folder),
    )


def lab_cluster_rack(workdir: Path | None = None) -> ClusterRack:
    """As `lab_rack`, with an appliance that serves clusters."""
    folder = workdir or _named()
    return ClusterRack(
        name="lab",
        servers=_servers(folder),
        boot_network=boot_network(),
        image_names=(IMAGE,),
        shell=_shell(folder),
    )


def boot_network() -> BootNetwork:
    network = BRIDGE_ADDRESS.network
    return BootNetwork(
        device=BRIDGE,
        network=IPv4Network(network),
        address=BRIDGE_ADDRESS.ip,
        first=network.network_address + 100,
        last=network.network_address + 200,
        domain=_DOMAIN,
        alone=True,
    )


def _named() -> Path | None:
    named = os.environ.get(VARIABLE, "")
    return Path(named) if named else None


def _servers(folder: Path | None) -> tuple[Server, ...]:
    nodes = _pretended() if folder is None else _running(folder)
    return tuple(_server(node) for node in nodes)


def _shell(folder: Path | None) -> ShellAccess:
    return ShellAccess(user="root", authorized_keys=_keys(folder))


def _server(node: RackNode) -> Server:
    address: IPv4Address = BRIDGE_ADDRESS.network.network_address + 50 + node.spec.index
    return Server(
        name=machine_name(node.spec.name),
        bmc=node.bmc,
        address=address,
        mac=node.spec.mac,
        console=SolConsole() if node.spec.bmc is BmcKind.IPMI else UnixConsole(path=node.spec.console_socket),
        place=Place(rack="lab", unit=1 + 2 * node.spec.index, height=2),
    )


def _running(folder: Path) -> tuple[RackNode, ...]:
    file = folder / _STATE_FILE
    try:
        return from_json(RackState, file.read_bytes()).nodes
    except OSError as error:
        raise SiteError(
            f"no virtual rack runs in {folder}",
            evidence=f"{file}: {error.strerror}",
            next_action=f"start a rack, or unset {VARIABLE}",
        ) from error
    except UsageError as error:
        raise SiteError(
            f"the state of the virtual rack cannot be read: {error}",
            evidence=str(file),
            next_action="start the rack again with this version",
        ) from error


def _pretended() -> tuple[RackNode, ...]:
    spec = RackSpec(nodes=_DEFAULT_NODES, firmware=Firmware.BIOS, workdir=Path("/nonexistent"))
    return tuple(
        RackNode(
            spec=node,
            bmc=BmcEndpoint(
                url=f"https://{node.bmc_address}", user="admin", password=Secret(""), fingerprint=_NEVER_MATCHES
            ),
        )
        for node in nodes_of(spec)
    )


def _keys(folder: Path | None) -> tuple[str, ...]:
    file = folder / _KEY_FILE if folder else None
    if file is None or not file.is_file():
        return ()
    return tuple(line for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
