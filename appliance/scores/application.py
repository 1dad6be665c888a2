"""Application, NoApplication: one version of an application runs on a cluster of the site, or nothing of it does."""

from dataclasses import dataclass, field
from typing import Protocol

from appliance.capabilities import BareMachines, ContainerRegistry, LoadBalancer
from appliance.errors import PlanError
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.application import AppName, AppSpec, DeployApplication, RetireApplication
from appliance.model.cluster import ClusterName, SetRef
from appliance.plan import Deferred, Plan
from appliance.scores.cluster_life import is_gone, is_plane, members
from appliance.scores.score import step_of
from images.artifact_set import ArtifactSet, Engine

PATIENCE = 600.0
"""Seconds until a version has to be well."""
RETIRE_SECONDS = 600.0


class ApplicationNeeds(BareMachines, ContainerRegistry, LoadBalancer, Protocol): ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """`package` names an artifact set of an application (`web-1.2.0-amd64`), whose name is the application's. It runs
    in `namespace`, "" for one of its own name. A version that is not well after `patience` seconds gives way to the one
    before. `heals`: what others change of it is changed back, and not told alone."""

    package: str
    cluster: str
    namespace: str = ""
    patience: float = PATIENCE
    heals: bool = True
    name: str = field(default="application", init=False)

    def plan(self, site: ApplicationNeeds, inventory: Inventory) -> Plan:
        app = self._spec(inventory)
        running = inventory.applications.get((ClusterName(self.cluster), app.name))
        if running is not None and running.app == app:
            return Plan(site=self.name)
        if running is not None and running.app.namespace != app.namespace:
            raise PlanError(
                f"{app.name} cannot move from the namespace {running.app.namespace} to {app.namespace}",
                next_action="retire it first: NoApplication, then deploy it there",
            )
        if (speaker := _speaker(self.cluster, site, inventory)) is None:
            return Plan(site=self.name, deferred=(Deferred(score=self.name, reason=_waits(app.name, self.cluster)),))
        assert speaker.member is not None  # noqa: S101  that is what makes it one
        came = f" in the place of {running.app.package.version}" if running is not None else ""
        summary = f"deploy {app.name} {app.package.version} to {self.cluster}{came}"
        do = DeployApplication(cluster=speaker.member.cluster, app=app)
        return Plan(site=self.name, steps=(step_of(score_of(app.name), speaker.name, do, summary, self.patience),))

    def _spec(self, inventory: Inventory) -> AppSpec:
        found = package_of(self.package, inventory)
        name = AppName(found.application)
        package = SetRef.of(self.package, found)
        return AppSpec(name=name, package=package, namespace=self.namespace or name, heals=self.heals)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoApplication:
    """`application` is not in the cluster any more; its volumes are, unless `data` are to go, too."""

    application: str
    cluster: str
    data: bool = False
    name: str = field(default="retire-application", init=False)

    def plan(self, site: ApplicationNeeds, inventory: Inventory) -> Plan:
        running = inventory.applications.get((ClusterName(self.cluster), AppName(self.application)))
        speaker = _speaker(self.cluster, site, inventory)
        if running is None or speaker is None:
            return Plan(site=self.name)
        assert speaker.member is not None  # noqa: S101  that is what makes it one
        kept = "with its data" if self.data else "but for its data"
        do = RetireApplication(cluster=speaker.member.cluster, app=running.app, keeps_data=not self.data)
        summary = f"remove {self.application} from {self.cluster}, {kept}"
        step = step_of(score_of(running.app.name), speaker.name, do, summary, RETIRE_SECONDS)
        return Plan(site=self.name, steps=(step,))


def _speaker(cluster: str, site: BareMachines, inventory: Inventory) -> MachineRecord | None:
    """The control plane whose steps these are; None while the cluster is not ready."""
    planes = [one for one in members(ClusterName(cluster), site, inventory) if is_plane(one)]
    ready = any(one.member is not None and one.member.confirmed for one in planes)
    return next((one for one in planes if not is_gone(one)), None) if ready else None


def package_of(name: str, inventory: Inventory) -> ArtifactSet:
    """Raises `PlanError` where no application of that name is at hand."""
    found = inventory.sets.get(name)
    if found is None or found.engine is not Engine.APPLICATION:
        ours = sorted(name for name, one in inventory.sets.items() if one.engine is Engine.APPLICATION)
        raise PlanError(
            f"the package {name!r} is not at hand" if found is None else f"{name} is no application",
            evidence=f"at hand: {', '.join(ours) or 'none'}",
            next_action="package it and import it: innervate package build, innervate set import DIR",
        )
    return found


def score_of(name: AppName) -> str:
    """Of several applications each has steps of its own on one machine."""
    return f"application-{name}"


def _waits(name: AppName, cluster: str) -> str:
    return f"{name}: the cluster {cluster} is not ready yet"
