"""What machines read of their network, kept as golden files: a difference here is one on every machine."""

import json
from pathlib import Path

import pytest

from appliance.install.keyfile import keyfiles
from appliance.install.netplan import netplan_document
from appliance.install.networkd import networkd_files, resolv_conf
from appliance.model.links import MachineNetwork, described
from tests.network_cases import BONDED, CASES, LACP, PLAIN

GOLDEN = Path(__file__).parents[3] / "golden/network"


def drawn(network: MachineNetwork) -> dict[str, bytes]:
    plain = {f"networkd/{name}": data for name, data in networkd_files(network).items()}
    connections = {f"system-connections/{name}": data for name, data in keyfiles("node-0", network).items()}
    document = json.dumps(netplan_document(network), indent=2).encode() + b"\n"
    return {**plain, **connections, "netplan.json": document}


@pytest.mark.parametrize("case", list(CASES))
def test_golden_files(case: str) -> None:
    """To accept a change, read the difference, and write what `drawn` returns."""
    folder = GOLDEN / case
    kept = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert drawn(CASES[case]) == kept


def test_resolver() -> None:
    assert resolv_conf(PLAIN) == b"search rack.test example\nnameserver 10.77.0.1\nnameserver fd00:77::1\n"
    assert resolv_conf(LACP) == b""


def test_as_a_plan_tells_it() -> None:
    assert described(BONDED) == (
        "bond0 (active-backup of 52:54:00:77:00:01, primary and 52:54:00:77:01:01) 10.77.0.50/24 gateway 10.77.0.1;"
        " storage (VLAN 20 on bond0 MTU 1400) 10.20.0.50/24"
    )
    assert described(LACP) == (
        "bond0 (802.3ad rate fast hash layer3+4 of 52:54:00:77:00:01 and 52:54:00:77:01:01 MTU 9000) no address;"
        " tenant (VLAN 4094 on bond0) no address; lan0 (52:54:00:77:02:01) no address;"
        " br0 (bridge of lan0 and tenant) 192.0.2.7/28 2001:db8::7/64"
    )
