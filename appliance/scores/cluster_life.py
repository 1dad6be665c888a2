"""What a cluster's life asks of its machines: nodes leave, are upgraded, are taken out when they are dead, all end.

Errands of single machines begin with the same steps: nobody erases a node under a cluster that counts on it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from appliance.capabilities import BareMachines, Shell
from appliance.errors import PlanError
from appliance.inventory.model import Inventory, MachineRecord
from appliance.kubernetes.version import KubernetesVersion
from appliance.model.cluster import (
    BackUpCluster,
    ClusterName,
    ClusterSpec,
    DrainNode,
    EndCluster,
    NodeRole,
    RemoveNode,
    ResetNode,
    SetRef,
    UpgradeNode,
)
from appliance.model.ids import MachineName, StepId
from appliance.model.phase import ConditionKind
from appliance.plan import Plan, Step
from appliance.scores import slurm_life
from appliance.scores.score import Move, chain, step_id, step_of
from images.artifact_set import ArtifactSet
from images.engine import Engine

NAME, ENDING = "cluster", "end-cluster"
DRAIN_SECONDS = 1800.0
RESET_SECONDS = 900.0
REMOVE_SECONDS = 600.0
BACK_UP_SECONDS = 900.0
UPGRADE_SECONDS = 2400.0
END_SECONDS = 300.0


def at_hand(name: str, inventory: Inventory) -> ArtifactSet:
    """Raises `PlanError` where the appliance does not hold it."""
    if (found := inventory.sets.get(name)) is None:
        raise PlanError(
            f"the artifact set {name!r} is not at hand",
            evidence=f"at hand: {', '.join(sorted(inventory.sets)) or 'none'}",
            next_action="import it: innervate set import DIR",
        )
    return found


def of_engine(name: str, engine: Engine, inventory: Inventory) -> SetRef:
    """Of a set that `./run image` makes of Debian's packages. Raises `PlanError`."""
    found = inventory.sets.get(name)
    if found is None or found.engine is not engine:
        ours = sorted(one.name for one in inventory.sets.values() if one.engine is engine)
        raise PlanError(
            f"the artifact set {name!r} is not at hand, or not of {engine}",
            evidence=f"at hand: {', '.join(ours) or 'none'}",
            next_action=f"make one: ./run image {engine}; import it: innervate set import DIR",
        )
    return SetRef.of(name, found)


def waits(cluster: str, unknown: Sequence[MachineName]) -> str:
    if unknown:
        return f"{cluster}: the hardware of {', '.join(unknown)} is not known yet"
    return f"{cluster}: no machine has the role of a control plane yet"


def chosen(which: str | tuple[str, ...], site: BareMachines, inventory: Inventory) -> tuple[MachineRecord, ...]:
    """Those with that role, or of these names. Raises `PlanError`."""
    if isinstance(which, str):
        return tuple(record for name in site.machines if (record := inventory.record(name)).role == which)
    if strange := sorted(set(which) - set(site.machines)):
        raise PlanError(
            f"the cluster names machines that the site does not have: {', '.join(strange)}",
            next_action="name machines of the topology, or a role",
        )
    return tuple(inventory.record(MachineName(name)) for name in which)


def taken(machine: MachineName, has: ClusterName, wants: str) -> PlanError:
    return PlanError(
        f"{machine} belongs to the cluster {has}",
        next_action=f"take it out of one of the two; {wants} gets it when it is free",
    )


def check_unhosted(record: MachineRecord, wants: str) -> None:
    """Raises `PlanError` for a container host on which applications run."""
    running = record.host.applications if record.host is not None else ()
    if running:
        raise PlanError(
            f"{record.name} is a container host: {', '.join(one.app.name for one in running)}",
            next_action=f"retire what runs there, or move it to another host; {wants} gets the machine then",
        )


def members(cluster: ClusterName, site: BareMachines, inventory: Inventory) -> tuple[MachineRecord, ...]:
    records = (inventory.record(name) for name in site.machines)
    return tuple(one for one in records if one.member is not None and one.member.cluster.name == cluster)


def is_plane(record: MachineRecord) -> bool:
    return record.member is not None and record.member.role is NodeRole.CONTROL_PLANE


def is_gone(record: MachineRecord) -> bool:
    """Whether it cannot be asked to leave: somebody took its place, it was emptied, or it does not answer."""
    silent = any(condition.kind is ConditionKind.UNREACHABLE for condition in record.conditions)
    return record.replaced or record.in_hand or silent or record.installed is None


def is_restored(record: MachineRecord, backup: str) -> bool:
    return record.member is not None and record.member.restored == backup


def leave(record: MachineRecord) -> tuple[Move, ...]:
    """The way out of its cluster of a machine that lives; of one that does not, the cluster's word alone."""
    assert record.member is not None  # noqa: S101  who is no member has nothing to leave
    spec, name = record.member.cluster, record.name
    if spec.set.engine is Engine.OKD:
        raise _not_by_us(name, spec)
    summary = f"remove {name} from the cluster {spec.name}"
    remove = Move(do=RemoveNode(cluster=spec, node=name), summary=summary, budget=REMOVE_SECONDS)
    if is_gone(record):
        return (remove,)
    return (_drain(spec, name), _reset(spec, name, last=False), remove)


def leave_first(record: MachineRecord, site: BareMachines, inventory: Inventory) -> tuple[Move, ...]:
    """Before an errand that ends what runs on a machine. Raises `PlanError` where its cluster would end with it."""
    if record.slurm is not None and not is_gone(record):
        return slurm_life.leave_first(record, record.slurm, [inventory.record(name) for name in site.machines])
    if record.member is None:
        return ()
    spec = record.member.cluster
    others = [one for one in members(spec.name, site, inventory) if is_plane(one) and one.name != record.name]
    if is_plane(record) and not [one for one in others if not is_gone(one)]:
        raise PlanError(
            f"{record.name} is the last control plane of the cluster {spec.name}",
            evidence=f"others: {', '.join(one.name for one in others) or 'none'}, and none of them answers",
            next_action=f"end the cluster first: NoCluster(cluster={spec.name!r}) in the site program",
        )
    return leave(record)


def removals(leavers: Sequence[MachineRecord], planes: Sequence[MachineRecord], speaker: MachineName) -> Iterator[Step]:
    """Of those that are gone, on a machine that is there. Raises `PlanError` where no control plane is left."""
    gone = [record for record in leavers if is_gone(record)]
    if planes and all(record in gone for record in planes):
        raise PlanError(
            f"no control plane of {_spec(planes[0]).name} is left: {', '.join(record.name for record in planes)}",
            next_action="restore the cluster from a backup on a machine that is to be its control plane",
        )
    latest: tuple[StepId, ...] = ()
    for record in gone:
        (move,) = leave(record)
        step_ = Step(
            id=step_id(NAME, record.name, move.do.action),
            machine=speaker,
            score=NAME,
            summary=f"{move.summary}: it is gone",
            do=move.do,
            budget=move.budget,
            needs=latest,
        )
        yield step_
        latest = (step_.id,)


def departures(leavers: Sequence[MachineRecord], after: tuple[StepId, ...]) -> Iterator[Step]:
    """Of those that live, one after the other."""
    for record in leavers:
        if not is_gone(record):
            first, *others = chain(NAME, record.name, leave(record))
            yield from (replace(first, needs=after), *others)
            after = (others[-1].id,)


def reset(record: MachineRecord) -> tuple[Step, ...]:
    """Of a control plane that will come in again: nobody counts on its part of the cluster's memory."""
    return chain(NAME, record.name, (_reset(_spec(record), record.name, last=True),))


def check_upgrade(machine: MachineName, has: SetRef, wanted: SetRef) -> None:
    """Raises `PlanError` for a way back, and for one that leaves out a minor version: each changes what the next one
    reads (https://kubernetes.io/releases/version-skew-policy/)."""
    if has.engine is not wanted.engine:
        raise PlanError(
            f"{machine} runs {has.engine}; {wanted.engine} cannot take its place",
            next_action="make another cluster beside it, and move what runs there",
        )
    old, new = KubernetesVersion.parse(has.version), KubernetesVersion.parse(wanted.version)
    if new < old:
        raise PlanError(
            f"{machine} runs {has.engine} {old}; {new} is older",
            next_action="restore the cluster from a backup if it has to be: there is no way back in place",
        )
    if (new.major, new.minor) > (old.major, old.minor + 1):
        raise PlanError(
            f"{machine} runs {has.engine} {old}; {new} is more than one minor version further",
            next_action=f"upgrade to a {old.major}.{old.minor + 1} first: import its set and name it",
        )


def upgrades(spec: ClusterSpec, servers: Sequence[MachineRecord], agents: Sequence[MachineRecord]) -> tuple[Step, ...]:
    """One node at a time, control planes first; before the first of them a backup."""
    old = [record for record in (*servers, *agents) if _is_older(record, spec)]
    if not old:
        return ()
    leads = all(_is_older(record, spec) for record in servers if record.member is not None)
    back_up = Move(do=BackUpCluster(cluster=spec), summary=f"back up the cluster {spec.name}", budget=BACK_UP_SECONDS)
    steps = list(chain(NAME, old[0].name, (back_up,)))
    for record in old:
        assert record.member is not None  # noqa: S101  who is no member is not older
        role = record.member.role
        do = UpgradeNode(cluster=spec, role=role, leads=leads and record is old[0])
        summary = f"upgrade {record.name} to {spec.set.engine} {spec.set.version}"
        upgrade = Move(do=do, summary=summary, budget=UPGRADE_SECONDS)
        first, last = chain(NAME, record.name, (_drain(spec, record.name), upgrade))
        steps += (replace(first, needs=(steps[-1].id,)), last)
    return tuple(steps)


class EndingNeeds(BareMachines, Shell, Protocol): ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NoCluster:
    """The cluster of that name is to be no more: its machines stay, installed and free; its last backups are kept."""

    cluster: str
    name: str = field(default=ENDING, init=False)

    def plan(self, site: EndingNeeds, inventory: Inventory) -> Plan:
        there = members(ClusterName(self.cluster), site, inventory)
        if not there:
            return Plan(site=self.name)
        if (spec := _spec(there[0])).set.engine is Engine.OKD:
            raise _not_by_us(there[0].name, spec)
        alive = [record for record in there if not is_gone(record)]
        workers = [step for record in alive if not is_plane(record) for step in _end(record, ())]
        after = tuple(step.id for step in workers)
        planes = [step for record in alive if is_plane(record) for step in _end(record, after)]
        speaker = (alive or there)[0]
        end = end_of(_spec(speaker), speaker.name, tuple(step.id for step in planes) or after)
        stays = "cannot be reset: the cluster's keys stay on its disk until it is wiped"
        missing = tuple(f"{record.name} {stays}" for record in there if record not in alive)
        return Plan(site=self.name, steps=(*workers, *planes, end), missing=missing)


def end_of(spec: ClusterSpec, speaker: MachineName, needs: tuple[StepId, ...] = ()) -> Step:
    """What the appliance has of a cluster goes."""
    summary = f"end the cluster {spec.name}: its access, tokens and endpoint"
    return step_of(ENDING, speaker, EndCluster(cluster=spec), summary, END_SECONDS, needs)


def _end(record: MachineRecord, after: tuple[StepId, ...]) -> Iterator[Step]:
    steps = chain(ENDING, record.name, (_reset(_spec(record), record.name, last=True),))
    return (replace(step, needs=after) for step in steps)


def _reset(spec: ClusterSpec, name: MachineName, *, last: bool) -> Move:
    summary = f"reset {name}: neither pods nor keys of {spec.name} are left on it"
    return Move(do=ResetNode(cluster=spec, last=last), summary=summary, budget=RESET_SECONDS)


def _drain(spec: ClusterSpec, name: MachineName) -> Move:
    do = DrainNode(cluster=spec, node=name)
    return Move(do=do, summary=f"drain {name}: what runs there moves to other nodes", budget=DRAIN_SECONDS)


def _is_older(record: MachineRecord, spec: ClusterSpec) -> bool:
    return record.member is not None and record.member.cluster.set.version != spec.set.version


def _spec(record: MachineRecord) -> ClusterSpec:
    assert record.member is not None  # noqa: S101  the callers look at members alone
    return record.member.cluster


def _not_by_us(machine: MachineName, spec: ClusterSpec) -> PlanError:
    return PlanError(
        f"{machine} belongs to the OKD {spec.name}, which no step here takes it out of",
        evidence="its control planes hold etcd, its operators watch its nodes",
        next_action="drain and delete the node with oc, then forget it: docs/guide/okd.md",
    )
