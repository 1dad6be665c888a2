"""Our network files against the programs that they are for: netplan writes the same files for networkd as we do,
NetworkManager reads its keyfiles, cloud-init's renderers know every link. All are unpacked, never installed."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from appliance.install.keyfile import keyfiles
from appliance.install.netplan import netplan_document
from appliance.install.networkd import networkd_files
from appliance.model.links import MachineNetwork, NicLink, VlanLink
from tests import network_readers as read
from tests.contract.test_cloud_init import rendered
from tests.foreign import NETPLAN, NETWORK_MANAGER, unpacked
from tests.network_cases import CASES

_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
ALL = pytest.mark.parametrize("network", list(CASES.values()), ids=list(CASES))


def asked(root: Path, program: str, *argv: str, said: bytes = b"") -> bytes:
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(str(root / folder) for folder in _LIBRARIES)}
    done = subprocess.run(
        [str(root / program), *argv], input=said, capture_output=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@ALL
def test_netplan_makes_the_same_of_our_document(network: MachineNetwork, tmp_path: Path) -> None:
    file = tmp_path / "etc/netplan/50.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"network": netplan_document(network)}))
    file.chmod(0o600)
    asked(unpacked(*NETPLAN), "usr/libexec/netplan/generate", "--root-dir", str(tmp_path))
    theirs = {path.name: path.read_text() for path in (tmp_path / "run/systemd/network").iterdir()}
    ours = {name: text.decode() for name, text in networkd_files(network).items()}
    assert read.networkd(theirs) == read.networkd(ours) == read.by_name(network)


@ALL
def test_network_manager_reads_its_keyfiles(network: MachineNetwork) -> None:
    """`nmcli --offline` refuses what it does not know, and writes what it understood."""
    root = unpacked(*NETWORK_MANAGER)
    argv = ("usr/bin/nmcli", "--offline", "connection", "modify", "connection.autoconnect", "yes")
    theirs = {name: asked(root, *argv, said=data).decode() for name, data in keyfiles("node-0", network).items()}
    assert read.keyfiles(theirs) == read.by_name(network)


def test_network_manager_refuses_what_makes_no_sense() -> None:
    """Or the test above would say nothing."""
    wrong = keyfiles("node-0", CASES["bonded"])["bond0.nmconnection"].replace(b"active-backup", b"active-sandwich")
    with pytest.raises(AssertionError):
        asked(unpacked(*NETWORK_MANAGER), "usr/bin/nmcli", "--offline", "connection", "modify", said=wrong)


@pytest.mark.long
@ALL
@pytest.mark.parametrize("renderer", ["eni", "network-manager"])
def test_the_renderers_of_cloud_init_know_each_link(network: MachineNetwork, renderer: str, tmp_path: Path) -> None:
    """Its renderer for networkd makes neither bonds nor VLANs (22.4)."""
    written = rendered(json.dumps(netplan_document(network)).encode(), renderer, tmp_path)
    for link in network.links:
        assert link.name in written
        for address in link.ip.addresses:
            assert str(address) in written
        if isinstance(link, NicLink):
            assert str(link.mac) in written.lower()
        if isinstance(link, VlanLink):
            assert str(link.id) in written
