import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from appliance.api.fake import FakeApplication, Served, served
from appliance.main import main
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.views import (
    DeferredView,
    EvidenceView,
    MachinesView,
    MachineView,
    OutlookView,
    PhaseView,
    PlanView,
    ProgressView,
    RunState,
    RunSummaryView,
    RunsView,
    StepState,
    StepView,
)

Run = Callable[..., tuple[int, str, str]]
NOW = 1_800_000_100.0


def drawn(renderable: RenderableType, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)
    console.print(renderable)
    file = console.file
    assert isinstance(file, io.StringIO)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


@pytest.fixture
def text() -> Callable[[RenderableType], str]:
    return drawn


@pytest.fixture
def now() -> float:
    return NOW


@pytest.fixture
def plan() -> PlanView:
    write = StepView(
        id="write-0",
        machine="node-0",
        score="debian",
        summary="write debian-13 to DISK0001",
        kind="destructive",
        budget=600,
        state=StepState.RUNNING,
        started=NOW - 20,
    )
    boot = replace(write, id="boot-0", summary="boot from DISK0001", kind="idempotent", needs=("write-0",))
    return PlanView(
        digest="ab" * 32,
        site="lab",
        steps=(write, boot),
        deferred=(DeferredView(score="cluster", reason="needs facts of node-1"),),
        outlook=OutlookView(seconds=833.0, allowed=1433.0, steps=2, untimed=1),
    )


@pytest.fixture
def errand() -> PlanView:
    boot = StepView(
        id="wipe.node-0.boot-agent",
        machine="node-0",
        score="wipe",
        summary="boot node-0 into the discovery system",
        kind="idempotent",
        budget=1800,
    )
    wipe = replace(
        boot,
        id="wipe.node-0.wipe",
        summary="wipe disk DISK0001 (480.0 GB) of node-0, which now holds: gpt:6f2c",
        kind="destructive",
        needs=(boot.id,),
    )
    return PlanView(
        digest="cd" * 32,
        site="lab",
        steps=(boot, wipe),
        deferred=(),
        purpose="wipe node-0",
        missing=("node-0: disk sdb is not touched: it cannot be read",),
    )


@pytest.fixture
def runs() -> RunsView:
    paused = RunSummaryView(
        id="3f2a",
        plan="ab" * 32,
        state=RunState.RUNNING,
        started=NOW - 300,
        ended=None,
        paused="worse than its canary: 2 of 5\nfailed",
        by="anna",
        machines=8,
        settled=5,
        failed=2,
    )
    working = replace(paused, id="91c0", plan="cd" * 32, paused="", started=NOW - 400, settled=0, failed=0)
    ended = replace(paused, id="07be", state=RunState.CANCELLED, started=NOW - 9000, ended=NOW - 8000)
    return RunsView(runs=(paused, working, ended, replace(ended, id="07bd", state=RunState.DONE)))


@pytest.fixture
def machines(plan: PlanView) -> MachinesView:
    writing = MachineView(
        name="node-0",
        phase=Phase.DEPLOYING,
        since=NOW - 75,
        serial="SN0001\x1b[2J",
        address="10.77.0.50",
        product="Virtual Server",
        step=plan.steps[0],
        progress=ProgressView(done=450_000_000, total=1_000_000_000, rate=38_000_000.0, eta=14.5),
        stages={"dhcp": 3.25, "tftp": 3.5, "script": 4.0, "hello": 21.0},
        phases=(PhaseView(phase=Phase.ENROLLING, since=NOW - 90), PhaseView(phase=Phase.DEPLOYING, since=NOW - 75)),
        evidence=(EvidenceView(what="hello", time=NOW - 80, detail="agent with this attempt's nonce"),),
    )
    failed = MachineView(
        name="node-1",
        phase=Phase.ENROLLING,
        since=NOW - 1805,
        conditions=(
            Condition(
                kind=ConditionKind.FAILED,
                since=NOW - 5,
                reason="no DHCP request after power-on",
                step="boot-agent",
                evidence="BMC said \x1b[31mOn",
                next_action="check the cable and the boot order",
            ),
        ),
    )
    active = MachineView(name="node-2", phase=Phase.ACTIVE, since=NOW - 90_000, serial="SN0003")
    return MachinesView(machines=(writing, failed, active))


@pytest.fixture
def application(machines: MachinesView, plan: PlanView) -> FakeApplication:
    return FakeApplication(inventory={machine.name: machine for machine in machines.machines}, plans=[plan])


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


@pytest.fixture
def server(application: FakeApplication, socket_path: Path) -> Iterator[Served]:
    with served(application, socket_path) as server:
        yield server


@pytest.fixture
def run(server: Served, socket_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("INNERVATE_SOCKET", str(socket_path))

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return run
