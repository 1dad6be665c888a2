"""A package as it lies on a disk: is all of it there, and whose is it?"""

from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from images.application import signing
from images.artifact_set import ArtifactSet
from images.errors import SetError
from images.set_folder import SetFolder
from images.signature import PublicKey

_SIGNATURE_LIMIT = 16 << 10


def checked(path: Path, trusted: Collection[PublicKey]) -> ArtifactSet:
    """Every file, manifest and layer is hashed. Raises `SetError`, `SignatureError`."""
    with closing(SetFolder(path)) as folder:
        described = folder.description()
        if len(described.of_role(signing.ROLE)) != 1:
            raise SetError(f"{described.name} has no signature", next_action="ask who built it for one that has")
        (signature,) = described.of_role(signing.ROLE)
        signing.require(described, folder.small(signature.name, limit=_SIGNATURE_LIMIT), trusted)
        for file in described.files:
            folder.check_file(file.name, file.size, file.sha256)
        documents = (document for image in described.images for document in folder.documents(image.digest))
        for part in {part for document in documents for part in document.blobs}:
            folder.check_blob(part.digest, part.size)
    return described
