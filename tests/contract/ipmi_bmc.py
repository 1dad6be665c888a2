"""An IPMI 2.0 BMC for tests, on UDP: suites 3 and 17, sessions, SDR, SEL, FRU, users, serial line; can misbehave.

It shares the driver's frame codec, not its arithmetic of keys: `test_ipmi` shows with ipmitool that both are right.
"""

import asyncio
import hashlib
import hmac
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from appliance.bmc.ipmi import packet
from appliance.bmc.ipmi.packet import Payload
from appliance.bmc.ipmi.rakp import SUITE_3, SUITE_17, Keys, Suite
from appliance.bmc.ipmi.session import seal, unseal
from pxe.errors import PacketError

Source = tuple[str, int]
SUITES = {3: SUITE_17, 1: SUITE_3}


@dataclass
class Session:
    console: int
    number: int
    suite: Suite
    source: Source
    user: str = ""
    role: int = 0
    console_nonce: bytes = b""
    nonce: bytes = b""
    keys: Keys | None = None
    sequence: int = 0
    sol_sequence: int = 0
    sol_heard: int = 0
    sol_queue: list[bytes] = field(default_factory=list)


@dataclass
class FakeIpmiBmc:
    """`offers` are the suites; `drops` counts down datagrams that are thrown away; `deaf` answers nothing;
    `heard` are the (netfn, command, data) of authenticated requests; `answers` go before the built-in ones."""

    users: dict[str, str] = field(default_factory=lambda: {"admin": "secret"})
    offers: tuple[int, ...] = (17, 3)
    guid: bytes = bytes.fromhex("00112233445566778899aabbccddeeff")
    fru: bytes = b""
    records: tuple[bytes, ...] = ()
    readings: dict[int, bytes] = field(default_factory=dict)
    log: list[bytes] = field(default_factory=list)
    power: bool = False
    boot_flags: bytes = bytes(5)
    identify: int = 0
    watts: int | None = None
    deaf: bool = False
    drops: int = 0
    forged: bool = False
    full: bool = False
    answers: dict[tuple[int, int], bytes] = field(default_factory=dict)
    heard: list[tuple[int, int, bytes]] = field(default_factory=list)
    sessions: dict[int, Session] = field(default_factory=dict)
    typed: bytearray = field(default_factory=bytearray)
    typing: asyncio.Event = field(default_factory=asyncio.Event)
    spoken: asyncio.Event = field(default_factory=asyncio.Event)
    lined: asyncio.Event = field(default_factory=asyncio.Event)
    sol: Session | None = None
    port: int = 0
    udp: socket.socket | None = None

    # --- the network

    def open(self) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.udp.bind(("127.0.0.1", 0))
        self.port = self.udp.getsockname()[1]
        asyncio.get_running_loop().add_reader(self.udp, self._read)

    def close(self) -> None:
        if self.udp is not None:
            asyncio.get_running_loop().remove_reader(self.udp)
            self.udp.close()

    def _read(self) -> None:
        assert self.udp is not None
        try:
            datagram, source = self.udp.recvfrom(4096)
        except BlockingIOError:
            return
        if self.deaf:
            return
        if self.drops:
            self.drops -= 1
            return
        for answer in self.answer(datagram, source):
            self.udp.sendto(answer, source)

    def answer(self, datagram: bytes, source: Source) -> Iterator[bytes]:
        if packet.is_bare(datagram):
            yield from self._bare(packet.decode_bare(datagram))
            return
        if datagram[4] == 6 and not datagram[5] & 0x40:
            frame = packet.decode_frame(datagram)
            if frame.payload is Payload.IPMI:  # ipmitool asks for cipher suites in a frame of version 2.0
                yield from self._suites(frame.body)
            else:
                yield from self._handshake(frame, source)
            return
        session = self.sessions.get(int.from_bytes(datagram[6:10], "little"))
        if session is None or session.keys is None:
            return
        try:
            frame, body = unseal(session.keys, datagram, session.number)
        except PacketError:
            return
        if frame.payload is Payload.SOL:
            yield from self._serial(session, body)
        else:
            yield self._sealed(session, Payload.IPMI, self._reply(body, session))

    def _bare(self, message: bytes) -> Iterator[bytes]:
        if message[1] >> 2 == 6 and message[5] == 0x38:
            yield packet.encode_bare(respond(message, 0, bytes((1, 0x80, 0x04, 0x02, 0, 0, 0, 0))))

    def _suites(self, message: bytes) -> Iterator[bytes]:
        if message[5] != 0x54:
            return
        records = b"".join(
            bytes((0xC0, suite.number, suite.authentication, 0x40 | suite.integrity, 0x81))
            for suite in SUITES.values()
            if suite.number in self.offers
        )
        index = message[8] & 0x3F
        data = bytes((1,)) + records[index * 16 : index * 16 + 16]
        yield packet.encode_frame(Payload.IPMI, 0, 0, respond(message, 0, data))

    # --- the session

    def _handshake(self, frame: packet.Frame, source: Source) -> Iterator[bytes]:
        match frame.payload:
            case Payload.OPEN_REQUEST:
                yield packet.encode_frame(Payload.OPEN_RESPONSE, 0, 0, self._open(frame.body, source))
            case Payload.RAKP1:
                yield packet.encode_frame(Payload.RAKP2, 0, 0, self._rakp2(frame.body))
            case Payload.RAKP3:
                yield packet.encode_frame(Payload.RAKP4, 0, 0, self._rakp4(frame.body))
            case _:
                return

    def _open(self, body: bytes, source: Source) -> bytes:
        tag, console, suite = body[:1], body[4:8], SUITES.get(body[12])
        if self.full:
            return tag + b"\x01\0\0" + console
        if suite is None or suite.number not in self.offers or body[20] != suite.integrity:
            return tag + b"\x11\0\0" + console
        number = int.from_bytes(os.urandom(4), "little") or 1
        self.sessions[number] = Session(int.from_bytes(console, "little"), number, suite, source)
        return tag + b"\0\x04\0" + console + number.to_bytes(4, "little") + body[8:]

    def _rakp2(self, body: bytes) -> bytes:
        session = self.sessions[int.from_bytes(body[4:8], "little")]
        session.console_nonce, session.role = body[8:24], body[24]
        session.user, session.nonce = body[28 : 28 + body[27]].decode(), os.urandom(16)
        ids = struct.pack("<II", session.console, session.number)
        if session.user not in self.users:
            return body[:1] + b"\x0d\0\0" + ids[:4]
        said = ids + session.console_nonce + session.nonce + self.guid + self._who(session)
        code = self._mac(session, self._password(session), said)
        if self.forged:
            code = bytes(len(code))
        return body[:1] + b"\0\0\0" + ids[:4] + session.nonce + self.guid + code

    def _rakp4(self, body: bytes) -> bytes:
        session = self.sessions[int.from_bytes(body[4:8], "little")]
        console, number = struct.pack("<I", session.console), struct.pack("<I", session.number)
        password = self._password(session)
        expected = self._mac(session, password, session.nonce + console + self._who(session))
        if body[8:] != expected:
            return body[:1] + b"\x0f\0\0" + console
        sik = self._mac(session, password, session.console_nonce + session.nonce + self._who(session))
        k1, k2 = self._mac(session, sik, b"\1" * 20), self._mac(session, sik, b"\2" * 20)
        session.keys = Keys(suite=session.suite, sik=sik, k1=k1, aes=k2[:16])
        code = self._mac(session, sik, session.console_nonce + number + self.guid)
        return body[:1] + b"\0\0\0" + console + code[: session.suite.code_bytes]

    def _who(self, session: Session) -> bytes:
        return bytes((session.role, len(session.user))) + session.user.encode()

    def _password(self, session: Session) -> bytes:
        return self.users[session.user].encode()

    def _mac(self, session: Session, key: bytes, said: bytes) -> bytes:
        return hmac.new(key, said, getattr(hashlib, session.suite.digest)).digest()

    def _sealed(self, session: Session, payload: Payload, body: bytes) -> bytes:
        assert session.keys is not None
        session.sequence += 1
        return seal(session.keys, payload, session.console, session.sequence, body, os.urandom(16))

    # --- what it can do

    def _reply(self, message: bytes, session: Session) -> bytes:
        netfn, command, data = message[1] >> 2, message[5], message[6:-1]
        self.heard.append((netfn, command, data))
        if (netfn, command) in self.answers:
            code, *rest = self.answers[netfn, command]
            return respond(message, code, bytes(rest))
        rules: dict[tuple[int, int], Callable[[], bytes]] = {
            (6, 0x01): lambda: bytes.fromhex("20810223029f00000000000000000000")[:15],
            (6, 0x02): lambda: b"",
            (6, 0x37): lambda: self.guid,
            (6, 0x3B): lambda: data[:1],
            (6, 0x3C): lambda: self._close(data),
            (6, 0x44): lambda: bytes((10, 1, 1, 0x14)),
            (6, 0x46): lambda: self._name(data[0]),
            (6, 0x47): lambda: self._set_password(data),
            (6, 0x48): lambda: self._activate(session),
            (6, 0x49): self._deactivate,
            (6, 0x4A): lambda: bytes((1, int(self.sol is not None), 0)),
            (0, 0x01): lambda: bytes((0x20 | self.power, 0, 0x40 | self.identify << 4)),
            (0, 0x02): lambda: self._control(data[0]),
            (0, 0x04): lambda: self._identify(data),
            (0, 0x08): lambda: self._set_boot(data),
            (0, 0x09): lambda: b"\x01\x05" + self.boot_flags,
            (0x0A, 0x10): lambda: struct.pack("<HB", len(self.fru), 0),
            (0x0A, 0x11): lambda: self._fru(data),
            (0x0A, 0x22): lambda: b"\x01\x00",
            (0x0A, 0x23): lambda: self._record(data),
            (0x04, 0x2D): lambda: self.readings[data[0]],
            (0x0A, 0x40): lambda: b"\x51" + struct.pack("<HH", len(self.log), 100) + bytes(9),
            (0x0A, 0x42): lambda: b"\x02\x00",
            (0x0A, 0x43): lambda: self._entry(data),
            (0x0A, 0x47): self._erase,
            (0x2C, 0x02): self._watts,
        }
        try:
            return respond(message, 0, rules[netfn, command]())
        except (KeyError, RefusedError) as error:
            return respond(message, error.code if isinstance(error, RefusedError) else 0xC1, b"")

    def _close(self, data: bytes) -> bytes:
        number = int.from_bytes(data[:4], "little")
        asyncio.get_running_loop().call_soon(self.sessions.pop, number, None)
        return b""

    def _name(self, user: int) -> bytes:
        names = ["", *self.users]
        return names[user - 1].encode().ljust(16, b"\0") if user <= len(names) else bytes(16)

    def _set_password(self, data: bytes) -> bytes:
        name = self._name(data[0] & 0x3F).rstrip(b"\0").decode()
        if data[1] & 3 == 2:
            self.users[name] = data[2:].rstrip(b"\0").decode()
        return b""

    def _control(self, action: int) -> bytes:
        if action == 2 and not self.power:
            raise RefusedError(0xD5)
        self.power = {0: False, 1: True, 2: True, 3: True, 4: self.power, 5: False}[action]
        if action in (1, 2, 3) and not self.boot_flags[0] & 0x40:
            self.boot_flags = bytes(5)
        return b""

    def _identify(self, data: bytes) -> bytes:
        self.identify = 2 if data[1:2] == b"\x01" else int(bool(data and data[0]))
        return b""

    def _set_boot(self, data: bytes) -> bytes:
        if data[0] == 5:
            self.boot_flags = data[1:6]
        return b""

    def _fru(self, data: bytes) -> bytes:
        start = int.from_bytes(data[1:3], "little")
        part = self.fru[start : start + data[3]]
        return bytes((len(part),)) + part

    def _record(self, data: bytes) -> bytes:
        if data[:2] != b"\x01\x00":
            raise RefusedError(0xC5)
        number, offset, count = int.from_bytes(data[2:4], "little"), data[4], data[5]
        if number >= len(self.records):
            raise RefusedError(0xCB)
        following = number + 1 if number + 1 < len(self.records) else 0xFFFF
        return struct.pack("<H", following) + self.records[number][offset : offset + count]

    def _entry(self, data: bytes) -> bytes:
        number = int.from_bytes(data[2:4], "little")
        if number >= len(self.log):
            raise RefusedError(0xCB)
        following = number + 1 if number + 1 < len(self.log) else 0xFFFF
        return struct.pack("<H", following) + self.log[number]

    def _erase(self) -> bytes:
        self.log.clear()
        return b"\x01"

    def _watts(self) -> bytes:
        if self.watts is None:
            raise RefusedError(0xC1)
        return b"\xdc" + struct.pack("<HHHH", self.watts, 1, 999, 100) + bytes(8) + b"\x40"

    # --- the serial line

    def _activate(self, session: Session) -> bytes:
        if self.sol is not None:
            raise RefusedError(0x80)
        self.sol = session
        self.lined.set()
        return bytes(4) + struct.pack("<HHHH", 20, 200, self.port, 0xFFFF)

    def _deactivate(self) -> bytes:
        self.sol = None
        return b""

    def _serial(self, session: Session, body: bytes) -> Iterator[bytes]:
        if body[0]:
            text = body[4:]
            if body[0] != session.sol_heard:
                self.typed += text
                self.typing.set()
            session.sol_heard = body[0]
            yield self._sealed(session, Payload.SOL, bytes((0, body[0], len(text), 0)))
        if session.sol_queue and body[1] == session.sol_sequence and body[2] == len(session.sol_queue[0]):
            del session.sol_queue[0]
            if session.sol_queue:
                self.print(session.sol_queue[0])
            else:
                self.spoken.set()

    def speak(self, *chunks: bytes) -> None:
        """Each goes to the console when the one before was acknowledged."""
        assert self.sol is not None
        self.spoken.clear()
        self.sol.sol_queue += chunks
        self.print(self.sol.sol_queue[0])

    def print(self, text: bytes, *, again: bool = False) -> None:
        """To the console; `again` under the number of the last packet, as if its acknowledgement got lost."""
        assert self.sol is not None
        assert self.udp is not None
        self.sol.sol_sequence = self.sol.sol_sequence if again else self.sol.sol_sequence % 15 + 1
        body = bytes((self.sol.sol_sequence, 0, 0, 0)) + text
        self.udp.sendto(self._sealed(self.sol, Payload.SOL, body), self.sol.source)

    def take_line_away(self) -> None:
        """And say so."""
        assert self.sol is not None
        assert self.udp is not None
        self.udp.sendto(self._sealed(self.sol, Payload.SOL, bytes((0, 0, 0, 0x10))), self.sol.source)
        self.sol = None


class RefusedError(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


def respond(message: bytes, code: int, data: bytes) -> bytes:
    head = bytes((message[3], (message[1] >> 2 | 1) << 2))
    body = bytes((message[0], message[4], message[5], code)) + data
    return head + bytes((packet.checksum(head),)) + body + bytes((packet.checksum(body),))


@contextmanager
def listening(bmc: FakeIpmiBmc) -> Iterator[FakeIpmiBmc]:
    bmc.open()
    try:
        yield bmc
    finally:
        bmc.close()


def fru(manufacturer: str, product: str, serial: str) -> bytes:
    """A common header and a product area (FRU information storage definition, sections 8 and 12)."""

    def text(value: str) -> bytes:
        return bytes((0xC0 | len(value),)) + value.encode("latin-1")

    body = b"\x01\x00\x19" + text(manufacturer) + text(product) + text("pn") + text("v1") + text(serial) + b"\xc1"
    size = -(-(len(body) + 1) // 8)
    body = (body[:1] + bytes((size,)) + body[2:]).ljust(size * 8 - 1, b"\0")
    header = b"\x01\x00\x00\x00\x01\x00\x00"
    return header + bytes((packet.checksum(header),)) + body + bytes((packet.checksum(body),))
