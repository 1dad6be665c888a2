"""Documents, Ignition and kernel words; golden files where machines or the installer read them."""

import gzip
import json
import shutil
import subprocess
from base64 import b64decode
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.errors import ClusterError, SiteError
from appliance.model.ignition import Config
from appliance.model.okd import OkdHost, OkdRole, OkdSpec, OkdWay
from appliance.model.secret import Secret
from appliance.okd import ignition
from appliance.okd.agent_config import agent_config
from appliance.okd.boot import live_words
from appliance.okd.install_config import install_config
from pxe.boot import Endpoints, RunKernel
from pxe.client import Client, Stage
from pxe.script import boot_script
from tests.unit.appliance.okd.samples import (
    AGENTS,
    AUTHORITY,
    BOOTSTRAP,
    EAR,
    FULL,
    PLANES,
    SHAPES,
    SINGLE,
    STATED,
    WORKERS,
)

GOLDEN = Path(__file__).parents[3] / "golden/okd"
ROOTFS = f"http://10.77.0.1/artifact/{'a4' * 32}"
CA = "data:text/plain;charset=utf-8;base64,LS0tLS1CRUdJTg=="
WHOLE = json.dumps(
    {"ignition": {"version": "3.2.0"}, "storage": {"files": [{"path": "/opt/openshift/x", "mode": 384}]}}
)


def _golden(name: str, text: str) -> None:
    """Written where there is none; delete it to accept a change."""
    path = GOLDEN / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        pytest.fail(f"{path} was missing and has been written: read it")
    assert text == path.read_text()


def pointer(role: str, version: str = "3.2.0", zone: str = "prod.lab.test") -> Secret:
    """As openshift-install writes one."""
    source = f"https://api-int.{zone}:22623/config/{role}"
    security = {"tls": {"certificateAuthorities": [{"source": CA}]}}
    return Secret(
        json.dumps({"ignition": {"config": {"merge": [{"source": source}]}, "security": security, "version": version}})
    )


def given(host: OkdHost) -> Secret:
    return Secret(WHOLE) if host.role is OkdRole.BOOTSTRAP else pointer(host.role.value)


@pytest.mark.parametrize("shape", list(SHAPES))
def test_install_configs_are_the_golden_ones(shape: str) -> None:
    _golden(f"install-config-{shape}.yaml", install_config(SHAPES[shape], "amd64", AUTHORITY))


def test_a_single_node_names_the_disk_that_it_installs_itself_on() -> None:
    found = json.loads(install_config(SINGLE, "amd64", AUTHORITY))
    assert found["bootstrapInPlace"] == {"installationDisk": PLANES[0].device}
    assert "bootstrapInPlace" not in json.loads(install_config(FULL, "amd64", AUTHORITY))


def test_both_repositories_of_a_payload_are_mirrored() -> None:
    found = json.loads(install_config(FULL, "amd64", AUTHORITY))["imageDigestSources"]
    assert [(one["source"].rpartition("/")[2], one["mirrors"]) for one in found] == [
        ("scos-release", ["10.77.0.1:5000/okd/scos-release"]),
        ("scos-content", ["10.77.0.1:5000/okd/scos-content"]),
    ]


def test_an_install_config_that_nobody_could_work_with_is_refused() -> None:
    with pytest.raises(SiteError, match="nobody could enter"):
        install_config(replace(FULL, keys=()), "amd64", AUTHORITY)
    with pytest.raises(SiteError, match="no authority"):
        install_config(FULL, "amd64", "")


def test_agent_config_is_the_golden_one() -> None:
    hosts = (replace(PLANES[0], network=STATED), *AGENTS.hosts[1:])
    said = agent_config(replace(AGENTS, hosts=hosts), "http://10.77.0.1/artifact", (IPv4Address("10.77.0.1"),))
    _golden("agent-config.yaml", said)


def test_agents_are_told_of_a_host_by_mac_and_disk() -> None:
    plain = replace(PLANES[1], wwn="", device="/dev/disk/by-id/virtio-DISK0002")
    said = json.loads(agent_config(replace(AGENTS, hosts=(PLANES[0], plain, PLANES[2])), "http://10.77.0.1/a", ()))
    assert said["rendezvousIP"] == "10.77.0.21"
    assert "additionalNTPSources" not in said
    assert [host["rootDeviceHints"] for host in said["hosts"][:2]] == [
        {"wwn": "0x5002538c40712301"},
        {"serialNumber": "DISK0002"},
    ]
    assert [host["interfaces"] for host in said["hosts"][:1]] == [
        [{"name": "boot0", "macAddress": "52:54:00:77:01:01"}]
    ]
    with pytest.raises(SiteError, match="not installed by agents"):
        agent_config(FULL, "http://10.77.0.1/a", ())


@pytest.mark.parametrize("host", [BOOTSTRAP, PLANES[0], WORKERS[0]], ids=["bootstrap", "master", "worker"])
def test_ignition_is_the_golden_one_and_debians_validator_takes_it(host: OkdHost, tmp_path: Path) -> None:
    node = ignition.node_config(FULL, host, EAR, given(host))
    live = ignition.live_config(FULL, host, EAR, None)
    _golden(f"{host.role.value}.ign", _shown(node))
    if host.role is OkdRole.MASTER:
        _golden("live.ign", _shown(live))
    _validate(tmp_path, node, live, ignition.live_config(SINGLE, PLANES[0], EAR, Secret(WHOLE)))


def _shown(config: Config) -> str:
    return json.dumps(json.loads(config.text), indent=1) + "\n"


def _validate(folder: Path, *configs: Config) -> None:
    if (program := shutil.which("ignition-validate")) is None:
        pytest.skip("NOT TESTED: ignition-validate (Debian's ignition) is not installed, see tests/packages.txt")
    for number, config in enumerate(configs):
        path = folder / f"{number}.ign"
        path.write_text(config.text)
        done = subprocess.run([program, str(path)], capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, done.stdout) == (0, ""), config.summary


def test_the_bootstrap_machine_has_all_of_the_installers_config_inside() -> None:
    (whole,) = ignition.node_config(FULL, BOOTSTRAP, EAR, Secret(WHOLE)).ignition.config.merge
    assert whole.source is not None
    assert gzip.decompress(b64decode(whole.source.partition(",")[2])).decode() == WHOLE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (pointer("worker"), "no pointer to the machine configs"),
        (pointer("master", zone="other.lab.test"), "no pointer to the machine configs"),
        (pointer("master", version="3.1.0"), "no pointer to the machine configs"),
        (Secret('{"ignition": {"version": "3.2.0"}}'), "no pointer to the machine configs"),
    ],
    ids=["another role's", "another cluster's", "another specification's", "nobody's"],
)
def test_what_is_no_pointer_of_this_role_and_cluster_is_refused(text: Secret, why: str) -> None:
    with pytest.raises(ClusterError, match=why):
        ignition.node_config(FULL, PLANES[0], EAR, text)


def test_a_pointer_that_writes_every_field_is_the_same_one() -> None:
    said = json.loads(pointer("master").reveal())
    said["ignition"]["config"] |= {"replace": {"verification": {}}}
    said["ignition"]["config"]["merge"][0] |= {"verification": {}}
    said["ignition"] |= {"proxy": {}, "timeouts": {}}
    full = Secret(json.dumps(said | {"passwd": {}, "storage": {}, "systemd": {}}))
    assert ignition.node_config(FULL, PLANES[0], EAR, full) == ignition.node_config(
        FULL, PLANES[0], EAR, pointer("master")
    )


@pytest.mark.parametrize("text", ["", "{}", '{"ignition": {"version": "2.2.0"}}'], ids=["nothing", "empty", "older"])
def test_what_is_no_ignition_is_given_to_no_bootstrap_machine(text: str) -> None:
    with pytest.raises(ClusterError, match=r"bootstrap\.ign is no Ignition"):
        ignition.node_config(FULL, BOOTSTRAP, EAR, Secret(text))


def test_ignition_is_fresh_for_twelve_hours() -> None:
    ignition.require_fresh(1000.0, 1000.0 + 12 * 3600)
    with pytest.raises(ClusterError, match=r"is 12\.5 hours old") as caught:
        ignition.require_fresh(1000.0, 1000.0 + 12.5 * 3600)
    assert "plan again" in caught.value.next_action
    with pytest.raises(ClusterError):
        ignition.require_fresh(1000.0, 999.0)


@pytest.mark.parametrize(("spec", "name"), [(FULL, "upi"), (SINGLE, "single")], ids=["upi", "single"])
def test_the_live_system_is_told_in_words_that_every_boot_script_can_hold(spec: OkdSpec, name: str) -> None:
    words = live_words(spec, PLANES[0], ROOTFS, EAR.tell)
    intent = RunKernel(kernel="/artifact/k", initrd="/artifact/i", arguments=words, attempt="a")
    client = Client(mac=PLANES[0].mac, stage=Stage.IPXE)
    _golden(f"boot-{name}.ipxe", boot_script(intent, client, Endpoints(address=IPv4Address("10.77.0.1"))))


def test_what_cannot_be_a_cluster_is_refused() -> None:
    for hosts, why in (
        ((BOOTSTRAP, *PLANES[:2]), "2 control planes"),
        (PLANES, "0 bootstrap machines"),
        ((BOOTSTRAP, PLANES[0]), "1 bootstrap machines"),
        ((PLANES[0], *WORKERS), "single node with workers"),
        ((replace(PLANES[0], address=IPv4Address("10.78.0.1")),), "is outside"),
    ):
        with pytest.raises(SiteError, match=why):
            replace(FULL, hosts=hosts)
    with pytest.raises(SiteError, match="1 bootstrap machines"):
        replace(FULL, way=OkdWay.AGENT)
    with pytest.raises(SiteError, match="names no disk"):
        replace(PLANES[0], device="/dev/sda")
