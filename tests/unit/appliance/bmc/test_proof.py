"""Commands are believed when their effect is seen: the BMC that lies, answers that got lost, silence."""

import asyncio
from collections.abc import Sequence

import pytest

from appliance.bmc.evidence import Finding, Rung, Sighting, Verdict
from appliance.bmc.fake import FakeBmc
from appliance.bmc.proof import Witness, prove
from appliance.errors import BmcError, BmcSilentError, BmcUnsupportedError
from appliance.model.bmc import PowerCommand, PowerState, SystemIdentity

ON, OFF = PowerState.ON, PowerState.OFF
LOST = BmcSilentError("no answer", next_action="wait")


class Time:
    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> float:
        return 1e9 + self.passed

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds


def bmc_of(power: PowerState, *, deaf: bool = False) -> FakeBmc:
    bmc = FakeBmc(SystemIdentity(path="", uuid=None, serial="", manufacturer="", product="", macs=(), power=power))
    bmc.deaf = deaf
    return bmc


def run(
    bmc: FakeBmc, command: PowerCommand, time: Time, witness: Witness = lambda: (), budget: float = 60.0
) -> Finding:
    return asyncio.run(prove(bmc, command, sightings=witness, clock=time, budget=budget))


def seen_after(time: Time, seconds: float, *, fresh: bool = True) -> Witness:
    """A DHCP packet so long after the start."""

    def look() -> Sequence[Sighting]:
        at = 1e9 + seconds
        return (Sighting(rung=Rung.DHCP, power=ON, at=at, fresh=fresh),) if time.now() >= at else ()

    return look


def test_power_off_that_the_bmc_shows_is_confirmed_at_the_second_look() -> None:
    time = Time()
    bmc = bmc_of(ON)
    assert run(bmc, PowerCommand.FORCE_OFF, time) == Finding(verdict=Verdict.CONFIRMED, rung=Rung.BMC)
    assert time.passed <= 2.0
    assert bmc.commands == [PowerCommand.FORCE_OFF]


def test_power_on_is_not_believed_to_the_bmc_alone() -> None:
    time = Time()
    assert run(bmc_of(OFF), PowerCommand.ON, time).verdict is Verdict.UNCONFIRMED
    assert 60 <= time.passed <= 62


def test_power_on_is_confirmed_by_the_machine() -> None:
    time = Time()
    finding = run(bmc_of(OFF), PowerCommand.ON, time, seen_after(time, 9.0))
    assert finding == Finding(verdict=Verdict.CONFIRMED, rung=Rung.DHCP)
    assert 9 <= time.passed <= 11


def test_a_bmc_that_shows_power_and_does_nothing_is_contradicted() -> None:
    assert run(bmc_of(OFF, deaf=True), PowerCommand.ON, Time()).verdict is Verdict.CONTRADICTED


def test_a_restart_is_confirmed_by_a_boot_only() -> None:
    time = Time()
    assert run(bmc_of(ON), PowerCommand.CYCLE, time, seen_after(time, 5.0, fresh=False)).verdict is Verdict.UNCONFIRMED
    time = Time()
    assert run(bmc_of(ON), PowerCommand.CYCLE, time, seen_after(time, 5.0)).verdict is Verdict.CONFIRMED


def test_the_effect_of_a_command_whose_answer_got_lost_counts() -> None:
    bmc, time = bmc_of(ON), Time()

    class Lossy(FakeBmc):
        async def command(self, command: PowerCommand) -> None:
            await super().command(command)
            raise LOST

    lossy = Lossy(bmc.identity)
    assert run(lossy, PowerCommand.FORCE_OFF, time).verdict is Verdict.CONFIRMED
    assert lossy.commands == [PowerCommand.FORCE_OFF]


def test_a_lost_answer_without_effect_is_the_error_itself() -> None:
    bmc = bmc_of(ON)
    bmc.failures.append(LOST)
    with pytest.raises(BmcError, match="no answer"):
        run(bmc, PowerCommand.FORCE_OFF, Time())
    assert bmc.commands == []


def test_what_the_bmc_cannot_do_is_not_waited_for() -> None:
    bmc, time = bmc_of(ON), Time()
    bmc.failures.append(BmcUnsupportedError("no NMI", next_action="none"))
    with pytest.raises(BmcUnsupportedError):
        run(bmc, PowerCommand.NMI, time)
    assert time.passed == 0


def test_a_refusal_is_told_at_once() -> None:
    bmc, time = bmc_of(ON), Time()
    bmc.failures.append(BmcError("refused", next_action="see what it says"))
    with pytest.raises(BmcError, match="refused"):
        run(bmc, PowerCommand.FORCE_OFF, time)
    assert time.passed == 0


def test_looks_that_fail_are_looked_again() -> None:
    bmc = bmc_of(ON)

    class Shy(FakeBmc):
        looks = 0

        async def power_state(self) -> PowerState:
            self.looks += 1
            if self.looks <= 3:
                raise LOST
            return await super().power_state()

    assert run(Shy(bmc.identity), PowerCommand.FORCE_OFF, Time()).verdict is Verdict.CONFIRMED


def test_a_bmc_that_says_nothing_more_is_an_error_and_no_finding() -> None:
    class Mute(FakeBmc):
        async def power_state(self) -> PowerState:
            raise LOST

    with pytest.raises(BmcError, match="no answer"):
        run(Mute(bmc_of(ON).identity), PowerCommand.FORCE_OFF, Time())
