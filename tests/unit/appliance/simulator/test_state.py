import pytest

from appliance.bmc.evidence import Rung
from appliance.model.bmc import BootMode, BootOverride, BootTarget, BootTerm, PowerCommand, PowerState
from appliance.simulator.state import FIRST_SIGN_SECONDS, SIGN_SECONDS, Machine

ONCE = BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE, mode=BootMode.LEGACY)
ALWAYS = BootOverride(target=BootTarget.DISK, term=BootTerm.CONTINUOUS, mode=BootMode.UEFI)


@pytest.mark.parametrize(
    ("commands", "power", "boots"),
    [
        ([], PowerState.OFF, 0),
        ([PowerCommand.ON], PowerState.ON, 1),
        ([PowerCommand.ON, PowerCommand.ON], PowerState.ON, 1),
        ([PowerCommand.ON, PowerCommand.FORCE_OFF], PowerState.OFF, 1),
        ([PowerCommand.FORCE_OFF], PowerState.OFF, 0),
        ([PowerCommand.ON, PowerCommand.GRACEFUL_OFF, PowerCommand.ON], PowerState.ON, 2),
        ([PowerCommand.FORCE_RESTART], PowerState.ON, 1),
        ([PowerCommand.ON, PowerCommand.CYCLE, PowerCommand.GRACEFUL_RESTART], PowerState.ON, 3),
        ([PowerCommand.ON, PowerCommand.NMI], PowerState.ON, 1),
    ],
)
def test_power_and_boots_follow_commands(commands: list[PowerCommand], power: PowerState, boots: int) -> None:
    machine = Machine()
    for now, command in enumerate(commands):
        machine.command(command, float(now))
    assert (machine.power, len(machine.boots)) == (power, boots)
    assert machine.interrupts == commands.count(PowerCommand.NMI)


def test_override_for_one_boot_is_used_up_by_it_and_its_mode_stays() -> None:
    machine = Machine(override=ONCE)
    machine.command(PowerCommand.ON, 0.0)
    machine.command(PowerCommand.CYCLE, 1.0)
    assert [(boot.source, boot.mode) for boot in machine.boots] == [
        (BootTarget.NETWORK, BootMode.LEGACY),
        (BootTarget.NONE, BootMode.LEGACY),
    ]


def test_lasting_override_stays() -> None:
    machine = Machine(override=ALWAYS)
    for command in (PowerCommand.ON, PowerCommand.CYCLE):
        machine.command(command, 0.0)
    assert [boot.source for boot in machine.boots] == [BootTarget.DISK] * 2


def test_machine_is_seen_soon_after_its_boot_and_then_by_and_by() -> None:
    machine = Machine()
    machine.command(PowerCommand.ON, 100.0)
    first = 100.0 + FIRST_SIGN_SECONDS
    assert machine.sightings(first - 0.1) == ()
    (seen,) = machine.sightings(first)
    assert (seen.rung, seen.at, seen.fresh) == (Rung.DHCP, first, True)
    _, later = machine.sightings(first + SIGN_SECONDS * 2.5)
    assert (later.rung, later.at, later.fresh) == (Rung.AGENT, first + SIGN_SECONDS * 2, False)


def test_machine_that_is_off_is_seen_no_more() -> None:
    machine = Machine()
    machine.command(PowerCommand.ON, 0.0)
    machine.command(PowerCommand.FORCE_OFF, 0.5)
    machine.command(PowerCommand.ON, 10.0)
    machine.command(PowerCommand.FORCE_OFF, 12.0)
    assert [seen.at for seen in machine.sightings(100.0)] == [10.0 + FIRST_SIGN_SECONDS]
