"""By what appliances know each other: 16 random bytes in a file, made once and kept for the appliance's life."""

import os
import secrets
from pathlib import Path

from pxe.dhcp.rival_packet import IDENTITY_SIZE
from pxe.errors import ServiceError


def keep_identity(path: Path) -> bytes:
    """Reads it, or makes it when there is no such file. ServiceError when neither can be done."""
    try:
        return _read(path)
    except FileNotFoundError:
        return _make(path)
    except (OSError, ValueError) as cause:
        raise ServiceError(
            "cannot read the appliance's identity",
            evidence=f"{path}: {cause}",
            next_action="repair the file, or remove it to have a new one made",
        ) from cause


def _read(path: Path) -> bytes:
    identity = bytes.fromhex(path.read_text("ascii"))
    if len(identity) != IDENTITY_SIZE:
        raise ValueError(f"{len(identity)} bytes, not {IDENTITY_SIZE}")
    return identity


def _make(path: Path) -> bytes:
    identity = secrets.token_bytes(IDENTITY_SIZE)
    temporary = path.with_name(path.name + ".new")
    try:
        with temporary.open("w", encoding="ascii") as file:
            file.write(identity.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as cause:
        raise ServiceError(
            "cannot keep the appliance's identity",
            evidence=f"{path}: {cause}",
            next_action="name a file in a folder that can be written",
        ) from cause
    return identity
