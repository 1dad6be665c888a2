"""The site program on disk, looked at beside the one that runs, and taken in its place where only scores differ.

What the topology says is wired all through the daemon when it starts; scores are asked anew for each plan.

A program is checked in a process of its own, with a deadline; only one that came through is run in ours, to be planned.
Both happen once for each content of the file.
"""

import asyncio
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from appliance import program
from appliance.errors import ConflictError, InnervateError, MachineryError, SiteError, StaleError, UsageError
from appliance.model.codec import from_json
from appliance.model.site_views import SiteCheckView, SiteFaultView, SiteView
from appliance.model.text import clean
from appliance.plan import Plan
from appliance.ports import Clock
from appliance.program import Program
from appliance.site import Site, load
from appliance.topology import Rack
from images.errors import ToolError
from images.ports import Processes

_LIMIT = 1 << 20
_CHECK_SECONDS = 30.0
_ADVICE = (
    "restart the daemon for it to take effect (systemctl restart innervate): it takes about a second, and running steps"
    " go on"
)
_RELOAD = "reload it for it to take effect: only what is wanted of the machines differs, not what there is"
_CORRECT = "correct the program first: a daemon that is started now would not come up"


class Running:
    """The site that runs: one for all copies of the application."""

    def __init__(self, site: Site[Rack]) -> None:
        self.site = site


Planned = Callable[[Site[Rack]], Plan]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """`site` is None where the check failed."""

    text: str
    check: SiteCheckView
    site: Site[Rack] | None


class SiteProgram:
    """To be made just before the daemon loads the program: its text then is the one that runs. Raises `SiteError`."""

    def __init__(self, path: Path, processes: Processes, clock: Clock) -> None:
        self._path, self._processes = path, processes
        self._clock = clock
        self._text, self._loaded = _text(path), clock.now()
        self._running = program.read(self._text)
        self._checking = asyncio.Lock()
        self._latest: Checked | None = None

    @property
    def secrets(self) -> frozenset[str]:
        """What is masked in the program that runs."""
        return self._running.secrets

    async def take(self, running: Site[Rack], digest: str) -> Site[Rack]:
        """The site that runs from now on. Raises `StaleError` where the file is another one than was looked at,
        `SiteError` where it is not sound, `ConflictError` where it needs a restart."""
        text = await asyncio.to_thread(_text, self._path)
        if _digest(text) != digest:
            raise StaleError("the program on disk has changed since it was looked at", next_action="look again")
        checked = await self._checked(text)
        if (fault := checked.check.fault) is not None or checked.site is None:
            said = _masked(checked.check, program.read(text, self._running)).fault or fault
            raise SiteError(
                said.message if said else "the program is not sound",
                evidence=said.where if said else "",
                next_action=said.next_action if said else _CORRECT,
            )
        if not _is_alike(running, checked.site):
            raise ConflictError("what there is differs, not only what is wanted of it", next_action=_ADVICE)
        self._text, self._loaded, self._running = text, self._clock.now(), program.read(text)
        return checked.site

    async def look(self, running: Site[Rack], planned: Planned) -> SiteView:
        try:
            text = await asyncio.to_thread(_text, self._path)
        except SiteError as error:
            return self._view(running, self._running, SiteCheckView(fault=_fault(error)), "")
        disk = await asyncio.to_thread(program.read, text, self._running)
        checked = await self._checked(text)
        check = _masked(checked.check, disk)
        view = self._view(running, disk, check, text)
        return view if checked.site is None or not view.changed else _held_against(view, running, checked.site, planned)

    def _view(self, running: Site[Rack], disk: Program, check: SiteCheckView, text: str) -> SiteView:
        changed = text != self._text
        return SiteView(
            name=running.name,
            path=str(self._path),
            loaded=self._loaded,
            source=disk.masked,
            changed=changed,
            diff=program.diff(self._running, disk, self._path.name),
            check=check,
            digest=_digest(text),
            advice="" if not changed else _ADVICE if check.fault is None else _CORRECT,
        )

    async def _checked(self, text: str) -> Checked:
        async with self._checking:
            if self._latest is None or self._latest.text != text:
                self._latest = await asyncio.to_thread(self._check, text)
            return self._latest

    def _check(self, text: str) -> Checked:
        try:
            check = self._asked()
            site = load(self._path) if check.fault is None else None
            if _text(self._path) != text:
                raise ConflictError("the program was changed while it was checked", next_action="look again")
        except InnervateError as error:
            return Checked(text=text, check=SiteCheckView(fault=_fault(error)), site=None)
        return Checked(text=text, check=check, site=site)

    def _asked(self) -> SiteCheckView:
        """`innervate check`, in a process that may hang, end or crash."""
        argv = (sys.executable, "-m", "appliance.main", "check", "--json", str(self._path))
        try:
            done = self._processes.run(argv, timeout=_CHECK_SECONDS, cwd=Path(program.__file__).parents[1])
            return from_json(SiteCheckView, done.output)
        except ToolError as error:
            action = f"run it by hand: innervate check {self._path}"
            raise MachineryError(
                "the check did not come to an end", evidence=str(error)[:300], next_action=action
            ) from error
        except UsageError as error:
            action = f"run it by hand: innervate check {self._path}"
            raise MachineryError("the check said nothing that makes sense", next_action=action) from error


def _held_against(view: SiteView, running: Site[Rack], disk: Site[Rack], planned: Planned) -> SiteView:
    """What would be another thing. Plans are made of what is known of the machines now."""
    before, after = running.topology.machines, disk.topology.machines
    view = replace(
        view,
        machines_added=tuple(name for name in after if name not in before),
        machines_removed=tuple(name for name in before if name not in after),
    )
    if _is_alike(running, disk):
        view = replace(view, reloadable=True, advice=_RELOAD)
    try:
        return replace(view, changes=program.changes(planned(running), planned(disk)))
    except InnervateError as error:
        return replace(view, plan_problem="; ".join(filter(None, (str(error), error.next_action))))


def _is_alike(running: Site[Rack], disk: Site[Rack]) -> bool:
    return running.name == disk.name and running.topology == disk.topology


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise SiteError(
            f"cannot read the site program: {error.strerror}", evidence=str(path), next_action="give a readable file"
        ) from error
    if len(data) > _LIMIT:
        raise SiteError("the site program is too long", evidence=f"{path}: over {_LIMIT} bytes", next_action="split it")
    return data.decode("utf-8", "replace")


def _fault(error: InnervateError) -> SiteFaultView:
    return SiteFaultView(message=str(error), where=error.evidence, next_action=error.next_action)


def _masked(check: SiteCheckView, disk: Program) -> SiteCheckView:
    """What a program complains of may be the secret itself."""
    fault = check.fault
    if fault is None:
        return replace(check, summary=program.without(check.summary, disk.secrets))
    said, where = (clean(program.without(text, disk.secrets), 2000) for text in (fault.message, fault.where))
    return replace(check, fault=replace(fault, message=said, where=where))
