"""Objects of any kind in a cluster, applied from the server's side: who sets which field is the cluster's own account.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from appliance.apps.manifests import APPLICATION, MANAGER, Document, Object, Ref, at, listed
from appliance.errors import ClusterError, NotFoundError
from appliance.kubernetes.api import Kubernetes
from appliance.model.text import clean

_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resource:
    plural: str
    namespaced: bool


class Resources:
    """Of one conversation with the cluster's API. What kinds it has is asked once for each group of them."""

    def __init__(self, api: Kubernetes) -> None:
        self._api = api
        self._known: dict[str, Mapping[str, _Resource]] = {}

    async def is_namespaced(self, ref: Ref) -> bool | None:
        """None for a kind that the cluster does not have."""
        found = await self._found(ref)
        return found.namespaced if found is not None else None

    async def apply(self, document: Document, *, dry: bool = False) -> object:
        """What it is then, or would be if it were not `dry`. Fields that others have set are ours from now on."""
        words = {"fieldManager": MANAGER, "force": "true"} | ({"dryRun": "All"} if dry else {})
        return await self._api.ask("PATCH", await self._path(document.ref, words), document.body, _APPLY)

    async def get(self, ref: Ref) -> object | None:
        """None also for a kind that the cluster does not have."""
        if await self._found(ref) is None:
            return None
        return await self._api.found(await self._path(ref, {}))

    async def delete(self, ref: Ref) -> None:
        """With all that it owns; whether it is gone already, a look says."""
        with suppress(NotFoundError):
            await self._api.ask("DELETE", await self._path(ref, {}), {"propagationPolicy": "Foreground"})

    async def say(self, ref: Ref, status: Object) -> None:
        """What a controller says of it: we are the one that leads to services from outside."""
        path = await self._path(ref, {})
        await self._api.ask("PATCH", f"{path}/status", {"status": status}, _MERGE)

    async def pods(self, namespace: str, selector: str) -> tuple[object, ...]:
        query = urlencode({"labelSelector": selector})
        return tuple(
            listed(at(await self._api.ask("GET", f"/api/v1/namespaces/{quote(namespace)}/pods?{query}"), "items"))
        )

    async def claims(self, namespace: str) -> tuple[object, ...]:
        """On volumes, whoever made them."""
        path = f"/api/v1/namespaces/{quote(namespace)}/persistentvolumeclaims"
        return tuple(listed(at(await self._api.ask("GET", path), "items")))

    async def kept(self) -> tuple[object, ...]:
        """The accounts of all applications that were put there."""
        query = urlencode({"labelSelector": f"{APPLICATION},app.kubernetes.io/managed-by={MANAGER}"})
        found = listed(at(await self._api.ask("GET", f"/api/v1/configmaps?{query}"), "items"))
        return tuple(one for one in found if at(one, "data", "revision") is not None)

    async def through(self, namespace: str, service: str, port: int, path: str) -> tuple[int, bytes]:
        """What a Service answers, asked through the API server: it needs no way from here to its pods."""
        base = f"/api/v1/namespaces/{quote(namespace)}/services/{quote(service)}:{port}/proxy"
        return await self._api.page(f"{base}{path}")

    async def _path(self, ref: Ref, words: Mapping[str, str]) -> str:
        found = await self._resource(ref)
        where = f"namespaces/{quote(ref.namespace, safe='')}/" if found.namespaced else ""
        query = f"?{urlencode(words)}" if words else ""
        return f"{_root(ref.api)}/{where}{found.plural}/{quote(ref.name, safe='')}{query}"

    async def _resource(self, ref: Ref) -> _Resource:
        if (found := await self._found(ref)) is None:
            raise ClusterError(
                f"the cluster has no {clean(ref.kind, 80)} in {clean(ref.api, 80)}",
                next_action="package the application for this version of Kubernetes",
            )
        return found

    async def _found(self, ref: Ref) -> _Resource | None:
        if ref.kind not in self._known.get(ref.api, {}):  # kinds come with what was applied just now
            self._known[ref.api] = await self._kinds(ref.api)
        return self._known[ref.api].get(ref.kind)

    async def _kinds(self, api: str) -> Mapping[str, _Resource]:
        answer = await self._api.found(_root(api))
        found = dict[str, _Resource]()
        for one in listed(at(answer, "resources")):
            match one:
                case {"kind": str(kind), "name": str(plural), "namespaced": bool(namespaced)} if "/" not in plural:
                    found[kind] = _Resource(plural=plural, namespaced=namespaced)
        return found


def _root(api: str) -> str:
    return f"/apis/{quote(api)}" if "/" in api else f"/api/{quote(api)}"
