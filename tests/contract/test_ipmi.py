"""The IPMI driver before BMCs on UDP: one of our own that can misbehave, and OpenIPMI's `ipmi_sim`. ipmitool is asked
the same questions, and shows that both sides keep to the specification.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest

from appliance.bmc.ipmi import packet
from appliance.bmc.ipmi.console import serial_line
from appliance.bmc.ipmi.driver import IpmiBmc, IpmiDialler
from appliance.bmc.ipmi.link import IpmiLimits, PrivilegeError, RefusedRequestError, SilenceError
from appliance.bmc.ipmi.wire import Wire
from appliance.errors import BmcError, BmcLoginError, BmcSessionsFullError, BmcUnsupportedError
from appliance.model.bmc import (
    BmcEndpoint,
    BootMode,
    BootOverride,
    BootTarget,
    BootTerm,
    Health,
    Indicator,
    PowerCommand,
    PowerState,
    Sensor,
    SensorKind,
)
from appliance.model.secret import Secret
from tests.contract.ipmi_bmc import FakeIpmiBmc, RefusedError, fru, listening

T = TypeVar("T")
PASSWORD = "secret"
FAST = IpmiLimits(tries_seconds=(0.05, 0.1, 0.2), operation_seconds=5.0)
needs_ipmitool = pytest.mark.skipif(shutil.which("ipmitool") is None, reason="needs ipmitool")
needs_ipmi_sim = pytest.mark.skipif(shutil.which("ipmi_sim") is None, reason="needs openipmi")
PXE_ONCE = BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE, mode=BootMode.UEFI)
NO_OVERRIDE = BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED)


class Rng:
    def token(self, size: int) -> str:
        return secrets.token_hex(size)


class Clock:
    """Jumps when it is told to; its sleeps end at once, after others had their turn."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.ahead += seconds
        await asyncio.sleep(0)


def endpoint(port: int, password: str = PASSWORD) -> BmcEndpoint:
    return BmcEndpoint(url=f"ipmi://127.0.0.1:{port}", user="admin", password=Secret(password), fingerprint="")


@asynccontextmanager
async def dialled(bmc: FakeIpmiBmc, clock: Clock | None = None, password: str = PASSWORD) -> AsyncIterator[IpmiBmc]:
    with listening(bmc):
        dialler = IpmiDialler(clock or Clock(), Rng(), FAST)
        try:
            yield dialler.dial(endpoint(bmc.port, password))
        finally:
            await dialler.close()


def ask(bmc: FakeIpmiBmc, question: Callable[[IpmiBmc], Awaitable[T]], password: str = PASSWORD) -> T:
    async def play() -> T:
        async with asyncio.timeout(20), dialled(bmc, password=password) as driver:
            return await question(driver)

    return asyncio.run(play())


def refused(bmc: FakeIpmiBmc, question: Callable[[IpmiBmc], Awaitable[T]], password: str = PASSWORD) -> BmcError:
    with pytest.raises(BmcError) as caught:
        ask(bmc, question, password)
    assert caught.value.next_action
    assert "secret" not in str(caught.value) + caught.value.evidence
    return caught.value


# --- sessions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offers", [(17, 3), (17,), (3,)])
def test_best_cipher_suite_is_taken(offers: tuple[int, ...]) -> None:
    bmc = FakeIpmiBmc(offers=offers, power=True)

    async def question(driver: IpmiBmc) -> int:
        assert await driver.power_state() is PowerState.ON
        (session,) = bmc.sessions.values()
        return session.suite.number

    assert ask(bmc, question) == offers[0]


def test_bmc_without_a_decent_suite_is_refused() -> None:
    assert "suite" in str(refused(FakeIpmiBmc(offers=()), lambda driver: driver.power_state()))


def test_session_is_reused_and_closed() -> None:
    bmc = FakeIpmiBmc()

    async def question(driver: IpmiBmc) -> int:
        await asyncio.gather(*(driver.power_state() for _ in range(5)))
        return len(bmc.sessions)

    assert ask(bmc, question) == 1
    assert bmc.heard[-1][:2] == (6, 0x3C)
    assert [(netfn, command) for netfn, command, _ in bmc.heard].count((6, 0x3B)) == 1


def test_bmc_can_be_used_again_after_close() -> None:
    async def question(driver: IpmiBmc) -> PowerState:
        await driver.power_state()
        await driver.close()
        return await driver.power_state()

    assert ask(FakeIpmiBmc(), question) is PowerState.OFF


def test_session_that_rested_too_long_is_not_trusted() -> None:
    bmc, clock = FakeIpmiBmc(), Clock()

    async def play() -> None:
        async with dialled(bmc, clock) as driver:
            await driver.power_state()
            bmc.sessions.clear()  # as BMCs do after a minute
            clock.ahead += 61
            await driver.power_state()

    asyncio.run(play())
    assert [(netfn, command) for netfn, command, _ in bmc.heard].count((6, 0x3B)) == 2


def test_wrong_password_is_tried_once() -> None:
    bmc = FakeIpmiBmc()
    error = refused(bmc, lambda driver: driver.power_state(), password="guess")
    assert isinstance(error, BmcLoginError)
    assert "lock" in error.next_action
    assert len(bmc.sessions) == 1


def test_unknown_user() -> None:
    assert isinstance(refused(FakeIpmiBmc(users={}), lambda driver: driver.power_state()), BmcLoginError)


def test_bmc_that_does_not_know_the_password_is_not_believed() -> None:
    assert isinstance(refused(FakeIpmiBmc(forged=True), lambda driver: driver.power_state()), BmcLoginError)


def test_full_session_table() -> None:
    error = refused(FakeIpmiBmc(full=True), lambda driver: driver.power_state())
    assert isinstance(error, BmcSessionsFullError)


def test_silent_bmc_is_given_up() -> None:
    assert isinstance(refused(FakeIpmiBmc(deaf=True), lambda driver: driver.power_state()), SilenceError)


def test_lost_datagrams_are_sent_again() -> None:
    bmc = FakeIpmiBmc(drops=1, power=True)

    async def question(driver: IpmiBmc) -> PowerState:
        await driver.power_state()
        bmc.drops = 2
        return await driver.power_state()

    assert ask(bmc, question) is PowerState.ON


@pytest.mark.parametrize("command", [PowerCommand.CYCLE, PowerCommand.FORCE_RESTART, PowerCommand.NMI])
def test_command_that_is_not_answered_is_not_repeated(command: PowerCommand) -> None:
    bmc = FakeIpmiBmc(power=True)

    async def question(driver: IpmiBmc) -> None:
        await driver.power_state()
        bmc.drops = 1
        await driver.command(command)

    assert "read the state" in refused(bmc, question).next_action
    assert (0, 2) not in [(netfn, command) for netfn, command, _ in bmc.heard]


def test_user_who_may_not_be_administrator() -> None:
    error = refused(FakeIpmiBmc(answers={(6, 0x3B): b"\x81"}), lambda driver: driver.power_state())
    assert isinstance(error, BmcLoginError)
    assert "Administrator" in error.next_action


@pytest.mark.parametrize(
    ("command", "question", "needed"),
    [
        ((0, 2), lambda driver: driver.command(PowerCommand.ON), "Operator"),
        ((0, 8), lambda driver: driver.set_boot(PXE_ONCE), "Operator"),
        ((6, 2), lambda driver: driver.reset_bmc(), "Administrator"),
        ((6, 0x47), lambda driver: driver.change_password(Secret("new")), "Administrator"),
        ((0, 1), lambda driver: driver.power_state(), "User"),
    ],
)
def test_command_that_the_user_may_not_give_names_the_privilege(
    command: tuple[int, int], question: Callable[[IpmiBmc], Awaitable[object]], needed: str
) -> None:
    error = refused(FakeIpmiBmc(answers={command: b"\xd4"}), question)
    assert isinstance(error, PrivilegeError)
    assert f"privilege {needed} " in error.next_action


def test_hung_bmcs_delay_nobody() -> None:
    async def play() -> float:
        hung, well = FakeIpmiBmc(deaf=True), FakeIpmiBmc()
        dialler = IpmiDialler(Clock(), Rng(), IpmiLimits())
        with listening(hung), listening(well):
            waiting = asyncio.create_task(dialler.dial(endpoint(hung.port)).power_state())
            await asyncio.sleep(0)
            async with asyncio.timeout(10):
                before = time.monotonic()
                await dialler.dial(endpoint(well.port)).power_state()
                took = time.monotonic() - before
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait((waiting,))
            await dialler.close()
        return took

    assert asyncio.run(play()) < sum(IpmiLimits().tries_seconds)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_NET_ADMIN for more room than net.core.rmem_max")
def test_answers_of_a_whole_site_wait_while_the_daemon_is_busy() -> None:
    """4000 BMCs may answer within one turn of the event loop."""

    async def play() -> int:
        wire, heard, count = Wire(), asyncio.Queue[bytes](), 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bmc:
            bmc.bind(("127.0.0.1", 0))
            address = await wire.resolve(*bmc.getsockname())
            wire.listen(address, 0, heard.put_nowait)
            wire.send(address, b"?")
            _, ours = bmc.recvfrom(16)
            for _ in range(4000):
                bmc.sendto(packet.encode_bare(bytes(100)), ours)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    for _ in range(4000):
                        await heard.get()
                        count += 1
            wire.close()
        return count

    assert asyncio.run(play()) == 4000


@pytest.mark.parametrize("url", ["ipmi://", "https://10.0.0.1", "ipmi://10.0.0.1/x", "ipmi://10.0.0.1:99999"])
def test_endpoint_that_makes_no_sense(url: str) -> None:
    broken = BmcEndpoint(url=url, user="a", password=Secret("b"), fingerprint="")
    with pytest.raises(BmcError, match="cannot use"):
        IpmiDialler(Clock(), Rng()).dial(broken)


# --- what it does ---------------------------------------------------------------------------------------------


def test_identity() -> None:
    bmc = FakeIpmiBmc(
        guid=UUID("00000077-0000-4000-8000-000000000001").bytes_le, fru=fru("Acme", "Box 1", "SN42"), power=True
    )
    identity = ask(bmc, lambda driver: driver.identify())
    assert (identity.manufacturer, identity.product, identity.serial) == ("Acme", "Box 1", "SN42")
    assert identity.uuid == UUID("00000077-0000-4000-8000-000000000001")
    assert identity.power is PowerState.ON


def test_identity_of_a_bmc_without_fru_and_guid() -> None:
    bmc = FakeIpmiBmc()
    bmc.answers = {(0x0A, 0x10): b"\xcb", (6, 0x37): b"\xc1"}
    identity = ask(bmc, lambda driver: driver.identify())
    assert (identity.serial, identity.uuid) == ("", None)


@pytest.mark.parametrize("command", [(6, 0x37), (0x0A, 0x10), (0x0A, 0x11)])
def test_refusal_that_does_not_mean_absence_is_no_empty_answer(command: tuple[int, int]) -> None:
    bmc = FakeIpmiBmc(fru=fru("Acme", "Box 1", "SN42"))
    bmc.answers[command] = b"\xff"
    assert "0xff" in refused(bmc, lambda driver: driver.identify()).evidence


@dataclass
class Strict(FakeIpmiBmc):
    """Refuses to keep boot flags for longer."""

    code: int = 0

    def _set_boot(self, data: bytes) -> bytes:
        if data[0] == 3:
            raise RefusedError(self.code)
        return super()._set_boot(data)


def test_boot_flags_whose_longer_time_failed_are_not_set() -> None:
    bmc = Strict(code=0xFF)
    assert "0xff" in refused(bmc, lambda driver: driver.set_boot(PXE_ONCE)).evidence
    assert bmc.boot_flags == bytes(5)


@pytest.mark.parametrize("code", [0x80, 0xC1, 0xC9, 0xCC])
def test_bmc_without_the_longer_time_boots_all_the_same(code: int) -> None:
    assert ask(Strict(code=code), lambda driver: driver.set_boot(PXE_ONCE)) == PXE_ONCE


class Forgetful(FakeIpmiBmc):
    """Keeps the device, as OpenIPMI's BMC does, but no flags."""

    def _set_boot(self, data: bytes) -> bytes:
        if data[0] == 5:
            self.boot_flags = bytes((0, data[2], 0, 0, 0))
        return b""


def test_override_of_a_bmc_that_keeps_no_flags_counts_only_right_after_it_was_set() -> None:
    async def question(driver: IpmiBmc) -> list[BootOverride]:
        return [await driver.set_boot(PXE_ONCE), await driver.boot(), await driver.set_boot(NO_OVERRIDE)]

    taken = BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE)
    assert ask(Forgetful(), question) == [taken, NO_OVERRIDE, NO_OVERRIDE]


def test_other_device_without_flags_is_no_override() -> None:
    class Stubborn(FakeIpmiBmc):
        def _set_boot(self, data: bytes) -> bytes:
            self.boot_flags = bytes((0, 2 << 2, 0, 0, 0))
            return b""

    assert ask(Stubborn(), lambda driver: driver.set_boot(PXE_ONCE)) == NO_OVERRIDE


def test_override_is_read_back_and_spent_by_one_boot() -> None:
    async def question(driver: IpmiBmc) -> list[BootOverride]:
        shown = [await driver.set_boot(PXE_ONCE), await driver.boot()]
        await driver.command(PowerCommand.ON)
        return [*shown, await driver.boot()]

    assert ask(FakeIpmiBmc(), question) == [PXE_ONCE, PXE_ONCE, NO_OVERRIDE]


def test_boot_flags_are_asked_to_outlast_a_minute() -> None:
    bmc = FakeIpmiBmc()
    ask(bmc, lambda driver: driver.set_boot(PXE_ONCE))
    boots = [data.hex() for netfn, command, data in bmc.heard if (netfn, command) == (0, 8)]
    assert boots == ["0308", "05a004000000"]


def test_cycle_of_a_machine_that_is_off_is_refused_with_its_reason() -> None:
    error = refused(FakeIpmiBmc(), lambda driver: driver.command(PowerCommand.CYCLE))
    assert isinstance(error, RefusedRequestError)
    assert "present state" in error.evidence


def test_identify_led() -> None:
    async def question(driver: IpmiBmc) -> list[Indicator]:
        return [
            await driver.indicator(),
            await driver.set_indicator(Indicator.LIT),
            await driver.set_indicator(Indicator.OFF),
        ]

    assert ask(FakeIpmiBmc(), question) == [Indicator.OFF, Indicator.LIT, Indicator.OFF]


def record(number: int, name: bytes) -> bytes:
    """A full sensor record (table 43-1): degrees, as they come."""
    body = bytearray(48)
    body[:5] = struct.pack("<HBBB", number, 0x51, 1, 43 + len(name))
    body[7], body[12], body[13], body[21], body[24], body[47] = number, 1, 1, 1, 1, 0xC0 | len(name)
    return bytes(body) + name


def test_sensors() -> None:
    other = struct.pack("<HBBB", 1, 0x51, 0x11, 11) + bytes(11)
    bmc = FakeIpmiBmc(records=(record(0, b"Inlet"), other, record(2, b"CPU")))
    bmc.readings = {0: b"\x17\xc0\xc0"}
    shown = ask(bmc, lambda driver: driver.sensors())
    inlet = Sensor(name="Inlet", kind=SensorKind.TEMPERATURE, reading=23.0, unit="Cel", health=Health.OK)
    cpu = Sensor(name="CPU", kind=SensorKind.TEMPERATURE, reading=None, unit="Cel", health=Health.UNKNOWN)
    assert shown == (inlet, cpu)


def test_records_of_sensors_are_read_once() -> None:
    bmc = FakeIpmiBmc(records=(record(0, b"Inlet"),), readings={0: b"\x17\xc0\xc0"})

    async def question(driver: IpmiBmc) -> None:
        await driver.sensors()
        await driver.sensors()

    ask(bmc, question)
    asked = [(netfn, command) for netfn, command, _ in bmc.heard]
    assert (asked.count((0x0A, 0x22)), asked.count((0x04, 0x2D))) == (1, 2)


def test_reservation_that_someone_else_took_is_renewed() -> None:
    class Contended(FakeIpmiBmc):
        taken = 1

        def _record(self, data: bytes) -> bytes:
            if self.taken:
                self.taken -= 1
                data = b"\x09\x09" + data[2:]
            return super()._record(data)

    bmc = Contended(records=(record(0, b"Inlet"),), readings={0: b"\x17\xc0\xc0"})
    assert len(ask(bmc, lambda driver: driver.sensors())) == 1


def test_power_draw() -> None:
    assert ask(FakeIpmiBmc(watts=231), lambda driver: driver.power_draw()) == 231.0
    assert isinstance(refused(FakeIpmiBmc(), lambda driver: driver.power_draw()), BmcUnsupportedError)


ENTRY = bytes.fromhex("0100020000005f2000040153015950550000")[:16]


def test_event_log_is_read_and_cleared() -> None:
    bmc = FakeIpmiBmc(log=[ENTRY, ENTRY])

    async def question(driver: IpmiBmc) -> tuple[int, int]:
        before = await driver.event_log()
        await driver.clear_event_log()
        return len(before), len(await driver.event_log())

    assert ask(bmc, question) == (2, 0)


def test_log_that_runs_in_circles_ends() -> None:
    bmc = FakeIpmiBmc(log=[ENTRY])
    bmc.answers[0x0A, 0x43] = b"\0\0\0" + ENTRY
    assert len(ask(bmc, lambda driver: driver.event_log())) == 1


def test_firmware_version() -> None:
    (item,) = ask(FakeIpmiBmc(), lambda driver: driver.firmware())
    assert (item.version, item.updateable) == ("2.23", False)


def test_password_is_rotated_and_proven() -> None:
    bmc = FakeIpmiBmc()

    async def question(driver: IpmiBmc) -> PowerState:
        await driver.change_password(Secret("n" * 20))
        return await driver.power_state()

    assert ask(bmc, question) is PowerState.OFF
    assert bmc.users == {"admin": "n" * 20}


@pytest.mark.parametrize("password", ["", "n" * 21, "ü" * 11])
def test_password_that_ipmi_cannot_take_is_refused_before_it_is_sent(password: str) -> None:
    bmc = FakeIpmiBmc()
    refused(bmc, lambda driver: driver.change_password(Secret(password)))
    assert bmc.users == {"admin": "secret"}
    assert bmc.heard == []


@pytest.mark.parametrize("answers", [True, False])
def test_reset_of_the_bmc(answers: bool) -> None:
    bmc = FakeIpmiBmc()

    async def question(driver: IpmiBmc) -> PowerState:
        await driver.power_state()
        bmc.drops = 0 if answers else 1
        await driver.reset_bmc()
        return await driver.power_state()

    assert ask(bmc, question) is PowerState.OFF
    assert [(netfn, command) for netfn, command, _ in bmc.heard].count((6, 2)) == int(answers)


def test_what_ipmi_has_not() -> None:
    for question in (
        lambda driver: driver.media(),
        lambda driver: driver.insert("1", "http://10.0.0.1/x.iso"),
        lambda driver: driver.eject("1"),
        lambda driver: driver.update("http://10.0.0.1/x.bin", print),
    ):
        assert isinstance(refused(FakeIpmiBmc(), question), BmcUnsupportedError)


# --- the serial line ------------------------------------------------------------------------------------------


def test_serial_line_reads_repeats_and_writes() -> None:
    async def play() -> bytes:
        bmc, got = FakeIpmiBmc(power=True), bytearray()
        with listening(bmc):
            async with asyncio.timeout(20), serial_line(endpoint(bmc.port), Clock(), Rng(), FAST) as line:
                bmc.print(b"Debian ")
                bmc.print(b"Debian GNU", again=True)
                bmc.print(b"/Linux")
                while not got.endswith(b"Linux"):
                    got += await line.read(5)
                line.write(b"root\n" * 8)
                while len(bmc.typed) < 40:
                    await bmc.typing.wait()
                    bmc.typing.clear()
            assert bmc.sol is None
            assert bytes(bmc.typed) == b"root\n" * 8
        return bytes(got)

    assert asyncio.run(play()) == b"Debian GNU/Linux"


def test_serial_line_is_taken_over_from_a_session_that_died() -> None:
    async def play() -> None:
        bmc = FakeIpmiBmc()
        with listening(bmc):
            async with serial_line(endpoint(bmc.port), Clock(), Rng(), FAST):
                first = bmc.sol
                async with serial_line(endpoint(bmc.port), Clock(), Rng(), FAST):
                    assert bmc.sol is not first

    asyncio.run(play())


def test_serial_line_that_was_taken_away_is_left_to_who_has_it() -> None:
    async def play() -> None:
        with listening(FakeIpmiBmc()) as bmc:
            async with asyncio.timeout(20), serial_line(endpoint(bmc.port), Clock(), Rng(), FAST) as line:
                bmc.take_line_away()
                assert await line.read(1) == b""
            assert (6, 0x49) not in [(netfn, command) for netfn, command, _ in bmc.heard]

    asyncio.run(play())


def test_serial_line_of_a_bmc_that_dies_ends_with_its_error() -> None:
    async def play() -> None:
        bmc = FakeIpmiBmc()
        with listening(bmc):
            async with asyncio.timeout(20), serial_line(endpoint(bmc.port), Clock(), Rng(), FAST) as line:
                bmc.deaf = True
                assert not await line.read(1)

    with pytest.raises(SilenceError):
        asyncio.run(play())


# --- others' tools --------------------------------------------------------------------------------------------


async def _ipmitool(port: int, suite: int, *words: str) -> str:
    target = ["-I", "lanplus", "-C", str(suite), "-H", "127.0.0.1", "-p", str(port), "-U", "admin", "-E"]
    process = await asyncio.create_subprocess_exec(
        "ipmitool",
        *target,
        *words,
        env={**os.environ, "IPMI_PASSWORD": "secret"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


@needs_ipmitool
@pytest.mark.parametrize("suite", [17, 3])
def test_ipmitool_agrees(suite: int) -> None:
    """What ipmitool sets the driver reads, and the other way round."""

    async def play() -> None:
        bmc = FakeIpmiBmc(offers=(suite,), fru=fru("Acme", "Box 1", "SN42"), log=[ENTRY], watts=231)
        async with asyncio.timeout(60), dialled(bmc) as driver:
            await _ipmitool(bmc.port, suite, "chassis", "bootdev", "pxe", "options=efiboot")
            assert await driver.boot() == PXE_ONCE
            await driver.set_boot(BootOverride(target=BootTarget.CD, term=BootTerm.CONTINUOUS, mode=BootMode.LEGACY))
            shown = await _ipmitool(bmc.port, suite, "chassis", "bootparam", "get", "5")
            assert "Boot Device Selector : Force Boot from CD/DVD" in shown
            assert "apply to all future boots" in shown
            await _ipmitool(bmc.port, suite, "power", "on")
            assert await driver.power_state() is PowerState.ON
            identity = await driver.identify()
            printed = await _ipmitool(bmc.port, suite, "fru", "print", "0")
            assert all(text in printed for text in (identity.manufacturer, identity.product, identity.serial))
            (entry,) = await driver.event_log()
            assert entry.message == "temperature: upper critical going high"
            assert "Upper Critical going high" in await _ipmitool(bmc.port, suite, "sel", "list")
            assert f"{await driver.power_draw():.0f} Watts" in await _ipmitool(
                bmc.port, suite, "dcmi", "power", "reading"
            )

    asyncio.run(play())


EMULATOR = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""
LAN = """\
name "test"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid 77000000000000408000000000000001
  endlan
  chassis_control "{chassis}"
  startnow false
  {sol}
  user 2 true "admin" "secret" admin 10 none md2 md5 straight
"""
CHASSIS = """\
#!/bin/sh
cd "$(dirname "$0")"
verb=$1; shift
case $verb in
get) for what; do echo "$what:$(cat "$what")"; done;;
set) echo "$2" > "$1";;
esac
"""


@contextmanager
def ipmi_sim(folder: Path, sol: str = "") -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    chassis = folder / "chassis.sh"
    chassis.write_text(CHASSIS)
    chassis.chmod(0o755)
    (folder / "power").write_text("0")
    (folder / "boot").write_text("default")
    (folder / "lan").write_text(LAN.format(port=port, chassis=chassis, sol=sol))
    (folder / "emu").write_text(EMULATOR)
    (folder / "state").mkdir()
    argv = ["ipmi_sim", "-n", "-c", str(folder / "lan"), "-f", str(folder / "emu"), "-s", str(folder / "state")]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


@needs_ipmi_sim
def test_openipmi_simulator(tmp_path: Path) -> None:
    """Suite 3 only: the driver is refused 17 first."""

    async def play(port: int) -> None:
        dialler = IpmiDialler(Clock(), Rng(), IpmiLimits(tries_seconds=(0.5, 1.0, 2.0, 4.0)))
        try:
            bmc = dialler.dial(endpoint(port))
            assert await bmc.power_state() is PowerState.OFF
            await bmc.command(PowerCommand.ON)
            assert await bmc.power_state() is PowerState.ON
            assert await bmc.set_boot(PXE_ONCE) == BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE)
            assert (tmp_path / "boot").read_text().strip() == "pxe"
            assert await bmc.set_boot(NO_OVERRIDE) == NO_OVERRIDE
            assert (await bmc.identify()).uuid == UUID("00000077-0000-4000-8000-000000000001")
            (firmware,) = await bmc.firmware()
            assert firmware.version == "9.08"
            await bmc.clear_event_log()
            assert await bmc.event_log() == ()
            assert await bmc.sensors() == ()
            wrong = dialler.dial(endpoint(port, password="guess"))
            with pytest.raises(BmcLoginError):
                await wrong.power_state()
        finally:
            await dialler.close()

    with ipmi_sim(tmp_path) as port:
        asyncio.run(play(port))
