"""The kernel's arguments that are meant for the agent."""

import re
from dataclasses import dataclass

from .errors import ProtocolError

_SERVER = re.compile(r"http://(\[[0-9a-fA-F:]{2,45}\]|[0-9A-Za-z.-]{1,253})(?::([0-9]{1,5}))?/?")
_NONCE = re.compile(r"[0-9A-Za-z_-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`token`: one was put into the BMC's drive. Nobody vouches for that: it only says how long to look for it."""

    host: str
    port: int
    nonce: str
    token: bool = False


def parse_cmdline(text: str) -> Endpoint:
    """From `innervate.server=http://HOST[:PORT]` and `innervate.nonce=TEXT`; raises ProtocolError."""
    words = dict(word.split("=", 1) for word in text.split() if "=" in word)
    server = _SERVER.fullmatch(words.get("innervate.server", ""))
    nonce = words.get("innervate.nonce", "")
    if server is None or not 0 < int(server[2] or 80) < 65536:
        raise ProtocolError(
            "no usable innervate.server=http://HOST[:PORT]", evidence=ascii(words.get("innervate.server"))[:300]
        )
    if not _NONCE.fullmatch(nonce):
        raise ProtocolError("no usable innervate.nonce=TEXT")
    token = words.get("innervate.token") == "drive"
    return Endpoint(host=server[1].strip("[]"), port=int(server[2] or 80), nonce=nonce, token=token)
