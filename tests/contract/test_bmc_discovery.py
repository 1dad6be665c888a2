"""BMCs are found and entered on real networks: our own Redfish service, IPMI BMCs, SSDP, and hosts that are none."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from uuid import UUID

import pytest

from appliance.bmc import discovery
from appliance.bmc.dialler import Dialler
from appliance.bmc.discovery import Dialect, Sign, Suspect, Traits
from appliance.bmc.finder import Finder, FinderLimits, Opened
from appliance.bmc.rotation import rotate
from appliance.bmc.vault import Entry, Vault
from appliance.errors import BmcError, BmcLoginError, MachineryError
from appliance.lab.certificate import Certificate, self_signed
from appliance.model.bmc import AccountRole
from appliance.model.bmc_views import VaultScope
from appliance.model.secret import Secret
from appliance.redfish.assembly import Assembly, World, assembled
from appliance.redfish.model import ServiceInfo
from appliance.redfish.server import serve
from appliance.redfish.simulated import SimulatedBackend, simulated_view
from appliance.store.secrets import SecretFile
from appliance.system import SystemClock, SystemRng
from tests.contract.ipmi_bmc import FakeIpmiBmc, listening
from tests.contract.segment import inside, ip, segment
from tests.contract.test_ipmi import ipmi_sim

LOOPBACK = IPv4Address("127.0.0.1")
SERVICE = UUID("00000000-0000-4000-8000-0000000000b1")
QUICK = FinderLimits(search_seconds=1, probe_seconds=3.0)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs network namespaces")
needs_ipmi_sim = pytest.mark.skipif(shutil.which("ipmi_sim") is None, reason="needs openipmi")


async def _no_post(url: str, body: bytes) -> int:
    raise OSError(f"nobody at {url} takes {len(body)} bytes")


def tls_of(certificate: Certificate, folder: Path) -> ssl.SSLContext:
    file = folder / f"{certificate.fingerprint}.pem"
    file.write_bytes(certificate.certificate + certificate.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def bound(address: IPv4Address = LOOPBACK, port: int = 0) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((str(address), port))
    listener.listen(64)
    return listener


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


@asynccontextmanager
async def redfish(
    listener: socket.socket, tls: ssl.SSLContext, password: str, uuid: UUID = SERVICE
) -> AsyncIterator[Assembly]:
    """Our own service before a simulated machine; one account, root."""
    clock, stop = SystemClock(), asyncio.Event()
    world = World(clock=clock, rng=SystemRng(), post=_no_post, allows=lambda _url: False)
    info = ServiceInfo(uuid=uuid, vendor="Dell Inc.", product="Simulated", version="1")
    async with assembled(SimulatedBackend([simulated_view(1)], clock), info, world) as assembly:
        await assembly.accounts.add("root", password, AccountRole.ADMINISTRATOR)
        serving = asyncio.create_task(serve(assembly.app, listener, tls, stop))
        try:
            yield assembly
        finally:
            stop.set()
            await serving


@contextmanager
def vault_in(folder: Path, *entries: Entry) -> Iterator[Vault]:
    with closing(SecretFile(folder / "bmc.vault", SystemRng())) as file:
        vault = Vault(file, SystemClock())
        vault.add(*entries)
        yield vault


def site_wide(password: str, user: str = "root", priority: int = 0) -> Entry:
    return Entry(scope=VaultScope.SITE, value="", user=user, password=Secret(password), priority=priority)


def finder(limits: FinderLimits = QUICK) -> Finder:
    return Finder(SystemClock(), SystemRng(), limits)


def suspect(port: int = 9, address: IPv4Address = LOOPBACK, ipmi_port: int = 9) -> Suspect:
    return Suspect(address=address, sign=Sign.STATED, port=port, ipmi_port=ipmi_port)


async def entered(found: discovery.Found, vault: Vault) -> Opened:
    dialler = Dialler(SystemClock(), SystemRng())
    try:
        return await finder().login(found, vault, dialler)
    finally:
        await dialler.close()


# --- one BMC --------------------------------------------------------------------------------------------------


def test_redfish_service_is_found_entered_and_given_its_own_password(tmp_path: Path) -> None:
    certificate = self_signed("bmc", LOOPBACK)

    async def play() -> None:
        with bound() as listener, vault_in(tmp_path) as vault:
            async with redfish(listener, tls_of(certificate, tmp_path), "calvin-calvin") as service:
                (found,) = await finder().probe([suspect(port_of(listener))])
                assert found.dialect is Dialect.REDFISH
                assert found.fingerprint == certificate.fingerprint
                assert found.traits == Traits(make="Dell Inc.", uuid=SERVICE)
                factory = Entry(scope=VaultScope.FACTORY, value="Dell", user="root", password=Secret("calvin-calvin"))
                vault.add(factory)
                opened = await entered(found, vault)
                assert opened.identity is not None
                assert (opened.identity.serial, opened.must_change) == ("SIM000001", True)
                dialler = Dialler(SystemClock(), SystemRng())
                try:
                    await rotate(found, vault, dialler, SystemRng())
                finally:
                    await dialler.close()
                assert await service.accounts.verify("root", "calvin-calvin") is None
                again = await entered(found, vault)
                assert await service.accounts.verify("root", again.endpoint.password.reveal()) is not None
                assert not again.must_change

    asyncio.run(asyncio.wait_for(play(), 60))


def test_bmc_that_refuses_everything_is_asked_twice_and_then_left_alone(tmp_path: Path) -> None:
    async def play() -> None:
        with bound() as listener, vault_in(tmp_path, *(site_wide(f"guess-{n}", f"root{n}") for n in range(4))) as vault:
            vault.add(site_wide("wrong-wrong", priority=1))
            tls = tls_of(self_signed("bmc", LOOPBACK), tmp_path)
            async with redfish(listener, tls, "right-right") as service:
                (found,) = await finder().probe([suspect(port_of(listener))])
                with pytest.raises(BmcLoginError, match="no log-in"):
                    await entered(found, vault)
                account = service.accounts.find("root")
                assert account is not None
                assert account.failures == 1  # of two tries, one was as root: each is sent once
                with pytest.raises(BmcLoginError, match="left alone"):
                    await entered(found, vault)
                assert service.accounts.find("root") == account

    asyncio.run(asyncio.wait_for(play(), 60))


@pytest.mark.parametrize("password", ["secret", "calvin"])
def test_ipmi_bmc(tmp_path: Path, password: str) -> None:
    async def play() -> None:
        bmc = FakeIpmiBmc(users={"root": "calvin"})
        with listening(bmc), vault_in(tmp_path, site_wide(password)) as vault:
            (found,) = await finder().probe([suspect(ipmi_port=bmc.port)])
            assert (found.dialect, found.url) == (Dialect.IPMI, f"ipmi://127.0.0.1:{bmc.port}")
            assert bmc.sessions == {}
            if password == "secret":
                with pytest.raises(BmcLoginError):
                    await entered(found, vault)
                assert len(bmc.sessions) == 1
                return
            await entered(found, vault)
            dialler = Dialler(SystemClock(), SystemRng())
            try:
                await rotate(found, vault, dialler, SystemRng())
            finally:
                await dialler.close()
            known = vault.known(found)
            assert known is not None
            assert bmc.users == {"root": known.password.reveal()}

    asyncio.run(asyncio.wait_for(play(), 60))


@needs_ipmi_sim
def test_openipmi_simulator(tmp_path: Path) -> None:
    async def play(port: int) -> None:
        with vault_in(tmp_path, site_wide("secret", "admin")) as vault:
            found: Sequence[discovery.Found] = ()
            async with asyncio.timeout(20):
                while not found:  # it takes a moment to start
                    found = await finder().probe([suspect(ipmi_port=port)])
            opened = await entered(found[0], vault)
            assert opened.identity is not None
            assert opened.identity.uuid == UUID("00000077-0000-4000-8000-000000000001")

    with ipmi_sim(tmp_path) as port:
        asyncio.run(play(port))


# --- hosts that are none, and hosts that lie ------------------------------------------------------------------


@dataclass
class Host:
    """Says `reply` to whatever is written to it; `heard` is that."""

    reply: bytes
    heard: bytearray = field(default_factory=bytearray)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard += await reader.read(4096)
        writer.write(self.reply)
        writer.close()


@asynccontextmanager
async def answering(host: Host, listener: socket.socket, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    server = await asyncio.start_server(host.talk, sock=listener, ssl=tls)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


ROOT = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"RedfishVersion": "1.6.0"}'


@pytest.mark.parametrize(
    ("reply", "encrypted", "is_bmc"),
    [
        (ROOT, True, True),
        (ROOT, False, False),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>a printer</html>", True, False),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", True, False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False, False),
        (b"\0" * 300_000, True, False),
        (b"", True, False),
    ],
)
def test_host_is_judged_by_what_it_answers(tmp_path: Path, reply: bytes, encrypted: bool, is_bmc: bool) -> None:
    async def play() -> None:
        host = Host(reply)
        tls = tls_of(self_signed("host", LOOPBACK), tmp_path) if encrypted else None
        with bound() as listener:
            port = port_of(listener)
            async with answering(host, listener, tls):
                assert bool(await finder().probe([suspect(port)])) is is_bmc
        assert b"authorization" not in host.heard.lower()
        assert not encrypted or host.heard.startswith(b"GET /redfish/v1/ HTTP/1.1\r\n")

    asyncio.run(asyncio.wait_for(play(), 60))


def test_password_is_sent_to_the_owner_of_the_first_certificate_only(tmp_path: Path) -> None:
    async def play() -> None:
        first, second = Host(ROOT), Host(ROOT)
        with vault_in(tmp_path, site_wide("secret-secret")) as vault:
            with bound() as listener:
                port = port_of(listener)
                async with answering(first, listener, tls_of(self_signed("bmc", LOOPBACK), tmp_path)):
                    (found,) = await finder().probe([suspect(port)])
            with bound(port=port) as listener:
                async with answering(second, listener, tls_of(self_signed("thief", LOOPBACK), tmp_path)):
                    with pytest.raises(BmcError, match="certificate"):
                        await entered(found, vault)
            assert b"authorization" not in first.heard.lower()
            assert second.heard == b""
            assert [login.user for login in vault.candidates(found)] == ["root"]  # nothing was tried

    asyncio.run(asyncio.wait_for(play(), 60))


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """Takes the connection and says nothing, not even a handshake."""
    with bound() as listener:
        yield port_of(listener)


def test_silent_host_costs_no_more_than_its_time() -> None:
    async def play() -> float:
        async with silent() as port:
            before = time.monotonic()
            assert await finder(FinderLimits(probe_seconds=0.5)).probe([suspect(port)]) == ()
            return time.monotonic() - before

    assert 0.45 < asyncio.run(play()) < 1.0


def test_host_that_never_ends_costs_no_more_than_its_time(tmp_path: Path) -> None:
    async def play() -> float:
        async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with ExitStack() as stack:
                stack.callback(writer.close)
                while not writer.is_closing():
                    writer.write(b"x")
                    await asyncio.sleep(0.01)

        with bound() as listener:
            port, tls = port_of(listener), tls_of(self_signed("drip", LOOPBACK), tmp_path)
            async with await asyncio.start_server(drip, sock=listener, ssl=tls):
                before = time.monotonic()
                assert await finder(FinderLimits(probe_seconds=0.5)).probe([suspect(port)]) == ()
                return time.monotonic() - before

    assert asyncio.run(play()) < 1.0


def test_many_silent_hosts_share_the_time() -> None:
    """Four groups of sixteen."""

    async def play() -> float:
        async with silent() as port:
            limits = FinderLimits(probe_seconds=0.5, at_once=16)
            hosts = [suspect(port, IPv4Address(f"127.0.1.{number}")) for number in range(1, 65)]
            before = time.monotonic()
            assert await finder(limits).probe(hosts) == ()
            return time.monotonic() - before

    assert asyncio.run(play()) < 3.5


# --- a network ------------------------------------------------------------------------------------------------

OURS, BMC, IPMI, PLAIN, LIAR = (IPv4Address(f"10.99.1.{number}") for number in (1, 9, 10, 11, 12))
NETWORK = IPv4Network("10.99.1.0/28")


class Responder:
    """Answers to M-SEARCH as DSP0266 says; `location` is what its AL header names."""

    def __init__(self, ours: IPv4Address, location: str) -> None:
        self._location = location
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.udp.bind(("", discovery.SSDP_PORT))
        group = struct.pack("4s4s", socket.inet_aton(discovery.SSDP_GROUP), ours.packed)
        self.udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self.udp, self._read)

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self.udp)
        self.udp.close()

    def _read(self) -> None:
        question, source = self.udp.recvfrom(2048)
        wanted = b"ST: urn:dmtf-org:service:redfish-rest:1\r\n"
        if question.startswith(b"M-SEARCH * HTTP/1.1\r\n") and wanted in question:
            service = f"USN:uuid:{SERVICE}::urn:dmtf-org:service:redfish-rest:1:6"
            head = (
                f"HTTP/1.1 200 OK\r\nST:urn:dmtf-org:service:redfish-rest:1:6\r\n{service}\r\nAL:{self._location}\r\n"
            )
            self.udp.sendto(head.encode() + b"\r\n", source)


class BoundIpmiBmc(FakeIpmiBmc):
    """On the port of IPMI, on a socket made beforehand."""

    def open(self) -> None:
        assert self.udp is not None
        self.port = 623
        asyncio.get_running_loop().add_reader(self.udp, self._read)


def udp_at(address: IPv4Address, port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    opened.bind((str(address), port))
    return opened


@pytest.fixture
def network() -> Iterator[dict[str, str]]:
    """A segment of five; the other addresses of it are nobody's."""
    hosts = {"ours": OURS, "bmc": BMC, "ipmi": IPMI, "plain": PLAIN, "liar": LIAR}
    with segment({name: f"{address}/28" for name, address in hosts.items()}) as names:
        yield names


@needs_root
def test_bmcs_of_a_network_are_found_by_search_and_sweep(tmp_path: Path, network: dict[str, str]) -> None:
    certificate = self_signed("bmc", BMC)

    async def play(https: socket.socket, plain: socket.socket, ipmi: BoundIpmiBmc, ssdp: Sequence[Responder]) -> None:
        for responder in ssdp:
            responder.start()
        page = Host(b"HTTP/1.1 200 OK\r\n\r\n<html></html>")
        tls = tls_of(certificate, tmp_path)
        looking = Finder(SystemClock(), SystemRng(), QUICK)
        with listening(ipmi), vault_in(tmp_path, site_wide("calvin-calvin"), site_wide("secret", "admin")) as vault:
            async with redfish(https, tls, "calvin-calvin"), answering(page, plain, tls):
                heard = await looking.search(OURS)
                assert heard == (Suspect(address=BMC, sign=Sign.SSDP, traits=Traits(uuid=SERVICE)),)
                before = time.monotonic()
                found = await looking.probe((*heard, *discovery.sweep([NETWORK])))
                assert time.monotonic() - before < QUICK.probe_seconds + 2
                assert [(bmc.address, bmc.dialect) for bmc in found] == [
                    (BMC, Dialect.REDFISH),
                    (IPMI, Dialect.IPMI),
                ]
                assert [str(bmc.traits.mac) for bmc in found] == ["52:54:00:00:01:01", "52:54:00:00:01:02"]
                assert found[0].fingerprint == certificate.fingerprint
                for bmc in found:
                    assert (await entered(bmc, vault)).identity is not None
        for responder in ssdp:
            responder.stop()

    with ExitStack() as stack:
        with inside(network["bmc"]):
            https, honest = stack.enter_context(bound(BMC, 443)), Responder(BMC, f"https://{BMC}/redfish/v1/")
        with inside(network["liar"]):
            liar = Responder(LIAR, f"https://{BMC}/redfish/v1/")
        with inside(network["plain"]):
            plain = stack.enter_context(bound(PLAIN, 443))
        with inside(network["ipmi"]):
            ipmi = BoundIpmiBmc(users={"root": "other", "admin": "secret"}, udp=udp_at(IPMI, 623))
        with inside(network["ours"]):
            asyncio.run(asyncio.wait_for(play(https, plain, ipmi, (honest, liar)), 60))


@needs_root
@pytest.mark.alone
@pytest.mark.long
def test_sweep_of_4094_addresses_is_bounded(network: dict[str, str]) -> None:
    """All of them silent but one: 64 s with the standard limits, and some for the machine."""

    async def play() -> tuple[float, float]:
        before, work = time.monotonic(), time.process_time()
        found = await Finder(SystemClock(), SystemRng()).probe(discovery.sweep([IPv4Network("10.98.0.0/20")]))
        assert found == ()
        return time.monotonic() - before, time.process_time() - work

    ip("-n", network["ours"], "addr", "add", "10.98.0.1/20", "dev", "eth")
    with inside(network["ours"]):
        took, work = asyncio.run(play())
    print(f"4094 addresses: {took:.1f} s, {work:.1f} s of CPU")  # noqa: T201
    assert took < 75


def test_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(MachineryError, match=r"192\.0\.2\.1"):
        asyncio.run(finder().search(IPv4Address("192.0.2.1")))


# --- a process that is killed in the middle -------------------------------------------------------------------

# Kills itself at the given one of its effects: a save of the vault begins or has ended, a datagram leaves.
ROTATION = """
import asyncio, os, signal, sys
from ipaddress import IPv4Address
from pathlib import Path
from appliance.bmc.dialler import Dialler
from appliance.bmc.discovery import Dialect, Found
from appliance.bmc.finder import Finder
from appliance.bmc.ipmi.wire import Wire
from appliance.bmc.rotation import rotate
from appliance.bmc.vault import Vault
from appliance.store.secrets import SecretFile
from appliance.system import SystemClock, SystemRng

left = int(sys.argv[3])

def effect():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

def fused(kind, name):
    plain = getattr(kind, name)
    def wrapped(*args):
        effect()
        plain(*args)
        effect()
    setattr(kind, name, wrapped)

async def play():
    fused(SecretFile, "save")
    fused(Wire, "send")
    clock, rng = SystemClock(), SystemRng()
    found = Found(address=IPv4Address("127.0.0.1"), dialect=Dialect.IPMI, port=int(sys.argv[2]))
    vault = Vault(SecretFile(Path(sys.argv[1]), rng), clock)
    dialler = Dialler(clock, rng)
    await Finder(clock, rng).login(found, vault, dialler)
    await rotate(found, vault, dialler, rng)

asyncio.run(play())
"""


async def killed_and_repaired(folder: Path, point: int) -> tuple[bool, bool] | None:
    """Whether the BMC had its new password, and the vault knew of one, when the process was killed; None if it was
    done before."""
    bmc = FakeIpmiBmc(users={"root": "calvin"})
    with listening(bmc):
        found = discovery.Found(address=LOOPBACK, dialect=Dialect.IPMI, port=bmc.port)
        with vault_in(folder, site_wide("calvin")):
            pass
        argv = [sys.executable, "-c", ROTATION, str(folder / "bmc.vault"), str(bmc.port), str(point)]
        child = await asyncio.create_subprocess_exec(*argv)
        if (code := await child.wait()) == 0:
            return None
        assert code == -signal.SIGKILL
        dialler, changed = Dialler(SystemClock(), SystemRng()), bmc.users != {"root": "calvin"}
        with vault_in(folder) as vault:
            begun = vault.begun(found) is not None
            try:
                await finder().login(found, vault, dialler)
                await rotate(found, vault, dialler, SystemRng())
            finally:
                await dialler.close()
            known = vault.known(found)
    assert known is not None
    assert bmc.users == {"root": known.password.reveal()} != {"root": "calvin"}
    return changed, begun


def test_killed_rotation_loses_no_access(tmp_path: Path) -> None:
    """At every fourth effect from the first to the last."""
    seen: set[tuple[bool, bool]] = set()
    for point in range(0, 100, 4):
        folder = tmp_path / f"{point}"
        folder.mkdir()
        state = asyncio.run(asyncio.wait_for(killed_and_repaired(folder, point), 60))
        if state is None:
            break
        seen.add(state)
    else:
        pytest.fail("it never ended")
    assert seen >= {(False, False), (False, True), (True, True)}
