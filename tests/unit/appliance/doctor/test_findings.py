"""From facts to findings: tables."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.api.fake_clusters import PROD
from appliance.doctor import bmcs, clusters, host, segment, serving, wire
from appliance.doctor.facts import (
    Answer,
    Claim,
    Download,
    Kept,
    Nic,
    Servers,
    Service,
    Shelf,
    Source,
    Stored,
    Time,
    Volume,
    Wire,
)
from appliance.doctor.sighting import Bpdu, Lacpdu, Neighbour, Offer
from appliance.model.cluster_views import ApiState, ClusterApiView
from appliance.model.doctor import Check, Finding, Verdict, ranked

OK, WARNING, FAILURE, UNKNOWN = Verdict.OK, Verdict.WARNING, Verdict.FAILURE, Verdict.UNKNOWN
NOW = 1_800_000_000.0
MAC = "02:00:00:00:00:01"
NIC = Nic(device="eth0", up=True, carrier=True, mtu=1500, speed=10_000, full_duplex=True)
HEARD = Wire(listened=60.0)
OFFER = Offer(server="10.0.0.9", mac=MAC, address="10.0.0.77", vendor="udhcp")
SERVERS = Servers(gives_addresses=True, device="eth0", own=frozenset({"10.0.0.1"}))
LEAF = Neighbour(mac=MAC, chassis=MAC, port="Ethernet7", system="leaf-3", max_frame=9018, vlan=20, vlans=(20, 30))
GB = 10**9
IN_TIME = Time(now=NOW, synchronised=True)
SOURCE = Source(name="10.0.0.2", ahead=0.01, delay=0.002, stratum=2)
MUTE = Source(name="10.0.0.3", problem="ConnectionRefusedError: refused")
VOLUME = Volume(name="state folder", path="/var", size=100 * GB, free=50 * GB, inodes=1000, free_inodes=900)
FILE = Stored(name="the image debian-13", path="/store/ab", expected="a" * 64, found="a" * 64)
SHELF = Shelf(wanted=frozenset({"debian-13"}), offered=frozenset({"debian-13"}), files=(FILE,))
DOWNLOAD = Download(url="tftp://10.0.0.1/snponly.efi", expected="a" * 64, found="a" * 64, size=9)


def verdicts(findings: tuple[Finding, ...]) -> list[Verdict]:
    return [finding.verdict for finding in findings]


def only(findings: tuple[Finding, ...], verdict: Verdict, *words: str) -> Finding:
    """Cause and next action are there, and the words are in it."""
    (finding,) = findings
    assert finding.verdict is verdict
    assert finding.next_action
    for word in words:
        assert word in f"{finding.cause} {finding.evidence} {finding.next_action} {finding.command}"
    return finding


@pytest.mark.parametrize(
    ("facts", "verdict", "words"),
    [
        (replace(SERVERS, offers=(OFFER,)), FAILURE, ("10.0.0.9 (udhcp)", "10.0.0.77", MAC, "tcpdump")),
        (replace(SERVERS, offers=(OFFER, replace(OFFER, address="10.0.0.78"))), FAILURE, ("10.0.0.9",)),
        (replace(SERVERS, offers=(OFFER,), told=("DHCP server 10.0.0.9 answers",)), FAILURE, ("tcpdump",)),
        (replace(SERVERS, told=("another appliance serves",), passive=True), FAILURE, ("innervate take-over",)),
        (replace(SERVERS, told=("DHCP server 10.0.0.9 answers",)), WARNING, ("does not answer now",)),
        (replace(SERVERS, gives_addresses=False), FAILURE, ("nobody gives out addresses", "Mode.FULL")),
        (
            replace(SERVERS, gives_addresses=False, offers=(OFFER, replace(OFFER, server="10.0.0.8"))),
            WARNING,
            ("2 DHCP servers",),
        ),
    ],
    ids=["rival", "one-for-each-server", "told-too", "passive", "heard-lately", "proxy-alone", "proxy-beside-two"],
)
def test_other_dhcp(facts: Servers, verdict: Verdict, words: tuple[str, ...]) -> None:
    assert only(segment.other_dhcp(facts), verdict, *words).check is Check.DHCP


@pytest.mark.parametrize(
    "facts",
    [
        SERVERS,
        replace(SERVERS, offers=(replace(OFFER, server="10.0.0.1"),)),
        replace(SERVERS, gives_addresses=False, offers=(OFFER,)),
    ],
    ids=["nobody", "ourselves", "proxy-beside-one"],
)
def test_no_other_dhcp(facts: Servers) -> None:
    assert verdicts(segment.other_dhcp(facts)) == [OK]


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        (Claim(address=IPv4Address("10.0.0.1"), macs=(MAC,)), FAILURE),
        (Claim(address=IPv4Address("10.0.0.1"), macs=(MAC,), known=frozenset({MAC})), OK),
        (Claim(address=IPv4Address("10.0.0.50")), OK),
        (Claim(address=IPv4Address("10.0.0.50"), machine="node-0", macs=(MAC,), known=frozenset({MAC})), OK),
        (Claim(address=IPv4Address("10.0.0.50"), machine="node-0", macs=(MAC,)), WARNING),
        (Claim(address=IPv4Address("10.0.0.50"), machine="node-0", macs=(MAC,), known=frozenset({"x"})), FAILURE),
    ],
)
def test_duplicates(claim: Claim, verdict: Verdict) -> None:
    (finding,) = segment.duplicates((claim,), "eth0")
    assert finding.verdict is verdict
    if verdict is not OK:
        assert finding.machine == claim.machine
        assert finding.command == f"arping -D -c 3 -I eth0 {claim.address}"


@pytest.mark.parametrize(
    ("nic", "verdict", "words"),
    [
        (None, FAILURE, ("not there", "ip -br link")),
        (replace(NIC, up=False, carrier=False), FAILURE, ("switched off", "ip link set eth0 up")),
        (replace(NIC, carrier=False), FAILURE, ("no link", "cable", "ethtool eth0")),
        (replace(NIC, carrier=False, bridge=True), WARNING, ("all behind it are off", "bridge link show eth0")),
        (replace(NIC, speed=100), WARNING, ("100 Mbit/s",)),
        (replace(NIC, full_duplex=False), WARNING, ("half duplex", "autoneg on")),
        (replace(NIC, mtu=1280), WARNING, ("MTU of 1280", "ip link set eth0 mtu 1500")),
    ],
    ids=["absent", "down", "no-carrier", "bridge", "slow", "half-duplex", "mtu"],
)
def test_link(nic: Nic | None, verdict: Verdict, words: tuple[str, ...]) -> None:
    only(wire.link(nic, "eth0"), verdict, *words)


@pytest.mark.parametrize("nic", [NIC, replace(NIC, speed=None, full_duplex=None), replace(NIC, mtu=9000)])
def test_link_is_well(nic: Nic) -> None:
    assert verdicts(wire.link(nic, "eth0")) == [OK]


def test_spanning_tree() -> None:
    bpdu = Bpdu(mac=MAC, bridge=MAC, port=0x8003, version=2, forward_delay=4)
    only(wire.spanning_tree(replace(HEARD, bpdus=(bpdu,)), "eth0"), WARNING, "for 8 s", "RSTP", "0x8003", "PortFast")
    assert verdicts(wire.spanning_tree(HEARD, "eth0")) == [OK]


def test_bond() -> None:
    seen = Lacpdu(mac=MAC, system=MAC, key=7, port=3)
    only(wire.bond(replace(HEARD, lacpdus=(seen,)), "eth0"), WARNING, "LACP", "key 7, port 3", "bond")
    assert verdicts(wire.bond(HEARD, "eth0")) == [OK]


@pytest.mark.parametrize("wire_of", [wire.spanning_tree, wire.bond, lambda facts, at: wire.neighbour(facts, NIC, at)])
def test_silence_counts_only_after_a_while(wire_of: object) -> None:
    assert callable(wire_of)
    only(wire_of(Wire(listened=1.5), "eth0"), UNKNOWN, "long enough", "innervate doctor --wait")
    only(wire_of(Wire(problem="no right"), "eth0"), UNKNOWN, "nobody listens", "no right")


@pytest.mark.parametrize(
    ("seen", "nic", "words"),
    [
        (replace(LEAF, max_frame=1518), replace(NIC, mtu=9000), ("frames of 1518", "ip link set eth0 mtu 1500")),
        (replace(LEAF, vlan=0), NIC, ("no untagged VLAN", "native VLAN")),
        (LEAF, replace(NIC, vlan=20), ("VLAN 20 is untagged",)),
        (LEAF, replace(NIC, vlan=40), ("does not carry VLAN 40",)),
    ],
    ids=["mtu", "no-native-vlan", "tagged-twice", "vlan-missing"],
)
def test_neighbour_that_does_not_fit(seen: Neighbour, nic: Nic, words: tuple[str, ...]) -> None:
    only(wire.neighbour(replace(HEARD, neighbours=(seen,)), nic, "eth0"), WARNING, *words, "leaf-3", "Ethernet7")


@pytest.mark.parametrize(
    ("seen", "nic"),
    [
        (LEAF, NIC),
        (LEAF, replace(NIC, vlan=30)),
        (replace(LEAF, vlan=None, max_frame=None, vlans=()), replace(NIC, vlan=40, mtu=9000)),
        (replace(LEAF, max_frame=0), NIC),
    ],
)
def test_neighbour_that_fits(seen: Neighbour, nic: Nic) -> None:
    (finding,) = wire.neighbour(replace(HEARD, neighbours=(seen,)), nic, "eth0")
    assert finding.verdict is OK
    assert "leaf-3" in finding.evidence


@pytest.mark.parametrize(
    ("time", "verdict", "words"),
    [
        (Time(now=12.0, synchronised=True), FAILURE, ("years", "1970-01-01", "timedatectl set-time")),
        (Time(now=NOW * 4, synchronised=True), FAILURE, ("years",)),
        (Time(now=NOW, synchronised=False), WARNING, ("synchronised with nobody", "timedatectl")),
        (Time(now=NOW, synchronised=True, others={"a": 3700.0, "b": 3600.0}), WARNING, ("3650 s ahead of", "a +3700")),
        (Time(now=NOW, synchronised=True, others={"a": -500.0, "b": -400.0, "c": 9.0}), WARNING, ("400 s behind",)),
        (replace(IN_TIME, others={"a": 9000.0}), WARNING, ("BMC of a is 9000 s ahead of", "+9000 s")),
        (replace(IN_TIME, others={"a": -9000.0, "b": 1.0, "c": 0.0}), WARNING, ("BMC of a is 9000 s behind",)),
        (replace(IN_TIME, sources=(SOURCE, MUTE)), WARNING, ("10.0.0.3 gives no time", "refused", "UDP port 123")),
        (
            replace(IN_TIME, sources=(replace(SOURCE, ahead=-3.5),)),
            WARNING,
            ("is 3.5 s behind this", "-3.500 s"),
        ),
    ],
    ids=[
        "1970",
        "far",
        "unsynchronised",
        "bmcs-ahead",
        "bmcs-behind",
        "one-bmc",
        "one-bmc-of-three",
        "server-mute",
        "server-apart",
    ],
)
def test_clock(time: Time, verdict: Verdict, words: tuple[str, ...]) -> None:
    only(host.clock(time), verdict, *words)


@pytest.mark.parametrize(
    ("time", "verdict"),
    [
        (IN_TIME, OK),
        (replace(IN_TIME, others={"a": 100.0, "b": -100.0}), OK),
        (replace(IN_TIME, sources=(SOURCE,)), OK),
        (replace(IN_TIME, sources=(replace(SOURCE, ahead=1.5, delay=0.9),)), OK),
        (Time(now=NOW, synchronised=None), UNKNOWN),
    ],
    ids=["well", "bmcs-near", "server-near", "server-far-away", "kernel-silent"],
)
def test_clock_otherwise(time: Time, verdict: Verdict) -> None:
    assert verdicts(host.clock(time)) == [verdict]


def test_a_bmc_that_is_apart_concerns_its_machine_alone() -> None:
    found = host.clock(replace(IN_TIME, others={"a": 9000.0, "b": -300.0, "c": 0.0, "d": 1.0, "e": -1.0}))
    assert [one.machine for one in found] == ["a", "b"]
    (site,) = host.clock(replace(IN_TIME, others={"a": 9000.0, "b": 300.0, "c": 400.0}))
    assert site.machine == "", "where most of them are, it may be ours"


def test_what_was_compared_is_shown_where_all_is_well() -> None:
    (finding,) = host.clock(replace(IN_TIME, sources=(SOURCE,), others={"a": -2.0, "b": 1.0}))
    assert "10.0.0.2 +0.010 s (stratum 2); 2 BMCs at most 2 s off" in finding.evidence


@pytest.mark.parametrize(
    ("volume", "verdict", "words"),
    [
        (replace(VOLUME, problem="No such file"), FAILURE, ("cannot be read", "findmnt -T /var")),
        (replace(VOLUME, read_only=True), FAILURE, ("read-only",)),
        (replace(VOLUME, free=100_000_000), FAILURE, ("is full", "100 MB of 100 GB", "du -xh")),
        (replace(VOLUME, free=GB), WARNING, ("almost full",)),
        (replace(VOLUME, size=1_000_000, free=0), FAILURE, ("is full",)),
        (replace(VOLUME, free_inodes=3), FAILURE, ("another file", "3 of 1000 inodes", "df -i")),
    ],
    ids=["absent", "read-only", "full", "low", "small-and-full", "inodes"],
)
def test_space(volume: Volume, verdict: Verdict, words: tuple[str, ...]) -> None:
    only(host.space((volume,)), verdict, "state folder", *words)


@pytest.mark.parametrize(
    "volume",
    [
        VOLUME,
        replace(VOLUME, inodes=0, free_inodes=0),
        replace(VOLUME, size=10**6, free=10**5),
        replace(VOLUME, kept=False, read_only=True, free=0, free_inodes=0),
    ],
    ids=["usual", "no-inodes", "small", "only-read"],
)
def test_enough_space(volume: Volume) -> None:
    assert verdicts(host.space((volume,))) == [OK]


@pytest.mark.parametrize(
    ("shelf", "words"),
    [
        (replace(SHELF, offered=frozenset()), ("names the image debian-13", "./run image")),
        (replace(SHELF, files=(replace(FILE, found="b" * 64),)), ("is damaged", "aaaa", "bbbb", "sha256sum /store/ab")),
        (replace(SHELF, files=(replace(FILE, found="", problem="No such file"),)), ("cannot be read", "No such file")),
    ],
    ids=["missing", "damaged", "unreadable"],
)
def test_images(shelf: Shelf, words: tuple[str, ...]) -> None:
    only(host.images(shelf), FAILURE, "debian-13", *words)


@pytest.mark.parametrize(("encrypted", "verdict"), [(True, OK), (False, WARNING), (None, UNKNOWN)])
def test_encryption(encrypted: bool | None, verdict: Verdict) -> None:
    """Of what the daemon writes: an image store that it only reads holds no secret."""
    volumes = (replace(VOLUME, encrypted=encrypted), replace(VOLUME, kept=False, encrypted=False))
    assert verdicts(host.encryption(volumes)) == [verdict]


def test_images_are_whole() -> None:
    assert verdicts(host.images(SHELF)) == [OK]


@pytest.mark.parametrize(
    ("download", "words"),
    [
        (replace(DOWNLOAD, found="", problem="Timeout"), ("cannot download", "Timeout", "ss -lnptu")),
        (replace(DOWNLOAD, found="b" * 64), ("otherwise than it is on the disk", "bbbb")),
    ],
)
def test_downloads(download: Download, words: tuple[str, ...]) -> None:
    only(host.downloads((download,)), FAILURE, "tftp://10.0.0.1/snponly.efi", *words)


def test_downloads_are_well() -> None:
    assert verdicts(host.downloads((DOWNLOAD,))) == [OK]
    assert verdicts(host.downloads(())) == [UNKNOWN]


def test_bmcs() -> None:
    silent = Answer(machine="node-0", url="https://10.9.0.11", problem="no answer", evidence="GET /redfish/v1: timeout")
    shut = Answer(
        machine="node-1", url="https://10.9.0.12", problem="wrong password", next_action="correct it", login=True
    )
    well = Answer(machine="node-2", url="https://10.9.0.13")
    first, second = bmcs.bmcs((silent, shut, well))
    assert (first.machine, second.machine) == ("node-0", "node-1")
    only((first,), FAILURE, "does not answer", "timeout", "innervate bmc find https://10.9.0.11 --login", "cable")
    only((second,), FAILURE, "does not let us in", "wrong password", "correct")
    assert verdicts(bmcs.bmcs((well,))) == [OK]


def test_hostile_text_ends_in_a_finding_of_one_line() -> None:
    rogue = replace(OFFER, vendor="\x1b[2J\nerror: all is well " + "x" * 5000)
    (finding,) = segment.other_dhcp(replace(SERVERS, offers=(rogue,)))
    assert finding.cause.isprintable()
    assert len(finding.cause) <= 400


def test_the_worst_comes_first() -> None:
    found = (
        *host.space((VOLUME,)),
        *host.clock(Time(now=NOW, synchronised=False)),
        *host.images(replace(SHELF, offered=frozenset())),
        *wire.link(None, "eth0"),
    )
    assert [finding.check for finding in ranked(found)] == [Check.LINK, Check.IMAGES, Check.CLOCK, Check.SPACE]


REGISTRY = Service(name="container registry", running_since=NOW - 7, ends=0, last="")


def test_services_for_clusters() -> None:
    assert serving.services((), NOW) == ()
    assert verdicts(serving.services((REGISTRY,), NOW)) == [OK]
    fell = replace(REGISTRY, ends=2, last="status -9: out of memory")
    only(serving.services((fell,), NOW), WARNING, "2 times", "out of memory")
    assert verdicts(serving.services((fell,), NOW + 3600)) == [OK]
    absent = replace(fell, running_since=None, last="docker-registry did not start")
    only(serving.services((absent, REGISTRY), NOW), WARNING, "does not run", "did not start")


def test_clusters() -> None:
    assert clusters.clusters(()) == ()
    coming = replace(PROD, api=ClusterApiView(state=ApiState.UNFOUNDED))
    assert clusters.clusters((coming,)) == ()
    well = replace(PROD, nodes=(PROD.nodes[0], PROD.nodes[2]))
    assert verdicts(clusters.clusters((well, coming))) == [OK], "a machine that joins is no trouble"
    only(clusters.clusters((PROD,)), WARNING, "node-1 is no ready node", "container runtime is down")
    gone = replace(PROD, nodes=(replace(PROD.nodes[0], said=None),))
    only(clusters.clusters((gone, well)), WARNING, "does not list its node node-0", "innervate cluster show prod")
    silent = ClusterApiView(state=ApiState.SILENT, lacks="no answer", evidence="\x1b[1mrefused", next_action="wait")
    only(clusters.clusters((replace(PROD, api=silent),)), WARNING, "does not answer", "no answer; refused", "wait")
    lame = ClusterApiView(state=ApiState.NOT_READY, lacks="[-]etcd failed")
    only(clusters.clusters((replace(well, api=lame),)), WARNING, "not ready", "[-]etcd failed")
    unseen = ClusterApiView(state=ApiState.UNSEEN)
    assert verdicts(clusters.clusters((replace(PROD, api=unseen),))) == [UNKNOWN]


def test_artifact_sets() -> None:
    whole = Kept(name="k3s-v1.33.4-amd64", provenance="genuine", gaps=())
    assert serving.sets(()) == ()
    assert verdicts(serving.sets((whole,))) == [OK]
    assert verdicts(serving.sets((whole, replace(whole, gaps=None)))) == [UNKNOWN]
    bad = replace(whole, gaps=("k8s/pause:3.2 sha256:aa: the blob is missing",))
    only(serving.sets((whole, bad)), WARNING, "not complete", "the blob is missing", "innervate set check")
