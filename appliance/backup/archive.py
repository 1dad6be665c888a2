"""Files in one sealed stream: a tar (POSIX.1-2001, pax), whose last member is a manifest of all others."""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from appliance.backup.envelope import Opening, Sealing
from appliance.errors import MachineryError, UsageError
from appliance.model.codec import from_json, to_json
from appliance.model.secret import Secret
from appliance.ports import Rng

_MANIFEST = "manifest.json"
_MANIFEST_LIMIT = 64 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """`path` is relative, with slashes; `origin` where it stood, for what does not belong to the state folder."""

    path: str
    size: int
    sha256: str
    mode: int
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`images` are names of images and the SHA-256 of what they are made of; they are not in the backup."""

    version: str
    site: str
    created: float
    records: int
    members: tuple[Member, ...]
    images: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    path: str
    file: Path
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    version: str
    site: str
    created: float
    records: int
    images: Mapping[str, str]


def pack(
    sources: Iterable[Source], about: About, out: BinaryIO, passphrase: Secret, rng: Rng, *, cost: int
) -> Manifest:
    """Each file as long as it was when its turn came. Raises `MachineryError`."""
    sealing = Sealing(out, passphrase, rng, cost=cost)
    with tarfile.open(fileobj=sealing, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        members = tuple(_add(tar, source) for source in sources)
        manifest = Manifest(
            version=about.version,
            site=about.site,
            created=about.created,
            records=about.records,
            members=members,
            images=dict(about.images),
        )
        data = to_json(manifest)
        info = tarfile.TarInfo(_MANIFEST)
        info.size, info.mode = len(data), 0o600
        tar.addfile(info, io.BytesIO(data))
    sealing.finish()
    return manifest


def unpack(source: BinaryIO, passphrase: Secret, into: Path | None) -> Manifest:
    """Everything is read and held against the manifest; with `into`, an empty folder, it is written there. Raises
    `UsageError` for what is not whole: then nothing in the folder is to be used."""
    found: dict[str, Member] = {}
    try:
        with tarfile.open(fileobj=Opening(source, passphrase), mode="r|") as tar:
            for info in tar:
                file = tar.extractfile(info)
                if file is None or not _is_plain(info.name):
                    raise _damaged(f"{info.name[:100]!r} is no plain file")
                if info.name == _MANIFEST:
                    return _held_against(from_json(Manifest, file.read(_MANIFEST_LIMIT)), found)
                found[info.name] = _extracted(info, file, into)
    except tarfile.TarError as error:
        raise _damaged(str(error)) from error
    raise _damaged("it has no manifest")


def _add(tar: tarfile.TarFile, source: Source) -> Member:
    try:
        with source.file.open("rb") as opened:
            info = tar.gettarinfo(arcname=source.path, fileobj=opened)
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            counted = _Counted(opened, info.size)
            tar.addfile(info, counted)
    except OSError as error:
        action = "look at the disk, and begin again"
        raise MachineryError(f"{source.file} cannot be read", evidence=str(error), next_action=action) from error
    digest = counted.digest.hexdigest()
    return Member(path=source.path, size=info.size, sha256=digest, mode=info.mode & 0o700, origin=source.origin)


class _Counted(io.RawIOBase):
    """At most `size` bytes, hashed on their way: a file that grows meanwhile is taken as it was."""

    def __init__(self, inner: BinaryIO, size: int) -> None:
        self._inner, self._left = inner, size
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._inner.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self.digest.update(data)
        return data


def _extracted(info: tarfile.TarInfo, file: IO[bytes], into: Path | None) -> Member:
    digest = hashlib.sha256()
    target = None if into is None else into / info.name
    if target is not None:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.touch(mode=info.mode & 0o700)
    for chunk in _chunks(file):
        digest.update(chunk)
        if target is not None:
            with target.open("ab") as out:
                out.write(chunk)
    return Member(path=info.name, size=info.size, sha256=digest.hexdigest(), mode=info.mode & 0o700)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _held_against(manifest: Manifest, found: Mapping[str, Member]) -> Manifest:
    for member in manifest.members:
        seen = found.get(member.path)
        if seen is None or (seen.size, seen.sha256) != (member.size, member.sha256):
            raise _damaged(f"{member.path} is not what was packed")
    if strangers := sorted(set(found) - {member.path for member in manifest.members}):
        raise _damaged(f"{strangers[0]} is not in the manifest")
    return manifest


def _is_plain(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts


def _damaged(seen: str) -> UsageError:
    return UsageError("the backup is damaged", evidence=seen, next_action="take another copy of the file")
