"""HostedApplication, NoHostedApplication: one version of an application runs on container hosts, or nothing of it does.

Of several hosts one is changed after the other, the next only when the one before is well: one of them always serves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from appliance.capabilities import BareMachines, ContainerRegistry, Shell
from appliance.errors import PlanError
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.application import AppName
from appliance.model.cluster import SetRef
from appliance.model.hosted import DeployHosted, HostedSpec, PrepareHost, RetireHosted
from appliance.model.ids import StepId
from appliance.plan import Deferred, Plan, Step
from appliance.scores.application import PATIENCE, RETIRE_SECONDS, package_of, score_of
from appliance.scores.cluster_life import chosen, is_gone, of_engine, taken
from appliance.scores.score import step_of
from images.application.quadlet import ROLE
from images.engine import Engine

_PREPARE_SECONDS = 1800.0


class ContainerHosts(BareMachines, ContainerRegistry, Shell, Protocol): ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedApplication:
    """`package` names an artifact set of an application with units (`pages-1.2.0-amd64`), whose name is the
    application's. `hosts` is a role of the topology, or machines by name; `set` the artifact set of podman that makes
    them container hosts. A version that is not well after `patience` seconds gives way to the one before. `heals`: what
    others change of it is changed back, and not told alone."""

    package: str
    hosts: str | tuple[str, ...]
    set: str
    patience: float = PATIENCE
    heals: bool = True
    name: str = field(default="hosted-application", init=False)

    def plan(self, site: ContainerHosts, inventory: Inventory) -> Plan:
        app, podman = self._spec(inventory), of_engine(self.set, Engine.PODMAN, inventory)
        hosts = chosen(self.hosts, site, inventory)
        for record in hosts:
            _check_free(record, app.name)
        late = tuple(_waits(app.name, record) for record in hosts if not _is_there(record))
        steps = tuple(self._steps(app, podman, [record for record in hosts if _is_there(record)]))
        elsewhere = [one for one in _running(app.name, site, inventory) if one not in hosts and _is_there(one)]
        after = tuple(step.id for step in steps[-1:])
        gone = tuple(_retire(record, app.name, after, data=False) for record in elsewhere)
        return Plan(site=self.name, steps=(*steps, *gone), deferred=late)

    def _steps(self, app: HostedSpec, podman: SetRef, hosts: Sequence[MachineRecord]) -> Iterator[Step]:
        after: tuple[StepId, ...] = ()
        for record in hosts:
            for step in self._on(record, app, podman, after):
                yield step
                after = (step.id,)

    def _on(self, record: MachineRecord, app: HostedSpec, podman: SetRef, after: tuple[StepId, ...]) -> Iterator[Step]:
        name, host, score = record.name, record.host, score_of(app.name)
        if host is None or (host.set, host.registry) != (podman, app.registry):
            says = f"put podman {podman.version} on {name}"
            prepare = PrepareHost(set=podman, registry=app.registry)
            yield (step := step_of(score, name, prepare, says, _PREPARE_SECONDS, after))
            after = (step.id,)
        running = host.running(app.name) if host is not None else None
        if running != app:
            came = f" in the place of {running.package.version}" if running is not None else ""
            says = f"deploy {app.name} {app.package.version} to {name}{came}"
            yield step_of(score, name, DeployHosted(app=app), says, self.patience, after)

    def _spec(self, inventory: Inventory) -> HostedSpec:
        found = package_of(self.package, inventory)
        if not found.of_role(ROLE):
            raise PlanError(
                f"{self.package} says nothing to a container host",
                evidence=f"its files: {', '.join(file.name for file in found.files)}"[:200],
                next_action="package it with units (quadlet in application.toml); or deploy it to a cluster",
            )
        if (place := inventory.registry) is None:
            raise PlanError(
                f"{found.application}: no registry serves this site",
                next_action="give the site a ClusterRack(registry=Registry()) as its topology",
            )
        name, package = AppName(found.application), SetRef.of(self.package, found)
        return HostedSpec(name=name, package=package, registry=place.host, heals=self.heals)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoHostedApplication:
    """`application` is on no container host of the site any more; its volumes are, unless `data` are to go, too."""

    application: str
    data: bool = False
    name: str = field(default="retire-hosted-application", init=False)

    def plan(self, site: ContainerHosts, inventory: Inventory) -> Plan:
        name = AppName(self.application)
        there = _running(name, site, inventory)
        steps = tuple(_retire(record, name, (), data=self.data) for record in there if _is_there(record))
        lost = [record.name for record in there if not _is_there(record)]
        late = tuple(Deferred(score=self.name, reason=f"{name} stays on {one}, which does not answer") for one in lost)
        return Plan(site=self.name, steps=steps, deferred=late)


def _is_there(record: MachineRecord) -> bool:
    return record.installed is not None and record.installed.confirmed and not is_gone(record)


def _running(name: AppName, site: BareMachines, inventory: Inventory) -> tuple[MachineRecord, ...]:
    records = (inventory.record(machine) for machine in site.machines)
    return tuple(one for one in records if one.host is not None and one.host.running(name) is not None)


def _retire(record: MachineRecord, name: AppName, after: tuple[StepId, ...], *, data: bool) -> Step:
    app = record.host.running(name) if record.host is not None else None
    assert app is not None  # noqa: S101  the callers look at those that run it alone
    kept = "with its data" if data else "but for its data"
    do = RetireHosted(app=app, keeps_data=not data)
    return step_of(score_of(name), record.name, do, f"remove {name} from {record.name}, {kept}", RETIRE_SECONDS, after)


def _check_free(record: MachineRecord, name: AppName) -> None:
    """What runs containers already for a cluster is left to it."""
    if record.member is not None:
        raise taken(record.name, record.member.cluster.name, name)
    if record.slurm is not None:
        raise taken(record.name, record.slurm.home.name, name)


def _waits(name: AppName, record: MachineRecord) -> Deferred:
    return Deferred(score="hosted-application", reason=f"{name}: {record.name} has no system that answers yet")
