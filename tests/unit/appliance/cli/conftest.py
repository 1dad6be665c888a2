import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.views import (
    DeferredView,
    EvidenceView,
    MachinesView,
    MachineView,
    PhaseView,
    PlanView,
    ProgressView,
    StepState,
    StepView,
)

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
    )


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
