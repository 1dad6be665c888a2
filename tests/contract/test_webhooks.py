"""Webhooks against a real receiver: signed, in order, at least once, and nowhere else."""

import asyncio
import hmac
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from socket import AF_INET, AI_NUMERICHOST, AddressFamily

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from appliance.conductor.memory import Memory
from appliance.errors import MachineryError, UsageError
from appliance.metrics import catalogue
from appliance.metrics.tally import Tally
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.model.webhook import Webhook, is_given_up
from appliance.services.postman import Postman
from appliance.services.webhooks import Courier, Position, kinds_of, secret_of
from appliance.store.log import Log
from appliance.store.records import HoldReleased, Noted, Record
from appliance.system import SystemClock
from pxe.tls import issue, make_authority

NODE = MachineName("node-0")
SECRET = Secret("correct horse")
DEADLINE = 20.0


def note(text: str) -> Noted:
    return Noted(machine=NODE, kind="k", text=text)


@dataclass
class Receiver:
    """Answers with `statuses`, one after the other, then with 204."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [json.loads(body)["event"]["text"] for _, body in self.got]


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append((dict(self.headers), body))
            status = receiver.statuses.pop(0) if receiver.statuses else 204
            if status == 204:
                receiver.taken.append(json.loads(body)["event"]["text"])
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Clock(SystemClock):
    """Rests at once, and notes for how long it would have."""

    def __init__(self) -> None:
        self.rests: list[float] = []
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


def hook(receiver: Receiver, folder: Path, kinds: tuple[str, ...] = ("noted",), host: str = "127.0.0.1") -> Webhook:
    return Webhook(name="chat", url=f"http://{host}:{receiver.port}/in", secret_file=folder / "secret", kinds=kinds)


@dataclass
class Bench:
    folder: Path
    clock: Clock = field(default_factory=Clock)
    tally: Tally = field(default_factory=Tally)

    async def play(self, hook: Webhook, scene: Callable[[Memory], Awaitable[None]]) -> None:
        """One life of the daemon."""
        log = Log(self.folder / "records.db", self.clock)
        memory = Memory(log)
        memory.open()
        postman = Postman(hook)
        courier = Courier(
            hook=hook,
            site="lab",
            secret=SECRET,
            memory=memory,
            position=Position(self.folder / "webhooks" / "chat.position"),
            post=postman.post,
            clock=self.clock,
            tally=self.tally,
        )
        with closing(log):
            working = asyncio.create_task(courier.run())
            try:
                await until((self.folder / "webhooks" / "chat.position").exists)
                await scene(memory)
            finally:
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working
                await postman.close()

    def kept(self) -> int | None:
        return Position(self.folder / "webhooks" / "chat.position").read()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():  # noqa: ASYNC110  the receiver is a thread
            await asyncio.sleep(0.005)


def test_events_arrive_signed_and_in_order(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def scene(memory: Memory) -> None:
        await memory.remember(note("1"), HoldReleased(machine=NODE), note("2"))
        await memory.remember(*(note(str(number)) for number in range(3, 251)))
        await until(lambda: len(receiver.taken) == 250 and bench.kept() == memory.world.last_seq)

    with receiving() as receiver:
        asyncio.run(bench.play(hook(receiver, tmp_path), scene))
    assert receiver.taken == [str(number) for number in range(1, 251)]
    for sent, body in receiver.got:
        expected = hmac.new(SECRET.reveal().encode(), sent["X-Innervate-Timestamp"].encode() + b"." + body, sha256)
        assert sent["X-Innervate-Signature"] == f"sha256={expected.hexdigest()}"
        assert (sent["Content-Type"], sent["X-Innervate-Event"]) == ("application/json", "noted")
        document = json.loads(body)
        assert (document["site"], document["event"]["machine"]) == ("lab", NODE)
        assert sent["X-Innervate-Delivery"] == str(document["event"]["seq"])


def test_what_is_not_taken_is_sent_again_before_anything_else(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def scene(memory: Memory) -> None:
        receiver.statuses = [500, 302, 429, 404]
        await memory.remember(note("1"), note("2"))
        await until(lambda: receiver.taken == ["1", "2"])

    with receiving() as receiver:
        asyncio.run(bench.play(hook(receiver, tmp_path), scene))
    assert receiver.texts == ["1", "1", "1", "1", "1", "2"], "a redirect led nowhere"
    assert bench.clock.rests == [1, 2, 4, 8]
    stamps = [int(sent["X-Innervate-Timestamp"]) for sent, _ in receiver.got]
    assert [later - stamps[0] for later in stamps[:5]] == [0, 1, 3, 7, 15], "each try is signed anew"
    counts = {labels: count for family in bench.tally.families() for labels, count in family.samples.items()}
    assert counts == {("chat", "ok"): 2, ("chat", "failed"): 4}
    assert {family.metric for family in bench.tally.families()} == {catalogue.WEBHOOKS}


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def first(memory: Memory) -> None:
        await memory.remember(note("1"), note("2"))
        await until(lambda: receiver.taken == ["1", "2"] and bench.kept() == 2)
        receiver.statuses = [503] * 1000
        await memory.remember(note("3"), note("4"))
        await until(lambda: "3" in receiver.texts)

    async def second(memory: Memory) -> None:
        await memory.remember(note("5"))
        await until(lambda: receiver.taken == ["1", "2", "3", "4", "5"] and bench.kept() == 5)

    with receiving() as receiver:
        asyncio.run(bench.play(hook(receiver, tmp_path), first))
        assert bench.kept() == 2
        receiver.statuses = []
        asyncio.run(bench.play(hook(receiver, tmp_path), second))


def test_a_receiver_that_is_away_is_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with receiving() as gone:
        pass

    async def scene(memory: Memory) -> None:
        await memory.remember(note("1"))
        await until(lambda: len(bench.clock.rests) > 20)

    asyncio.run(bench.play(hook(gone, tmp_path), scene))
    assert bench.clock.rests[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert bench.kept() == 0


def test_what_is_too_old_is_given_up_and_said_once(tmp_path: Path) -> None:
    """What stood in one receiver's way for three days: the events behind it come, the newest among them says what was
    lost."""
    bench = Bench(tmp_path)

    async def scene(memory: Memory) -> None:
        receiver.statuses = [400] * 10_000
        await memory.remember(note("1"), note("2"))
        await until(lambda: bench.kept() == 2)
        receiver.statuses.clear()
        await memory.remember(note("4"))
        await until(lambda: receiver.taken[-1:] == ["4"])

    with receiving() as receiver:
        asyncio.run(bench.play(hook(receiver, tmp_path, ("noted", "webhook-gave-up")), scene))
    stood = receiver.texts.count("1")
    assert receiver.texts[:stood] == ["1"] * stood
    assert "2" not in receiver.texts
    assert 3 * 86400 <= sum(bench.clock.rests[:stood]) < 3 * 86400 + 700
    said = "webhook chat gave up 2 events, from 1 to 2: its receiver did not take them"
    assert receiver.taken == [said, "4"]
    counts = {family.metric: family.samples for family in bench.tally.families()}
    assert counts[catalogue.WEBHOOKS_LOST] == {("chat",): 2}


def test_a_receiver_that_comes_back_gets_old_events(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    Position(tmp_path / "webhooks" / "chat.position").keep(0)
    with closing(Log(tmp_path / "records.db", bench.clock)) as log:
        log.open()
        log.append(note("1"), note("2")).result(DEADLINE)
    bench.clock.time += 30 * 86400

    async def scene(_memory: Memory) -> None:
        await until(lambda: receiver.taken == ["1", "2"])

    with receiving() as receiver:
        asyncio.run(bench.play(hook(receiver, tmp_path), scene))


@pytest.mark.parametrize(
    ("age", "failures", "lost"), [(3600, 5, False), (259_199, 9, False), (259_200, 1, True), (10**9, 0, False)]
)
def test_given_up(age: float, failures: int, lost: bool) -> None:
    webhook = Webhook(name="chat", url="https://hook.example/", secret_file=Path("/s"))
    assert is_given_up(webhook, age=age, failures=failures) is lost


@pytest.mark.parametrize("hours", [0, -1, float("inf"), float("nan")])
def test_hours_that_are_none(hours: float) -> None:
    with pytest.raises(UsageError, match="give_up_hours"):
        Webhook(name="chat", url="https://hook.example/", secret_file=Path("/s"), give_up_hours=hours)


def test_a_new_hook_begins_with_what_comes(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    async def scene(memory: Memory) -> None:
        await memory.remember(note("new"))
        await until(lambda: receiver.taken == ["new"])

    fill(tmp_path, note("old"))
    with receiving() as receiver:
        asyncio.run(bench.play(hook(receiver, tmp_path), scene))


def fill(folder: Path, *records: Record) -> None:
    with closing(Log(folder / "records.db", SystemClock())) as log:
        log.open()
        log.append(*records).result(DEADLINE)


def test_a_log_that_was_restored_is_followed_from_its_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    fill(tmp_path, note("old"))
    Position(tmp_path / "webhooks" / "chat.position").keep(4000)

    async def scene(memory: Memory) -> None:
        await until(lambda: bench.kept() == 1)
        await memory.remember(note("new"))
        await until(lambda: receiver.taken == ["new"])

    with receiving() as receiver:
        asyncio.run(bench.play(hook(receiver, tmp_path), scene))


@pytest.mark.parametrize("content", ["", "x", "1 2"])
def test_a_position_that_cannot_be_read_is_not_a_new_hook(content: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_text(content)
    with pytest.raises(MachineryError) as caught:
        Position(tmp_path / "p").read()
    assert caught.value.next_action
    assert Position(tmp_path / "none").read() is None


class Names(AbstractResolver):
    """A name server that says what it likes."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_INET) -> list[ResolveResult]:
        flags = AI_NUMERICHOST
        return [
            ResolveResult(hostname=host, host=self.address, port=port, family=AF_INET, proto=0, flags=flags),
        ]

    async def close(self) -> None:
        return


async def failure(postman: Postman) -> str:
    try:
        with pytest.raises(MachineryError) as caught:
            await postman.post(b"{}", {})
    finally:
        await postman.close()
    return caught.value.evidence


def test_a_name_that_leads_to_this_machine_is_not_followed(tmp_path: Path) -> None:
    with receiving() as receiver:
        url = f"https://hook.example:{receiver.port}/"
        far = Webhook(name="chat", url=url, secret_file=tmp_path)
        assert "127.0.0.1 is this machine itself" in asyncio.run(failing(far, "127.0.0.1"))
        assert "no address of a receiver" in asyncio.run(failing(far, "169.254.169.254"))
        here = hook(receiver, tmp_path, host="localhost")
        assert "192.0.2.1 is not this machine" in asyncio.run(failing(here, "192.0.2.1"))
        literal = Webhook(name="chat", url="https://169.254.169.254/", secret_file=tmp_path)
        assert "no address of a receiver" in asyncio.run(failing(literal, "192.0.2.1"))
        assert receiver.got == []


async def failing(webhook: Webhook, address: str) -> str:
    return await failure(Postman(webhook, Names(address)))


def test_certificates_are_checked(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = make_authority(name="x", now=now)
    made = issue(authority, addresses=(IPv4Address("127.0.0.1"),), names=("localhost",), now=now)
    (tmp_path / "server.pem").write_bytes(made.certificate + made.key.reveal())
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")

    async def sent(ca_file: Path | None) -> None:
        url = f"https://localhost:{receiver.port}/"
        postman = Postman(Webhook(name="chat", url=url, secret_file=tmp_path, ca_file=ca_file))
        try:
            await postman.post(json.dumps({"event": {"text": "x"}}).encode(), {})
        finally:
            await postman.close()

    with receiving(tls) as receiver:
        with pytest.raises(MachineryError) as caught:
            asyncio.run(sent(None))
        assert "CERTIFICATE_VERIFY_FAILED" in caught.value.evidence
        assert receiver.got == []
        asyncio.run(sent(tmp_path / "ca.pem"))
        assert receiver.taken == ["x"]


def test_certificates_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(MachineryError):
        Postman(Webhook(name="c", url="https://x.example/", secret_file=tmp_path, ca_file=tmp_path / "none"))


def test_secrets(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    webhook = Webhook(name="chat", url="https://hook.example/", secret_file=file)
    with pytest.raises(UsageError, match="cannot be read"):
        secret_of(webhook)
    file.write_text("s3cret\n")
    file.chmod(0o644)
    with pytest.raises(UsageError, match="is none"):
        secret_of(webhook)
    file.chmod(0o600)
    assert secret_of(webhook).reveal() == "s3cret"
    file.write_text("\n")
    with pytest.raises(UsageError, match="is none"):
        secret_of(webhook)


def test_kinds(tmp_path: Path) -> None:
    def kinds(*patterns: str) -> frozenset[str] | None:
        return kinds_of(Webhook(name="chat", url="https://hook.example/", secret_file=tmp_path, kinds=patterns))

    assert kinds() is None
    assert kinds("run-ended", "machine-s*") == {"run-ended", "machine-silent", "machine-strayed", "machine-set-aside"}
    with pytest.raises(UsageError) as caught:
        kinds("run-endet")
    assert caught.value.next_action == "did you mean run-ended?"
