"""Backups of clusters: taken each day and before whatever might need one, read back before they count."""

import asyncio
import hashlib
import logging
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import BinaryIO

from appliance.backup.envelope import Opening, Sealing
from appliance.errors import ClusterError, InnervateError
from appliance.kubernetes import etcd
from appliance.kubernetes.objects import Access
from appliance.model.cluster import ClusterName, ClusterSpec
from appliance.model.secret import Secret
from appliance.services.cluster_hold import EngineOf, Hold
from appliance.store.cluster_backups import Backup, BackupShelf
from appliance.store.records import Problem

_LOGGER = logging.getLogger(__name__)
_EVERY, _LOOK = 24 * 3600.0, 300.0
_COST = 1
"""The seal is 32 random bytes: nothing has to make guesses at it slow."""


class ClusterBackups:
    """`tell` has people hear of what was done by itself."""

    def __init__(
        self,
        shelf: BackupShelf,
        hold: Hold,
        engine: EngineOf,
        tell: Callable[[ClusterName, str], None],
    ) -> None:
        self._shelf, self._hold, self._engine, self._tell = shelf, hold, engine, tell
        self._works: dict[ClusterName, asyncio.Task[Backup]] = {}
        self._taking = defaultdict[ClusterName, asyncio.Lock](asyncio.Lock)

    async def run(self, clusters: Callable[[], Iterable[ClusterSpec]]) -> None:
        """Forever: of each cluster one a day."""
        while True:
            await self._hold.around.clock.sleep(_LOOK)
            for cluster in clusters():
                latest, now = self.latest(cluster.name), self._hold.around.clock.now()
                known = self._hold.keys.access(cluster.name) is not None
                if known and (latest is None or now - latest.at > _EVERY) and not self.busy(cluster.name):
                    await self._daily(cluster)

    async def _daily(self, cluster: ClusterSpec) -> None:
        try:
            await self._told(cluster)
        except InnervateError:
            return  # told
        except Exception:
            _LOGGER.exception("%s could not be backed up", cluster.name)

    def begin(self, cluster: ClusterSpec) -> str:
        """One that knows whatever the cluster knows now: what goes on already may have been begun too early."""
        if self.busy(cluster.name):
            return "at work already"
        self._works[cluster.name] = asyncio.create_task(self._told(cluster))
        return "begun"

    def busy(self, cluster: ClusterName) -> bool:
        return (work := self._works.get(cluster)) is not None and not work.done()

    def taken(self, cluster: ClusterName) -> Backup | None:
        """The one that was begun last, when it has come to its end; said once."""
        work = self._works.get(cluster)
        if work is None or not work.done() or work.cancelled() or work.exception() is not None:
            return None
        del self._works[cluster]
        return work.result()

    def problem(self, cluster: ClusterName) -> Problem | None:
        """Why the last one came to nothing; said once."""
        work = self._works.get(cluster)
        if work is None or not work.done() or work.cancelled() or (error := work.exception()) is None:
            return None
        del self._works[cluster]
        if isinstance(error, InnervateError):
            return Problem(code="cluster", message=str(error), evidence=error.evidence, next_action=error.next_action)
        return Problem(code="cluster", message="no backup could be taken", evidence=type(error).__name__)

    def latest(self, cluster: ClusterName) -> Backup | None:
        backups = held(self._shelf, cluster, self._hold.keys.access(cluster))
        return max(backups, key=lambda backup: backup.at, default=None)

    def count(self, cluster: ClusterSpec) -> str:
        return str(len(self._shelf.list(cluster.name)))

    @contextmanager
    def open(self, cluster: ClusterName, name: str) -> Iterator[Opening]:
        """The tar of one. Raises `NotFoundError`, `UsageError` where it does not prove itself."""
        with self._shelf.path(cluster, name).open("rb") as file:
            yield Opening(file, self._seal(cluster))

    async def _told(self, cluster: ClusterSpec) -> Backup:
        try:
            async with self._taking[cluster.name]:
                backup = await self._take(cluster)
        except InnervateError as error:
            self._tell(cluster.name, f"{cluster.name} could not be backed up: {error}")
            raise
        self._tell(cluster.name, f"{cluster.name} backed up at revision {backup.revision}, {backup.size} bytes")
        return backup

    async def _take(self, cluster: ClusterSpec) -> Backup:
        engine = self._engine(cluster)
        machine, text = await self._hold.ask_planes(cluster, None, engine.save(cluster))
        snapshot = etcd.read_snapshot(text)
        at, loop = self._hold.around.clock.now(), asyncio.get_running_loop()

        def write(out: BinaryIO) -> None:
            sealing = Sealing(out, self._seal(cluster.name), self._hold.around.rng, cost=_COST)
            pulled = self._hold.pull(machine, engine.hand_over(cluster), sealing)
            asyncio.run_coroutine_threadsafe(pulled, loop).result()
            sealing.finish()

        name, sha256 = await asyncio.to_thread(self._shelf.put, cluster.name, at, write)
        backup = Backup(
            name=name,
            at=at,
            version=cluster.set.version,
            revision=snapshot.revision,
            size=snapshot.size,
            sha256=sha256,
            authority=_digest(self._hold.access(cluster).ca),
        )
        await asyncio.to_thread(self._prove, cluster.name, backup, engine.proof)
        self._shelf.finish(cluster.name, backup)
        return backup

    def _prove(self, cluster: ClusterName, backup: Backup, proof: str) -> None:
        """Read as whoever restores it will: it has to hold a file `proof`. Raises `ClusterError`, `UsageError`."""
        path = self._shelf.path_of(cluster, backup.name)
        with path.open("rb") as file, tarfile.open(fileobj=Opening(file, self._seal(cluster)), mode="r|") as tar:
            sizes = {member.name: member.size for member in tar}
        names = {PurePosixPath(name).name for name in sizes}
        if sizes.get(etcd.SNAPSHOT[1:], 0) < backup.size or proof not in names:
            raise ClusterError(
                "a backup does not hold what it should",
                evidence=", ".join(sorted(sizes))[:300],
                next_action=f"look for {proof} on the control plane; then back up again",
            )

    def _seal(self, cluster: ClusterName) -> Secret:
        return self._hold.keys.seal(cluster, self._hold.around.rng)


def held(shelf: BackupShelf, cluster: ClusterName, access: Access | None) -> tuple[Backup, ...]:
    """Of the cluster as it is now: another of the same name had another CA. The oldest first."""
    mine = _digest(access.ca) if access is not None else ""
    return tuple(backup for backup in shelf.list(cluster) if backup.authority == mine)


def _digest(authority: str) -> str:
    return hashlib.sha256(authority.encode()).hexdigest()
