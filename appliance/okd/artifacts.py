"""What an artifact set of OKD must hold, and what its own stream metadata says of the boot files.

    FILE             role              from
    openshift-install  openshift-install  the release's tarball, or its payload
    oc               oc                the release's tarball, or its payload
    live kernel      live-kernel       the stream: artifacts.metal.formats.pxe.kernel
    live initramfs   live-initramfs    the stream: ...pxe.initramfs
    live rootfs      live-rootfs       the stream: ...pxe.rootfs
    stream.json      stream            openshift-install coreos print-stream-json
    oci/             images            okd/scos-release:VERSION and okd/scos-content:COMPONENT

Stream metadata: coreos/stream-metadata-go, `stream/stream.go`. File names are nobody's to guess: they change with the
operating system below (`scos9`, `coreos10`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from appliance.errors import SiteError
from images.artifact_set import ArtifactSet, SetFile, SetImage
from images.engine import Engine


class OkdFile(StrEnum):
    """Roles of the files of a set."""

    INSTALLER = "openshift-install"
    OC = "oc"
    KERNEL = "live-kernel"
    INITRAMFS = "live-initramfs"
    ROOTFS = "live-rootfs"
    STREAM = "stream"


BOOT_FILES = (OkdFile.KERNEL, OkdFile.INITRAMFS, OkdFile.ROOTFS)
RELEASE, CONTENT = "okd/scos-release", "okd/scos-content"
"""Repositories of a set. Both have to be mirrored, and both have to be said to nodes (okd discussion 2243)."""
SOURCES: Mapping[str, str] = {RELEASE: "quay.io/okd/scos-release", CONTENT: "quay.io/okd/scos-content"}
"""Where payloads believe that their images are."""
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
_FORMAT = {OkdFile.KERNEL: "kernel", OkdFile.INITRAMFS: "initramfs", OkdFile.ROOTFS: "rootfs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OkdArtifacts:
    """`files` has each role; `release` is the payload's image, `content` its components."""

    files: Mapping[OkdFile, SetFile]
    release: SetImage
    content: tuple[SetImage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """`release` is the version of SCOS, `sha256` of each boot file, for one architecture."""

    release: str
    sha256: Mapping[OkdFile, str]


def artifacts_of(described: ArtifactSet) -> OkdArtifacts:
    """Raises `SiteError` that names all that is missing."""
    lacks = list(_lacks(described))
    if lacks:
        raise SiteError(
            f"the set {described.name} is not all that OKD needs",
            evidence=f"missing: {'; '.join(lacks)}",
            next_action="complete the folder, describe it and import it again: docs/guide/okd.md",
        )
    release = next(image for image in described.images if image.repository == RELEASE)
    content = tuple(image for image in described.images if image.repository == CONTENT)
    files = {role: described.of_role(role.value)[0] for role in OkdFile}
    return OkdArtifacts(files=files, release=release, content=content)


def _lacks(described: ArtifactSet) -> Iterator[str]:
    if described.engine is not Engine.OKD:
        yield f"engine okd: it is one of {described.engine}"
    for role in OkdFile:
        if (count := len(described.of_role(role.value))) != 1:
            yield f"one file with the role {role.value}, not {count}"
    tags = [image.tag for image in described.images if image.repository == RELEASE]
    if tags != [described.version]:
        yield f"the image {RELEASE}:{described.version}, and no other of that repository"
    if not any(image.repository == CONTENT for image in described.images):
        yield f"images of the repository {CONTENT}"


def read_stream(text: str, arch: str) -> Stream:
    """`arch` as a set writes it (`amd64`). Raises `SiteError`."""
    named = _ARCHITECTURES.get(arch, arch)
    try:
        said = json.loads(text)
    except ValueError as error:
        raise _no_stream(str(error)) from error
    match said:
        case {"architectures": {**architectures}}:
            return _stream(architectures.get(named), named)
        case _:
            raise _no_stream("it names no architectures")


def _stream(said: object, arch: str) -> Stream:
    match said:
        case {"artifacts": {"metal": {"release": str(release), "formats": {"pxe": {**pxe}}}}}:
            return Stream(release=release, sha256={role: _hash(pxe, word) for role, word in _FORMAT.items()})
        case _:
            raise _no_stream(f"it has no PXE files for metal, {arch}")


def _hash(pxe: Mapping[object, object], word: str) -> str:
    match pxe.get(word):
        case {"sha256": str(found)}:
            return found
        case _:
            raise _no_stream(f"it has no SHA-256 of the {word}")


def strangers(described: OkdArtifacts, stream: Stream) -> tuple[str, ...]:
    """A sentence for each boot file that is not the stream's."""
    return tuple(
        f"{found.name} has SHA-256 {found.sha256[:12]}, the stream says {stream.sha256[role][:12]}"
        for role in BOOT_FILES
        if (found := described.files[role]).sha256 != stream.sha256[role]
    )


def _no_stream(evidence: str) -> SiteError:
    return SiteError(
        "this is no stream metadata of SCOS",
        evidence=evidence[:200],
        next_action="make it anew: openshift-install coreos print-stream-json >stream.json",
    )
