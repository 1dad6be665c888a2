"""Whose package an application is: minisign's signature (`images.signature`) of what its description says. Pure.

Signed is the description without the signature's own file, in its only form (`ArtifactSet.to_json`).
It names the application, its version, and SHA-256 of every file and of every image: of all that is imported nothing is
left out, and a signature of one version says nothing of another. The signature is a file of the set like the others, so
that it stays beside what it is of; whoever changes it changes set.json, which then is another set.
"""

import hashlib
from collections.abc import Collection
from dataclasses import replace
from io import BytesIO

from images.artifact_set import ArtifactSet, SetFile
from images.errors import SignatureError
from images.signature import PublicKey, SecretKey, verify

ROLE, NAME = "signature", "signature.minisig"


def signed_content(described: ArtifactSet) -> bytes:
    """What the signature is of."""
    return replace(described, files=tuple(file for file in described.files if file.role != ROLE)).to_json()


def sign(described: ArtifactSet, key: SecretKey) -> bytes:
    """The content of the file `NAME`."""
    return key.sign(BytesIO(signed_content(described)), described.name).encode()


def with_signature(described: ArtifactSet, signature: bytes) -> ArtifactSet:
    digest = hashlib.sha256(signature).hexdigest()
    file = SetFile(name=NAME, role=ROLE, size=len(signature), sha256=digest)
    others = (other for other in described.files if other.role != ROLE)
    return replace(described, files=tuple(sorted((*others, file), key=lambda one: one.name)))


def require(described: ArtifactSet, signature: bytes, trusted: Collection[PublicKey]) -> PublicKey:
    """Whose it is, of those who are trusted. Raises `SignatureError` where it is of another, or of something else."""
    refusals = list[SignatureError]()
    for key in trusted:
        try:
            comment = verify(key, BytesIO(signed_content(described)), signature.decode("ascii", "replace"))
        except SignatureError as error:
            refusals.append(error)
            continue
        if comment != described.name:
            raise _untrue(described, f"it is of {comment[:100]!r}")
        return key
    raise _untrue(described, "; ".join(f"{error}: {error.evidence}" for error in refusals) or "no key is trusted")


def _untrue(described: ArtifactSet, evidence: str) -> SignatureError:
    return SignatureError(
        f"the signature of {described.name} is of nobody who is trusted",
        evidence=evidence[:300],
        next_action="get the package from who built it, or state the key of who did in the site program",
    )
