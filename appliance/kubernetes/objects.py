"""What a Kubernetes API answers, read as values. Pure; whatever a field says is text from elsewhere."""

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TypeGuard

from appliance.errors import ClusterError
from appliance.kubernetes.csr import Request
from appliance.kubernetes.drain import Pod
from appliance.model.secret import Secret
from appliance.model.text import clean

_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
"""The second until Kubernetes 1.24."""
_MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """`ready` is the kubelet's word as the control plane believes it; `why` the reason where it is not."""

    name: str
    version: str
    ready: bool
    why: str
    control_plane: bool
    schedulable: bool
    addresses: tuple[IPv4Address, ...]
    pods: IPv4Network | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may do everything in a cluster: PEM texts of its CA, and of a client's certificate and key. `server` is the
    name that the API's certificate is of, "" for that in its URL."""

    ca: str
    certificate: str
    key: Secret
    server: str = ""


def items(answer: object) -> tuple[object, ...]:
    """Of a list. Raises `ClusterError`."""
    match answer:
        case {"items": list(found)}:
            return tuple(found)
        case _:
            raise _strange("a list", answer)


def node(value: object) -> Node:
    match value:
        case {"metadata": {"name": str(name)}, "status": {"nodeInfo": {"kubeletVersion": str(version)}} as status}:
            ready, why = _ready(status)
            return Node(
                name=clean(name, 253),
                version=clean(version, 60),
                ready=ready,
                why=why,
                control_plane=any(label in _labels(value) for label in _CONTROL_PLANE),
                schedulable=not _spec(value).get("unschedulable"),
                addresses=tuple(_addresses(status)),
                pods=_network(_spec(value).get("podCIDR")),
            )
        case _:
            raise _strange("a node", value)


def pod(value: object) -> Pod:
    match value:
        case {"metadata": {"name": str(name), "namespace": str(namespace)} as metadata, "status": status}:
            annotations, phase = metadata.get("annotations"), status.get("phase") if _is_object(status) else None
            return Pod(
                namespace=clean(namespace, 253),
                name=clean(name, 253),
                owner=_owner(metadata.get("ownerReferences")),
                static=_is_object(annotations) and _MIRROR in annotations,
                ended=phase in {"Succeeded", "Failed"},
                leaving="deletionTimestamp" in metadata,
            )
        case _:
            raise _strange("a pod", value)


def minor(value: object) -> int:
    """Of the server's version, from `/version`."""
    match value:
        case {"minor": str(text)} if text.rstrip("+").isdecimal():
            return int(text.rstrip("+"))
        case _:
            raise _strange("its version", value)


def message(answer: bytes) -> str:
    """Of a Status, which is what the API refuses with."""
    try:
        value: object = json.loads(answer)
    except ValueError:
        value = None
    match value:
        case {"message": str(text)}:
            return text
        case _:
            return answer[:200].decode(errors="replace")


def request(value: object) -> Request | None:
    """None where it was decided on already."""
    match value:
        case {"status": {"conditions": [_, *_]}} | {"status": {"certificate": str()}}:
            return None
        case {
            "metadata": {"name": str(name)},
            "spec": {"signerName": str(signer), "username": str(user), "request": str(encoded)} as spec,
        }:
            groups, usages = _texts(spec.get("groups")), _texts(spec.get("usages"))
            return Request(name=name, signer=signer, user=user, groups=groups, usages=usages, pem=_bytes(encoded))
        case _:
            raise _strange("a certificate signing request", value)


def access(kubeconfig: object) -> Access:
    """From `kubectl config view --raw -o json`."""
    match kubeconfig:
        case {
            "clusters": [{"cluster": {"certificate-authority-data": str(ca)}}, *_],
            "users": [{"user": {"client-certificate-data": str(certificate), "client-key-data": str(key)}}, *_],
        }:
            return Access(ca=_text(ca), certificate=_text(certificate), key=Secret(_text(key)))
        case _:
            raise ClusterError(
                "the cluster's kubeconfig cannot be read",
                evidence="it lacks CA, client certificate or client key",
                next_action="look at /etc/kubernetes/admin.conf on the first control plane",
            )


def _ready(status: dict[str, object]) -> tuple[bool, str]:
    for condition in _list(status.get("conditions")):
        match condition:
            case {"type": "Ready", "status": "True"}:
                return True, ""
            case {"type": "Ready", "message": str(message)}:
                return False, clean(message, 200)
    return False, "its kubelet has not reported yet"


def _owner(references: object) -> str:
    for reference in _list(references):
        match reference:
            case {"controller": True, "kind": str(kind)}:
                return clean(kind, 80)
    return ""


def _labels(value: object) -> dict[str, object]:
    match value:
        case {"metadata": {"labels": labels}} if _is_object(labels):
            return labels
        case _:
            return {}


def _spec(value: object) -> dict[str, object]:
    match value:
        case {"spec": spec} if _is_object(spec):
            return spec
        case _:
            return {}


def _addresses(status: dict[str, object]) -> Iterator[IPv4Address]:
    for address in _list(status.get("addresses")):
        match address:
            case {"type": "InternalIP", "address": str(text)}:
                try:
                    yield IPv4Address(text)
                except ValueError:
                    continue


def _network(value: object) -> IPv4Network | None:
    try:
        return IPv4Network(value) if isinstance(value, str) and value else None
    except ValueError:
        return None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> frozenset[str]:
    return frozenset(text for text in _list(value) if isinstance(text, str))


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _bytes(encoded: str) -> bytes:
    """What is no base64 is no request either: it will be refused as one that cannot be read."""
    try:
        return b64decode(encoded, validate=True)
    except (Base64Error, ValueError):
        return b""


def _text(encoded: str) -> str:
    return _bytes(encoded).decode(errors="replace")


def _strange(what: str, value: object) -> ClusterError:
    return ClusterError(
        f"the cluster's API did not answer with {what}",
        evidence=clean(repr(value), 200),
        next_action="ask it yourself: kubectl get --raw; another program may answer at that address",
    )
