"""Whose applications a site takes: those that one of its keys has signed. Pure; sets of cluster engines have no
signature, and are as good as where their hashes came from."""

from collections.abc import Callable, Collection

from images.application.signing import ROLE, require
from images.artifact_set import ArtifactSet, Engine
from images.errors import SignatureError
from images.signature import PublicKey, public_of

SIGNATURE_LIMIT = 16 << 10
"""Bytes."""


def keys_of(lines: Collection[str]) -> tuple[PublicKey, ...]:
    """Of the second lines of minisign's public key files. Raises `SignatureError`."""
    return tuple(map(public_of, lines))


def require_trusted(described: ArtifactSet, read: Callable[[str], bytes], keys: Collection[PublicKey]) -> None:
    """Nothing is asked of anybody where the site trusts no key in particular. `read` gives a file of the set by its
    name; whether that is the file that the description means is found out later, with all others. Raises
    `SignatureError`."""
    if not keys or described.engine is not Engine.APPLICATION:
        return
    match described.of_role(ROLE):
        case (file,):
            require(described, read(file.name), keys)
        case found:
            raise SignatureError(
                f"{described.name} has {'several signatures' if found else 'no signature'}",
                evidence=f"the site takes applications of {len(keys)} keys only",
                next_action="package it with one of these keys: innervate package build --key FILE",
            )
