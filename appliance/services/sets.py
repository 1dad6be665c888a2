"""Artifact sets: imported from a folder of this machine, asked for, removed.

One piece of work at a time, in a thread of its own; what came of it is shown, and remembered where it changed what the
appliance holds."""

import asyncio
import logging
import re
import threading
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from appliance.conductor.memory import Memory
from appliance.conductor.world import HeldSet
from appliance.doctor.facts import Kept
from appliance.errors import ConflictError, InnervateError, MachineryError, NotFoundError, UsageError
from appliance.model.set_views import (
    SetFaultView,
    SetImportRequest,
    SetJobView,
    SetsView,
    SetView,
    SetWork,
    WorkState,
)
from appliance.model.site_services import RegistryPlace
from appliance.model.text import clean
from appliance.ports import Clock
from appliance.registry.completeness import Depth, Gap, require
from appliance.registry.importing import Progress
from appliance.registry.service import RegistryService
from appliance.registry.shelf import SetShelf
from appliance.registry.works import SetWorks
from appliance.store.set_records import SetDropped, SetKept
from images.artifact_set import ArtifactSet, SetFile
from images.ports import Processes
from images.signature import PublicKey

_LOGGER = logging.getLogger(__name__)
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_GAPS_SHOWN = 20
_PACE, _PATIENCE = 0.5, 30.0


class NoRegistry:
    """Of a site whose program states none."""

    place: None = None

    def sets(self) -> SetsView:
        raise _none()

    def begin_import(self, request: SetImportRequest, by: str) -> SetsView:
        raise _none()

    def begin_check(self, name: str) -> SetsView:
        raise _none()

    def begin_removal(self, name: str, by: str) -> SetsView:
        raise _none()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    time: float
    gaps: tuple[Gap, ...]


class SetDesk:
    """`folder`: where people put folders to be imported; None where the configuration names none."""

    def __init__(
        self,
        service: RegistryService,
        shelf: SetShelf,
        *,
        folder: Path | None,
        memory: Memory,
        processes: Processes,
        clock: Clock,
        trusted: Collection[PublicKey] = (),
    ) -> None:
        self._folder, self._memory, self._clock = folder, memory, clock
        self._stopped = threading.Event()
        self._service, self._shelf = service, shelf
        self._works = SetWorks(service, shelf, processes, self._stopped.is_set, trusted)
        self._progress = Progress()
        self._job: SetJobView | None = None
        self._task: asyncio.Task[None] | None = None
        self._looked: dict[str, _Looked] = {}

    @property
    def place(self) -> RegistryPlace:
        return self._service.place

    def path_of(self, name: str, file: SetFile) -> Path:
        """Where a file lies, of a set that is held. Raises `NotFoundError`."""
        return self._shelf.path_of(self._held(name).described.name, file)

    def described(self, name: str) -> ArtifactSet:
        """Raises `NotFoundError`."""
        return self._held(name).described

    async def require(self, name: str) -> None:
        """Every part of it answers, now. Raises `NotFoundError`, `IncompleteError`; `MachineryError` where that cannot
        be found out."""
        require(name, await self._look(self._held(name).described, Depth.SIZES))

    def sets(self) -> SetsView:
        place, job = self.place, self._job
        if job is not None and job.state is WorkState.RUNNING:
            now = self._progress
            job = replace(job, doing=now.doing, done_bytes=now.done, total_bytes=now.total)
        return SetsView(
            registry=place.host,
            authority=place.authority,
            folder=str(self._folder or ""),
            sets=tuple(self._view(one) for _, one in sorted(self._memory.world.sets.items())),
            job=job,
        )

    def kept(self) -> tuple[Kept, ...]:
        """For the doctor."""
        held, looked = self._memory.world.sets, self._looked
        return tuple(_kept(one.described, looked.get(name)) for name, one in sorted(held.items()))

    def begin_import(self, request: SetImportRequest, by: str) -> SetsView:
        path = self._named(request.folder)
        return self._begin(SetWork.IMPORT, path.name, partial(self._import, path, by))

    def begin_check(self, name: str) -> SetsView:
        """Reads all of it."""
        one = self._held(name)
        return self._begin(SetWork.CHECK, name, partial(self._check, one))

    def begin_removal(self, name: str, by: str) -> SetsView:
        self._held(name)
        return self._begin(SetWork.REMOVE, name, partial(self._remove, name, by))

    async def run(self) -> None:
        """Looks at all sets once, as soon as the registry answers."""
        while not await asyncio.to_thread(self._works.answers):
            await self._clock.sleep(_PACE)
        for name, one in sorted(self._memory.world.sets.items()):
            try:
                await self._look(one.described, Depth.SIZES)
            except InnervateError as error:
                _LOGGER.warning("the set %s could not be looked at: %s; %s", name, error, error.evidence)

    async def close(self) -> None:
        """What is under way is left where it can be gone on with."""
        self._stopped.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _begin(self, work: SetWork, subject: str, carry_out: Callable[[], Awaitable[None]]) -> SetsView:
        if self._job is not None and self._job.state is WorkState.RUNNING:
            raise ConflictError(
                "another set is being worked on",
                evidence=f"{self._job.work} of {self._job.subject}",
                next_action="wait for its end: innervate set list",
            )
        self._progress.begin("", 0)
        self._job = SetJobView(work=work, subject=subject, state=WorkState.RUNNING, started=self._clock.now())
        self._task = asyncio.create_task(self._through(self._job, carry_out), name=f"{work} of a set")
        return self.sets()

    async def _through(self, job: SetJobView, carry_out: Callable[[], Awaitable[None]]) -> None:
        fault = None
        try:
            await self._registry_answers()
            await carry_out()
        except InnervateError as error:
            fault = _fault_of(error)
        except Exception as error:  # a person waits for an end
            _LOGGER.exception("work on a set failed unexpectedly")
            fault = _fault_of(MachineryError("the daemon failed unexpectedly", evidence=type(error).__name__))
        state = WorkState.DONE if fault is None else WorkState.FAILED
        self._job = replace(job, state=state, ended=self._clock.now(), fault=fault)

    async def _registry_answers(self) -> None:
        """One that was only just started, or started again, is waited for."""
        until = self._clock.monotonic() + _PATIENCE
        while not await asyncio.to_thread(self._works.answers):
            if self._clock.monotonic() > until or self._stopped.is_set():
                raise MachineryError(
                    f"the container registry at {self.place.host} does not answer",
                    evidence=f"not within {_PATIENCE:g} seconds",
                    next_action="see how it is: innervate doctor",
                )
            await self._clock.sleep(_PACE)

    async def _import(self, path: Path, by: str) -> None:
        held = {name: one.described for name, one in self._memory.world.sets.items()}
        described, size = await asyncio.to_thread(self._works.take, path, held, self._progress)
        self._looked[described.name] = _Looked(time=self._clock.now(), gaps=())
        if described.name not in held:
            await self._memory.remember(SetKept(described=described, size=size, by=by))

    async def _check(self, one: HeldSet) -> None:
        self._progress.begin("reading", one.size)
        require(one.described.name, await self._look(one.described, Depth.CONTENT))

    async def _remove(self, name: str, by: str) -> None:
        """Forgotten first: what a crash leaves of it is swept the next time."""
        await self._memory.remember(SetDropped(name=name, by=by))
        self._looked.pop(name, None)
        others = [one.described for one in self._memory.world.sets.values()]
        await asyncio.to_thread(self._works.remove, name, others, self._progress)

    async def _look(self, described: ArtifactSet, depth: Depth) -> tuple[Gap, ...]:
        told = self._progress.add if depth is Depth.CONTENT else _nobody
        found = await asyncio.to_thread(self._works.gaps, described, depth, told)
        self._looked[described.name] = _Looked(time=self._clock.now(), gaps=found)
        return found

    def _held(self, name: str) -> HeldSet:
        if (one := self._memory.world.sets.get(name)) is None:
            raise NotFoundError(
                f"no artifact set is called {clean(name, 100)}",
                evidence=f"held: {', '.join(sorted(self._memory.world.sets)) or 'none'}"[:400],
                next_action="see which there are: innervate set list",
            )
        return one

    def _view(self, one: HeldSet) -> SetView:
        described, looked = one.described, self._looked.get(one.described.name)
        return SetView(
            name=described.name,
            engine=described.engine.value,
            version=described.version,
            arch=described.arch,
            provenance=described.provenance.value,
            files=len(described.files),
            images=len(described.images),
            size_bytes=one.size,
            since=one.since,
            looked=looked.time if looked else None,
            gaps=tuple(gap.text for gap in looked.gaps[:_GAPS_SHOWN]) if looked else (),
        )

    def _named(self, folder: str) -> Path:
        """Whoever asks may be far away: nothing but the folder of sets is theirs to read."""
        if self._folder is None:
            action = "name the folder in the daemon's configuration: sets_dir"
            raise UsageError("this appliance imports from no folder", next_action=action)
        name = folder.removeprefix(f"{self._folder}/").rstrip("/")
        if not _FOLDER.fullmatch(name):
            raise UsageError(
                f"{clean(folder, 100)!r} is no folder to import from",
                evidence=f"sets are imported from {self._folder}",
                next_action=f"put the set's folder directly into {self._folder}, and give its name",
            )
        return self._folder / name


def _kept(described: ArtifactSet, looked: _Looked | None) -> Kept:
    gaps = tuple(gap.text for gap in looked.gaps) if looked is not None else None
    return Kept(name=described.name, provenance=described.provenance.value, gaps=gaps)


def _nobody(_size: int) -> None:
    """Counts nothing: what looks in passing is no progress of the work under way."""


def _fault_of(error: InnervateError) -> SetFaultView:
    return SetFaultView(code=error.code, message=str(error), evidence=error.evidence, next_action=error.next_action)


def _none() -> NotFoundError:
    action = "give the site a topology that runs one: see docs/guide/registry.md"
    return NotFoundError("this site has no container registry", next_action=action)
