"""Who gets which certificate: kubelets that are what they say, and nobody else, whatever he asks for."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.kubernetes.csr import NodeIdentity, Request, Ruling, judge

CLIENT, SERVING = "kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving"
NODES = {
    "node-0": NodeIdentity(
        name="node-0",
        names=frozenset({"node-0", "node-0.lab.test"}),
        addresses=frozenset({ip_address("10.77.0.10")}),
        member=True,
    ),
    "node-1": NodeIdentity(
        name="node-1",
        names=frozenset({"node-1", "node-1.lab.test"}),
        addresses=frozenset({ip_address("10.77.0.11")}),
        token="abcdef",
    ),
}


@cache
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def pem(
    common: str,
    organizations: Sequence[str] = ("system:nodes",),
    names: Sequence[x509.GeneralName] = (),
    extra: Sequence[x509.ExtensionType] = (),
) -> bytes:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extra:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def address(text: str) -> x509.IPAddress:
    return x509.IPAddress(ip_address(text))


JOIN = Request(
    name="csr-1",
    signer=CLIENT,
    user="system:bootstrap:abcdef",
    groups=frozenset({"system:bootstrappers", "system:authenticated"}),
    usages=frozenset({"digital signature", "key encipherment", "client auth"}),
    pem=pem("system:node:node-1"),
)
SERVE = Request(
    name="csr-2",
    signer=SERVING,
    user="system:node:node-0",
    groups=frozenset({"system:nodes", "system:authenticated"}),
    usages=frozenset({"digital signature", "server auth"}),
    pem=pem("system:node:node-0", names=(x509.DNSName("node-0"), address("10.77.0.10"))),
)
RENEW = replace(SERVE, signer=CLIENT, usages=JOIN.usages, pem=pem("system:node:node-0"))


@pytest.mark.parametrize("request_", [JOIN, SERVE, RENEW], ids=["join", "serve", "renew"])
def test_a_kubelet_gets_what_is_its_own(request_: Request) -> None:
    assert judge(request_, NODES).ruling is Ruling.APPROVE


def test_what_is_for_others_is_left_to_them() -> None:
    assert judge(replace(JOIN, signer="kubernetes.io/kube-apiserver-client"), NODES).ruling is Ruling.LEAVE
    assert judge(replace(JOIN, signer="example.org/of-the-user"), NODES).ruling is Ruling.LEAVE


FORGED = {
    "unknown machine": replace(JOIN, pem=pem("system:node:node-9")),
    "another machine's token": replace(JOIN, pem=pem("system:node:node-0")),
    "token that was used up": replace(JOIN, user="system:bootstrap:zzzzzz"),
    "no token at all": replace(JOIN, user="system:bootstrap:"),
    "a person": replace(JOIN, user="kubernetes-admin", groups=frozenset({"system:masters"})),
    "one node for another": replace(JOIN, user="system:node:node-0", groups=SERVE.groups),
    "masters": replace(JOIN, pem=pem("system:node:node-1", organizations=("system:masters",))),
    "masters beside nodes": replace(
        JOIN, pem=pem("system:node:node-1", organizations=("system:nodes", "system:masters"))
    ),
    "no group": replace(JOIN, pem=pem("system:node:node-1", organizations=())),
    "no node": replace(JOIN, pem=pem("kubernetes-admin")),
    "a name beside": replace(JOIN, pem=pem("system:node:node-1", names=(x509.DNSName("kubernetes.default"),))),
    "server of a client": replace(JOIN, usages=JOIN.usages | {"server auth"}),
    "no client": replace(JOIN, usages=frozenset({"digital signature"})),
    "a certificate authority": replace(
        JOIN, pem=pem("system:node:node-1", extra=(x509.BasicConstraints(ca=True, path_length=None),))
    ),
    "another's name": replace(SERVE, pem=pem("system:node:node-0", names=(x509.DNSName("node-1"),))),
    "the cluster's name": replace(SERVE, pem=pem("system:node:node-0", names=(x509.DNSName("kubernetes"),))),
    "any name": replace(SERVE, pem=pem("system:node:node-0", names=(x509.DNSName("*"),))),
    "another's address": replace(SERVE, pem=pem("system:node:node-0", names=(address("10.77.0.11"),))),
    "the endpoint": replace(SERVE, pem=pem("system:node:node-0", names=(address("10.77.0.2"), address("10.77.0.10")))),
    "a mail address": replace(SERVE, pem=pem("system:node:node-0", names=(x509.RFC822Name("a@node-0"),))),
    "a URI": replace(SERVE, pem=pem("system:node:node-0", names=(x509.UniformResourceIdentifier("https://node-0/"),))),
    "no names": replace(SERVE, pem=pem("system:node:node-0")),
    "served for another": replace(SERVE, user="system:node:node-1"),
    "served with a token": replace(SERVE, user="system:bootstrap:abcdef", groups=JOIN.groups),
    "client of a server": replace(SERVE, usages=SERVE.usages | {"client auth"}),
    "signs others": replace(SERVE, usages=SERVE.usages | {"cert sign"}),
    "not in its group": replace(SERVE, groups=frozenset({"system:authenticated"})),
    "nothing": replace(JOIN, pem=b""),
    "no request": replace(JOIN, pem=b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
    "cut off": replace(JOIN, pem=JOIN.pem[:-80]),
    "hostile name": replace(JOIN, pem=pem("system:node:../../node-1")),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_request_is_refused_with_a_reason(case: str) -> None:
    judgement = judge(FORGED[case], NODES)
    assert judgement.ruling is Ruling.DENY
    assert judgement.why


def test_a_key_that_did_not_sign_it_gets_no_certificate() -> None:
    der = x509.load_pem_x509_csr(JOIN.pem).public_bytes(serialization.Encoding.DER)
    at = der.index(b"node-1")
    other = der[:at] + b"node-0" + der[at + 6 :]
    forged = x509.load_der_x509_csr(other).public_bytes(serialization.Encoding.PEM)
    told = {"node-0": replace(NODES["node-0"], token="abcdef")}
    assert judge(replace(JOIN, pem=forged), told).ruling is Ruling.DENY


def test_who_left_the_cluster_gets_nothing_more() -> None:
    gone = {"node-0": replace(NODES["node-0"], member=False)}
    assert judge(RENEW, gone).ruling is Ruling.DENY
    assert judge(SERVE, {}).ruling is Ruling.DENY


def test_who_was_installed_for_a_cluster_comes_in_by_the_name_that_all_have_once() -> None:
    joiner = "system:serviceaccount:machines:joiner"
    coming = replace(NODES["node-1"], token="", joiner=joiner)
    asked = replace(JOIN, user=joiner)
    assert judge(asked, {"node-1": coming}).ruling is Ruling.APPROVE
    for node, why in (
        (replace(coming, joiner="", member=True), "asks in the name of node-1"),
        (replace(coming, joiner="system:serviceaccount:other:joiner"), "asks in the name of node-1"),
    ):
        judgement = judge(asked, {"node-1": node})
        assert (judgement.ruling, judgement.why) == (Ruling.DENY, f"{joiner} {why}")
    assert judge(asked, {}).why == "no machine of this cluster is called node-1"
