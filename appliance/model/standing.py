"""The one word that a screen shows for a machine: the same in the API's filters, on the command line and in pages."""

from collections import Counter
from collections.abc import Sequence
from enum import Enum

from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.views import MachineView, StepState, SummaryView


class Standing(Enum):
    """In the order in which they want attention: the first that holds is shown."""

    FAILED = "failed"
    HELD = "held"
    SILENT = "silent"
    DEGRADED = "degraded"
    STUCK = "stuck"
    RUNNING = "running"
    RESCUE = "rescue"
    IDLE = "idle"
    ACTIVE = "active"
    UNKNOWN = "unknown"
    RETIRED = "retired"


STANDINGS: dict[Standing, str] = {
    Standing.FAILED: "its last step failed for good, or no plan can be made for it",
    Standing.HELD: "nothing touches it until it is released",
    Standing.SILENT: "it was active, and does not answer",
    Standing.DEGRADED: (
        "it is not what was installed, its firmware measured something else, or another machine has taken its role"
    ),
    Standing.STUCK: "longer in its phase than is meant for it, or the appliance itself cannot go on",
    Standing.RUNNING: "a step is under way",
    Standing.RESCUE: "it runs the rescue system",
    Standing.IDLE: "nothing is under way, and it is not active yet",
    Standing.ACTIVE: "installed and proven",
    Standing.UNKNOWN: "named by the site program, and never seen",
    Standing.RETIRED: "decommissioned; the record is kept",
}

_BY_CONDITION = {
    ConditionKind.FAILED: Standing.FAILED,
    ConditionKind.HOLD: Standing.HELD,
    ConditionKind.UNREACHABLE: Standing.SILENT,
    ConditionKind.DEGRADED: Standing.DEGRADED,
    ConditionKind.STUCK: Standing.STUCK,
}
_BY_PHASE = {
    Phase.ACTIVE: Standing.ACTIVE,
    Phase.RESCUE: Standing.RESCUE,
    Phase.RETIRED: Standing.RETIRED,
    Phase.UNKNOWN: Standing.UNKNOWN,
}


def standing(machine: MachineView) -> Standing:
    if (worst := worst_condition(machine)) is not None:
        return _BY_CONDITION[worst.kind]
    if machine.step is not None and machine.step.state is StepState.RUNNING:
        return Standing.RUNNING
    return _BY_PHASE.get(machine.phase, Standing.IDLE)


def worst_condition(machine: MachineView) -> Condition | None:
    """The condition that the word is about, if it is about one."""
    order = tuple(_BY_CONDITION)
    return min(machine.conditions, key=lambda condition: order.index(condition.kind), default=None)


def summary(machines: Sequence[MachineView]) -> SummaryView:
    states = Counter(standing(machine) for machine in machines)
    phases = Counter(machine.phase for machine in machines)
    return SummaryView(
        total=len(machines),
        states={word.value: states[word] for word in Standing},
        phases={phase.value: phases[phase] for phase in Phase},
    )
