"""The whole site is given back: its clusters end, every disk is erased, every machine is off and forgotten. Pure.

Nodes are not drained and reset first: where all of them are erased nothing has to go on, and one that does not answer
would hold up all others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.cluster import ClusterName
from appliance.model.ids import StepId
from appliance.model.phase import Phase
from appliance.model.views import Errand
from appliance.plan import Plan, Purpose, Step, merge
from appliance.scores.cluster_life import end_of
from appliance.scores.errands import ErrandNeeds, decommission
from images.engine import Engine


def retire(name: str, site: ErrandNeeds, inventory: Inventory) -> Plan:
    """`name` is the site's. Machines of which nothing was ever seen are left alone: what is on them is not ours."""
    records = [inventory.record(machine) for machine in site.machines]
    ours = [record for record in records if record.phase not in (Phase.UNKNOWN, Phase.RETIRED)]
    ends = dict(_ends(ours))
    parts = [_after(decommission(site, record), record, ends) for record in ours]
    plan = merge(name, [Plan(site=name, steps=tuple(ends.values())), *parts])
    sentences = (*(sentence for part in parts for sentence in part.missing), *_left_alone(records))
    return replace(plan, purpose=Purpose(errand=Errand.DECOMMISSION), missing=sentences)


def _ends(records: Sequence[MachineRecord]) -> Iterator[tuple[ClusterName, Step]]:
    for record in records:
        if record.member is not None and record.member.cluster.set.engine is not Engine.OKD:
            yield record.member.cluster.name, end_of(record.member.cluster, record.name)


def _after(plan: Plan, record: MachineRecord, ends: Mapping[ClusterName, Step]) -> Plan:
    end = ends.get(record.member.cluster.name) if record.member is not None else None
    if end is None:
        return plan
    before: tuple[StepId, ...] = (end.id,)
    return replace(plan, steps=tuple(step if step.needs else replace(step, needs=before) for step in plan.steps))


def _left_alone(records: Sequence[MachineRecord]) -> Iterator[str]:
    for record in records:
        if record.phase is Phase.UNKNOWN:
            yield f"{record.name} is left alone: nothing was ever seen of it"
    members = [record.member for record in records if record.member is not None]
    for name in sorted({one.cluster.name for one in members if one.cluster.set.engine is Engine.OKD}):
        yield f"the appliance keeps its keys to the OKD {name}: no step ends that"
