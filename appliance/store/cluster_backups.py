"""Backups of clusters as files: what a control plane handed over, sealed, and beside it a line of what it is.

CLUSTER/20261130T060000Z.sealed     see `appliance.backup.envelope`
CLUSTER/20261130T060000Z.json       `Backup`; what has none was never finished
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.errors import InnervateError, MachineryError, NotFoundError
from appliance.files import sync, write_whole
from appliance.model.cluster import ClusterName
from appliance.model.codec import from_json, to_json

BACKUPS = "clusters"
"""Their folder in the state folder."""
KEPT = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """`at` in seconds since the epoch, `size` in bytes of etcd's snapshot at its `revision`; `sha256` of the sealed
    file; `authority` is the SHA-256 of the cluster's CA: another cluster may have had the same name."""

    name: str
    at: float
    version: str
    revision: int
    size: int
    sha256: str
    authority: str

    def evidence(self) -> Mapping[str, str]:
        about = {"backup": self.name, "revision": str(self.revision), "bytes": str(self.size)}
        return {**about, "version": self.version, "sha256": self.sha256[:16]}


class BackupShelf:
    """Raises `MachineryError` where the folder cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self, cluster: ClusterName) -> tuple[Backup, ...]:
        """The oldest first. What cannot be read is none."""
        found = []
        for path in sorted((self._folder / cluster).glob("*.json")):
            with suppress(OSError, InnervateError):
                found.append(from_json(Backup, path.read_bytes()))
        return tuple(found)

    def path(self, cluster: ClusterName, name: str) -> Path:
        """Raises `NotFoundError`."""
        known = {backup.name for backup in self.list(cluster)}
        if name not in known:
            raise NotFoundError(
                f"there is no backup {name[:40]!r} of {cluster}",
                evidence=f"there are {', '.join(sorted(known)) or 'none'}",
                next_action="name one of these",
            )
        return self.path_of(cluster, name)

    def path_of(self, cluster: ClusterName, name: str) -> Path:
        return self._folder / cluster / f"{name}.sealed"

    def put(self, cluster: ClusterName, at: float, write: Callable[[BinaryIO], None]) -> tuple[str, str]:
        """A new file: its name and SHA-256. It is no backup before `finish`."""
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        path = self.path_of(cluster, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            with path.open("wb") as file:
                write(file)
            sync(path)
            with path.open("rb") as file:
                return name, hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _failure(path, error) from error

    def finish(self, cluster: ClusterName, backup: Backup) -> None:
        path = self._folder / cluster / f"{backup.name}.json"
        try:
            write_whole(path, to_json(backup))
        except OSError as error:
            raise _failure(path, error) from error
        for old in self.list(cluster)[:-KEPT]:
            self.drop(cluster, old.name)

    def drop(self, cluster: ClusterName, name: str) -> None:
        """Its line first: a file without one is no backup."""
        for end in ("json", "sealed"):
            (self._folder / cluster / f"{name}.{end}").unlink(missing_ok=True)


def _failure(path: Path, error: OSError) -> MachineryError:
    return MachineryError(
        f"the backup {path} cannot be kept",
        evidence=str(error)[:200],
        next_action="look at the disk's room and at the folder's permissions",
    )
