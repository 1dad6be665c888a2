"""What a person sees, as text. To accept a change: delete the file, run the test once, read the difference."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import RenderableType

from appliance.cli import progress, show
from appliance.frontend import words
from appliance.model.views import (
    CertificateView,
    EventView,
    ExplainLine,
    ExplainView,
    HostedView,
    MachinesView,
    PlanView,
    RoleView,
    RunState,
    RunsView,
    RunView,
    StepState,
)

GOLDEN = Path(__file__).parents[3] / "golden" / "cli"
Draw = Callable[[RenderableType], str]


def check(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if not file.exists():
        file.write_text(text)
        pytest.fail(f"{file} was missing; it is written now")
    assert text == file.read_text()
    assert "\x1b" not in text


def test_progress(machines: MachinesView, now: float, text: Draw) -> None:
    check("progress", text(progress.render(machines, now)))


def test_summary(machines: MachinesView, text: Draw) -> None:
    check("summary", text(progress.summary(machines)))


def test_changes(machines: MachinesView) -> None:
    check("changes", "".join(f"{line}\n" for line in words.changes(None, machines, 12.3)))


def test_plan(plan: PlanView, text: Draw) -> None:
    check("plan", text(show.plan(plan)))


def test_plan_of_an_errand(errand: PlanView, text: Draw) -> None:
    check("plan-errand", text(show.plan(errand)))


def test_plan_with_roles(plan: PlanView, text: Draw) -> None:
    roles = (
        RoleView(machine="node-0", role="control-plane", spare=False, why="meets 'an SSD': SSD S-0\x1b[2J of 480 GB"),
        RoleView(machine="node-1", role="worker", spare=True, why="meets 'at least 4 cores': 8 cores"),
        RoleView(machine="node-2", role="", spare=False, why="worker: does not meet 'at least 4 cores': 2 cores"),
    )
    view = replace(plan, purpose="provision the site", roles=roles, missing=("worker: 2 of 4 missing",), deferred=())
    check("plan-roles", text(show.plan(view)))


def test_machines_with_roles(machines: MachinesView, now: float, text: Draw) -> None:
    one, two, three = machines.machines
    view = MachinesView(machines=(replace(one, role="worker"), replace(two, spare_of="worker"), three))
    check("machines-roles", text(show.machines(view, now)))


def test_machine_that_waits(machines: MachinesView, now: float, text: Draw) -> None:
    one = machines.machines[0]
    assert one.step is not None
    waiting = replace(one.step, waiting="waiting for the agent's hardware report", deadline=now + 90, usual=95.0)
    check("machine-waits", text(show.machine(replace(one, role="worker", step=waiting), now)))


def test_machine_with_a_certificate(machines: MachinesView, now: float, text: Draw) -> None:
    findings = {"method": "nvme-format", "level": "erase", "read_back": "zeros\x1b[2J", "read_back_bytes": "4000000000"}
    certificate = CertificateView(
        serial="S-0", wwn="naa.5000", size_bytes=4_000_000_000, time=now, run="3f2a91c0", findings=findings
    )
    one = replace(machines.machines[2], phases=(), evidence=(), certificates=(certificate,))
    check("machine-certificate", text(show.machine(one, now)))


def test_a_container_host(machines: MachinesView, now: float, text: Draw) -> None:
    runs = HostedView(name="pages", version="1.1.0", since=now - 60)
    check("machine-hosts", text(show.machine(replace(machines.machines[2], applications=(runs,)), now)))


def test_machines(machines: MachinesView, now: float, text: Draw) -> None:
    check("machines", text(show.machines(machines, now)))


@pytest.mark.parametrize("index", [0, 1])
def test_machine(index: int, machines: MachinesView, now: float, text: Draw) -> None:
    check(f"machine-{index}", text(show.machine(machines.machines[index], now)))


def test_runs(runs: RunsView, now: float, text: Draw) -> None:
    check("runs", text(show.runs(runs, now, limit=3)))
    check("runs-paused", "".join(text(line) for line in show.paused(runs)))
    assert text(show.runs(RunsView(runs=()), now, limit=3)) == "No run was started yet.\n"


def test_run(plan: PlanView, now: float, text: Draw) -> None:
    write, boot = plan.steps
    view = RunView(
        id="3f2a",
        plan=plan.digest,
        state=RunState.CANCELLED,
        started=now - 100,
        ended=now,
        steps=(replace(write, state=StepState.FAILED), replace(boot, state=StepState.CANCELLED)),
        set_aside={"node-1": "its fan is\nloud"},
    )
    check("run", "".join(text(line) for line in show.run(view)))


def test_explanation(now: float, text: Draw) -> None:
    view = ExplainView(
        machine="node-1",
        verdict="node-1 is enrolling: waiting for the first DHCP packet",
        lines=(
            ExplainLine(kind="phase", text="enrolling", since=now - 1805),
            ExplainLine(
                kind="wait",
                text="waiting for the first DHCP packet\x1b[2J",
                since=now - 60,
                evidence="BMC said\nOn",
                next_action="check the cable and the boot order",
            ),
            ExplainLine(kind="next", text="at 08:03:10Z the BMC is told again to boot from the network"),
        ),
    )
    check("explain", text(show.explanation(view)))


def test_event() -> None:
    event = EventView(
        seq=7, time=1_800_000_000, machine="node-0", run="", kind="dhcp\n", text="\x1b[1mACK", fields={"mac": "a\rb"}
    )
    assert show.event(event) == "2027-01-15T08:00:00Z node-0 dhcp : ACK mac=a b"
