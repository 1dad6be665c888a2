"""The site program on disk beside the one that runs: real files, real checks in processes of their own."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.errors import ConflictError, InnervateError, PlanError, SiteError, StaleError
from appliance.model.ids import MachineName, StepId
from appliance.model.site_views import SiteView
from appliance.plan import Inspect, Plan, Step
from appliance.services.program import SiteProgram
from appliance.site import Site, load
from appliance.topology import Rack
from images.errors import ToolError
from images.ports import Finished, Progress
from images.processes import HostProcesses
from tests.unit.appliance.access.test_desk import Hands

PROGRAM = Path(__file__).parents[4].joinpath("examples/lab_rack.py").read_text()
MORE = PROGRAM.replace("site = Site(", 'password = "hunter2!"\nsite = Site(')


class Counting:
    """How often something is run."""

    def __init__(self, fails: ToolError | None = None) -> None:
        self.count, self._fails = 0, fails

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        cwd: Path | None = None,
        watch: Progress | None = None,
    ) -> Finished:
        self.count += 1
        if self._fails is not None:
            raise self._fails
        return HostProcesses().run(argv, timeout=timeout, stdin=stdin, cwd=cwd, watch=watch)


def planned(site: Site[Rack]) -> Plan:
    """A step for each machine, and one more where a score is gone."""
    steps = [
        Step(
            id=StepId(f"{name}.{len(site.scores)}"),
            machine=MachineName(name),
            score="x",
            summary=f"{len(site.scores)} scores",
            do=Inspect(),
            budget=1.0,
        )
        for name in site.topology.machines
    ]
    return Plan(site=site.name, steps=tuple(steps))


def looked(path: Path, *texts: str, processes: Counting | None = None) -> list[SiteView]:
    """What is seen while the file says one thing after the other; the first is the one that runs."""
    path.write_text(texts[0])
    known = SiteProgram(path, processes or Counting(), Hands())
    running, found = load(path), list[SiteView]()

    with asyncio.Runner() as runner:
        for text in texts:
            path.write_text(text)
            found.append(runner.run(known.look(running, planned)))
    return found


def test_unchanged(tmp_path: Path) -> None:
    (view,) = looked(tmp_path / "site.py", PROGRAM)
    assert (view.name, view.path, view.changed, view.diff, view.advice) == (
        "lab",
        str(tmp_path / "site.py"),
        False,
        "",
        "",
    )
    assert view.check.fault is None
    assert view.check.summary.startswith("lab: ")
    assert view.source == PROGRAM


def test_changed(tmp_path: Path) -> None:
    _, view = looked(tmp_path / "site.py", PROGRAM, MORE.replace("        SmokeTest(),\n", ""))
    assert view.changed
    assert '+password = "***"' in view.diff
    assert "-        SmokeTest()," in view.diff
    assert "hunter2" not in str(view)
    assert "reload it" in view.advice
    assert {(one.change, one.summary) for one in view.changes} == {("removed", "3 scores"), ("added", "2 scores")}
    assert (view.machines_added, view.machines_removed) == ((), ())


def test_machines_that_come_and_go(tmp_path: Path) -> None:
    renamed = PROGRAM.replace("lab_rack()", "replace_first(lab_rack())").replace(
        "GB = 10**9",
        "from dataclasses import replace\n\n\ndef replace_first(rack):\n"
        "    return replace(rack, servers=(replace(rack.servers[0], name='other'), *rack.servers[1:]))\n\n\nGB = 10**9",
    )
    _, view = looked(tmp_path / "site.py", PROGRAM, renamed)
    assert view.check.fault is None, view.check
    assert view.machines_added == ("other",)
    assert view.machines_removed == ("node-0",)
    assert (view.reloadable, "restart the daemon" in view.advice) == (False, True)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (PROGRAM.replace("site = Site(", "site = Site(("), "", "site.py"),
        ('password = "hunter2!"\nraise ValueError(password)\n', ":2", "ValueError: ***"),
        ("import sys\nsys.exit(3)\n", ":2", "SystemExit"),
        ("x = 1\n", ":1", "defines no site"),
        ("print('noise')\nimport os\nos._exit(9)\n", "", "said nothing that makes sense"),
    ],
)
def test_a_program_that_is_not_sound(tmp_path: Path, text: str, line: str, message: str) -> None:
    _, view = looked(tmp_path / "site.py", PROGRAM, text)
    assert view.check.fault is not None
    assert message in view.check.fault.message
    assert line in view.check.fault.where
    assert "hunter2" not in str(view)
    assert view.changes == ()
    assert "correct the program first" in view.advice


def test_it_is_checked_once_for_each_content(tmp_path: Path) -> None:
    processes = Counting()
    looked(tmp_path / "site.py", PROGRAM, PROGRAM, MORE, MORE, processes=processes)
    assert processes.count == 2


def test_a_program_without_an_end(tmp_path: Path) -> None:
    (view,) = looked(tmp_path / "site.py", PROGRAM, processes=Counting(ToolError("overran")))
    assert view.check.fault is not None
    assert "did not come to an end" in view.check.fault.message


def test_a_file_that_is_gone_or_too_long(tmp_path: Path) -> None:
    path = tmp_path / "site.py"
    path.write_text(PROGRAM)
    known, running = SiteProgram(path, Counting(), Hands()), load(path)
    path.unlink()
    view = asyncio.run(known.look(running, planned))
    assert view.changed
    assert view.check.fault is not None
    assert "cannot read" in view.check.fault.message
    path.write_text("#" * (1 << 21))
    view = asyncio.run(known.look(running, planned))
    assert view.check.fault is not None
    assert "too long" in view.check.fault.message
    with pytest.raises(SiteError, match="cannot read"):
        SiteProgram(tmp_path / "nowhere.py", Counting(), Hands())


def test_what_cannot_be_planned_is_said(tmp_path: Path) -> None:
    path = tmp_path / "site.py"
    path.write_text(PROGRAM)
    known, running = SiteProgram(path, Counting(), Hands()), load(path)
    path.write_text(MORE)

    def refused(_site: Site[Rack]) -> Plan:
        raise PlanError("no image", next_action="build one")

    assert asyncio.run(known.look(running, refused)).plan_problem == "no image; build one"


FEWER = PROGRAM.replace("        SmokeTest(),\n", "")
OTHER_RACK = PROGRAM.replace("lab_rack()", "replace(lab_rack(), image_names=('other',))").replace(
    "GB = 10**9", "from dataclasses import replace\n\nGB = 10**9"
)


def test_what_differs_in_scores_alone_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "site.py"
    path.write_text(PROGRAM)
    clock = Hands()
    known, running = SiteProgram(path, Counting(), clock), load(path)
    path.write_text(FEWER)
    with asyncio.Runner() as runner:
        view = runner.run(known.look(running, planned))
        assert view.reloadable
        assert "reload it" in view.advice
        clock.seconds += 60
        site = runner.run(known.take(running, view.digest))
        assert (len(running.scores), len(site.scores)) == (3, 2)
        after = runner.run(known.look(site, planned))
    assert (after.changed, after.diff, after.reloadable, after.loaded) == (False, "", False, clock.now())


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        (OTHER_RACK, ConflictError, "what there is differs"),
        (FEWER.replace('name="lab"', 'name="other"'), ConflictError, "what there is differs"),
        ('password = "hunter2!"\nraise ValueError(password)\n', SiteError, r"ValueError: \*\*\*"),
    ],
)
def test_what_needs_a_restart_is_not_taken(tmp_path: Path, text: str, kind: type[InnervateError], why: str) -> None:
    path = tmp_path / "site.py"
    path.write_text(PROGRAM)
    known, running = SiteProgram(path, Counting(), Hands()), load(path)
    path.write_text(text)
    with asyncio.Runner() as runner:
        view = runner.run(known.look(running, planned))
        assert not view.reloadable
        with pytest.raises(kind, match=why):
            runner.run(known.take(running, view.digest))
        assert runner.run(known.look(running, planned)).changed


def test_what_nobody_has_looked_at_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "site.py"
    path.write_text(PROGRAM)
    known, running = SiteProgram(path, Counting(), Hands()), load(path)
    path.write_text(FEWER)
    with asyncio.Runner() as runner:
        view = runner.run(known.look(running, planned))
        path.write_text(FEWER + "# and more\n")
        with pytest.raises(StaleError):
            runner.run(known.take(running, view.digest))
