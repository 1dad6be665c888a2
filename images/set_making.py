"""Describes a folder that a person has filled, as an artifact set: hashes are taken, names are looked up."""

from collections.abc import Mapping
from pathlib import Path

from images.artifact_set import DESCRIPTION, LAYOUT, ArtifactSet, Engine, Provenance, SetFile, SetImage
from images.errors import SetError
from images.oci.parts import INDEX_FILE, MANIFEST_LIMIT, Part, named_images
from images.set_folder import SetFolder


def describe(
    folder: SetFolder,
    *,
    engine: Engine,
    version: str,
    arch: str,
    provenance: Provenance,
    roles: Mapping[str, str],
    application: str = "",
) -> ArtifactSet:
    """`roles`: what each file of the folder is for, by its name. `application` as in `ArtifactSet`. Every blob of
    every image is hashed. Raises `SetError`."""
    names = [name for name in folder.names() if name not in {DESCRIPTION, LAYOUT}]
    if odd := sorted(set(names) ^ set(roles)):
        raise SetError(
            "files and roles do not agree",
            evidence=", ".join(odd)[:300],
            next_action="say NAME=ROLE for each file of the folder, and for no other",
        )
    files = tuple(_file(folder, name, roles[name]) for name in names)
    images = tuple(_images(folder)) if LAYOUT in folder.names() else ()
    return ArtifactSet(
        engine=engine,
        version=version,
        arch=arch,
        provenance=provenance,
        files=files,
        images=images,
        application=application,
    )


def _file(folder: SetFolder, name: str, role: str) -> SetFile:
    size, sha256 = folder.measured(name)
    return SetFile(name=name, role=role, size=size, sha256=sha256)


def _images(folder: SetFolder) -> list[SetImage]:
    index = folder.small(LAYOUT, INDEX_FILE, limit=MANIFEST_LIMIT)
    seen = set[Part]()
    return [_image(folder, name, part, seen) for name, part in sorted(named_images(index).items())]


def _image(folder: SetFolder, name: str, part: Part, seen: set[Part]) -> SetImage:
    """Images share layers: those that were `seen` are not hashed again."""
    repository, colon, tag = name.rpartition(":")
    if not colon:
        raise SetError(
            f"the image {name[:200]!r} of the layout has no tag",
            evidence=part.digest,
            next_action="name it REPOSITORY:TAG in the layout's index.json",
        )
    for document in folder.documents(part.digest):
        for blob in document.blobs:
            if blob not in seen:
                folder.check_blob(blob.digest, blob.size)
                seen.add(blob)
    return SetImage(repository=repository, tag=tag, digest=part.digest)


def write_description(path: Path, described: ArtifactSet) -> None:
    """Into the folder at `path`. Raises OSError."""
    draft = path / f"{DESCRIPTION}.new"
    draft.write_bytes(described.to_json())
    draft.replace(path / DESCRIPTION)
