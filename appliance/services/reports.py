"""The first-boot report of an installed system: POST /report, JSON, from a machine that anyone may imitate."""

import re
from dataclasses import dataclass

from appliance.model.ids import Nonce
from appliance.model.text import clean
from images.agent.fields import Fields, parse_json
from images.agent.protocol import MAX_MESSAGE

_HOST_KEY = re.compile(r"((?:ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/=]{40,2000})(?: .*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstBoot:
    """`host_keys` are OpenSSH public key lines without comments."""

    nonce: Nonce
    boot_id: str
    hostname: str
    serial: str
    host_keys: tuple[str, ...]


def parse_report(data: bytes) -> FirstBoot:
    """Raises ProtocolError. Lines that are no host keys are left out."""
    fields = Fields(parse_json(data, limit=MAX_MESSAGE), "report")
    lines = (_HOST_KEY.fullmatch(line) for line in fields.texts("ssh_host_keys", limit=4096, count=16))
    return FirstBoot(
        nonce=Nonce(fields.text("nonce", limit=128)),
        boot_id=clean(fields.text("boot_id", limit=64), 64),
        hostname=clean(fields.text("hostname", limit=255), 64),
        serial=clean(fields.text("serial", limit=255), 100),
        host_keys=tuple(line.group(1) for line in lines if line),
    )
