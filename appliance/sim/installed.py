"""The installed system: it is what its disk makes it. Its seed names it, tells it where to report, and with what."""

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from appliance.errors import ShellError, UnreachableError
from appliance.sim.disk import Disk, Pages, read
from appliance.sim.image import Image
from appliance.sim.library import unpack_seed
from appliance.sim.network import Cable, Network, request_of
from appliance.sim.partitioning import SECTOR, parse_table
from appliance.sim.trace import Trace
from images.agent.errors import LinkError


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """`host_key` is made at the first boot: of the disk and the nonce of its seed. `network`: what its seed says of it,
    in the words of netplan."""

    hostname: str
    nonce: str
    host_key: str
    network: str
    address: IPv4Address | None = None
    serial: str = ""

    @classmethod
    def found_on(cls, disk: Disk, content: Pages, image: Image) -> "System | None":
        """None unless the image is whole and a seed is there."""
        if not image.is_whole(content):
            return None
        parts = parse_table(read(content, 0, 34 * SECTOR)) or ()
        place = next((part for part in parts if part.name == "cidata"), None)
        files = unpack_seed(read(content, place.start * SECTOR, place.size * SECTOR)) if place else None
        if files is None:
            return None
        nonce = str(json.loads(files["report.json"])["nonce"])
        digest = hashlib.sha256(f"{disk.serial} {nonce}".encode()).digest()
        key = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0 " + digest).decode()
        network = files["network-config"]
        return cls(hostname=files["hostname"].strip(), nonce=nonce, host_key=key, network=network)

    def at(self, address: IPv4Address, serial: str) -> "System":
        return replace(self, address=address, serial=serial)

    def report(self, boot_id: str) -> dict[str, object]:
        return {
            "nonce": self.nonce,
            "boot_id": boot_id,
            "hostname": self.hostname,
            "serial": self.serial,
            "ssh_host_keys": [self.host_key],
        }

    def tell(self, network: Network, cable: Cable, body: bytes, trace: Trace, machine: str) -> bool:
        """Whether the appliance has heard it."""
        if self.address is None:
            return False
        try:
            reply = network.post(cable, request_of(self.address, "/report", body, {}))
        except LinkError:
            return False
        trace.say("report", machine, f"{int(reply.status)}")
        return reply.status == 204

    def run(self, host_keys: tuple[str, ...], argv: tuple[str, ...]) -> str:
        """One command over SSH. Raises `ShellError`."""
        if self.host_key not in host_keys:
            raise ShellError("another host key than was reported", evidence=self.host_key)
        known = {"cat": self.serial, "hostname": self.hostname, "systemctl": "active", "findmnt": "ext4"}
        return known.get(argv[0], "")


def unreachable(address: IPv4Address) -> UnreachableError:
    return UnreachableError(f"{address} does not answer yet", evidence="no route to host")
