"""What haproxy and keepalived are told, against golden files; and what could break out of it, which is refused."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from appliance.balancer.config import Paths, rendered
from appliance.balancer.vip import look
from appliance.balancer.vip import rendered as keepalived
from appliance.errors import SiteError
from appliance.model.balancer import (
    Backend,
    Balancer,
    BalancerPlace,
    Balancing,
    HttpsCheck,
    Listener,
    TcpCheck,
    Vip,
    VipMember,
)

GOLDEN = Path(__file__).parents[3] / "golden/balancer"
NODES = tuple(IPv4Address(f"10.77.0.{20 + number}") for number in range(3))
INSIDE = IPv4Network("10.77.0.0/24")
PLANES = tuple(Backend(name=f"node-{n}", address=node, port=6443) for n, node in enumerate(NODES))
BOOTSTRAP = Backend(name="bootstrap", address=IPv4Address("10.77.0.30"), port=6443, backup=True)
API = Listener(name="okd-api", port=6443, backends=(*PLANES, BOOTSTRAP), check=HttpsCheck(path="/readyz"))
CONFIGS = Listener(
    name="okd-machine-configs",
    port=22623,
    backends=tuple(replace(one, port=22623) for one in (*PLANES, BOOTSTRAP)),
    check=HttpsCheck(path="/healthz"),
    sources=(INSIDE,),
)
INGRESS = Listener(name="okd-https", port=443, backends=tuple(replace(one, port=443) for one in PLANES), affinity=True)
BALANCING = Balancing(address=IPv4Address("10.77.0.10"), listeners=(API, CONFIGS, INGRESS), alive=8405)
PATHS = Paths(admin=Path("/run/innervate/balancer/admin"), states=Path("/var/lib/innervate/balancer/states"))
MEMBERS = tuple(VipMember(name=f"node-{n}", address=node, priority=120 - 10 * n) for n, node in enumerate(NODES))
VIP = Vip(
    name="okd",
    address=IPv4Interface("10.77.0.10/24"),
    device="eth0",
    router=51,
    members=MEMBERS,
    alive=8405,
)
TEXTS: dict[str, Callable[[], str]] = {
    "haproxy.cfg": lambda: rendered(BALANCING, PATHS),
    "keepalived.conf": lambda: keepalived(VIP, MEMBERS[1], "/etc/keepalived/look"),
    "look": lambda: look(VIP),
}


@pytest.mark.parametrize("name", TEXTS)
def test_golden(name: str) -> None:
    assert TEXTS[name]() == (GOLDEN / name).read_text()


EVIL = ("", "a b", "a\n    bind 0.0.0.0:22", "A", "-a", "a.b", "a" * 64, "ä", 'a"', "a{")


@pytest.mark.parametrize("name", EVIL, ids=ascii)
def test_no_name_leads_out_of_its_line(name: str) -> None:
    for make in (
        lambda: replace(API, name=name),
        lambda: replace(BOOTSTRAP, name=name),
        lambda: replace(VIP, name=name),
        lambda: replace(MEMBERS[0], name=name),
    ):
        with pytest.raises(SiteError):
            make()


@pytest.mark.parametrize("path", ["", "readyz", "/a b", "/a\nb", "/%0a", "/é", "/" + "a" * 128], ids=ascii)
def test_no_path_leads_out_of_its_line(path: str) -> None:
    with pytest.raises(SiteError):
        HttpsCheck(path=path)


WRONG: dict[str, Callable[[], object]] = {
    "port 0": lambda: replace(API, port=0),
    "port of a backend": lambda: replace(BOOTSTRAP, port=70000),
    "machine configs for everybody": lambda: replace(CONFIGS, sources=()),
    "two listeners on one port": lambda: replace(BALANCING, listeners=(API, replace(CONFIGS, port=6443))),
    "two listeners of one name": lambda: replace(BALANCING, listeners=(API, replace(API, port=6444))),
    "two backends of one name": lambda: replace(API, backends=(PLANES[0], PLANES[0])),
    "a listener on the port that says it is alive": lambda: replace(BALANCING, alive=443),
    "a device": lambda: replace(VIP, device="eth0\nx"),
    "a router": lambda: replace(VIP, router=256),
    "two members of one priority": lambda: replace(VIP, members=(MEMBERS[0], replace(MEMBERS[1], priority=120))),
    "an address that a member has": lambda: replace(VIP, address=IPv4Interface("10.77.0.20/24")),
    "a priority": lambda: replace(MEMBERS[0], priority=255),
    "control planes without an address": lambda: Balancer(place=BalancerPlace.CONTROL_PLANES),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_balanced(what: str) -> None:
    with pytest.raises(SiteError) as caught:
        WRONG[what]()
    assert caught.value.next_action


def test_a_check_may_be_as_simple_as_a_connection() -> None:
    text = rendered(replace(BALANCING, listeners=(replace(API, check=TcpCheck()),), alive=None), PATHS)
    assert "check-ssl" not in text
    assert "httpchk" not in text
    assert "frontend alive" not in text
    assert "server node-0 10.77.0.20:6443 check\n" in text


def test_it_listens_nowhere_but_where_it_is_told() -> None:
    binds = [line.split()[1] for line in rendered(BALANCING, PATHS).splitlines() if line.strip().startswith("bind")]
    assert binds == ["127.0.0.1:8405", "10.77.0.10:6443", "10.77.0.10:22623", "10.77.0.10:443"]
