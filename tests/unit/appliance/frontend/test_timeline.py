"""A boot that stands still: what did not come and where to look."""

from dataclasses import replace

import pytest

from appliance.frontend.timeline import Stage, stages
from appliance.model.phase import Phase
from appliance.model.views import EvidenceView, MachineView, StepState, StepView
from tests.failures import TEN, scene_of

NOW = 1_800_000_000.0
STEP = StepView(
    id="node-0.boot", machine="node-0", score="", summary="boot node-0", kind="", budget=900, state=StepState.RUNNING
)


def booting(phase: Phase, seen: float, **found: float) -> MachineView:
    """The last of `found` was seen `seen` seconds ago."""
    proof = EvidenceView(what="seen", time=NOW - seen, detail="")
    step = replace(STEP, started=NOW - seen - 30)
    known: dict[str, float | None] = {**found}
    return MachineView(name="node-0", phase=phase, since=NOW - 900, step=step, stages=known, evidence=(proof,))


def awaited(machine: MachineView) -> Stage:
    (stage,) = (stage for stage in stages(machine, NOW) if stage.at is None and stage.took is not None)
    return stage


@pytest.mark.parametrize(
    ("machine", "name", "took", "gap"),
    [
        (booting(Phase.ENROLLING, 20, dhcp=5.5), "tftp", 20, ""),
        (booting(Phase.ENROLLING, 90, dhcp=5.5), "tftp", 90, "no boot program fetched by TFTP for 1m30s"),
        (booting(Phase.ENROLLING, 61, dhcp=5.5, script=5.9), "hello", 61, "no hello of the agent for 1m01s"),
        (booting(Phase.DEPLOYING, 600, dhcp=5.5, script=5.9, hello=20), "written", 600, ""),
    ],
)
def test_what_is_awaited(machine: MachineView, name: str, took: float, gap: str) -> None:
    stage = awaited(machine)
    assert (stage.name, stage.took, stage.gap.partition(":")[0]) == (name, took, gap)


def test_what_was_seen_and_what_was_not_needed() -> None:
    boot = stages(booting(Phase.INSPECTING, 5, dhcp=5.5, script=6.0, hello=20), NOW)
    assert [(stage.at, stage.took) for stage in boot[:4]] == [(5.5, 5.5), (None, None), (6.0, 0.5), (20, 14)]
    assert boot[1].gap.startswith("not needed")
    assert {(stage.at, stage.took, stage.gap) for stage in boot[4:]} == {(None, None, "")}, "it installs nothing"


def test_nothing_is_known_of_a_machine_that_was_never_on() -> None:
    assert stages(MachineView(name="node-0", phase=Phase.UNKNOWN, since=NOW), NOW) == ()


def test_a_gap_is_named() -> None:
    """After the last thing seen, also where the step has failed."""
    found = {}
    for name in TEN:
        scene = scene_of(name)
        boot = stages(scene.machine, scene.now)
        found[name] = [(stage.name, stage.gap.partition(":")[0]) for stage in boot if stage.gap]
    assert found["wrong-hash"] == [("written", "no image written and verified for 10s")]
    assert found["boot-order"] == [("first_boot", "no report of the installed system for 14m40s")]
    assert found["no-link"] == [("first_boot", "no report of the installed system for 30m13s")]
    assert {name: found[name] for name in ("dead-bmc", "same-mac")} == {"dead-bmc": [], "same-mac": []}, "never on"
