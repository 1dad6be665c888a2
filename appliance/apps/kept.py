"""What of an application is in a cluster, as the cluster itself remembers it: another appliance can go on from there.

A ConfigMap beside the application says which version was put there last and which objects ever were: what a version
lacks that an earlier one had is known to be left over.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.apps.manifests import APPLICATION, MANAGER, Object, Ref, at
from appliance.errors import ClusterError
from appliance.model.application import AppName

_NAME = "innervate-{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """`revision` is the SHA-256 of the set's description, `version` its version, for people."""

    name: AppName
    namespace: str
    revision: str
    version: str
    refs: tuple[Ref, ...]


def place(name: AppName, namespace: str) -> Ref:
    return Ref(api="v1", kind="ConfigMap", namespace=namespace, name=_NAME.format(name))


def body(kept: Kept) -> Object:
    rows = [[ref.api, ref.kind, ref.namespace, ref.name] for ref in sorted(kept.refs)]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": _NAME.format(kept.name),
            "labels": {APPLICATION: kept.name, "app.kubernetes.io/managed-by": MANAGER},
        },
        "data": {"revision": kept.revision, "version": kept.version, "objects": json.dumps(rows)},
    }


def read(live: object) -> Kept:
    """Raises `ClusterError` for what we have not written."""
    name, namespace = at(live, "metadata", "labels", APPLICATION), at(live, "metadata", "namespace")
    match name, namespace, at(live, "data"):
        case str(), str(), {"revision": str(revision), "version": str(version), "objects": str(rows)}:
            refs = tuple(_refs(rows))
            return Kept(name=AppName(name), namespace=namespace, revision=revision, version=version, refs=refs)
        case _:
            raise _strange(live)


def left_over(kept: Kept, wanted: Iterable[Ref]) -> tuple[Ref, ...]:
    """What nothing of the wanted version is, the other way round as it was put there."""
    return tuple(sorted(set(kept.refs) - set(wanted), reverse=True))


def _refs(text: str) -> Iterable[Ref]:
    try:
        rows: object = json.loads(text)
    except ValueError as error:
        raise _strange(text) from error
    for row in rows if isinstance(rows, list) else ():
        match row:
            case [str(api), str(kind), str(namespace), str(name)]:
                yield Ref(api=api, kind=kind, namespace=namespace, name=name)
            case _:
                raise _strange(row)


def _strange(value: object) -> ClusterError:
    return ClusterError(
        "the cluster's account of what was deployed cannot be read",
        evidence=str(value)[:200],
        next_action=f"look at ConfigMaps with the label {APPLICATION}; remove a strange one, and deploy again",
    )
