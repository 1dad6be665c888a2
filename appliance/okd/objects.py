"""What an OKD cluster says of itself, read as values. Pure; whatever a field says is text from elsewhere.

Kinds: openshift/api, config/v1 (ClusterVersion, ClusterOperator) and machineconfiguration/v1 (MachineConfigPool).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.errors import ClusterError
from appliance.model.text import clean

BOOTSTRAP = "/api/v1/namespaces/kube-system/configmaps/bootstrap"
"""Where the bootstrap machine says that it is done: what `openshift-install wait-for bootstrap-complete` looks at."""
VERSION = "/apis/config.openshift.io/v1/clusterversions/version"
OPERATORS = "/apis/config.openshift.io/v1/clusteroperators"
POOLS = "/apis/machineconfiguration.openshift.io/v1/machineconfigpools"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An object's conditions that matter, by type: whether they hold, and why they do or do not."""

    name: str
    conditions: dict[str, tuple[bool, str]]

    def lacks(self, *, wanted: tuple[str, ...], unwanted: tuple[str, ...]) -> str:
        """ "" where all of these are as they should be; one sentence where not."""
        for kind in wanted:
            if not self.conditions.get(kind, (False, ""))[0]:
                return f"{self.name} is not {kind.lower()}{self._why(kind)}"
        found = next((kind for kind in unwanted if self.conditions.get(kind, (False, ""))[0]), "")
        return f"{self.name} is {found.lower()}{self._why(found)}" if found else ""

    def _why(self, kind: str) -> str:
        why = self.conditions.get(kind, (False, ""))[1]
        return f": {why}" if why else ""


def bootstrapped(value: object) -> bool:
    match value:
        case {"data": {"status": "complete"}}:
            return True
        case _:
            return False


def version_of(value: object) -> tuple[str, Said]:
    """The release that runs, "" before any does."""
    match value:
        case {"status": {"history": [{"state": "Completed", "version": str(version)}, *_]}}:
            return clean(version, 80), _said(value)
        case _:
            return "", _said(value)


def said_of(values: tuple[object, ...]) -> tuple[Said, ...]:
    return tuple(map(_said, values))


def _said(value: object) -> Said:
    match value:
        case {"metadata": {"name": str(name)}, **rest}:
            status = rest.get("status")
            listed = status.get("conditions") if isinstance(status, dict) else None
            return Said(name=clean(name, 100), conditions=dict(_conditions(listed)))
        case _:
            raise ClusterError(
                "the cluster's API did not answer with an object of OKD",
                evidence=clean(repr(value), 200),
                next_action="see what it is: another cluster may answer at that address",
            )


def _conditions(listed: object) -> Iterator[tuple[str, tuple[bool, str]]]:
    for one in listed if isinstance(listed, list) else ():
        match one:
            case {"type": str(kind), "status": str(status), **rest}:
                why = rest.get("message")
                yield clean(kind, 60), (status == "True", clean(why, 200) if isinstance(why, str) else "")


def unwell(version: Said, operators: tuple[Said, ...], pools: tuple[Said, ...]) -> tuple[str, ...]:
    """A sentence for each that is not as a cluster at rest has it."""
    judged = [version.lacks(wanted=("Available",), unwanted=("Progressing", "Failing"))]
    judged += [one.lacks(wanted=("Available",), unwanted=("Progressing", "Degraded")) for one in operators]
    judged += [one.lacks(wanted=("Updated",), unwanted=("Updating", "Degraded")) for one in pools]
    return tuple(why for why in judged if why)
