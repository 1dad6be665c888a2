"""DMTF's validators before the appliance's service for the rack, and before the BMC of a virtual machine."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.contract.redfish_validators import Run, protocol_failures, service_failures
from tests.rack.fleet import URL, Fleet

pytestmark = [pytest.mark.rack, pytest.mark.timeout(600), pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

Validate = Callable[[Run, str, str, str, Path, Path], list[str]]


@pytest.mark.long
@pytest.mark.parametrize("validate", [protocol_failures, service_failures])
@pytest.mark.parametrize("which", ["appliance", "virtual machine"])
def test_validators(fleet: Fleet, validate: Validate, which: str, tmp_path: Path) -> None:
    def run(argv: Sequence[str], env: Mapping[str, str]) -> str:
        pipe = subprocess.PIPE
        with fleet.rack.run(argv, stdout=pipe, stderr=subprocess.STDOUT, cwd=tmp_path, env=env) as program:
            return program.communicate(timeout=400)[0].decode(errors="replace")

    node = fleet.rack.nodes[0]
    if which == "appliance":
        assert validate(run, URL, "admin", fleet.password, fleet.authority, tmp_path) == []
    else:
        password = node.bmc.password.reveal()
        assert validate(run, node.bmc.url, node.bmc.user, password, node.spec.certificate, tmp_path) == []
