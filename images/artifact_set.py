"""An artifact set: all that one version of a cluster engine, or of an application, needs, in one folder, so that no
node asks the internet.

    set.json        this description, in its only form
    FILE ...        each with its SHA-256 and what it is for
    oci/            an OCI image layout (opencontainers/image-spec, image-layout.md) that holds every image of the list

Of a set nothing is believed but what its hashes say, and those are as good as where set.json came from: `Provenance` is
what whoever made the set says of it.
"""

import json
import re
from dataclasses import asdict, dataclass

from images.engine import Engine, Provenance
from images.errors import SetError

__all__ = ["ArtifactSet", "Engine", "Provenance", "SetFile", "SetImage", "read_set"]
DESCRIPTION, LAYOUT = "set.json", "oci"
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_VERSION = re.compile(r"v?\d{1,6}(\.\d{1,6}){1,3}([+-][A-Za-z0-9.+-]{1,60})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SIZE_LIMIT, _LIST_LIMIT, _TEXT_LIMIT = 64 << 30, 10_000, 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFile:
    """`role` says what it is for, in the engine's own word (`kubelet`, `live-kernel`); several files may share one.
    `size` in bytes."""

    name: str
    role: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        whole = _FILE.fullmatch(self.name) and _WORD.fullmatch(self.role) and _SHA256.fullmatch(self.sha256)
        if not whole or self.name in {DESCRIPTION, LAYOUT} or not 0 <= self.size <= _SIZE_LIMIT:
            raise _malformed("a file", repr(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetImage:
    """`repository` as below a registry's name (`k8s/kube-apiserver`); `digest` is that of its manifest or index."""

    repository: str
    tag: str
    digest: str

    def __post_init__(self) -> None:
        if not (_REPOSITORY.fullmatch(self.repository) and _TAG.fullmatch(self.tag) and _DIGEST.fullmatch(self.digest)):
            raise _malformed("an image", repr(self))

    @property
    def name(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactSet:
    """`version` in the engine's own writing (`v1.20.2`, `4.19.0-okd-scos.10`). `application` is whose set it is where
    the engine is APPLICATION."""

    engine: Engine
    version: str
    arch: str
    provenance: Provenance
    files: tuple[SetFile, ...]
    images: tuple[SetImage, ...]
    application: str = ""

    def __post_init__(self) -> None:
        named = bool(_WORD.fullmatch(self.application)) and self.application not in list(Engine)
        if named != (self.engine is Engine.APPLICATION) or (self.application and not named):
            raise _malformed("an application's name", repr(self.application))
        if not _VERSION.fullmatch(self.version) or not _WORD.fullmatch(self.arch):
            raise _malformed("a version", repr((self.version, self.arch)))
        for what, names in (("files", [file.name for file in self.files]), ("images", [i.name for i in self.images])):
            if len(set(names)) != len(names) or len(names) > _LIST_LIMIT:
                raise _malformed(f"the list of {what}", "a name stands in it twice, or it is too long")

    @property
    def name(self) -> str:
        """What people and folders call it: of two sets with one name an appliance holds one."""
        return f"{self.application or self.engine}-{self.version}-{self.arch}"

    def of_role(self, role: str) -> tuple[SetFile, ...]:
        return tuple(file for file in self.files if file.role == role)

    def to_json(self) -> bytes:
        """Without `application` where there is none: descriptions of engines are older than that field."""
        fields = {name: value for name, value in asdict(self).items() if name != "application" or value}
        return json.dumps(fields, sort_keys=True, indent=1).encode() + b"\n"


def read_set(raw: bytes) -> ArtifactSet:
    """Raises `SetError` for whatever is not a description in its only form."""
    if len(raw) > _TEXT_LIMIT:
        raise _malformed("a description", f"{len(raw)} bytes")
    try:
        found = _set(json.loads(raw))
    except (ValueError, RecursionError) as error:
        raise _malformed("a description", str(error)) from error
    if found.to_json() != raw:
        raise _malformed("a description", "it is not in its only form")
    return found


def _set(value: object) -> ArtifactSet:
    match value:
        case {
            "engine": str(engine),
            "version": str(version),
            "arch": str(arch),
            "provenance": str(provenance),
            "files": list(files),
            "images": list(images),
            **others,
        } if set(others) <= {"application"}:
            return ArtifactSet(
                engine=Engine(engine),
                version=version,
                arch=arch,
                provenance=Provenance(provenance),
                files=tuple(map(_file, files)),
                images=tuple(map(_image, images)),
                application=str(others.get("application", "")),
            )
        case _:
            raise _malformed("a description", "it lacks a field")


def _file(value: object) -> SetFile:
    match value:
        case {"name": str(name), "role": str(role), "size": int(size), "sha256": str(sha256)} if size is not True:
            return SetFile(name=name, role=role, size=size, sha256=sha256)
        case _:
            raise _malformed("a file", repr(value))


def _image(value: object) -> SetImage:
    match value:
        case {"repository": str(repository), "tag": str(tag), "digest": str(digest)}:
            return SetImage(repository=repository, tag=tag, digest=digest)
        case _:
            raise _malformed("an image", repr(value))


def _malformed(what: str, evidence: str) -> SetError:
    return SetError(
        f"{what} of an artifact set is malformed",
        evidence=evidence[:200],
        next_action="get the set again from where it was made; nothing of it was used",
    )
