"""How the site's machines stand, as metrics. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence

from appliance.metrics import catalogue
from appliance.metrics.model import Family, by_label
from appliance.model.phase import PHASES, ConditionKind
from appliance.model.standing import summary
from appliance.model.views import MachineView


def machine_families(machines: Sequence[MachineView]) -> Iterator[Family]:
    states = summary(machines).states
    yield by_label(catalogue.NODES, states)
    late = Counter(machine.phase for machine in machines if _is_late(machine))
    budgeted = [phase for phase, rule in PHASES.items() if rule.budget is not None]
    yield by_label(catalogue.ABOVE, {phase.value: late[phase] for phase in budgeted})


def _is_late(machine: MachineView) -> bool:
    return any(condition.kind is ConditionKind.STUCK for condition in machine.conditions)
