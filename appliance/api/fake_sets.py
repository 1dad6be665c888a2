"""Artifact sets in memory for tests of the API and its clients: what is begun is done the next time somebody looks."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from appliance.errors import ConflictError, NotFoundError, UsageError
from appliance.model.set_views import (
    SetFaultView,
    SetImportRequest,
    SetJobView,
    SetsView,
    SetView,
    SetWork,
    WorkState,
)

HELD = SetView(
    name="kubeadm-v1.20.2-amd64",
    engine="kubeadm",
    version="v1.20.2",
    arch="amd64",
    provenance="rebuilt",
    files=3,
    images=7,
    size_bytes=470_000_000,
    since=1_800_000_000.0,
    looked=1_800_000_000.0,
)


@dataclass(kw_only=True)
class FakeSets:
    """A folder becomes a set of the engine k3s with its own name. The next work ends with `fault`."""

    held: dict[str, SetView] = field(default_factory=lambda: {HELD.name: HELD})
    fault: SetFaultView | None = None
    place: None = None
    _job: SetJobView | None = None
    _end: Callable[[], object] = lambda: None

    def sets(self) -> SetsView:
        shown = self._view()
        if self._job is not None and self._job.state is WorkState.RUNNING:
            self._finish(self._job)
        return shown

    def begin_import(self, request: SetImportRequest, by: str) -> SetsView:
        if "/" in request.folder.removeprefix("/srv/sets/"):
            raise UsageError(f"{request.folder} is no folder to import from", next_action="give its name")
        name = request.folder.removeprefix("/srv/sets/")
        taken = replace(HELD, name=name, engine="k3s", provenance="genuine")
        return self._begin(SetWork.IMPORT, name, lambda: self.held.update({name: taken}))

    def begin_check(self, name: str) -> SetsView:
        return self._begin(SetWork.CHECK, self._known(name), lambda: None)

    def begin_removal(self, name: str, by: str) -> SetsView:
        return self._begin(SetWork.REMOVE, self._known(name), lambda: self.held.pop(name, None))

    def _begin(self, work: SetWork, subject: str, end: Callable[[], object]) -> SetsView:
        if self._job is not None and self._job.state is WorkState.RUNNING:
            raise ConflictError("another set is being worked on", next_action="wait for its end")
        self._job = SetJobView(work=work, subject=subject, state=WorkState.RUNNING, started=1_800_000_000.0)
        self._end = end
        return self._view()

    def _finish(self, job: SetJobView) -> None:
        if self.fault is None:
            self._end()
        state = WorkState.DONE if self.fault is None else WorkState.FAILED
        self._job = replace(job, state=state, ended=1_800_000_001.0, fault=self.fault)

    def _known(self, name: str) -> str:
        if name not in self.held:
            raise NotFoundError(f"no artifact set is called {name}", next_action="see: innervate set list")
        return name

    def _view(self) -> SetsView:
        return SetsView(
            registry="10.77.0.1:5000",
            authority="-----BEGIN CERTIFICATE-----\n",
            folder="/srv/sets",
            sets=tuple(self.held.values()),
            job=self._job,
        )
