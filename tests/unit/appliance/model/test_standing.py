from dataclasses import replace

import pytest

from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.standing import STANDINGS, Standing, standing, summary, worst_condition
from appliance.model.views import MachineView, StepState, StepView

STEP = StepView(id="s", machine="m", score="x", summary="y", kind="read", budget=1.0, state=StepState.RUNNING)


def machine(phase: Phase, *kinds: ConditionKind, step: StepView | None = None) -> MachineView:
    conditions = tuple(Condition(kind=kind, since=1.0, reason=kind.value) for kind in kinds)
    return MachineView(name="m", phase=phase, since=0.0, conditions=conditions, step=step)


@pytest.mark.parametrize(
    ("view", "word"),
    [
        (machine(Phase.UNKNOWN), Standing.UNKNOWN),
        (machine(Phase.AVAILABLE), Standing.IDLE),
        (machine(Phase.DEPLOYING), Standing.IDLE),
        (machine(Phase.DEPLOYING, step=STEP), Standing.RUNNING),
        (machine(Phase.DEPLOYING, step=replace(STEP, state=StepState.DONE)), Standing.IDLE),
        (machine(Phase.ACTIVE), Standing.ACTIVE),
        (machine(Phase.ACTIVE, step=STEP), Standing.RUNNING),
        (machine(Phase.RESCUE), Standing.RESCUE),
        (machine(Phase.RETIRED), Standing.RETIRED),
        (machine(Phase.ACTIVE, ConditionKind.UNREACHABLE), Standing.SILENT),
        (machine(Phase.ACTIVE, ConditionKind.DEGRADED), Standing.DEGRADED),
        (machine(Phase.DEPLOYING, ConditionKind.STUCK, step=STEP), Standing.STUCK),
        (machine(Phase.DEPLOYING, ConditionKind.STUCK, ConditionKind.HOLD), Standing.HELD),
        (machine(Phase.DEPLOYING, ConditionKind.HOLD, ConditionKind.FAILED), Standing.FAILED),
    ],
)
def test_words(view: MachineView, word: Standing) -> None:
    assert standing(view) is word


def test_every_condition_has_a_word_and_every_word_a_meaning() -> None:
    words = {standing(machine(Phase.ACTIVE, kind)) for kind in ConditionKind}
    assert len(words) == len(ConditionKind)
    assert list(STANDINGS) == list(Standing)


def test_the_worst_condition_is_the_one_that_the_word_is_about() -> None:
    worst = worst_condition(machine(Phase.ACTIVE, ConditionKind.STUCK, ConditionKind.HOLD))
    assert worst is not None
    assert worst.kind is ConditionKind.HOLD
    assert worst_condition(machine(Phase.ACTIVE)) is None


def test_a_summary_counts_every_word() -> None:
    view = summary([machine(Phase.ACTIVE), machine(Phase.ACTIVE), machine(Phase.ACTIVE, ConditionKind.HOLD)])
    assert (view.total, view.states["active"], view.states["held"], view.states["failed"]) == (3, 2, 1, 0)
    assert (view.phases["active"], view.phases["unknown"]) == (3, 0)
    assert list(view.states) == [word.value for word in Standing]
