"""One cluster of each shape."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from appliance.model.cluster import ClusterName, ClusterSpec, SetRef
from appliance.model.ids import MachineName, Nonce
from appliance.model.links import BondLink, BondMode, Ip, MachineNetwork, NicLink, Route, VlanLink
from appliance.model.okd import OkdHost, OkdRole, OkdSpec, OkdWay
from appliance.okd.ignition import Ear
from images.artifact_set import ArtifactSet, SetFile, SetImage
from images.engine import Engine, Provenance
from pxe.client import Mac

VERSION = "4.19.0-okd-scos.10"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJ1bGVzIHRoaXMgcmFjaw0KDQoNCg0KDQoNCg0K ops"
NONCE = Nonce("0123456789abcdef0123456789abcdef")
EAR = Ear(tell=f"http://10.77.0.1/install/{NONCE}", report="http://10.77.0.1/report", nonce=NONCE)
FIRST = IPv4Address("10.77.0.20")


def host(name: str, role: OkdRole, at: int) -> OkdHost:
    wwn = f"naa.5002538c407123{at:02x}"
    return OkdHost(
        name=MachineName(name),
        role=role,
        address=FIRST + at,
        mac=Mac.parse(f"52:54:00:77:01:{at:02x}"),
        device=f"/dev/disk/by-id/wwn-0x{wwn.removeprefix('naa.')}",
        wwn=wwn,
        serial=f"DISK{at:04}",
    )


BOOTSTRAP = host("boot", OkdRole.BOOTSTRAP, 0)
PLANES = tuple(host(f"cp-{at}", OkdRole.MASTER, 1 + at) for at in range(3))
WORKERS = tuple(host(f"w-{at}", OkdRole.WORKER, 11 + at) for at in range(2))
CLUSTER = ClusterSpec(
    name=ClusterName("prod"),
    set=SetRef(name=f"okd-{VERSION}-amd64", engine=Engine.OKD, version=VERSION, sha256="5e" * 32),
    endpoint=IPv4Address("10.77.0.1"),
    registry="10.77.0.1:5000",
    pods=IPv4Network("10.128.0.0/14"),
    services=IPv4Network("172.30.0.0/16"),
)
FULL = OkdSpec(
    cluster=CLUSTER,
    domain="lab.test",
    machines=IPv4Network("10.77.0.0/24"),
    hosts=(BOOTSTRAP, *PLANES, *WORKERS),
    keys=(KEY,),
)
COMPACT = replace(FULL, hosts=(BOOTSTRAP, *PLANES))
SINGLE = replace(FULL, hosts=PLANES[:1])
AGENTS = replace(FULL, way=OkdWay.AGENT, hosts=(*PLANES, *WORKERS))
SHAPES = {"full": FULL, "compact": COMPACT, "single": SINGLE, "agents": AGENTS}

_LEFT, _RIGHT = Mac.parse("52:54:00:77:01:01"), Mac.parse("52:54:00:77:02:01")
STATED = MachineNetwork(
    links=(
        NicLink(name="left", mac=_LEFT),
        NicLink(name="right", mac=_RIGHT),
        BondLink(name="bond0", members=("left", "right"), mode=BondMode.LACP, mac=_LEFT, mtu=9000),
        VlanLink(
            name="storage",
            id=42,
            parent="bond0",
            ip=Ip(
                addresses=(IPv4Interface("10.77.0.21/24"),),
                gateways=(IPv4Address("10.77.0.254"),),
                dns=(IPv4Address("10.77.0.1"),),
                search=("lab.test",),
                routes=(Route(to=IPv4Network("10.9.0.0/16"), via=IPv4Address("10.77.0.253"), metric=20),),
            ),
        ),
    )
)


def described(version: str = VERSION, provenance: Provenance = Provenance.GENUINE) -> ArtifactSet:
    files = (
        ("openshift-install", "openshift-install", "a0"),
        ("oc", "oc", "a1"),
        ("scos-live-kernel.x86_64", "live-kernel", "a2"),
        ("scos-live-initramfs.x86_64.img", "live-initramfs", "a3"),
        ("scos-live-rootfs.x86_64.img", "live-rootfs", "a4"),
        ("stream.json", "stream", "a5"),
    )
    images = (
        ("okd/scos-release", version, "b0"),
        ("okd/scos-content", "etcd", "b1"),
        ("okd/scos-content", "cli", "b2"),
    )
    return ArtifactSet(
        engine=Engine.OKD,
        version=version,
        arch="amd64",
        provenance=provenance,
        files=tuple(SetFile(name=name, role=role, size=9, sha256=sha * 32) for name, role, sha in files),
        images=tuple(SetImage(repository=where, tag=tag, digest=f"sha256:{sha * 32}") for where, tag, sha in images),
    )
