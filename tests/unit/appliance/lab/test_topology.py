from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.errors import SiteError
from appliance.lab.spec import Accelerator, RackNode, RackSpec, RackState, nodes_of
from appliance.lab.topology import lab_rack
from appliance.model.bmc import BmcEndpoint
from appliance.model.codec import to_json
from appliance.model.hardware import Firmware
from appliance.model.ids import MachineName
from appliance.model.secret import Secret

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQ1Ctl0oCSIvIZYbtdxvWEjYC3x5mDSbKKzLkSKSSPX lab"


@pytest.fixture
def running(tmp_path: Path) -> Path:
    spec = RackSpec(nodes=3, firmware=Firmware.BIOS, workdir=Path("/rack"))
    nodes = tuple(
        RackNode(
            spec=node,
            bmc=BmcEndpoint(
                url=f"https://{node.bmc_address}", user="admin", password=Secret("geheim"), fingerprint="ab" * 32
            ),
        )
        for node in nodes_of(spec)
    )
    (tmp_path / "rack.json").write_bytes(to_json(RackState(accelerator=Accelerator.TCG, nodes=nodes)))
    (tmp_path / "id_ed25519.pub").write_text(f"{KEY}\n")
    return tmp_path


def test_without_a_running_rack_there_are_two_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INNERVATE_LAB", raising=False)
    rack = lab_rack()
    assert rack.machines == ("node-0", "node-1")
    assert {server.bmc.fingerprint for server in rack.servers} == {"00" * 32}
    assert rack.shell.authorized_keys == ()


def test_a_running_rack_is_read(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERVATE_LAB", str(running))
    rack = lab_rack()
    last = MachineName("node-2")
    assert rack.machines[-1] == last
    assert rack.bmc_of(last).password.reveal() == "geheim"
    assert rack.bmc_of(last).url == "https://10.77.1.12"
    assert rack.address_of(last) == IPv4Address("10.77.0.52")
    assert rack.shell.authorized_keys == (KEY,)


def test_a_folder_given_comes_before_the_variable(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERVATE_LAB", "/nonexistent")
    assert lab_rack(running) == lab_rack(running)
    with pytest.raises(SiteError, match="no virtual rack runs in /nonexistent"):
        lab_rack()


def test_a_state_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "rack.json").write_text("{}")
    with pytest.raises(SiteError, match="accelerator") as caught:
        lab_rack(tmp_path)
    assert str(tmp_path) in caught.value.evidence
