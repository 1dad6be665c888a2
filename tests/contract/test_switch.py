"""The appliance and a switch's command line: whose key is shown, who is let in, what is refused, what is said."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import paramiko
import pytest

from appliance.errors import ShellError, UnreachableError
from appliance.model.links import MachineNetwork
from appliance.model.secret import Secret
from appliance.model.switch import BondPorts, Switch
from appliance.switch import dialect as dialects
from appliance.switch.cli import SwitchCli
from appliance.switch.dialect import EOS
from appliance.switch.standing import SwitchSide, read_switch
from tests.simulated_switch import PASSWORD, SimulatedSwitch

ADDRESS = "127.77.61.1"
PORTS = ("Ethernet1", "Ethernet2")
DO = BondPorts(
    network=MachineNetwork(links=()), bond="bond0", switch="leaf-1", ports=PORTS, channel=101, vlan=10, seconds=60
)


@pytest.fixture
def switch() -> Iterator[SimulatedSwitch]:
    made = SimulatedSwitch("leaf-1", dict.fromkeys(PORTS, 10))
    with made.serving(ADDRESS):
        yield made


@pytest.fixture
def stated(switch: SimulatedSwitch) -> Switch:
    return switch.stated(ADDRESS)


CLI = SwitchCli(Path("/nowhere"))


def side(stated: Switch) -> SwitchSide:
    return read_switch(EOS, DO, CLI.ask(stated, dialects.show(EOS, DO)))


def test_two_ports_become_a_channel_once_that_is_confirmed_and_two_ports_again(
    switch: SimulatedSwitch, stated: Switch
) -> None:
    assert side(stated) is SwitchSide.ACCESS
    CLI.ask(stated, dialects.join(EOS, DO))
    assert side(stated) is SwitchSide.PENDING
    CLI.ask(stated, (dialects.confirm(EOS, DO),))
    assert side(stated) is SwitchSide.CHANNEL
    assert switch.running.channels == {101: 10}
    CLI.ask(stated, dialects.separate(EOS, DO))
    assert (side(stated), switch.running.channels) == (SwitchSide.ACCESS, {})


def test_what_nobody_confirms_goes_away(switch: SimulatedSwitch, stated: Switch) -> None:
    CLI.ask(stated, dialects.join(EOS, DO))
    assert switch.pending is not None
    switch.pending.timer.function()
    assert side(stated) is SwitchSide.ACCESS
    CLI.ask(stated, dialects.join(EOS, DO))
    CLI.ask(stated, (dialects.abort(EOS, DO),))
    assert side(stated) is SwitchSide.ACCESS


def test_a_port_of_somebody_elses_is_told_apart(switch: SimulatedSwitch, stated: Switch) -> None:
    switch.running.ports["Ethernet2"].vlan = 20
    assert side(stated) is SwitchSide.OTHER


def test_a_switch_with_another_key_is_told_nothing(switch: SimulatedSwitch, stated: Switch) -> None:
    other = paramiko.ECDSAKey.generate()
    with pytest.raises(ShellError, match="is not the switch leaf-1"):
        CLI.ask(replace(stated, host_key=f"{other.get_name()} {other.get_base64()}"), ("show version",))
    assert switch.said == []


def test_a_wrong_password_is_told_and_shown_to_nobody(
    switch: SimulatedSwitch, stated: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ShellError, match="does not let the appliance in as appliance") as caught:
        CLI.ask(replace(stated, password=Secret("kanarie-wrong")), ("show version",))
    CLI.ask(stated, dialects.show(EOS, DO))
    said = f"{caplog.text} {caught.value} {caught.value.evidence} {stated!r}"
    assert "kanarie" not in said
    assert PASSWORD not in said


def test_a_refused_command_ends_it_before_anything_takes_effect(switch: SimulatedSwitch, stated: Switch) -> None:
    odd = replace(DO, ports=("Ethernet1", "Ethernet9"))
    with pytest.raises(ShellError, match="refuses: interface Ethernet9") as caught:
        CLI.ask(stated, dialects.join(EOS, odd))
    assert caught.value.evidence == "% Invalid input"
    assert not any(line.startswith("commit") for line in switch.said)
    assert side(stated) is SwitchSide.ACCESS


def test_who_does_not_answer_is_another_thing_than_who_refuses(stated: Switch) -> None:
    with pytest.raises(UnreachableError, match="does not answer"):
        CLI.ask(replace(stated, address=IPv4Address("127.77.61.2")), ("show version",))
