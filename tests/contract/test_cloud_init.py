"""Seeds against Debian's cloud-init: its NoCloud source reads the volume, its schema accepts the documents, its
renderers write the network. It is unpacked, never installed: who has it is configured by it at the next boot."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.model.cloud_init import CloudInit
from images.processes import HostProcesses
from images.seed import LABEL, build
from tests.foreign import CLOUD_INIT, unpacked
from tests.unit.appliance.install.test_seed import ACTION, KEY, NONCE, TOLD, seed

_MAIN = "import sys; from cloudinit.cmd.main import main; sys.exit(main(sys.argv))"
_SOURCE = """
import json, sys
from cloudinit.helpers import Paths
from cloudinit.sources.DataSourceNoCloud import DataSourceNoCloud
from cloudinit.util import decode_binary as text
folder = sys.argv[1]
config = {"datasource": {"NoCloud": {"fs_label": None}}}
source = DataSourceNoCloud(config, None, Paths({"cloud_dir": folder, "run_dir": folder}))
assert source.get_data(), "it found nothing"
print(json.dumps({
    "id": source.get_instance_id(), "name": source.metadata["local-hostname"], "user": text(source.userdata_raw),
    "vendor": text(source.vendordata_raw), "network": source.network_config}))
"""
PLAIN, SAID = pytest.param(ACTION, id="plain"), pytest.param(TOLD, id="with data of the site program")


def cloud_init(*argv: str, script: str = _MAIN) -> subprocess.CompletedProcess[str]:
    root = unpacked(*CLOUD_INIT)
    environment = {**os.environ, "PYTHONPATH": str(root / "usr/lib/python3/dist-packages")}
    return subprocess.run(
        ["/usr/bin/python3", "-W", "ignore", "-c", script, *argv],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def taken_from_volume(files: dict[str, bytes], folder: Path) -> Path:
    """What the volume holds, as mtools read it: a program that did not take part in what we say of it."""
    volume, out = folder / "volume", folder / "seed" / "nocloud"
    volume.write_bytes(build(files, HostProcesses()))
    out.mkdir(parents=True)
    subprocess.run(["mcopy", "-i", str(volume), "::*", str(out)], check=True, timeout=30)
    shown = subprocess.run(
        ["blkid", "-p", "-o", "value", "-s", "LABEL", str(volume)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert shown.stdout.strip() == LABEL == "CIDATA"
    return out


@pytest.mark.parametrize("action", [PLAIN, SAID])
def test_its_source_reads_the_volume(action: object, tmp_path: Path) -> None:
    files = seed(action)  # type: ignore[arg-type]  # parametrized
    taken_from_volume(files, tmp_path)
    done = cloud_init(str(tmp_path), script=_SOURCE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["id"], found["name"]) == (f"node-0-{NONCE}", "node-0")
    assert found["user"].encode() == files["user-data"]
    assert found["vendor"].encode() == files["vendor-data"]
    assert found["network"] == json.loads(files["network-config"])


@pytest.mark.parametrize("name", ["user-data", "vendor-data"])
@pytest.mark.parametrize("action", [PLAIN, SAID])
def test_its_schema_accepts_the_documents(name: str, action: object, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(seed(action)[name])  # type: ignore[arg-type]  # parametrized
    done = cloud_init("schema", "--config-file", str(tmp_path / name))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout


def test_its_schema_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    """Or the test above would say nothing."""
    wrong = replace(ACTION, cloud_init=CloudInit(user_data={"packages": 7, "users": [7]}).documents)
    (tmp_path / "user-data").write_bytes(seed(wrong)["user-data"])
    done = cloud_init("schema", "--config-file", str(tmp_path / "user-data"))
    assert done.returncode == 1
    assert "packages" in done.stderr


@pytest.mark.parametrize("renderer", ["netplan", "networkd", "eni", "network-manager"])
def test_a_port_that_is_named_by_its_mac_gets_its_address(renderer: str, tmp_path: Path) -> None:
    written = rendered(seed(TOLD)["network-config"], renderer, tmp_path)
    assert "52:54:00:77:00:01" in written
    assert "10.77.0.50/24" in written
    assert KEY not in written


def test_dhcp_on_every_port_needs_netplan(tmp_path: Path) -> None:
    """What cloud-init makes of a pattern: netplan gets it as it is; networkd would look for a port called nic0."""
    plain = seed()["network-config"]
    assert "name: en*" in rendered(plain, "netplan", tmp_path / "a")
    assert "Name=nic0" in rendered(plain, "networkd", tmp_path / "b")


def rendered(document: bytes, renderer: str, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "network-config").write_bytes(document)
    argv = (
        "-p",
        str(folder / "network-config"),
        "-k",
        "yaml",
        "-d",
        str(folder / "out"),
        "-D",
        "debian",
        "-O",
        renderer,
    )
    done = cloud_init("devel", "net-convert", *argv)
    assert done.returncode == 0, done.stderr
    return "\n".join(path.read_text() for path in sorted((folder / "out").rglob("*")) if path.is_file())
