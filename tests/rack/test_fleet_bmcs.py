"""The rack's BMCs as an operator finds and enters them, with the running daemon and its own command."""

import os
import sys

import pytest

from appliance.model.bmc_views import BmcsView, LoginState
from appliance.model.codec import from_json
from tests.rack.fleet import Fleet

pytestmark = [pytest.mark.rack, pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


def innervate(fleet: Fleet, *arguments: str) -> str:
    return fleet.run(
        sys.executable, "-m", "appliance.main", "--socket", str(fleet.folder / "api.sock"), "bmc", *arguments
    )


def test_bmcs_are_found_entered_and_given_a_password_of_their_own(fleet: Fleet) -> None:
    node = fleet.rack.nodes[0]
    urls = [each.bmc.url for each in fleet.rack.nodes]
    view = from_json(BmcsView, innervate(fleet, "find", *urls, "--login", "--json"))
    assert not view.problem
    shown = {bmc.machine: (bmc.url, bmc.login, bmc.fingerprint) for bmc in view.bmcs}
    assert shown == {
        each.spec.name: (each.bmc.url, LoginState.WORKS, each.bmc.fingerprint) for each in fleet.rack.nodes
    }
    assert "a log-in has proven it" in innervate(fleet, "rotate", node.bmc.url)
    fleet.reset(node, "On")
    fleet.until(lambda: fleet.system(node)["PowerState"] == "On", "power, told with the new password")
    fleet.reset(node, "ForceOff")
    fleet.until(lambda: fleet.system(node)["PowerState"] == "Off", "power off")
    assert "entered as" in innervate(fleet, "find", node.bmc.url, "--login")
    assert innervate(fleet, "vault", "list") == "the vault is empty\n"
