"""Which certificates a cluster's nodes get. Pure.

Kubernetes asks for a kubelet's certificates with CertificateSigningRequests (Kubernetes documentation, "TLS
bootstrapping" and "Certificates and Certificate Signing Requests"). Whoever has a join token can ask in any node's
name, and nobody approves serving certificates by himself: so both are judged here against what the appliance knows of
its machines. A token is one machine's, and says nothing for another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from cryptography.x509.oid import NameOID

_CLIENT, _SERVING = "kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving"
_NODE, _NODES, _BOOTSTRAP = "system:node:", "system:nodes", "system:bootstrap:"
_ALWAYS = frozenset({"digital signature"})
_SOMETIMES = frozenset({"key encipherment"})
"""RSA keys may need it, other keys have no use for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIdentity:
    """What a node may be called and reached by. `token` is the id of the join token that it was given and has not
    used up, "" for none. `joiner` is the user in whose name it may ask for its first certificate without a token, ""
    for nobody."""

    name: str
    names: frozenset[str]
    addresses: frozenset[IPv4Address | IPv6Address]
    token: str = ""
    member: bool = False
    joiner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A CertificateSigningRequest that nobody has decided on: `pem` is the PKCS#10 of its spec, `user` and `groups`
    are of who asked."""

    name: str
    signer: str
    user: str
    groups: frozenset[str]
    usages: frozenset[str]
    pem: bytes


class Ruling(Enum):
    APPROVE = "approve"
    DENY = "deny"
    LEAVE = "leave"
    """It is for another signer, or for people: none of ours to decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`why` is one sentence for people."""

    ruling: Ruling
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a request asks to have certified."""

    node: str
    dns: frozenset[str]
    addresses: frozenset[IPv4Address | IPv6Address]


class _ForgedError(Exception):
    pass


def judge(request: Request, nodes: Mapping[str, NodeIdentity]) -> Judgement:
    """`nodes` are the machines of the cluster, and those that join it now, by name."""
    if request.signer not in (_CLIENT, _SERVING):
        return Judgement(ruling=Ruling.LEAVE, why=f"{request.signer[:100]} is not the kubelets' signer")
    try:
        wanted = _wanted(request)
        node = nodes.get(wanted.node)
        if node is None:
            raise _ForgedError(f"no machine of this cluster is called {wanted.node[:70]}")
        why = _as_client(request, wanted, node) if request.signer == _CLIENT else _as_server(request, wanted, node)
    except _ForgedError as error:
        return Judgement(ruling=Ruling.DENY, why=str(error))
    return Judgement(ruling=Ruling.APPROVE, why=why)


def _wanted(request: Request) -> _Wanted:
    try:
        csr = x509.load_pem_x509_csr(request.pem)
        signed = csr.is_signature_valid
        organizations = [str(a.value) for a in csr.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        common = [str(a.value) for a in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        alternatives = _alternatives(csr)
    except _ForgedError:
        raise
    except Exception as error:  # the parser's own list of errors is open
        raise _ForgedError(f"it cannot be read: {type(error).__name__}") from error
    if not signed:
        raise _ForgedError("it is not signed with the key that it shall certify")
    if organizations != [_NODES] or len(common) != 1 or len(csr.subject) != 2:
        raise _ForgedError("its subject is not that of a node")
    if not common[0].startswith(_NODE):
        raise _ForgedError(f"{common[0][:70]} is not a node's name")
    return _Wanted(node=common[0].removeprefix(_NODE), dns=alternatives[0], addresses=alternatives[1])


def _alternatives(
    csr: x509.CertificateSigningRequest,
) -> tuple[frozenset[str], frozenset[IPv4Address | IPv6Address]]:
    """DNS names and addresses; other extensions and other kinds of names are nothing that a kubelet asks for."""
    names, addresses = set[str](), set[IPv4Address | IPv6Address]()
    for extension in csr.extensions:
        if not isinstance(extension.value, x509.SubjectAlternativeName):
            raise _ForgedError(f"it asks for the extension {extension.oid.dotted_string}")
        for general in extension.value:
            match general:
                case x509.DNSName():
                    names.add(general.value)
                case x509.IPAddress():
                    addresses.add(ip_address(str(general.value)))
                case _:
                    raise _ForgedError(f"it asks for a name of the kind {type(general).__name__}")
    return frozenset(names), frozenset(addresses)


def _as_client(request: Request, wanted: _Wanted, node: NodeIdentity) -> str:
    if wanted.dns or wanted.addresses:
        raise _ForgedError("a client's certificate has no names but its subject's")
    _check_usages(request, "client auth")
    if request.user == _NODE + node.name and _NODES in request.groups:
        if not node.member:
            raise _ForgedError(f"{node.name} is no member of the cluster any more")
        return f"{node.name} renews its own certificate"
    if node.joiner and request.user == node.joiner:
        return f"{node.name} was installed for this cluster, and comes in"
    if not request.user.startswith(_BOOTSTRAP):
        raise _ForgedError(f"{request.user[:70]} asks in the name of {node.name}")
    if not node.token or request.user.removeprefix(_BOOTSTRAP) != node.token:
        raise _ForgedError(f"the join token was not given to {node.name}")
    return f"{node.name} joins with the token that it was given"


def _as_server(request: Request, wanted: _Wanted, node: NodeIdentity) -> str:
    if request.user != _NODE + node.name or _NODES not in request.groups:
        raise _ForgedError(f"{request.user[:70]} asks in the name of {node.name}")
    _check_usages(request, "server auth")
    if strange := sorted(wanted.dns - node.names):
        raise _ForgedError(f"{node.name} is not called {strange[0][:70]}")
    if foreign := sorted(map(str, wanted.addresses - node.addresses)):
        raise _ForgedError(f"{node.name} does not have the address {foreign[0]}")
    if not wanted.dns and not wanted.addresses:
        raise _ForgedError("it names nothing that could be reached")
    return f"{node.name} serves under its own name and address"


def _check_usages(request: Request, purpose: str) -> None:
    if not (_ALWAYS | {purpose}) <= request.usages <= (_ALWAYS | _SOMETIMES | {purpose}):
        raise _ForgedError(f"it asks for the usages {', '.join(sorted(request.usages))[:200]}")
