"""DMTF's validators before the appliance's service for the rack, and before the BMC of a virtual machine."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from appliance.lab.rack import Rack
from appliance.lab.spec import RackFirmware, RackSpec
from appliance.model.hardware import Firmware
from tests.contract.redfish_validators import Run, protocol_failures, service_failures
from tests.rack.fleet import URL, Fleet

pytestmark = [
    pytest.mark.rack,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

Validate = Callable[[Run, str, str, str, Path, Path], list[str]]


def inside(rack: Rack, folder: Path) -> Run:
    def run(argv: Sequence[str], env: Mapping[str, str]) -> str:
        with rack.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=env) as program:
            return program.communicate(timeout=400)[0].decode(errors="replace")

    return run


@pytest.mark.parametrize("validate", [protocol_failures, service_failures])
def test_the_appliance(fleet: Fleet, validate: Validate, tmp_path: Path) -> None:
    assert validate(inside(fleet.rack, tmp_path), URL, "admin", fleet.password, fleet.authority, tmp_path) == []


@pytest.mark.parametrize("validate", [protocol_failures, service_failures])
def test_a_virtual_machine(rack_firmware: RackFirmware, validate: Validate, tmp_path: Path) -> None:
    """On a rack of its own: the fleet's BMCs have been given other passwords."""
    reports = tmp_path / "reports"
    reports.mkdir()
    spec = RackSpec(nodes=1, firmware=Firmware.BIOS, workdir=tmp_path, files=rack_firmware, memory_mib=128)
    with Rack.start(spec) as rack:
        (node,) = rack.nodes
        password, trusted = node.bmc.password.reveal(), node.spec.certificate
        assert validate(inside(rack, reports), node.bmc.url, node.bmc.user, password, trusted, reports) == []
