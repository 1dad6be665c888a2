"""Debian's haproxy, configured by us, before API servers with TLS: who is not ready is out, and nobody else notices."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.client import HTTPException, HTTPSConnection
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance.balancer.service import BalancerFiles, BalancerService
from appliance.errors import ConflictError, MachineryError, NotFoundError
from appliance.model.balancer import Backend, Balancing, HttpsCheck, Listener
from appliance.services.balancer import BalancerDesk
from appliance.supervision.host import HostChildren
from appliance.system import SystemClock
from images.processes import HostProcesses
from tests.contract.balancing import HAPROXY, ApiServer, api_server, looping, papers, program
from tests.contract.registry import free_ports

pytestmark = pytest.mark.alone

HERE = IPv4Address("127.0.0.1")
OUT_SECONDS = 5.0


@dataclass(kw_only=True)
class Site:
    service: BalancerService
    loop: asyncio.AbstractEventLoop
    servers: dict[str, ApiServer]
    balancing: Balancing

    @property
    def port(self) -> int:
        return self.balancing.listeners[0].port

    def ask(self) -> str:
        """Who answers a new connection; "" for nobody."""
        connection = HTTPSConnection("127.0.0.1", self.port, context=_blind(), timeout=3)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        except (OSError, HTTPException):
            return ""
        finally:
            connection.close()

    def answering(self, tries: int = 8) -> set[str]:
        return {self.ask() for _ in range(tries)}

    def until(self, holds: Callable[[], bool], seconds: float = OUT_SECONDS) -> float:
        """How long it took."""
        began = time.monotonic()
        while not holds():
            assert time.monotonic() - began < seconds, self.service.keeper.said
        return time.monotonic() - began

    def well(self) -> set[str]:
        return {one.backend for one in self.service.admin.states() if one.serves}

    def reload(self, balancing: Balancing) -> None:
        assert self.service.lay_out(balancing)
        self.balancing = balancing
        asyncio.run_coroutine_threadsafe(self.service.reload(), self.loop).result(15)


def _blind() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Two control planes, and the bootstrap machine for when there is none."""
    context = papers(tmp_path)
    names = ("bootstrap", "node-0", "node-1")
    front, *ports = free_ports(4)
    with (
        TemporaryDirectory() as folder,
        looping() as loop,
        api_server(names[0], "127.0.0.1", ports[0], context) as first,
        api_server(names[1], "127.0.0.1", ports[1], context) as second,
        api_server(names[2], "127.0.0.1", ports[2], context) as third,
    ):
        backends = tuple(
            Backend(name=name, address=HERE, port=port, backup=name == "bootstrap")
            for name, port in zip(names, ports, strict=True)
        )
        listener = Listener(name="api", port=front, backends=backends, check=HttpsCheck(path="/readyz"))
        balancing = Balancing(address=HERE, listeners=(listener,))
        files = BalancerFiles(folder=Path(folder) / "b")
        service = BalancerService(files, HostChildren(), HostProcesses(), SystemClock(), program("haproxy", HAPROXY))
        assert service.lay_out(balancing)
        assert not service.lay_out(balancing)
        asyncio.run_coroutine_threadsafe(service.keeper.run(), loop)
        servers = dict(zip(names, (first, second, third), strict=True))
        made = Site(service=service, loop=loop, servers=servers, balancing=balancing)
        made.until(lambda: made.ask() != "", 10)
        yield made


def test_readiness_decides_who_serves(site: Site) -> None:
    assert site.answering() == {"node-0", "node-1"}, "the bootstrap machine is a backup"
    site.servers["node-0"].ready = False
    assert site.until(lambda: "node-0" not in site.well()) < OUT_SECONDS
    assert site.answering() == {"node-1"}
    site.servers["node-1"].ready = False
    site.until(lambda: site.well() == {"bootstrap"})
    assert site.answering() == {"bootstrap"}
    site.servers["node-0"].ready = True
    site.until(lambda: "node-0" in site.well())
    assert site.answering() == {"node-0"}, "the backup serves only while nobody else does"


@pytest.mark.long
def test_a_dead_server_is_out_and_its_clients_come_back(site: Site) -> None:
    connection = HTTPSConnection("127.0.0.1", site.port, context=_blind(), timeout=OUT_SECONDS)
    connection.request("GET", "/")
    name = connection.getresponse().read().decode()
    site.servers[name].ready = False
    site.until(lambda: name not in site.well())
    assert connection.sock.recv(1) == b"", "closed: a client that stayed would talk to one that is not ready"
    connection.close()
    assert site.ask() not in ("", name)


@pytest.mark.long
def test_one_backend_is_taken_out_and_put_in_by_hand(site: Site) -> None:
    found = site.service.admin.take_out("api", "node-0")
    assert (found.out, found.serves) == (True, False)
    assert site.answering() == {"node-1"}
    assert not site.service.admin.put_in("api", "node-0").out
    assert site.answering() == {"node-0", "node-1"}
    with pytest.raises(NotFoundError, match="no backend api/node-7"):
        site.service.admin.take_out("api", "node-7")


@pytest.mark.long
def test_a_reload_drops_nothing_and_forgets_nothing(site: Site) -> None:
    """The bootstrap machine leaves while clients talk. Who was out stays out: the new worker does not believe anew."""
    site.servers["node-0"].ready = False
    site.until(lambda: "node-0" not in site.well())
    connection = HTTPSConnection("127.0.0.1", site.port, context=_blind(), timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"node-1"
    held = connection.sock
    (listener,) = site.balancing.listeners
    smaller = replace(listener, backends=listener.backends[1:])
    failed = 0
    for round_ in range(3):
        listener = smaller if round_ % 2 == 0 else listener
        site.reload(replace(site.balancing, listeners=(replace(listener, affinity=round_ == 1),)))
        failed += sum(name != "node-1" for name in (site.ask() for _ in range(10)))
        assert "node-0" not in site.well()
    assert failed == 0
    assert {one.backend for one in site.service.admin.states()} == {"node-0", "node-1"}
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"node-1"
    assert connection.sock is held, "the connection was not opened anew"
    connection.close()


@pytest.mark.long
def test_it_comes_back_when_it_is_killed(site: Site) -> None:
    first = site.service.keeper.pid
    site.service.keeper.signal(9)
    site.until(lambda: site.service.keeper.pid not in (None, first) and site.ask() != "", 15)
    assert site.service.keeper.standing.ends == 1


@pytest.mark.long
def test_sources_that_may_not_connect_are_refused(site: Site) -> None:
    (listener,) = site.balancing.listeners
    site.reload(replace(site.balancing, listeners=(replace(listener, sources=(IPv4Network("192.0.2.0/24"),)),)))
    assert site.answering(2) == {""}


@pytest.mark.long
def test_clusters_share_a_balancer_that_outlives_the_daemon(site: Site, tmp_path: Path) -> None:
    """What each wants is kept apart, and what was balanced is balanced again by the next daemon."""
    (listener,) = site.balancing.listeners
    other = replace(listener, name="other", port=free_ports(1)[0])
    mine = replace(listener, port=free_ports(1)[0])

    async def life(folder: Path, *, first: bool) -> None:
        children, processes = HostChildren(), HostProcesses()
        service = BalancerService(
            BalancerFiles(folder=folder), children, processes, SystemClock(), program("haproxy", HAPROXY)
        )
        desk = BalancerDesk(service, folder / "wanted.json", HERE, SystemClock())
        desk.start()
        if first:
            assert desk.keepers == ()
            await desk.want("okd", (mine,))
            await desk.want("k3s", (other,))
            with pytest.raises(ConflictError):
                await desk.want("third", (replace(other, name="third"),))
            assert {state.listener for state in await desk.states()} == {"api", "other"}
        else:
            assert {state.listener for state in await desk.want("okd", (mine,))} == {"api", "other"}
            await desk.want("okd", ())
            assert {state.listener for state in await desk.states()} == {"other"}
            assert (await desk.take_out("other", "node-0")).out
            await desk.want("k3s/web", (mine,))
            await desk.want("k3s-2", (replace(mine, name="second", port=free_ports(1)[0]),))
            await desk.forget("k3s")
            assert {state.listener for state in await desk.states()} == {"second"}, "and its applications"
            assert await desk.want("k3s-2", ()) == ()
            assert desk.keepers == ()
        await desk.close()

    with TemporaryDirectory() as folder:
        asyncio.run(life(Path(folder), first=True))
        asyncio.run(life(Path(folder), first=False))


@pytest.mark.long
def test_what_haproxy_refuses_never_becomes_its_configuration(site: Site, tmp_path: Path) -> None:
    before = site.answering()
    nowhere = replace(site.balancing.listeners[0], port=free_ports(1)[0])
    crooked = replace(site.balancing, listeners=(nowhere,), address=HERE)
    broken = BalancerService(
        BalancerFiles(folder=tmp_path / "with blank"), HostChildren(), HostProcesses(), SystemClock(), ("false",)
    )
    with pytest.raises(MachineryError, match="haproxy refuses"):
        broken.lay_out(crooked)
    assert not (tmp_path / "with blank/haproxy.cfg").exists()
    assert site.answering() == before
