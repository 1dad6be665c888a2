"""OpenSSH public key lines (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"; RFC 4253 section 6.6, RFC 5656, RFC 8709)."""

import base64
import binascii
import re
import struct

from .errors import ProtocolError

MAX_LINE = 4096
_MIN_RSA_BITS = 2048
# A line is one key with an optional comment: options, such as a command to be run, are refused.
_LINE = re.compile(r"([a-z0-9@.-]{1,64}) ([A-Za-z0-9+/]{16,4000}={0,2})(?: [ -~]{0,256})?")
_FIELDS = {  # how many strings the key's blob holds, the type among them
    "ssh-ed25519": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-rsa": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}


def check_key(line: str) -> str:
    """The type and the key of a line without its comment; raises ProtocolError if it is not one whole public key."""
    match = _LINE.fullmatch(line) if len(line) <= MAX_LINE else None
    if match is None or match[1] not in _FIELDS:
        raise _bad(line, "not one OpenSSH public key without options")
    fields = _split(line, match[2])
    if fields[0] != match[1].encode() or len(fields) != _FIELDS[match[1]]:
        raise _bad(line, "a key of another type than it says")
    if match[1] == "ssh-rsa" and int.from_bytes(fields[2], "big").bit_length() < _MIN_RSA_BITS:
        raise _bad(line, f"an RSA key of less than {_MIN_RSA_BITS} bits")
    return f"{match[1]} {match[2]}"


def _split(line: str, text: str) -> list[bytes]:
    """RFC 4251 section 5: strings, each behind its length."""
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise _bad(line, "not base64") from error
    fields = []
    while blob:
        size = struct.unpack_from(">I", blob.ljust(4, b"\xff"))[0]
        if len(blob) < 4 + size:
            raise _bad(line, "cut off")
        fields.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return fields


def _bad(line: str, why: str) -> ProtocolError:
    return ProtocolError(f"an authorized key is {why}", evidence=ascii(line)[:200])
