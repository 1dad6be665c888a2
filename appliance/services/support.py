"""A support bundle: what somebody elsewhere needs to see why a site does not go on, and no secret."""

import asyncio
import hashlib
import io
import os
import platform
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import distributions
from pathlib import Path

from appliance.api.common import Looking, Support
from appliance.errors import InnervateError
from appliance.frontend.bundle import EVENTS, Inside, cover
from appliance.model.codec import to_json
from appliance.model.filter import Filter
from appliance.model.ids import MachineName, RunId
from appliance.model.redaction import without
from appliance.model.report_views import ReportView
from appliance.model.support_views import BundleFile, ManifestView
from appliance.model.views import ExplainView, MachinesView, MachineView

_RUNS = 20
_COVER = "index.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportDesk:
    """Implements `appliance.api.common.Support`. `known` are the secrets that the appliance knows; `folders` those
    whose disks it needs; `settings` are lines for people."""

    log: Callable[[], str]
    known: Callable[[], Iterable[str]]
    folders: Mapping[str, Path]
    settings: tuple[str, ...] = ()

    def files(self) -> Mapping[str, str]:
        return {"log.txt": self.log(), "system.txt": "".join(f"{line}\n" for line in self._system())}

    def secrets(self) -> frozenset[str]:
        return frozenset(self.known())

    def _system(self) -> Iterator[str]:
        yield f"python {sys.version}"
        yield f"kernel {platform.uname().release} {platform.machine()}"
        yield from _read(Path("/etc/os-release"))
        yield from (f"memory {line}" for line in _read(Path("/proc/meminfo"))[:5])
        yield f"load {' '.join(_read(Path('/proc/loadavg')))}"
        yield f"processors {os.cpu_count()}"
        for name, path in self.folders.items():
            yield f"disk of {name} {path}: {_room(path)}"
        yield from self.settings
        yield from sorted({f"package {one.name} {one.version}" for one in distributions()})


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError as error:
        return [f"{path}: {error.strerror}"]


def _room(path: Path) -> str:
    try:
        seen = shutil.disk_usage(path)
    except OSError as error:
        return str(error.strerror)
    return f"{seen.free} of {seen.total} bytes free"


async def bundle(appliance: Looking, support: Support) -> bytes:
    """A ZIP. What cannot be had is said on its first page, and holds up nothing else."""
    inside = await _inside(appliance)
    return await asyncio.to_thread(_packed, inside, support)


async def _inside(appliance: Looking) -> Inside:
    gaps: dict[str, str] = {}
    events = await appliance.latest(limit=EVENTS)
    runs, machines = appliance.runs(), _without_codes(appliance.machines())
    report = _report_without_codes(appliance.report(Filter(), ""))
    views: dict[str, object] = {
        "health.json": appliance.health(),
        "machines.json": machines,
        "report.json": report,
        "explain.json": tuple(_explained(appliance, machines, gaps)),
        "runs.json": runs,
        "goals.json": appliance.goals(every=True),
        "doctor.json": (found := appliance.doctor_desk.doctor()),
        "events.json": events,
        "networks.json": appliance.stores.networks(),
        "leases.json": appliance.stores.leases(),
        "clusters.json": appliance.cluster_desk.clusters(),
    }
    for run in runs.runs[:_RUNS]:
        views[f"runs/{run.id}.json"] = appliance.run(RunId(run.id))
    try:
        views["images.json"] = await appliance.stores.images()
    except InnervateError as error:
        gaps["images.json"] = str(error)
    return Inside(report=report, found=found, events=events, views=views, gaps=gaps)


def _explained(appliance: Looking, machines: MachinesView, gaps: dict[str, str]) -> Iterator[ExplainView]:
    for machine in machines.machines:
        try:
            yield appliance.explain(MachineName(machine.name))
        except InnervateError as error:
            gaps[f"explain.json of {machine.name}"] = str(error)


def _without_codes(view: MachinesView) -> MachinesView:
    return replace(view, machines=tuple(map(_uncoded, view.machines)))


def _report_without_codes(view: ReportView) -> ReportView:
    return replace(view, machines=tuple(replace(one, machine=_uncoded(one.machine)) for one in view.machines))


def _uncoded(machine: MachineView) -> MachineView:
    """What a console shows is for who stands before it."""
    return machine if machine.identity is None else replace(machine, identity=replace(machine.identity, code=""))


def _packed(inside: Inside, support: Support) -> bytes:
    files = {name: to_json(view) for name, view in inside.views.items()}
    files |= {name: text.encode("utf-8", "replace") for name, text in support.files().items()}
    secrets = support.secrets()
    files = {name: without(data, secrets) for name, data in files.items()}
    sizes = {name: len(data) for name, data in files.items()}
    files = {_COVER: without(cover(inside, sizes).encode("utf-8", "replace"), secrets), **files}
    listed = (BundleFile(name=name, size_bytes=len(data), sha256=_digest(data)) for name, data in files.items())
    manifest = ManifestView(site=inside.report.site, made=inside.report.made, files=tuple(listed))
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**files, "manifest.json": to_json(manifest)}.items():
            archive.writestr(name, data)
    return into.getvalue()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
