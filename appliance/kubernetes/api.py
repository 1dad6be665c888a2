"""Speaks with a Kubernetes API server, by HTTPS with a client certificate; the only sockets of this package."""

import json
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

import aiohttp

from appliance.errors import ClusterError, NotFoundError, UnreachableError
from appliance.kubernetes import objects
from appliance.kubernetes.csr import Judgement, Request, Ruling
from appliance.kubernetes.drain import Pod
from appliance.kubernetes.objects import Access, Node
from appliance.kubernetes.tokens import JoinToken
from appliance.model.text import clean

_SECONDS = 15.0
_ANSWER_LIMIT = 64 << 20
_CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_SECRETS = "/api/v1/namespaces/kube-system/secrets"
_NODES = "/api/v1/nodes"
_PATCH = {"Content-Type": "application/merge-patch+json"}
_EVICTION_V1 = 22
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


class Kubernetes(Protocol):
    """Raises `UnreachableError` while the API does not answer, `ClusterError` when it refuses or talks nonsense."""

    async def ready(self) -> str:
        """ "" when the API server says that it is ready, else what it lacks."""
        ...

    async def nodes(self) -> tuple[Node, ...]: ...

    async def requests(self) -> tuple[Request, ...]:
        """For certificates, undecided."""
        ...

    async def decide(self, request: Request, judgement: Judgement) -> None: ...

    async def give_token(self, token: JoinToken) -> None:
        """One that is there already under this id is replaced."""
        ...

    async def take_token(self, token_id: str) -> None: ...

    async def take_all_tokens(self) -> None:
        """Also those that somebody else made."""
        ...

    async def unbind(self, binding: str) -> None:
        """Removes a ClusterRoleBinding, if it is there."""
        ...

    async def schedule(self, node: str, *, wanted: bool) -> None:
        """Whether it takes new pods."""
        ...

    async def pods_on(self, node: str) -> tuple[Pod, ...]: ...

    async def evict(self, pod: Pod) -> str:
        """ "" when it was told to go, else why it may not now: mostly because too few would be left."""
        ...

    async def remove_node(self, node: str) -> None:
        """If it is there."""
        ...

    async def found(self, path: str) -> object | None:
        """What is there, as JSON; None where nothing is."""
        ...


class Api:
    """At `url`, whose certificate must be of the cluster's own CA. Close it."""

    def __init__(self, url: str, access: Access) -> None:
        self._url, self._name = url, access.server or None
        connector = aiohttp.TCPConnector(ssl=_context(access), limit=4)
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)

    async def close(self) -> None:
        await self._session.close()

    async def ready(self) -> str:
        status, body = await self._ask("GET", "/readyz?verbose")
        failing = [line for line in body.decode(errors="replace").splitlines() if line.startswith("[-]")]
        return "" if status == 200 else clean("; ".join(failing) or f"status {status}", 300)

    async def nodes(self) -> tuple[Node, ...]:
        return tuple(map(objects.node, objects.items(await self._json("GET", _NODES))))

    async def requests(self) -> tuple[Request, ...]:
        found = map(objects.request, objects.items(await self._json("GET", _CSRS)))
        return tuple(one for one in found if one is not None)

    async def decide(self, request: Request, judgement: Judgement) -> None:
        assert judgement.ruling is not Ruling.LEAVE  # noqa: S101  there is nothing to tell then
        kind = "Approved" if judgement.ruling is Ruling.APPROVE else "Denied"
        path = f"{_CSRS}/{quote(request.name, safe='')}"
        value = await self._json("GET", path)
        if not isinstance(value, dict):
            raise ClusterError("the cluster's API did not answer with a certificate signing request")
        said = {"type": kind, "status": "True", "reason": "Innervate", "message": judgement.why}
        await self._json("PUT", f"{path}/approval", {**value, "status": {"conditions": [said]}})

    async def give_token(self, token: JoinToken) -> None:
        await self.take_token(token.id)
        await self._json("POST", _SECRETS, token.manifest())

    async def take_token(self, token_id: str) -> None:
        with suppress(NotFoundError):
            await self._json("DELETE", f"{_SECRETS}/bootstrap-token-{quote(token_id, safe='')}")

    async def take_all_tokens(self) -> None:
        await self._json("DELETE", f"{_SECRETS}?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken")

    async def unbind(self, binding: str) -> None:
        with suppress(NotFoundError):
            await self._json("DELETE", f"{_BINDINGS}/{quote(binding, safe='')}")

    async def schedule(self, node: str, *, wanted: bool) -> None:
        path = f"{_NODES}/{quote(node, safe='')}"
        await self._json("PATCH", path, {"spec": {"unschedulable": None if wanted else True}})

    async def pods_on(self, node: str) -> tuple[Pod, ...]:
        found = await self._json("GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{quote(node, safe='')}")
        return tuple(map(objects.pod, objects.items(found)))

    async def evict(self, pod: Pod) -> str:
        path = f"/api/v1/namespaces/{quote(pod.namespace, safe='')}/pods/{quote(pod.name, safe='')}/eviction"
        version = (
            "policy/v1" if objects.minor(await self._json("GET", "/version")) >= _EVICTION_V1 else "policy/v1beta1"
        )
        about = {"name": pod.name, "namespace": pod.namespace}
        body = {"apiVersion": version, "kind": "Eviction", "metadata": about}
        status, answer = await self._ask("POST", path, body)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return clean(objects.message(answer), 200)
        if status != HTTPStatus.NOT_FOUND:
            self._parsed(status, answer, "POST", path)
        return ""

    async def remove_node(self, node: str) -> None:
        with suppress(NotFoundError):
            await self._json("DELETE", f"{_NODES}/{quote(node, safe='')}")

    async def found(self, path: str) -> object | None:
        try:
            return await self._json("GET", path)
        except NotFoundError:
            return None

    async def _json(self, method: str, path: str, body: Mapping[str, object] | None = None) -> object:
        return self._parsed(*await self._ask(method, path, body), method, path)

    def _parsed(self, status: int, answer: bytes, method: str, path: str) -> object:
        if status == HTTPStatus.NOT_FOUND:
            raise NotFoundError(f"the cluster has no {path.rpartition('/')[2][:100]}", evidence=path[:200])
        if status >= 300:
            raise ClusterError(
                f"the cluster's API refuses {method} {path.partition('?')[0][:150]}",
                evidence=f"status {status}: {clean(answer[:500].decode(errors='replace'), 300)}",
                next_action="see whether the appliance's access was revoked: kubectl auth can-i --list",
            )
        try:
            value: object = json.loads(answer)
        except ValueError as error:
            raise ClusterError("the cluster's API did not answer in JSON", evidence=str(error)[:200]) from error
        return value

    async def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> tuple[int, bytes]:
        try:
            request = self._session.request(
                method,
                self._url + path,
                json=body,
                allow_redirects=False,
                headers=_PATCH if method == "PATCH" else {},
                server_hostname=self._name,
            )
            async with request as answer:
                return answer.status, await _content(answer)
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise ClusterError(
                f"whoever answers at {self._url} is not the cluster",
                evidence=clean(str(error), 300),
                next_action="find out who has that address",
            ) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnreachableError(
                f"the cluster's API at {self._url} does not answer yet",
                evidence=clean(f"{type(error).__name__}: {error}", 200),
                next_action="wait; then look at the control planes and at the balancer",
            ) from error


async def _content(answer: aiohttp.ClientResponse) -> bytes:
    parts, size = list[bytes](), 0
    async for part in answer.content.iter_chunked(1 << 20):
        parts.append(part)
        size += len(part)
        if size > _ANSWER_LIMIT:
            raise ClusterError("the cluster's API answers without end", evidence=f"more than {_ANSWER_LIMIT} bytes")
    return b"".join(parts)


def _context(access: Access) -> ssl.SSLContext:
    """The key is in memory alone while OpenSSL reads it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=access.ca)
        memory = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            os.write(memory, f"{access.certificate}\n{access.key.reveal()}".encode())
            context.load_cert_chain(f"/proc/self/fd/{memory}")
        finally:
            os.close(memory)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ClusterError(
            "the appliance's access to the cluster cannot be used",
            evidence=clean(str(error), 200),
            next_action="look at /etc/kubernetes/admin.conf on the first control plane",
        ) from error
    return context
