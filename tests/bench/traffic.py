"""What is served, the same by all: files, boot scripts, leases, a zone; and the peers' configurations that say so."""

import json
import os
import random
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

from tests.bench.lab import CACHE, DEVICE, HTTP_PORT, NETWORK, POOL_FIRST, POOL_LAST, SERVER

LEASE_SECONDS = 4000

# Files

_DATA = CACHE / "data"
TFTP_ROOT = _DATA / "tftp"
HTTP_ROOT = _DATA / "http"
SMALL, LARGE = TFTP_ROOT / "small.efi", TFTP_ROOT / "large.img"
IMAGE, IMAGE_PATH = HTTP_ROOT / "artifact/image", "/artifact/image"
MIB = 1 << 20
IMAGE_BYTES = 1024 * MIB
SIZES = {SMALL: MIB, LARGE: 60 * MIB, IMAGE: IMAGE_BYTES}
_CHUNK = 16 * MIB


def ensure_file(path: Path) -> None:
    """Written once and kept; then read through, so that no run waits for the disk."""
    size = SIZES[path]
    if not path.exists() or path.stat().st_size != size:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = random.Random(path.name)
        unready = path.with_suffix(".new")
        with unready.open("wb") as sink:
            for at in range(0, size, _CHUNK):
                sink.write(noise.randbytes(min(_CHUNK, size - at)))
            os.fsync(sink.fileno())
        unready.rename(path)
    with path.open("rb", buffering=0) as source:
        while source.read(_CHUNK):
            pass


# Boot scripts. Machine N is the one that requests.c asks for.

MACHINES = 5000
KERNEL, INITRD = "/artifact/vmlinuz", "/artifact/initrd.img"


def mac_of(machine: int) -> str:
    return f"02:d0:00:00:{machine >> 8:02x}:{machine & 255:02x}"


def uuid_of(machine: int) -> UUID:
    return UUID(f"4c4c4544-0031-1038-8034-b2c0{machine:08x}")


def nonce_of(machine: int) -> str:
    return random.Random(machine).randbytes(16).hex()


def script_request(machine: int) -> str:
    return f"/boot.ipxe?mac={mac_of(machine).replace(':', '-')}&uuid={uuid_of(machine)}&serial=SN{machine:06d}"


def nginx_conf(folder: Path) -> str:
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""worker_processes 1; daemon off; user root; pid {folder / "pid"}; error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=100; {temporary}
  server {{
    listen {SERVER}:{HTTP_PORT}; root {HTTP_ROOT};
    location = /boot.ipxe {{ root {folder}; default_type text/plain; }}
  }}
}}
"""


# Leases


def kea_json(leases: Path, *, persist: bool) -> str:
    return json.dumps(
        {
            "Dhcp4": {
                "interfaces-config": {"interfaces": [DEVICE], "dhcp-socket-type": "udp"},
                "multi-threading": {"enable-multi-threading": False},
                "lease-database": {"type": "memfile", "persist": persist, "name": str(leases), "lfc-interval": 0},
                "valid-lifetime": LEASE_SECONDS,
                "subnet4": [
                    {
                        "id": 1,
                        "subnet": str(NETWORK),
                        "pools": [{"pool": f"{POOL_FIRST} - {POOL_LAST}"}],
                        "option-data": [{"name": "routers", "data": str(SERVER)}],
                        "next-server": str(SERVER),
                        "boot-file-name": "snponly.efi",
                    }
                ],
                "loggers": [{"name": "kea-dhcp4", "severity": "ERROR", "output_options": [{"output": "stderr"}]}],
            }
        }
    )


# The zone: of 100 questions 91 are for a host that exists, 9 for one that does not

DOMAIN = "rack.test"
HOSTS = {f"n{number:05d}": IPv4Address("10.78.0.0") + number for number in range(1, 5001)}
NXDOMAIN_SHARE = 0.09
_QUESTIONS = 20_000
_UNIQUE = 400_000


def questions() -> str:
    """dnsperf's input, which it repeats: hosts and no hosts, mixed."""
    chance = random.Random("questions")
    names = list(HOSTS)
    missing = round(_QUESTIONS * NXDOMAIN_SHARE)
    asked = [f"absent{number % 450:05d}" for number in range(missing)]
    asked += [names[number % len(names)] for number in range(_QUESTIONS - missing)]
    chance.shuffle(asked)
    return "".join(f"{name}.{DOMAIN} A\n" for name in asked)


def unique_questions() -> str:
    """More names than one run can ask, none of which exists or comes twice."""
    return "".join(f"x{number:06d}.{DOMAIN} A\n" for number in range(_UNIQUE))


def zone_file() -> str:
    head = f"$ORIGIN {DOMAIN}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A {SERVER}\n"
    return head + "".join(f"{name} A {address}\n" for name, address in HOSTS.items())


def knot_conf(folder: Path) -> str:
    return f"""server:
    rundir: {folder}
    user: root:root
    listen: {SERVER}@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: error
database:
    storage: {folder}
zone:
  - domain: {DOMAIN}
    storage: {folder}
    file: zone
    zonefile-sync: -1
    journal-content: none
"""


def unbound_conf(folder: Path) -> str:
    data = "".join(f'  local-data: "{name}.{DOMAIN}. 60 A {address}"\n' for name, address in HOSTS.items())
    return f"""server:
  interface: {SERVER}
  access-control: {NETWORK} allow
  directory: {folder}
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  module-config: "iterator"
  local-zone: "{DOMAIN}." static
  local-data: "{DOMAIN}. 60 SOA ns.{DOMAIN}. hostmaster.{DOMAIN}. 1 3600 600 86400 60"
{data}"""


def dnsmasq_conf() -> str:
    records = "".join(f"host-record={name}.{DOMAIN},{address}\n" for name, address in HOSTS.items())
    return f"local=/{DOMAIN}/\nlocal-ttl=60\n{records}"
