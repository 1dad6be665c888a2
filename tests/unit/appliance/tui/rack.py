"""A rack in the middle of its work, and how tests look at it: through the real API, on a real screen of textual."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from appliance.api.fake import FakeApplication, Served
from appliance.client import Client
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.place import Place
from appliance.model.views import (
    CertificateView,
    DeferredView,
    EvidenceView,
    ExplainLine,
    ExplainView,
    MachineView,
    OutlookView,
    PhaseView,
    PlanView,
    ProgressView,
    RoleView,
    SegmentView,
    StepState,
    StepView,
)
from appliance.tui.app import Console
from appliance.tui.terminal import Terminal, terminal_of

NOW = 1_800_000_000.0
GOLDEN = Path(__file__).parents[3] / "golden" / "tui"
LINUX = terminal_of({"TERM": "linux"}, "utf-8")
VT100 = terminal_of({"TERM": "vt100"}, "utf-8")
PATIENCE = 20.0
_KEYS = {"-": "minus", " ": "space"}


def step(machine: str, action: str, summary: str, kind: str = "idempotent", needs: tuple[str, ...] = ()) -> StepView:
    return StepView(
        id=f"{machine}.{action}", machine=machine, score="debian", summary=summary, kind=kind, budget=1800, needs=needs
    )


def steps_of(machine: str, disk: str) -> tuple[StepView, ...]:
    write = f"write debian-13 to {disk} (480.0 GB), which now holds: gpt:6f2c"
    return (
        step(machine, "boot-agent", f"boot {machine} into the discovery system"),
        step(machine, "write", write, "destructive", (f"{machine}.boot-agent",)),
        step(machine, "boot", f"boot {machine} from {disk}", needs=(f"{machine}.write",)),
        step(machine, "ssh", f"enter {machine} by SSH", needs=(f"{machine}.boot",)),
    )


def install(*machines: str, digest: str = "ab" * 32) -> PlanView:
    return PlanView(
        digest=digest,
        site="lab",
        steps=tuple(one for number, name in enumerate(machines) for one in steps_of(name, f"DISK000{number}")),
        deferred=(),
        purpose="provision the site",
        roles=(
            RoleView(machine="node-0", role="control-plane", spare=False, why="meets 'an SSD': SSD DISK0000 of 480 GB"),
            RoleView(machine="node-1", role="worker", spare=True, why="meets 'at least 4 cores': 8 cores"),
        ),
        missing=("worker: 1 of 2 missing; node-4 does not meet 'at least 4 cores': 2 cores",),
        outlook=OutlookView(seconds=833.0, allowed=833.0, steps=4 * len(machines), borrowed=4),
    )


def discover(*machines: str) -> PlanView:
    """What comes first: nothing is known of the disks, so the rest has to wait."""
    looks = (step(name, "discover", f"read the hardware of {name}") for name in machines)
    later = DeferredView(score="debian", reason=f"needs facts of {', '.join(machines)}")
    return PlanView(digest="d1" * 32, site="lab", steps=tuple(looks), deferred=(later,), purpose="provision the site")


def errand(machine: str, purpose: str) -> PlanView:
    boot = step(machine, "wipe-boot", f"boot {machine} into the discovery system")
    wipe = step(machine, "wipe", f"wipe disk DISK0001 (480.0 GB) of {machine}", "destructive", (boot.id,))
    return PlanView(digest="cd" * 32, site="lab", steps=(boot, wipe), deferred=(), purpose=purpose)


def rack() -> FakeApplication:
    writing = replace(
        steps_of("node-0", "DISK0000")[1],
        state=StepState.RUNNING,
        started=NOW - 20,
        usual=34.0,
        waiting="the agent works",
    )
    machines = (
        MachineView(
            name="node-0",
            phase=Phase.DEPLOYING,
            since=NOW - 75,
            serial="SN0001",
            address="10.77.0.50",
            product="Virtual Server",
            role="control-plane",
            step=replace(writing, deadline=NOW + 1780),
            progress=ProgressView(done=450_000_000, total=1_000_000_000, rate=38_000_000.0, eta=14.5),
            stages={"dhcp": 5.5, "tftp": 5.6, "script": 5.9, "hello": 21.4, "written": None, "ssh": None},
            phases=(PhaseView(phase=Phase.ENROLLING, since=NOW - 96), PhaseView(phase=Phase.DEPLOYING, since=NOW - 75)),
            evidence=(EvidenceView(what="hello", time=NOW - 75, detail="agent with this attempt's nonce"),),
        ),
        MachineView(
            name="node-1",
            phase=Phase.ENROLLING,
            since=NOW - 1805,
            conditions=(
                Condition(
                    kind=ConditionKind.FAILED,
                    since=NOW - 5,
                    reason="the machine was started but its agent never said hello",
                    step="node-1.boot-agent",
                    evidence="seen since power-on: nothing",
                    next_action="check the network cable and the switch port",
                ),
            ),
        ),
        MachineView(name="node-2", phase=Phase.ACTIVE, since=NOW - 90_000, serial="SN0003", address="10.77.0.52"),
        MachineView(
            name="node-3",
            phase=Phase.AVAILABLE,
            since=NOW - 600,
            serial="SN0004",
            conditions=(Condition(kind=ConditionKind.HOLD, since=NOW - 60, reason="its fan is loud"),),
        ),
        MachineView(
            name="node-4",
            phase=Phase.RETIRED,
            since=NOW - 7200,
            serial="SN0005",
            certificates=(
                CertificateView(
                    serial="DISK0004",
                    wwn="naa.5000c500a1b2c3d4",
                    size_bytes=480_103_981_056,
                    time=NOW - 7300,
                    run="run-0",
                    findings={"method": "overwrite", "read_back": "zeros", "read_back_bytes": "480103981056"},
                ),
            ),
        ),
    )
    return FakeApplication(
        now=NOW,
        inventory={machine.name: machine for machine in machines},
        explained={machine.name: explained(machine) for machine in machines},
        segment=[
            SegmentView(
                kind="rival-server",
                subject="10.77.0.254",
                text="the DHCP server 10.77.0.254 answers on this network too; this appliance stands back",
                since=NOW - 300,
            )
        ],
        plans=[install("node-0", "node-1", "node-2")],
        slow=frozenset({"node-0.write"}),
        broken=frozenset({"node-1.boot-agent"}),
    )


def racked() -> dict[str, MachineView]:
    """The same machines, and where they stand: two in one unit, one over two, one that nobody placed."""
    places = {
        "node-0": Place(rack="b2", unit=1),
        "node-1": Place(rack="b10", unit=3, height=2),
        "node-2": Place(rack="b2", unit=42, half="left"),
        "node-3": Place(rack="b2", unit=42, half="right"),
    }
    return {name: replace(machine, place=places.get(name)) for name, machine in rack().inventory.items()}


def explained(machine: MachineView) -> ExplainView:
    links = [ExplainLine(kind="phase", text=machine.phase.value, since=machine.since)]
    if machine.step is not None:
        links.append(ExplainLine(kind="wait", text=machine.step.waiting, since=machine.step.started))
    verdict = f"{machine.name} is {machine.phase.value}"
    return ExplainView(machine=machine.name, verdict=verdict, lines=tuple(links))


def begin(server: Served, application: FakeApplication) -> None:
    """A run of the site's plan, as somebody else has started it."""

    async def begun() -> None:
        plan = await application.make_plan()
        run = await application.apply(plan.digest)
        application.run(run.id)

    server.do(begun())
    for machine, text in (("node-0", "ACK 10.77.0.50"), ("node-1", "no packet was seen"), ("", "run run-1 began")):
        server.do(application.tell(machine, text, run="run-1"))


class Screen:
    """What a person sees and types."""

    def __init__(self, console: Console, pilot: Pilot[None]) -> None:
        self.console = console
        self._pilot = pilot

    @property
    def lines(self) -> list[str]:
        strips = self.console.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines) + "\n"

    async def until(self, so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not so():
                await self._pilot.pause()

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)

    async def type(self, text: str) -> None:
        await self._pilot.press(*(_KEYS.get(character, character) for character in text))

    async def sees(self, *texts: str) -> None:
        """All of them, at last; fails with what is on the screen instead."""
        try:
            await self.until(lambda: all(text in self.text for text in texts))
        except TimeoutError:
            pytest.fail(f"{texts} is not on the screen:\n{self.text}")


Play = Callable[[Screen], Awaitable[None]]


def play(
    socket_path: Path, server: Served, application: FakeApplication, what: Play, terminal: Terminal = LINUX
) -> None:
    """An event at the end ends the long poll that is still open."""

    async def main() -> None:
        console = Console(Client(socket_path), terminal, lambda: NOW)
        async with console.run_test(size=(80, 24)) as pilot:
            await what(Screen(console, pilot))

    try:
        asyncio.run(main())
    finally:
        server.do(application.tell("", "the terminal was left"))


def check(name: str, text: str) -> None:
    """`INNERVATE_GOLDEN=write` accepts what is seen."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("INNERVATE_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text()
