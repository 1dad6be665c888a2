"""When the IPMI driver speaks: under a virtual clock, before BMCs that are reached without a network."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field

import pytest

from appliance.bmc.ipmi.driver import IpmiBmc
from appliance.bmc.ipmi.link import IpmiLimits, RefusedRequestError, SilenceError
from appliance.bmc.ipmi.wire import Address, Wire
from appliance.errors import BmcError
from appliance.model.bmc import PowerCommand, PowerState
from appliance.sim.loop import SimClock
from tests.contract.ipmi_bmc import FakeIpmiBmc, Session, respond
from tests.contract.test_ipmi import Rng, endpoint
from tests.unit.appliance.conductor.virtual import run, virtual_loop

LIMITS = IpmiLimits()


class Cable(Wire):
    """Leads to one BMC. `sent` are the seconds at which datagrams went out, `latency` how long answers take."""

    def __init__(self, bmc: FakeIpmiBmc) -> None:
        super().__init__()
        self.bmc = bmc
        self.latency = 0.001
        self.sent: list[float] = []

    async def resolve(self, host: str, port: int) -> Address:
        return host, port

    def send(self, address: Address, datagram: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.sent.append(loop.time())
        if self.bmc.deaf:
            return
        for answer in self.bmc.answer(datagram, address):
            loop.call_later(self.latency, self.deliver, address, answer)


@dataclass
class Desk:
    bmc: FakeIpmiBmc = field(default_factory=FakeIpmiBmc)

    def __post_init__(self) -> None:
        self.cable, self.clock = Cable(self.bmc), SimClock(virtual_loop())
        self.driver = IpmiBmc(endpoint(623), self.cable, self.clock, Rng(), LIMITS)

    def heard(self, netfn: int, command: int) -> int:
        return [heard[:2] for heard in self.bmc.heard].count((netfn, command))

    async def refused(self, question: Coroutine[None, None, object]) -> BmcError:
        with pytest.raises(BmcError) as caught:
            await question
        return caught.value


def after(times: list[float]) -> list[float]:
    return [round(time - times[0], 3) for time in times]


def test_probe_is_sent_again_after_each_wait_and_then_given_up() -> None:
    async def play() -> None:
        desk = Desk(FakeIpmiBmc(deaf=True))
        before = desk.clock.monotonic()
        error = await desk.refused(desk.driver.power_state())
        assert isinstance(error, SilenceError)
        assert after(desk.cable.sent) == [0.0, 1.0, 2.5, 5.0]
        assert desk.clock.monotonic() - before == 9.0
        assert error.evidence == "4 datagrams in 9.0 s"

    run(play())


def test_question_in_a_session_is_sent_again_after_each_wait() -> None:
    async def play() -> None:
        desk = Desk()
        await desk.driver.power_state()
        desk.cable.sent.clear()
        desk.bmc.deaf = True
        await desk.refused(desk.driver.power_state())
        assert after(desk.cable.sent) == [0.0, 1.0, 2.5, 5.0]

    run(play())


def test_answer_ends_the_waiting_and_nothing_is_sent_after_it() -> None:
    async def play() -> None:
        desk = Desk()
        await desk.driver.power_state()
        desk.cable.sent.clear()
        desk.cable.latency = 1.7
        before = desk.clock.monotonic()
        assert await desk.driver.power_state() is PowerState.OFF
        assert round(desk.clock.monotonic() - before, 3) == 1.7
        assert after(desk.cable.sent) == [0.0, 1.0]

    run(play())


def test_command_that_must_not_be_repeated_waits_as_long_with_one_datagram() -> None:
    async def play() -> None:
        desk = Desk(FakeIpmiBmc(power=True))
        await desk.driver.power_state()
        desk.cable.sent.clear()
        desk.bmc.deaf = True
        before = desk.clock.monotonic()
        await desk.refused(desk.driver.command(PowerCommand.CYCLE))
        assert (len(desk.cable.sent), desk.clock.monotonic() - before) == (1, 9.0)

    run(play())


@pytest.mark.parametrize(
    ("rest", "ended", "opened"),
    [
        (5.0, False, 1),
        (20.0, False, 1),  # asked, and it stands
        (35.0, True, 2),  # OpenIPMI's simulator, 30 s
        (50.0, False, 2),
    ],
)
def test_session_that_rested_is_not_trusted_with_what_goes_out_once(rest: float, ended: bool, opened: int) -> None:
    async def play() -> None:
        desk = Desk(FakeIpmiBmc(power=True))
        await desk.driver.power_state()
        first = set(desk.bmc.sessions)
        await desk.clock.sleep(rest)
        if ended:
            desk.bmc.sessions.clear()
        await desk.driver.command(PowerCommand.CYCLE)
        assert desk.heard(0, 2) == 1
        assert len(first | set(desk.bmc.sessions)) == opened

    run(play())


def test_busy_bmc_is_asked_again_with_growing_gaps_and_not_for_ever() -> None:
    async def play() -> None:
        desk = Desk()
        await desk.driver.power_state()
        desk.cable.sent.clear()
        desk.cable.latency = 0.0
        desk.bmc.answers[0, 1] = b"\xc0"
        error = await desk.refused(desk.driver.power_state())
        assert isinstance(error, RefusedRequestError)
        assert error.evidence == "completion code 0xc0: node busy"
        assert after(desk.cable.sent)[:8] == [0.0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 10.3]
        assert LIMITS.busy_seconds <= after(desk.cable.sent)[-1] < LIMITS.operation_seconds

    run(play())


def test_bmc_that_was_busy_answers_and_is_left_a_gap_the_next_time() -> None:
    class Busy(FakeIpmiBmc):
        busy = 0

        def _reply(self, message: bytes, session: Session) -> bytes:
            if self.busy:
                self.busy -= 1
                return respond(message, 0xC0, b"")
            return super()._reply(message, session)

    async def play() -> None:
        bmc = Busy()
        desk = Desk(bmc)
        await desk.driver.power_state()
        desk.cable.latency = 0.0
        for gaps in ([0.0, 0.1, 0.3, 0.7], [0.0, 0.4, 1.2, 2.8]):
            bmc.busy = 3
            desk.cable.sent.clear()
            assert await desk.driver.power_state() is PowerState.OFF
            assert after(desk.cable.sent) == gaps

    run(play())


def test_busy_bmc_is_not_told_twice_to_cycle() -> None:
    async def play() -> None:
        desk = Desk(FakeIpmiBmc(answers={(0, 2): b"\xc0"}))
        assert "busy" in (await desk.refused(desk.driver.command(PowerCommand.CYCLE))).evidence
        assert desk.heard(0, 2) == 1

    run(play())


def test_whoever_waits_behind_a_long_operation_is_told_so_in_time() -> None:
    class Slow(FakeIpmiBmc):
        def _erase(self) -> bytes:
            return b"\0"

    async def play() -> None:
        desk = Desk(Slow())
        await desk.driver.power_state()
        desk.cable.latency = 0.9
        first = asyncio.create_task(desk.refused(desk.driver.clear_event_log()))
        second = asyncio.create_task(desk.refused(desk.driver.clear_event_log()))
        await asyncio.sleep(0)
        before = desk.clock.monotonic()
        third = await desk.refused(desk.driver.power_state())
        assert str(third) == "the BMC is still busy with an earlier operation"
        assert desk.clock.monotonic() - before == LIMITS.operation_seconds
        assert "clearing its log" in str(await first)
        assert "clearing its log" in str(await second)
        assert await desk.driver.power_state() is PowerState.OFF

    run(play())
