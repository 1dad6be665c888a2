"""The JSON documents of an image, written in one form and read from anybody's. All pure.

https://github.com/opencontainers/image-spec/blob/v1.1.0: descriptor.md, manifest.md, config.md, image-index.md
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from images.epoch import EPOCH
from images.errors import LayoutError

DOCUMENT_LIMIT = 4 << 20
"""Bytes: what a registry need not take, nobody writes (distribution-spec, pushing manifests)."""
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFESTS = (MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
_INDEXES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
_REFERENCE = "org.opencontainers.image.ref.name"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MEDIA = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_NAME = re.compile(r"[A-Za-z0-9]+(?:(?:[-._:@+/]|--)[A-Za-z0-9]+)*")
_SIZE_LIMIT, _LIST_LIMIT = 64 << 30, 1000


class Compression(StrEnum):
    """How a layer is stored: gzip is read by everything, zstd is several times as fast (containerd 1.5, podman 3)."""

    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def media(self) -> str:
        return f"application/vnd.oci.image.layer.v1.tar+{self}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A descriptor: `size` in bytes, `media` a media type, `name` what a layout calls it, if anything."""

    media: str
    digest: str
    size: int
    name: str = ""

    def __post_init__(self) -> None:
        named = not self.name or _NAME.fullmatch(self.name)
        whole = _DIGEST.fullmatch(self.digest) and _MEDIA.fullmatch(self.media) and named
        if not whole or not 0 <= self.size <= _SIZE_LIMIT:
            raise malformed("a descriptor", repr(self))

    @property
    def sha256(self) -> str:
        """In hex, which is its file name below blobs/sha256."""
        return self.digest.removeprefix("sha256:")

    @property
    def is_manifest(self) -> bool:
        return self.media in _MANIFESTS

    @property
    def is_index(self) -> bool:
        return self.media in _INDEXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """`diff_id` is the digest of the tar inside."""

    blob: Blob
    diff_id: str

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.diff_id):
            raise malformed("a layer", repr(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is run, and how: the `config` of config.md. `ports` as in `8080/tcp`."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    user: str = ""
    ports: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    config: Blob
    layers: tuple[Blob, ...]


def config_json(layers: Iterable[Layer], settings: Settings, architecture: str) -> bytes:
    """`architecture` in Go's word: amd64, arm64."""
    document = {
        "architecture": architecture,
        "os": "linux",
        "created": datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": {name: value for name, value in _settings(settings).items() if value},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    return _canonical(document)


def manifest_json(config: Blob, layers: Iterable[Layer]) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(config),
        "layers": [_descriptor(layer.blob) for layer in layers],
    }
    return _canonical(document)


def index_json(manifests: Iterable[Blob]) -> bytes:
    """Sorted by name: the order in which images were added says nothing."""
    ordered = sorted(manifests, key=lambda blob: (blob.name, blob.digest))
    return _canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": [_descriptor(blob) for blob in ordered]})


def read_index(raw: bytes) -> tuple[Blob, ...]:
    """Raises LayoutError, as all readers here do."""
    match _parsed(raw):
        case {"schemaVersion": 2, "manifests": list(rows)} if len(rows) <= _LIST_LIMIT:
            return tuple(map(_blob, rows))
        case _:
            raise malformed("an index", _shown(raw))


def read_manifest(raw: bytes) -> Manifest:
    match _parsed(raw):
        case {"schemaVersion": 2, "config": config, "layers": list(rows)} if len(rows) <= _LIST_LIMIT:
            return Manifest(config=_blob(config), layers=tuple(map(_blob, rows)))
        case _:
            raise malformed("a manifest", _shown(raw))


def read_diff_ids(raw: bytes) -> tuple[str, ...]:
    """Of an image's config, lowest layer first."""
    match _parsed(raw):
        case {"rootfs": {"type": "layers", "diff_ids": list(rows)}} if len(rows) <= _LIST_LIMIT:
            found = tuple(row for row in rows if isinstance(row, str))
            if len(found) == len(rows):
                return found
    raise malformed("a config", _shown(raw))


def malformed(what: str, evidence: str) -> LayoutError:
    return LayoutError(
        f"{what} of an image layout is malformed",
        evidence=evidence[:200],
        next_action="get the layout again from where it was made",
    )


def _settings(settings: Settings) -> Mapping[str, object]:
    return {
        "Entrypoint": list(settings.entrypoint),
        "Cmd": list(settings.cmd),
        "Env": [f"{name}={value}" for name, value in sorted(settings.environment.items())],
        "WorkingDir": settings.folder,
        "User": settings.user,
        "ExposedPorts": {port: {} for port in settings.ports},
        "Labels": dict(settings.labels),
        "StopSignal": settings.stop_signal,
    }


def _descriptor(blob: Blob) -> Mapping[str, object]:
    named = {"annotations": {_REFERENCE: blob.name}} if blob.name else {}
    return {"mediaType": blob.media, "digest": blob.digest, "size": blob.size, **named}


def _blob(value: object) -> Blob:
    match value:
        case {"mediaType": str(media), "digest": str(digest), "size": int(size)} if size is not True:
            return Blob(media=media, digest=digest, size=size, name=_name(value))
        case _:
            raise malformed("a descriptor", repr(value))


def _name(value: object) -> str:
    match value:
        case {"annotations": {"org.opencontainers.image.ref.name": str(name)}}:
            return name
        case _:
            return ""


def _canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _parsed(raw: bytes) -> object:
    if len(raw) > DOCUMENT_LIMIT:
        raise malformed("a document", f"{len(raw)} bytes")
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise malformed("a document", str(error)) from error
    return value


def _shown(raw: bytes) -> str:
    return raw[:200].decode("utf-8", "replace")
