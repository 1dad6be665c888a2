"""The stand-ins themselves: they take what the appliance renders, refuse what is wrong, leave trees of its form."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.model.okd import OkdSpec
from appliance.model.secret import Secret
from appliance.okd import ignition
from appliance.okd.agent_config import agent_config
from appliance.okd.artifacts import artifacts_of, read_stream, strangers
from appliance.okd.catalogue import STAND_INS, standing
from appliance.okd.install_config import install_config
from appliance.okd.version import OkdVersion
from images.engine import Provenance
from tests.okd.sets import stand_in_set
from tests.okd.standin import installer, oc
from tests.unit.appliance.okd.samples import AGENTS, COMPACT, EAR, FULL, PLANES, SINGLE, STATED, WORKERS

AUTHORITY = installer.Authority("mirror").pem
TREE = {"auth/kubeadmin-password", "auth/kubeconfig", "metadata.json", installer.STATE}


def run(folder: Path, *words: str) -> int:
    """Its exit status."""
    try:
        installer.main([*words, f"--dir={folder}"])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def configured(folder: Path, spec: OkdSpec) -> Path:
    (folder / "install-config.yaml").write_text(install_config(spec, "amd64", AUTHORITY))
    return folder


def test_from_an_install_config_to_ignition(tmp_path: Path) -> None:
    assert run(configured(tmp_path, FULL), "create", "manifests") == 0
    assert "install-config.yaml" not in tree(tmp_path), "it is consumed"
    assert "openshift/99_openshift-cluster-api_master-machines-2.yaml" in tree(tmp_path)
    (tmp_path / "manifests/cluster-scheduler-02-config.yml").write_text("mastersSchedulable: false\n")
    assert run(tmp_path, "create", "ignition-configs") == 0
    assert tree(tmp_path) == TREE | {"bootstrap.ign", "master.ign", "worker.ign"}
    bootstrap = json.loads((tmp_path / "bootstrap.ign").read_text())
    (kept,) = [one for one in bootstrap["storage"]["files"] if one["path"].endswith("scheduler-02-config.yml")]
    assert kept["contents"]["source"] == installer.data("mastersSchedulable: false\n"), "what was edited goes in"
    assert run(tmp_path, "create", "ignition-configs") == 3, "there is nothing left to make it from"


def test_its_ignition_passes_the_validator_and_the_appliance(tmp_path: Path) -> None:
    run(configured(tmp_path, FULL), "create", "ignition-configs")
    program = shutil.which("ignition-validate")
    for host in (*FULL.hosts[:2], WORKERS[0]):
        given = (tmp_path / f"{host.role.value}.ign").read_text()
        path = tmp_path / f"{host.name}.node"
        path.write_text(ignition.node_config(FULL, host, EAR, Secret(given)).text)
        for one in (path, tmp_path / f"{host.role.value}.ign") if program is not None else ():
            assert subprocess.run([str(program), str(one)], check=False, timeout=30).returncode == 0
    if program is None:
        pytest.skip("NOT TESTED: ignition-validate (Debian's ignition) is not installed, see tests/packages.txt")


def test_compact_takes_pods_on_its_control_planes_and_a_single_node_starts_itself(tmp_path: Path) -> None:
    (tmp_path / "compact").mkdir()
    run(configured(tmp_path / "compact", COMPACT), "create", "manifests")
    assert "mastersSchedulable: true" in (tmp_path / "compact/manifests/cluster-scheduler-02-config.yml").read_text()
    assert run(configured(tmp_path, SINGLE), "create", "single-node-ignition-config") == 0
    assert installer.ISO in tree(tmp_path)


def test_agents_boot_artifacts(tmp_path: Path) -> None:
    said = agent_config(AGENTS, "http://10.77.0.1/okd", (IPv4Address("10.77.0.1"),))
    (configured(tmp_path, AGENTS) / "agent-config.yaml").write_text(said)
    assert run(tmp_path, "agent", "create", "pxe-files") == 0
    names = {f"boot-artifacts/agent.x86_64{one}" for one in ("-vmlinuz", "-initrd.img", "-rootfs.img", ".ipxe")}
    assert tree(tmp_path) == TREE | names | {"rendezvousIP"}


def test_a_stated_network_needs_nmstatectl_as_with_the_real_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = replace(AGENTS, hosts=(replace(PLANES[0], network=STATED), *AGENTS.hosts[1:]))
    (configured(tmp_path, spec) / "agent-config.yaml").write_text(agent_config(spec, "http://10.77.0.1/okd", ()))
    status, found = run(tmp_path, "agent", "create", "pxe-files"), shutil.which("nmstatectl")
    assert (status == 0) is (found is not None)
    assert found or "nmstatectl" in capsys.readouterr().err


def changed(spec: OkdSpec, change: Callable[[dict[str, object]], object]) -> str:
    document: dict[str, object] = json.loads(install_config(spec, "amd64", AUTHORITY))
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (changed(FULL, lambda d: d.update(imageContentSource=[])), "imageContentSource"),
        (changed(FULL, lambda d: d.update(pullSecret="{}")), "pullSecret: Invalid value"),
        (changed(FULL, lambda d: d.update(sshKey="none")), "sshKey: Invalid value"),
        (changed(FULL, lambda d: d.update(additionalTrustBundle="none")), "additionalTrustBundle: Invalid value"),
        (changed(FULL, lambda d: d.update(bootstrapInPlace={"installationDisk": "/dev/sda"})), "replicas to be 1"),
        (changed(FULL, lambda d: d.update(platform={})), "must specify one of the platforms"),
        (changed(replace(FULL, prefix=8), lambda _: None), "hostPrefix: Invalid value"),
        (changed(FULL, lambda d: d.update(fips="yes")), "cannot unmarshal str into field .fips"),
    ],
    ids=["field", "secret", "key", "bundle", "in place", "platform", "prefix", "type"],
)
def test_what_the_real_one_refuses_is_refused(
    text: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "install-config.yaml").write_text(text)
    with pytest.raises(SystemExit):
        installer.main(["create", "manifests", f"--dir={tmp_path}"])
    assert why in capsys.readouterr().err
    assert (tmp_path / "install-config.yaml").exists(), "nothing was consumed"


def test_it_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """As a program of its own, as the appliance calls the genuine one, too."""
    argv = [sys.executable, str(installer.__file__), "version"]
    assert b"STAND-IN" in subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout
    installer.main(["version"])
    oc.main(["version", "--client"])
    assert capsys.readouterr().out.count("STAND-IN") == 2
    with pytest.raises(SystemExit):
        installer.main(["destroy", "cluster"])


def test_its_set_is_whole_and_known_for_what_it_is(tmp_path: Path) -> None:
    """Whatever it says of itself."""
    for provenance in (Provenance.STAND_IN, Provenance.GENUINE):
        described = stand_in_set(tmp_path / provenance.value, provenance)
        stream = (tmp_path / provenance.value / "stream.json").read_text()
        assert strangers(artifacts_of(described), read_stream(stream, described.arch)) == ()
        assert standing(described).words.startswith("STAND-IN")
    assert str(OkdVersion.parse(described.version)) == installer.VERSION


def test_the_catalogue_knows_these_programs() -> None:
    """Where one was changed, its SHA-256 belongs into `appliance/okd/catalogue.py`."""
    assert {sha256(Path(str(one.__file__)).read_bytes()).hexdigest() for one in (installer, oc)} == STAND_INS
