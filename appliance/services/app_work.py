"""What is done to applications in a cluster, whoever asks for it: put there, led to, looked at, taken away."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Protocol

from appliance.apps import kept as accounts
from appliance.apps import manifests, smoke
from appliance.apps.kept import Kept
from appliance.apps.manifests import Document, Ref, at, listed
from appliance.apps.smoke import SmokeTest
from appliance.apps.verdict import State, Verdict, judge, selector, trouble
from appliance.errors import ClusterError
from appliance.kubernetes.api import Kubernetes
from appliance.kubernetes.objects import Node
from appliance.kubernetes.resources import Resources
from appliance.model.application import AppName, AppSpec
from appliance.model.balancer import Backend, Listener
from appliance.model.cluster import ClusterName, ClusterSpec, SetRef
from appliance.model.text import clean
from images.artifact_set import ArtifactSet

MANIFESTS, SMOKE = "manifests", "smoke"
"""Roles of a package's files."""
_NAMESPACE, _CLAIM = "Namespace", "PersistentVolumeClaim"
_read = lru_cache(maxsize=64)(manifests.read)
"""Every application is looked at every few seconds, and YAML is slow to read."""


class Packages(Protocol):
    """Every method raises `InnervateError`."""

    def described(self, ref: SetRef) -> ArtifactSet: ...

    async def content(self, ref: SetRef, role: str) -> bytes | None: ...

    async def ready(self, ref: SetRef) -> None: ...


class Balancing(Protocol):
    @property
    def address(self) -> IPv4Address: ...

    def wanted_by(self, cluster: str) -> tuple[Listener, ...]: ...

    async def want(self, cluster: str, listeners: tuple[Listener, ...]) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A version of an application as one cluster is told it."""

    app: AppSpec
    documents: tuple[Document, ...]
    smoke: SmokeTest | None

    @property
    def revision(self) -> str:
        return self.app.package.sha256

    @property
    def refs(self) -> frozenset[Ref]:
        return frozenset(document.ref for document in self.documents)


class AppWork:
    """`balancer` is None where it is not the appliance's own. Whoever changes an application has its cluster's lock."""

    def __init__(self, packages: Packages, balancer: Balancing | None) -> None:
        self._packages, self._balancer = packages, balancer
        self._locks = defaultdict[ClusterName, asyncio.Lock](asyncio.Lock)

    def changing(self, cluster: ClusterSpec) -> asyncio.Lock:
        return self._locks[cluster.name]

    async def wanted(self, cluster: ClusterSpec, app: AppSpec, resources: Resources) -> Wanted:
        raw = await self._packages.content(app.package, MANIFESTS)
        if raw is None:
            raise ClusterError(f"{app.package.name} says nothing to a cluster", next_action="package it with manifests")
        described, tested = self._packages.described(app.package), await self._packages.content(app.package, SMOKE)
        objects = await asyncio.to_thread(_read, raw)
        made = manifests.documents(objects, app.name, app.namespace, described, cluster.registry)
        placed = tuple([await self._placed(one, made, resources) for one in made])
        return Wanted(
            app=app,
            documents=(*await self._home(app, placed, resources), *placed),
            smoke=smoke.read(tested) if tested is not None else None,
        )

    @staticmethod
    async def _placed(one: Document, among: Sequence[Document], resources: Resources) -> Document:
        """Without a namespace where its kind has none; of kinds that come with the package, it says so itself."""
        namespaced = await resources.is_namespaced(one.ref)
        if namespaced is None:
            namespaced = manifests.defines_namespaced(one.ref, among)
        return one if namespaced else replace(one, ref=replace(one.ref, namespace=""))

    async def _home(self, app: AppSpec, placed: Sequence[Document], resources: Resources) -> tuple[Document, ...]:
        """Its namespace, unless somebody else's is there already: who lives in it does not take it away at the end."""
        home = manifests.namespace_of(app.name, app.namespace)
        if any(one.ref == home.ref for one in placed):
            return ()
        live = await resources.get(home.ref)
        return (home,) if live is None or manifests.owner(live) == app.name else ()

    async def require(self, app: AppSpec) -> None:
        """Each of the package's digests was asked for and answered."""
        await self._packages.ready(app.package)

    async def kept(self, app: AppSpec, resources: Resources) -> Kept | None:
        live = await resources.get(accounts.place(app.name, app.namespace))
        return accounts.read(live) if live is not None else None

    async def put(self, wanted: Wanted, before: Kept | None, resources: Resources) -> None:
        """The account first: what is there of a version is known before any of it is."""
        for document in wanted.documents:
            has = manifests.owner(await resources.get(document.ref))
            if has not in (None, wanted.app.name):
                raise ClusterError(
                    f"{document.ref} belongs to the application {clean(str(has), 60)}",
                    next_action=f"rename it in one of the two; nothing of {wanted.app.package.version} was applied",
                )
        for home in (one for one in wanted.documents if one.ref.kind == _NAMESPACE):
            await resources.apply(home)
        refs = wanted.refs | frozenset(before.refs if before is not None else ())
        await self._account(wanted, tuple(refs), resources)
        for document in wanted.documents:
            await resources.apply(document)

    async def look(self, wanted: Wanted, resources: Resources) -> tuple[tuple[Verdict, ...], Mapping[Ref, str]]:
        """What is thought of each object, and what more is known of those that are not well."""
        causes, verdicts = dict[Ref, str](), list[Verdict]()
        for document in wanted.documents:
            live = await resources.get(document.ref)
            verdict = judge(document.ref, live)
            verdicts.append(verdict)
            if verdict.state is not State.WELL and (labels := selector(live)):
                causes[document.ref] = trouble(await resources.pods(document.ref.namespace, labels))
        return tuple(verdicts), causes

    async def lead(self, cluster: ClusterSpec, wanted: Wanted, api: Kubernetes, resources: Resources) -> str:
        """The balancer leads to every Service of the type LoadBalancer, by way of all nodes that are ready. Why not,
        "" where it does."""
        services = [await resources.get(one.ref) for one in wanted.documents if one.ref.kind == "Service"]
        open_ = [one for one in services if at(one, "spec", "type") == "LoadBalancer"]
        if open_ and (self._balancer is None or self._balancer.address != cluster.endpoint):
            return "a Service of the type LoadBalancer needs the site's balancer on the appliance"
        if self._balancer is None:
            return ""
        nodes = [node for node in await api.nodes() if node.ready and node.addresses] if open_ else []
        listeners = tuple(one for service in open_ for one in _listeners(wanted.app.name, service, nodes))
        owner = owner_of(cluster.name, wanted.app.name)
        if listeners != self._balancer.wanted_by(owner):
            await self._balancer.want(owner, listeners)
        status = {"loadBalancer": {"ingress": [{"ip": str(self._balancer.address)}]}}
        for one in open_:
            if at(one, "status") != status:
                name, where = str(at(one, "metadata", "name")), str(at(one, "metadata", "namespace"))
                await resources.say(Ref(api="v1", kind="Service", namespace=where, name=name), status)
        return ""

    async def test(self, wanted: Wanted, resources: Resources) -> str:
        """What its own test misses, "" for nothing."""
        if (test := wanted.smoke) is None:
            return ""
        status, answer = await resources.through(wanted.app.namespace, test.service, test.port, test.path)
        return smoke.lacks(test, status, answer)

    async def prune(self, wanted: Wanted, before: Kept, resources: Resources) -> tuple[Ref, ...]:
        """What was left over of other versions, and is going."""
        left = [ref for ref in accounts.left_over(before, wanted.refs) if ref.kind != _NAMESPACE]
        there = await self._taken_away(left, wanted.app.name, resources)
        if not there and set(before.refs) != wanted.refs:
            await self._account(wanted, tuple(wanted.refs), resources)
        return there

    async def remove(self, before: Kept, resources: Resources, *, keeps_data: bool) -> tuple[Ref, ...]:
        """What of it is still there and was told to go; nothing once it is gone, and then its account is, too."""
        claims = await resources.claims(before.namespace) if keeps_data else ()
        data = {_CLAIM, *((_NAMESPACE,) if claims else ())} if keeps_data else set[str]()
        going = [ref for ref in sorted(before.refs, key=_removal) if ref.kind not in data]
        there = await self._taken_away(going, before.name, resources)
        if not there:
            await resources.delete(accounts.place(before.name, before.namespace))
        return there

    async def _taken_away(self, refs: Sequence[Ref], name: AppName, resources: Resources) -> tuple[Ref, ...]:
        """Those that are still there. Only what bears the application's own label is touched: whoever may write its
        account in the cluster may not be allowed to remove what it names."""
        there = tuple([ref for ref in refs if manifests.owner(await resources.get(ref)) == name])
        for ref in there:
            await resources.delete(ref)
        return there

    async def is_leaving(self, app: AppSpec, resources: Resources) -> bool:
        """Its account goes with its namespace, and before it."""
        home = await resources.get(manifests.namespace_of(app.name, app.namespace).ref)
        return at(home, "metadata", "deletionTimestamp") is not None

    async def forget(self, cluster: ClusterName, name: AppName) -> None:
        """Nothing leads to it any more."""
        if self._balancer is not None and self._balancer.wanted_by(owner_of(cluster, name)):
            await self._balancer.want(owner_of(cluster, name), ())

    async def _account(self, wanted: Wanted, refs: tuple[Ref, ...], resources: Resources) -> None:
        app = wanted.app
        told = Kept(
            name=app.name, namespace=app.namespace, revision=wanted.revision, version=app.package.version, refs=refs
        )
        await resources.apply(Document(ref=accounts.place(app.name, app.namespace), body=accounts.body(told)))


def owner_of(cluster: ClusterName, name: AppName) -> str:
    """As what the balancer knows an application."""
    return f"{cluster}/{name}"


def _listeners(name: AppName, service: object, nodes: Sequence[Node]) -> tuple[Listener, ...]:
    made = list[Listener]()
    for one in listed(at(service, "spec", "ports")):
        match one:
            case {"port": int(port), "nodePort": int(node_port), "protocol": "TCP"}:
                backends = tuple(Backend(name=node.name, address=node.addresses[0], port=node_port) for node in nodes)
                made.append(Listener(name=f"{name}-{port}", port=port, backends=backends))
            case _:
                continue
    return tuple(made)


def _removal(ref: Ref) -> tuple[int, Ref]:
    """Namespaces last: they take with them whatever is inside, also what is not ours."""
    return int(ref.kind == _NAMESPACE), ref
