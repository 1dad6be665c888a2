"""What a step's page says of its time."""

from dataclasses import replace

import pytest

from appliance.frontend.pace import Pace, pace, place_text
from appliance.model.phase import Phase
from appliance.model.views import MachineView, ProgressView, StepState, StepView

STEP = StepView(
    id="a",
    machine="node-0",
    score="s",
    summary="write",
    kind="destructive",
    budget=600.0,
    state=StepState.RUNNING,
    started=100.0,
)
BYTES = ProgressView(done=1, total=2, rate=1.0, eta=7.0)
LATE = "so this one is 15s late"
SLOW = ProgressView(done=1, total=2)


@pytest.mark.parametrize(
    ("usual", "progress", "now", "expected", "text"),
    [
        (None, None, 110.0, (10.0, None, 0.0), "too few like it were seen to say what is usual"),
        (None, BYTES, 110.0, (10.0, 7.0, 0.0), "about 7s left; too few like it were seen to say what is usual"),
        (55.0, None, 110.0, (10.0, 45.0, 0.0), "about 45s left; 95 of 100 like it took at most 55s"),
        (55.0, BYTES, 110.0, (10.0, 7.0, 0.0), "about 7s left; 95 of 100 like it took at most 55s"),
        (55.0, SLOW, 110.0, (10.0, 45.0, 0.0), "about 45s left; 95 of 100 like it took at most 55s"),
        (55.0, None, 170.0, (70.0, None, 15.0), "95 of 100 like it took at most 55s, so this one is 15s late"),
        (5.0, BYTES, 120.0, (20.0, 7.0, 15.0), "about 7s left; 95 of 100 like it took at most 5s, " + LATE),
        (55.0, None, 90.0, (0.0, 55.0, 0.0), "about 55s left; 95 of 100 like it took at most 55s"),
    ],
)  # fmt: skip
def test_pace(
    usual: float | None,
    progress: ProgressView | None,
    now: float,
    expected: tuple[float, float | None, float],
    text: str,
) -> None:
    step = replace(STEP, usual=usual)
    found = pace(MachineView(name="node-0", phase=Phase.DEPLOYING, since=0, step=step, progress=progress), now)
    took, left, late = expected
    assert found == Pace(took=took, left=left, usual=usual, late=late)
    assert found.text == text


@pytest.mark.parametrize(
    "step", [None, replace(STEP, started=None), *(replace(STEP, state=s) for s in set(StepState) - {StepState.RUNNING})]
)
def test_what_does_not_run_has_none(step: StepView | None) -> None:
    assert pace(MachineView(name="node-0", phase=Phase.ACTIVE, since=0, step=step), 1.0) is None


def test_place() -> None:
    machine = MachineView(name="node-0", phase=Phase.ACTIVE, since=0)
    assert place_text(machine) == ""
    assert place_text(replace(machine, step_number=3, step_count=7)) == "step 3 of 7"
