"""Secrets that are nowhere to be seen: 50 canaries live through discovery, log-ins good and bad, rotation, and the
daemon's own parts, with every logger at DEBUG; then logs, events, API, process arguments and files are searched.
"""

import asyncio
import base64
import contextlib
import io
import json
import logging
import re
import secrets
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import pytest
from starlette.types import Message, Receive, Scope, Send

from appliance.access.access import opened
from appliance.api.app import create_app
from appliance.api.fake_doctor import FakeDoctor
from appliance.api.server import serve as serve_api
from appliance.api.trace import TraceFilter
from appliance.bmc.dialler import Dialler
from appliance.bmc.discovery import Found, Sign, Suspect
from appliance.bmc.finder import Finder, FinderLimits
from appliance.bmc.rotation import rotate
from appliance.bmc.vault import Entry, Vault, factory_defaults
from appliance.boot import Ramdisk, Snapshot
from appliance.client import Client
from appliance.conductor.conductor import Conductor
from appliance.conductor.hands import Hands, Waiting
from appliance.conductor.memory import Memory
from appliance.conductor.outbox import carry_out
from appliance.errors import BmcError, InnervateError
from appliance.identity.bonds import Bonds
from appliance.identity.key import ApplianceKey
from appliance.identity.tpms import Tpms
from appliance.kubernetes.objects import Access
from appliance.kubernetes.tokens import fresh
from appliance.lab.certificate import self_signed
from appliance.lab.topology import lab_rack
from appliance.logbook import Logbook
from appliance.model.access_views import PasswordRequest, Role, SetupRequest, TokenRequest, UserRequest
from appliance.model.amend import amended
from appliance.model.bmc import AccountRole, BmcEndpoint
from appliance.model.bmc_views import BmcSearchRequest, LoginState, VaultEntryRequest
from appliance.model.bmc_views import VaultScope as For
from appliance.model.cluster import Member, NodeRole
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.model.views import PowerAction
from appliance.redfish.app import Asgi
from appliance.redfish.assembly import World, assembled
from appliance.redfish.model import ServiceInfo
from appliance.redfish.server import serve as serve_redfish
from appliance.redfish.simulated import SimulatedBackend, simulated_view
from appliance.scores.discover import Discover
from appliance.services.agents import AgentDesk
from appliance.services.application import Appliance
from appliance.services.bmcs import BmcDesk
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_looks import ClusterLooks
from appliance.services.cluster_views import ClusterViews
from appliance.services.segment import stated_macs
from appliance.services.segment_state import SegmentState
from appliance.services.senses import Senses
from appliance.services.shelf import Shelf
from appliance.services.shells import SshShells, ensure_key
from appliance.services.stores import StoreDesk
from appliance.services.support import SupportDesk
from appliance.site import Site
from appliance.store.cluster_backups import BackupShelf
from appliance.store.log import Log
from appliance.store.records import Noted
from appliance.store.secrets import SecretFile
from appliance.system import SystemClock, SystemRng
from appliance.topology import Rack
from images.processes import HostProcesses
from tests.contract.ipmi_bmc import FakeIpmiBmc, listening
from tests.contract.test_bmc_discovery import LOOPBACK, bound, port_of, tls_of
from tests.unit.appliance.conductor.rack import FakeLibrary, FakeTraces
from tests.unit.appliance.services.cluster_scene import SPEC

GUESSES = 40
PREFIX = "cnry-"
FILES = [
    f"state/{name}"
    for name in (
        "access/access.vault",
        "access/access.vault.key",
        "access/answers.jsonl",
        "access/answers.vault",
        "access/answers.vault.key",
        "access/audit.head",
        "access/audit.jsonl",
        "bmc.vault",
        "bmc.vault.key",
        "clusters.vault",
        "clusters.vault.key",
        "records.db",
        "ssh/id_ed25519",
        "ssh/id_ed25519.pub",
    )
]
RAMDISK = Ramdisk(kernel="/k", initrd="/i", server_url="http://127.0.0.1")
ADDRESS = re.compile(r"\{(\w+)[^}]*\}")


# --- what is looked for, and where ----------------------------------------------------------------------------


def needles(secret: str) -> Iterator[bytes]:
    """In clear, in hex, and in base64 wherever in a longer text it stands."""
    plain = secret.encode()
    yield plain
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + plain)
        first, last = -(-before * 8 // 6), (before + len(plain)) * 8 // 6
        yield whole[first:last]
        yield base64.urlsafe_b64encode(bytes(before) + plain)[first:last]


@dataclass
class Evidence:
    """`commands` are the arguments and surroundings of every process that was started, `bundle` is a support bundle,
    unpacked."""

    log: io.StringIO = field(default_factory=io.StringIO)
    commands: list[str] = field(default_factory=list)
    api: bytearray = field(default_factory=bytearray)
    bundle: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)

    def leaks(self, canaries: frozenset[str]) -> set[str]:
        places = {
            "log": self.log.getvalue().encode(),
            "commands": "\n".join(self.commands).encode(),
            "api": bytes(self.api),
            "bundle": self.bundle,
        }
        wanted = [needle for canary in canaries for needle in needles(canary)]
        return {place for place, seen in {**places, **self.files}.items() if any(needle in seen for needle in wanted)}


_watching: list[list[str]] = []


def _hear(event: str, args: tuple[object, ...]) -> None:
    if _watching and event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        _watching[-1].append(repr(args))


sys.addaudithook(_hear)  # it cannot be taken back, so it looks whether someone wants to know


class Everything(logging.Handler):
    """What a log with any formatter could show of a record."""

    def __init__(self, file: io.StringIO) -> None:
        super().__init__(logging.DEBUG)
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        print(record.name, record.getMessage(), repr(record.args), trace, file=self._file)


@contextmanager
def watched() -> Iterator[Evidence]:
    evidence, root = Evidence(), logging.getLogger()
    every = [root, *(logging.getLogger(name) for name in tuple(root.manager.loggerDict))]
    before = [(logger, logger.level, logger.propagate, logger.disabled) for logger in every]
    handler = Everything(evidence.log)
    for logger in every:
        logger.setLevel(logging.DEBUG)
        logger.propagate, logger.disabled = True, False
    root.addHandler(handler)
    _watching.append(evidence.commands)
    try:
        yield evidence
    finally:
        _watching.pop()
        root.removeHandler(handler)
        for logger, level, propagate, disabled in before:
            logger.setLevel(level)
            logger.propagate, logger.disabled = propagate, disabled


# --- the site -------------------------------------------------------------------------------------------------


class Canaries:
    """`all` of them. They fit IPMI: 20 bytes."""

    def __init__(self) -> None:
        self._all: set[str] = set()

    def new(self) -> str:
        return self.add(f"{PREFIX}{secrets.token_hex(7)}")

    def add(self, secret: str) -> str:
        self._all.add(secret)
        return secret

    @property
    def all(self) -> frozenset[str]:
        return frozenset(self._all)


def telling_tokens(app: Asgi, canaries: Canaries) -> Asgi:
    """The session tokens that the service gives out are canaries too."""

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            for name, value in message.get("headers", ()):
                if name.lower() == b"x-auth-token":
                    canaries.add(value.decode())
            await send(message)

        await app(scope, receive, noted)

    return told


@contextlib.asynccontextmanager
async def redfish(folder: Path, canaries: Canaries, password: str) -> AsyncIterator[tuple[int, str]]:
    """A BMC's port and fingerprint."""
    clock, stop, certificate = SystemClock(), asyncio.Event(), self_signed("bmc", LOOPBACK)

    async def nobody(url: str, body: bytes) -> int:
        raise OSError(f"nobody at {url} takes {len(body)} bytes")

    world = World(clock=clock, rng=SystemRng(), post=nobody, allows=lambda _url: False)
    info = ServiceInfo(uuid=UUID(int=secrets.randbits(128)), vendor="Acme", product="Simulated", version="1")
    async with assembled(SimulatedBackend([simulated_view(1)], clock), info, world) as assembly:
        await assembly.accounts.add("root", password, AccountRole.ADMINISTRATOR)
        with bound() as listener:
            app = telling_tokens(assembly.app, canaries)
            serving = asyncio.create_task(serve_redfish(app, listener, tls_of(certificate, folder), stop))
            try:
                yield port_of(listener), certificate.fingerprint
            finally:
                stop.set()
                await serving


def rack_of(endpoints: dict[str, BmcEndpoint]) -> Rack:
    rack = lab_rack()
    server = rack.servers[0]
    nowhere = replace(server, address=None, mac=None, place=None)
    servers = (replace(nowhere, name=MachineName(name), bmc=bmc) for name, bmc in endpoints.items())
    return replace(rack, servers=tuple(servers))


def booked(closing: AsyncExitStack) -> Logbook:
    """The daemon's own, which hears everything; nothing is masked in the bundle, so that a leak is seen."""
    book = Logbook()
    book.addFilter(TraceFilter())
    logging.getLogger().addHandler(book)
    closing.callback(logging.getLogger().removeHandler, book)
    return book


def unpacked(answer: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(answer.partition(b"\r\n\r\n")[2])) as archive:
        return b"\n".join(map(archive.read, archive.namelist()))


class Daemon:
    """The daemon's own parts, but for the services that face machines and the images."""

    def __init__(self, state: Path, rack: Rack, closing: AsyncExitStack) -> None:
        self.state, clock = state, SystemClock()
        log = Log(state / "records.db", clock)
        self.memory = Memory(log)
        self.memory.open()
        closing.callback(log.close)
        self.dialler = Dialler(clock, SystemRng())
        closing.push_async_callback(self.dialler.close)
        self.vault = Vault(
            closing.enter_context(contextlib.closing(SecretFile(state / "bmc.vault", SystemRng()))), clock
        )
        world, segment = self.memory.world, SegmentState()
        seen = Snapshot.of(map(world.machine, rack.machines), world.identities, stated_macs(rack), RAMDISK)
        limits, rng = FinderLimits(probe_seconds=3.0), SystemRng()
        self.bmcs = BmcDesk(rack, Finder(clock, rng, limits), self.vault, self.dialler, clock, rng)
        closing.push_async_callback(self.bmcs.close)
        senses = Senses(self.memory, lambda: seen, segment, clock, state, self.bmcs.suspect)
        bonds = Bonds(ApplianceKey(bytes(range(32))), clock, SystemRng())
        desk = AgentDesk(lambda: seen, senses, clock, bonds, Tpms(bonds, SystemRng(), {}))
        waiting = Waiting()
        key = state / "ssh" / "id_ed25519"
        ensure_key(key, HostProcesses())
        self._hands = Hands(
            memory=self.memory,
            clock=clock,
            agents=desk,
            library=FakeLibrary(),
            shells=SshShells(key),
            bmc_of=self.bmcs.bmc_of,
            waiting=waiting,
            traces=FakeTraces(),
        )
        self.application = Appliance(
            memory=self.memory,
            site=Site(name="lab", topology=rack, scores=[Discover()]),
            images={},
            clock=clock,
            rng=SystemRng(),
            session_of=desk.session,
            segment=segment,
            take_over=lambda: None,
            consoles={},
            bmc_desk=self.bmcs,
            doctor_desk=FakeDoctor(),
            waiting=waiting,
            bonds=bonds,
            ssh_key=key,
            stores=StoreDesk(rack, self.memory, segment, clock, shelf=Shelf(state / "images", ())),
            support_desk=SupportDesk(log=booked(closing).text, known=tuple, folders={"the state folder": state}),
        )
        file = closing.enter_context(contextlib.closing(SecretFile(state / "clusters.vault", SystemRng())))
        self.keys = ClusterKeys(file)
        self.application.cluster_desk = ClusterViews(
            self.memory, self.keys, ClusterLooks(), clock, shelf=BackupShelf(state / "clusters")
        )
        self.access = closing.enter_context(opened(state / "access", clock, SystemRng(), issuer="lab"))
        self.app = create_app(self.application, self.access, SystemRng())

    async def run(self) -> None:
        await Conductor(self._hands, carry_out, SystemRng()).run()

    async def ended(self) -> None:
        while self.memory.world.running:
            await self.memory.changed(self.memory.tick, None)


async def get(socket_path: Path, target: str) -> bytes:
    """Streams are cut off after half a second."""
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5 if target.endswith("/stream") else 20):
            while part := await reader.read(1 << 16):
                answer += part
    writer.close()
    return answer


async def views(daemon: Daemon, socket_path: Path) -> dict[str, bytes]:
    """Every route that can be read, for every machine and the last plan and run."""
    world, answers = daemon.memory.world, dict[str, bytes]()
    values = {"name": [machine.name for machine in daemon.application.machines().machines]}
    values |= {"digest": list(world.plans), "run": list(world.runs), "goal": list(world.goals)}
    values |= {name: ["00000000"] for name in ("token", "session", "passkey")}
    values["user"] = ["ann"]
    values["cluster"] = [SPEC.name]
    values["image"] = ["debian-13"]
    values["set"] = ["kubeadm-v1.20.2-amd64"]
    for path, operations in daemon.app.openapi()["paths"].items():
        names = ADDRESS.findall(path)
        for value in values[names[0]] if names else [""]:
            target = ADDRESS.sub(value, path)
            if "get" in operations and not path.endswith("/kubeconfig"):  # that gives a secret away, and is asked apart
                answers[target] = await get(socket_path, target)
    answers["openapi"] = await get(socket_path, "/v1/openapi.json")
    return answers


# --- the play -------------------------------------------------------------------------------------------------

Plant = Callable[["Daemon", str], Awaitable[None]]


async def _nothing(_daemon: Daemon, _secret: str) -> None:
    pass


@dataclass
class Told:
    """What happened, so that a test can see that it did."""

    found: int = 0
    entered: int = 0
    refused: int = 0
    rotated: int = 0
    served: tuple[LoginState, ...] = ()
    runs: int = 0
    opened: str = ""
    views: dict[str, bytes] = field(default_factory=dict)


def guesses(canaries: Canaries) -> Iterator[Entry]:
    """Of every scope; none fits the BMCs of the play but two for the site."""
    yield from (
        Entry(scope=scope, value=value, user=f"u{number}", password=Secret(canaries.new()))
        for number in range(GUESSES // 4)
        for scope, value in (
            (For.MAC, f"52:54:00:00:00:{number:02x}"),
            (For.SERIAL, f"SN{number}"),
            (For.MAKE, f"Make{number}"),
            (For.FACTORY, f"Other{number}"),
        )
    )


async def bmcs_are_found_entered_and_rotated(
    daemon: Daemon, ports: tuple[int, ...], ipmi: int, told: Told, canaries: Canaries
) -> None:
    finder = Finder(SystemClock(), SystemRng(), FinderLimits(probe_seconds=3.0))
    found: list[Found] = []
    for port in (*ports, 9):
        found += await finder.probe(
            [Suspect(address=IPv4Address("127.0.0.1"), sign=Sign.STATED, port=port, ipmi_port=ipmi)]
        )
    told.found = len(found)
    for bmc in found:
        try:
            await finder.login(bmc, daemon.vault, daemon.dialler)
        except BmcError as error:
            logging.getLogger("innervate").warning("%s %s %s", error, error.evidence, error.next_action, exc_info=True)
            told.refused += 1
            continue
        told.entered += 1
        endpoint = await rotate(bmc, daemon.vault, daemon.dialler, SystemRng())
        canaries.add(endpoint.password.reveal())
        told.rotated += 1


def by_its_accounts(client: Client, canaries: Canaries) -> None:
    """An account, its log-ins by right and wrong, a token, an authenticator: each secret is shown once at most."""
    first, second, wrong = canaries.new(), canaries.new(), canaries.new()
    client.add_user(UserRequest(name="ann", role=Role.ADMIN, password=first))
    client.set_password("ann", PasswordRequest(password=second))
    with suppress(InnervateError):
        client.set_up(SetupRequest(name="eve", code=wrong, password=wrong))
    with suppress(InnervateError):
        client.confirm_totp("ann", wrong)
    canaries.add(client.make_token(TokenRequest(label="ci", role=Role.ADMIN)).token)


def by_its_api(client: Client, url: str, password: str, late: str) -> tuple[LoginState, ...]:
    """As a person does it; the answers are looked at with the other views. Returns what came of each step."""
    entry = VaultEntryRequest(scope=For.MAKE, value="Nobody", user="late", password=late)
    client.add_to_vault(entry)
    client.remove_from_vault(For.MAKE, "Nobody", "late")
    client.add_to_vault(replace(entry, value="Acme", user="root", password=password))
    client.search_bmcs(BmcSearchRequest(targets=(url,), login=True))
    while (seen := client.bmcs()).searching:
        client.events(wait=0.05, after=1 << 40)
    client.forgive_bmc(url)
    return (seen.bmcs[0].login, client.rotate_bmc(url).login)


def has_a_cluster(daemon: Daemon, canaries: Canaries) -> None:
    """A machine is its only node, and another may join; the key to it and the token are canaries."""
    name, key = MachineName("good"), canaries.new()
    state = daemon.memory.world.machine(name)
    member = Member(cluster=SPEC, role=NodeRole.CONTROL_PLANE, since=1.0)
    daemon.memory.world.machines[name] = amended(state, member=member)
    daemon.keys.keep(SPEC.name, Access(ca="CA", certificate="CERT", key=Secret(key)))
    token = fresh(MachineName("refused"), SystemRng(), SystemClock().now())
    canaries.add(token.secret.reveal())
    daemon.keys.issue(SPEC.name, token, SystemClock().now())


def client_key(answer: bytes) -> str:
    """Of a kubeconfig."""
    config = json.loads(answer.partition(b"\r\n\r\n")[2])
    return base64.b64decode(config["users"][0]["user"]["client-key-data"]).decode()


async def play(folder: Path, canaries: Canaries, evidence: Evidence, plant: Plant) -> Told:
    told, loop = Told(), asyncio.get_running_loop()
    loop.slow_callback_duration = 0.0  # every callback is logged, with its arguments
    passwords = [canaries.new() for _ in range(6)]
    state, socket_path, certificates = folder / "state", folder / "api.sock", folder / "tls"
    state.mkdir()
    certificates.mkdir()
    async with AsyncExitStack() as closing:
        ipmi = closing.enter_context(listening(FakeIpmiBmc(users={"ops": passwords[2]})))
        first, _ = await closing.enter_async_context(redfish(certificates, canaries, passwords[0]))
        other, other_pin = await closing.enter_async_context(redfish(certificates, canaries, passwords[1]))
        site_port, site_pin = await closing.enter_async_context(redfish(certificates, canaries, passwords[3]))
        rack = rack_of(
            {
                "good": BmcEndpoint(
                    url=f"https://127.0.0.1:{site_port}",
                    user="root",
                    password=Secret(passwords[3]),
                    fingerprint=site_pin,
                ),
                "refused": BmcEndpoint(
                    url=f"https://127.0.0.1:{other}", user="root", password=Secret(passwords[4]), fingerprint=other_pin
                ),
                "impostor": BmcEndpoint(
                    url=f"https://127.0.0.1:{first}", user="root", password=Secret(passwords[5]), fingerprint="ab" * 32
                ),
            }
        )
        daemon = Daemon(state, rack, closing)
        daemon.vault.add(*guesses(canaries), *factory_defaults())
        daemon.vault.add(
            Entry(scope=For.SITE, value="", user="root", password=Secret(passwords[0]), priority=2),
            Entry(scope=For.SITE, value="", user="ops", password=Secret(passwords[2]), priority=1),
            Entry(scope=For.SITE, value="", user="late", password=Secret(canaries.new())),
        )
        await bmcs_are_found_entered_and_rotated(daemon, (first, other), ipmi.port, told, canaries)
        conducting = asyncio.create_task(daemon.run())
        stop = asyncio.Event()
        serving = asyncio.create_task(serve_api(daemon.app, socket_path, stop))
        client, url = Client(socket_path), rack.bmc_of(MachineName("good")).url
        while not socket_path.exists():  # noqa: ASYNC110  until it listens, some turns of the loop
            await asyncio.sleep(0)
        told.served = await asyncio.to_thread(by_its_api, client, url, passwords[3], canaries.new())
        canaries.add(daemon.access.desk.setup_code)
        await asyncio.to_thread(by_its_accounts, client, canaries)
        new = daemon.bmcs.endpoint_of(MachineName("good")).password.reveal()
        assert new not in passwords
        canaries.add(new)
        for name in rack.machines:
            with suppress(InnervateError):
                await daemon.application.power(name, PowerAction.FORCE_OFF)
                told.runs += 1
        await asyncio.wait_for(daemon.ended(), 60)
        has_a_cluster(daemon, canaries)
        told.opened = client_key(await get(socket_path, f"/v1/clusters/{SPEC.name}/kubeconfig"))
        await plant(daemon, passwords[0])
        told.views = await views(daemon, socket_path)
        evidence.api += b"\n".join(told.views.values())
        evidence.bundle = unpacked(told.views["/v1/support-bundle"])
        stop.set()
        await serving
        conducting.cancel()
        await asyncio.gather(conducting, return_exceptions=True)
    evidence.files = {str(file.relative_to(folder)): file.read_bytes() for file in state.rglob("*") if file.is_file()}
    return told


def performed(folder: Path, plant: Plant = _nothing) -> tuple[Told, Evidence, Canaries]:
    canaries = Canaries()
    with watched() as evidence:
        told = asyncio.run(asyncio.wait_for(play(folder, canaries, evidence, plant), 100), debug=True)
    return told, evidence, canaries


def test_no_canary_is_seen(tmp_path: Path) -> None:
    told, evidence, canaries = performed(tmp_path)
    assert evidence.leaks(canaries.all) == set()
    assert (told.found, told.entered, told.refused, told.rotated, told.runs) == (3, 2, 1, 2, 3)
    assert told.served == (LoginState.WORKS, LoginState.WORKS)
    assert len(canaries.all) >= 50
    assert b'"member":{"cluster":"prod","role":"control-plane"' in told.views["/v1/machines/good"]
    assert b'"tokens":[{"machine":"refused"' in told.views["/v1/clusters/prod"]
    assert told.opened in canaries.all, "who asked for the key to the cluster got it"
    assert sum(not canary.startswith(PREFIX) for canary in canaries.all) > 2  # session tokens and new passwords
    assert sorted(evidence.files) == FILES
    assert "asyncio" in evidence.log.getvalue()
    assert all(word in evidence.bundle for word in (b"asyncio", b'"member":{"cluster":"prod"', b"What is not")), "whole"
    assert len(evidence.commands) == 1  # ssh-keygen
    answered = {target for target, answer in told.views.items() if answer.startswith(b"HTTP/1.1 200 ")}
    refused = {target for target in told.views if target.endswith(("/ssh", "/console", "/screen", "/images/debian-13"))}
    refused |= {f"/v1/machines/{name}/sensors" for name in ("refused", "impostor")}
    refused |= {"/v1/site", "/v1/appliance", "/v1/sets"}
    assert answered == set(told.views) - refused


async def log_it(_daemon: Daemon, secret: str) -> None:
    header = base64.b64encode(f"root:{secret}".encode()).decode()
    logging.getLogger("aiohttp.client").debug("headers %s", {"Authorization": f"Basic {header}"})


async def log_its_hex(_daemon: Daemon, secret: str) -> None:
    logging.getLogger("appliance.bmc.ipmi.link").debug("sent %s", b"\x06\x47" + secret.encode().hex().encode())


async def log_it_in_an_exception(_daemon: Daemon, secret: str) -> None:
    try:
        raise ValueError(secret)
    except ValueError:
        logging.getLogger("innervate").exception("failed")


async def note_it(daemon: Daemon, secret: str) -> None:
    await daemon.memory.remember(Noted(machine=MachineName("good"), kind="power", text=f"said {secret}"))


async def keep_it(daemon: Daemon, secret: str) -> None:
    (daemon.state / "cache").write_bytes(base64.urlsafe_b64encode(b"?" + secret.encode()))


async def pass_it(_daemon: Daemon, secret: str) -> None:
    await asyncio.to_thread(subprocess.run, ["true", "-P", secret], check=True)


async def surround_it(_daemon: Daemon, secret: str) -> None:
    await asyncio.to_thread(subprocess.run, ["/bin/true"], check=True, env={"IPMI_PASSWORD": secret})


@pytest.mark.parametrize(
    ("plant", "places"),
    [
        (log_it, {"log", "bundle"}),
        (note_it, {"api", "bundle", "state/records.db"}),
        pytest.param(log_its_hex, {"log", "bundle"}, marks=pytest.mark.long),
        pytest.param(log_it_in_an_exception, {"log", "bundle"}, marks=pytest.mark.long),
        pytest.param(keep_it, {"state/cache"}, marks=pytest.mark.long),
        pytest.param(pass_it, {"commands"}, marks=pytest.mark.long),
        pytest.param(surround_it, {"commands"}, marks=pytest.mark.long),
    ],
)
def test_planted_leak_is_seen(tmp_path: Path, plant: Plant, places: set[str]) -> None:
    _, evidence, canaries = performed(tmp_path, plant)
    assert evidence.leaks(canaries.all) >= places
