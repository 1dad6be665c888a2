"""What the container registry is told (distribution 2.8, docs/configuration.md). Pure.

The store has two doors. Nodes of the boot network read through one that can write nothing and asks for no password:
what a set holds is no secret. The appliance writes through the other, at the loopback address and with a password.

YAML takes JSON, in which no value can become another key.
"""

import json
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from appliance.model.secret import Secret

REALM = "Innervate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """`htpasswd` names the file with who may write; None for a door that only reads. `secret` signs what clients carry
    from one request of an upload to the next."""

    address: IPv4Address
    port: int
    certificate: Path
    key: Path
    store: Path
    secret: Secret
    htpasswd: Path | None = None


def rendered(door: Door) -> str:
    writes = door.htpasswd is not None
    settings = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(door.store), "maxthreads": 100},
            "delete": {"enabled": writes},
            # What a broken upload left is swept with the rest, when nobody writes.
            "maintenance": {"uploadpurging": {"enabled": False}, "readonly": {"enabled": not writes}},
        },
        "http": {
            "addr": f"{door.address}:{door.port}",
            "relativeurls": True,
            "secret": door.secret.reveal(),
            "headers": {"X-Content-Type-Options": ["nosniff"]},
            "tls": {"certificate": str(door.certificate), "key": str(door.key), "minimumtls": "tls1.2"},
        },
    }
    if door.htpasswd is not None:
        settings["auth"] = {"htpasswd": {"realm": REALM, "path": str(door.htpasswd)}}
    return json.dumps(settings, indent=1, sort_keys=True) + "\n"
