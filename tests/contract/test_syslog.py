"""Syslog against Debian's rsyslogd, by each transport; and what becomes of messages when nobody listens."""

import asyncio
import os
import re
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.access.audit import AuditLog, Deed
from appliance.metrics.tally import Tally
from appliance.model.access_views import AuditEntryView
from appliance.model.ids import Fence, MachineName, RunId, StepId
from appliance.model.syslog import Collector, Origin, Severity, Transport
from appliance.model.views import RunState
from appliance.services.collector import line_to
from appliance.services.syslog import Forwarder, of_deed, of_event, severity_of
from appliance.store.records import Entry, MachineSilent, Noted, Problem, Record, RunEnded, StepResult
from appliance.system import SystemClock
from pxe.tls import issue, make_authority
from tests.foreign import RSYSLOG, unpacked

ORIGIN = Origin(host="lab", process=7, version="0.1.0")
NODE = MachineName("node-0")
DEADLINE = 20.0
_FIELDS = ("pri", "timestamp:::date-rfc3339", "hostname", "app-name", "procid", "msgid", "structured-data", "msg")
_CONFIG = """
global(workDirectory="{folder}" defaultNetstreamDriverCAFile="{folder}/ca.pem"
       defaultNetstreamDriverCertFile="{folder}/server.pem" defaultNetstreamDriverKeyFile="{folder}/server.key")
module(load="imudp")
module(load="imtcp" {stream})
template(name="all" type="string" string="{fields}\\n")
ruleset(name="keep") {{ action(type="omfile" file="{folder}/out" template="all") }}
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="keep")
input(type="imtcp" port="{tcp}" ruleset="keep")
"""
_TLS = 'streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon"'


@dataclass(frozen=True, kw_only=True)
class Receiver:
    folder: Path
    udp: int
    tcp: int

    def lines(self) -> list[list[str]]:
        file = self.folder / "out"
        return [line.split("|", 7) for line in file.read_text().splitlines()] if file.exists() else []


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@contextmanager
def rsyslogd(folder: Path, *, tls: bool = False) -> Iterator[Receiver]:
    root = unpacked(*RSYSLOG)
    libraries = root / "usr/lib/x86_64-linux-gnu"
    receiver = Receiver(folder=folder, udp=free_port(socket.SOCK_DGRAM), tcp=free_port(socket.SOCK_STREAM))
    fields = "|".join(f"%{name}%" for name in _FIELDS)
    text = _CONFIG.format(folder=folder, stream=_TLS if tls else "", fields=fields, udp=receiver.udp, tcp=receiver.tcp)
    (folder / "rsyslog.conf").write_text(text)
    argv = [str(root / "usr/sbin/rsyslogd"), "-n", "-iNONE", "-f", str(folder / "rsyslog.conf")]
    argv += ["-M", str(libraries / "rsyslog")]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
    with (folder / "errors").open("w") as errors:
        daemon = subprocess.Popen(argv, env=environment, stdout=errors, stderr=errors)
    try:
        yield receiver
    finally:
        daemon.terminate()
        daemon.wait(DEADLINE)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():  # noqa: ASYNC110  another process
            await asyncio.sleep(0.01)


class Hasty(SystemClock):
    """Rests a hundredth of what it is told."""

    def __init__(self) -> None:
        self.rests: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        await asyncio.sleep(seconds / 100)


def note(text: str, seq: int = 1) -> Entry:
    return Entry(seq=seq, time=1_790_000_000.25, record=Noted(machine=NODE, kind="k", text=text))


async def forwarding(collector: Collector, scene: Callable[[Forwarder], Awaitable[None]], tally: Tally) -> None:
    line = line_to(collector)
    forwarder = Forwarder(origin=ORIGIN, line=line, limit=collector.limit, clock=Hasty(), tally=tally)
    working = asyncio.create_task(forwarder.run())
    try:
        await scene(forwarder)
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await line.close()


def counts(tally: Tally) -> dict[tuple[str, ...], object]:
    return {labels: count for family in tally.families() for labels, count in family.samples.items()}


def certified(folder: Path) -> None:
    now = datetime.now(UTC)
    authority = make_authority(name="collector", now=now)
    made = issue(authority, addresses=(IPv4Address("127.0.0.1"),), names=("localhost",), now=now)
    (folder / "ca.pem").write_bytes(authority.certificate)
    (folder / "server.pem").write_bytes(made.certificate)
    (folder / "server.key").write_bytes(made.key.reveal())


@pytest.mark.parametrize("transport", list(Transport))
def test_rsyslogd_understands_us(transport: Transport, tmp_path: Path) -> None:
    certified(tmp_path)
    text, tally = 'a "strange" [text] \\ with ünïcode', Tally()

    async def scene(forwarder: Forwarder) -> None:
        while not receiver.lines():  # a datagram that came before the daemon is gone
            forwarder.take([note("knock")])
            await asyncio.sleep(0.1)
        forwarder.take([note(text, 41), note("two\nlines\x1b[31m", 42)])
        forwarder.put(of_deed(deed_of("ann\x07", 403)))
        await until(lambda: any("POST" in line[-1] for line in receiver.lines()))

    with rsyslogd(tmp_path, tls=transport is Transport.TLS) as receiver:
        port = receiver.udp if transport is Transport.UDP else receiver.tcp
        ca_file = tmp_path / "ca.pem" if transport is Transport.TLS else None
        collector = Collector(host="localhost", port=port, transport=transport, ca_file=ca_file)
        asyncio.run(forwarding(collector, scene, tally))
    first, second, third = receiver.lines()[-3:]
    assert first[:6] == ["134", "2026-09-21T14:13:20.250000Z", "lab", "innervate", "7", "noted"]
    assert '[origin software="innervate" swVersion="0.1.0"][meta sequenceId=' in first[6]
    assert first[6].endswith('[event@32473 seq="41" machine="node-0"]')
    assert first[7].removeprefix("\ufeff") == text
    assert second[7].removeprefix("\ufeff") == "two lines"
    assert third[0] == "84", "authpriv, warning"
    assert 'who="ann" role="operator"' in third[6]
    assert third[7].removeprefix("\ufeff") == "ann at 10.0.0.9: POST /v1/plans, 403"


def deed_of(who: str, status: int) -> AuditEntryView:
    return AuditEntryView(
        seq=3,
        time=1_790_000_000.0,
        who=who,
        role="operator",
        via="token",
        source="10.0.0.9",
        event="request",
        method="POST",
        route="/v1/plans",
        target="",
        status=status,
        trace="00ff",
    )


def test_a_collector_with_another_certificate_hears_nothing(tmp_path: Path) -> None:
    certified(tmp_path)
    (tmp_path / "other").mkdir()
    certified(tmp_path / "other")
    told: list[str] = []

    async def scene(receiver: Receiver) -> None:
        collector = Collector(
            host="localhost", port=receiver.tcp, transport=Transport.TLS, ca_file=tmp_path / "other" / "ca.pem"
        )
        line = line_to(collector)
        while not told:
            try:
                await line.send(b"x")
                told.append("sent")
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            except OSError as error:
                told.append(str(error))

    with rsyslogd(tmp_path, tls=True) as receiver:
        asyncio.run(scene(receiver))
    assert "CERTIFICATE_VERIFY_FAILED" in told[0]
    assert receiver.lines() == []


def test_what_waits_is_sent_when_the_collector_listens_and_the_oldest_is_lost() -> None:
    tally, heard = Tally(), bytearray()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            heard.extend(data)
        writer.close()

    async def scene() -> None:
        port = free_port(socket.SOCK_STREAM)
        line = line_to(Collector(host="127.0.0.1", port=port, transport=Transport.TCP))
        clock = Hasty()
        forwarder = Forwarder(origin=ORIGIN, line=line, limit=8192, clock=clock, tally=tally, room=3)
        working = asyncio.create_task(forwarder.run())
        forwarder.take([note("first")])
        await until(lambda: len(clock.rests) >= 2)
        forwarder.take([note(str(number)) for number in range(2, 8)])
        server = await asyncio.start_server(hear, "127.0.0.1", port)
        await until(lambda: b"\xbf7" in heard)
        server.close()
        working.cancel()
        await line.close()
        assert clock.rests[:2] == [1, 2]

    asyncio.run(scene())
    assert re.findall(rb'sequenceId="(\d+)"', bytes(heard)) == [b"1", b"5", b"6", b"7"]
    assert counts(tally) == {("sent",): 4, ("lost",): 3}


def test_a_connection_that_was_closed_is_made_anew_before_the_next_message() -> None:
    heard: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int(await reader.readuntil(b" "))
        message = await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()
        heard.append(message)

    async def scene() -> None:
        server = await asyncio.start_server(once, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        line = line_to(Collector(host="127.0.0.1", port=port, transport=Transport.TCP))
        for number in range(3):
            await line.send(b"message %d" % number)
            await until(lambda: len(heard) == number + 1)  # noqa: B023
            for _ in range(3):  # the end of the connection is here; the loop has to look
                await asyncio.sleep(0)
        await line.close()
        server.close()

    asyncio.run(scene())
    assert heard == [b"message 0", b"message 1", b"message 2"]


def test_audit_entries_are_followed_from_the_next_one(tmp_path: Path) -> None:
    class Kept:
        def __init__(self) -> None:
            self.messages: list[bytes] = []

        async def send(self, message: bytes) -> None:
            self.messages.append(message)

    async def scene() -> list[bytes]:
        audit, kept = AuditLog(tmp_path / "audit.jsonl", SystemClock()), Kept()
        deed = Deed(
            who="ann",
            role="admin",
            via="socket",
            source="here",
            event="user_created",
            method="POST",
            route="/v1/users",
            target="user=bob",
            status=201,
            trace="0a",
        )
        await audit.write(deed)
        forwarder = Forwarder(origin=ORIGIN, line=kept, limit=2048, clock=SystemClock(), tally=Tally())
        working = [asyncio.create_task(forwarder.run()), asyncio.create_task(forwarder.follow(audit))]
        await asyncio.sleep(0)
        await audit.write(deed)
        await audit.write(deed)
        await until(lambda: len(kept.messages) == 2)
        for task in working:
            task.cancel()
        audit.close()
        return kept.messages

    first, second = asyncio.run(scene())
    assert b'user_created [origin software="innervate"' in first
    assert b'[audit@32473 seq="2" who="ann" role="admin" via="socket"' in first
    assert b'seq="3"' in second


FAILED = StepResult(
    run=RunId("r"), step=StepId("s"), machine=NODE, fence=Fence(1), problem=Problem(code="bmc", message="no")
)


@pytest.mark.parametrize(
    ("record", "severity"),
    [
        (FAILED, Severity.ERROR),
        (MachineSilent(machine=NODE, text="x"), Severity.WARNING),
        (RunEnded(run=RunId("r"), state=RunState.FAILED), Severity.ERROR),
        (RunEnded(run=RunId("r"), state=RunState.DONE), Severity.NOTICE),
        (Noted(machine=NODE, kind="k", text="x"), Severity.INFORMATIONAL),
    ],
    ids=lambda value: str(getattr(value, "record", value)),
)
def test_severities(record: Record, severity: Severity) -> None:
    assert severity_of(record) is severity
    assert of_event(Entry(seq=1, time=0.0, record=record)).severity is severity
