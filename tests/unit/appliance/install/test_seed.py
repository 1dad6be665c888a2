import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import UsageError
from appliance.install.netplan import netplan_document
from appliance.install.networkd import networkd_files
from appliance.install.seed import seed_files
from appliance.lab.topology import boot_network
from appliance.model.cloud_init import CloudDocuments, CloudInit
from appliance.model.codec import from_json, to_json
from appliance.model.ids import Nonce
from appliance.plan import DiskRef, WriteSeed
from tests.network_cases import BONDED, PLAIN

GOLDEN = Path(__file__).parents[3] / "golden/seed/node-0"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQ1Ctl0oCSIvIZYbtdxvWEjYC3x5mDSbKKzLkSKSSPX operator@desk"
RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7"
ACTION = WriteSeed(
    disk=DiskRef(serial="DISK0001", wwn="", size_bytes=4 << 30, contents="blank"),
    hostname="node-0",
    domain="rack.test",
    authorized_keys=(KEY, RSA),
)
NONCE = Nonce("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
URL = "http://10.77.0.1/report/node-0"


def seed(action: WriteSeed = ACTION, nonce: str = NONCE, report_url: str = URL) -> dict[str, bytes]:
    return dict(seed_files(action, nonce=Nonce(nonce), report_url=report_url, network=boot_network()))


def test_golden_seed() -> None:
    assert seed() == {path.name: path.read_bytes() for path in GOLDEN.iterdir()}


@pytest.mark.parametrize(
    "changes",
    [
        {"hostname": "node_0"},
        {"hostname": "-node"},
        {"hostname": "node-0\n"},
        {"hostname": ""},
        {"hostname": "a" * 64},
        {"domain": "rack..test"},
        {"domain": "rack.test\n[Network]"},
        {"domain": ".".join(["a" * 60] * 5)},
        {"authorized_keys": (f"{KEY}\n{KEY}",)},
        {"authorized_keys": (f'command="reboot" {KEY}',)},
        {"authorized_keys": ("ssh-dss AAAAB3NzaC1kc3MAAACBAAAA",)},
        {"authorized_keys": ("-----BEGIN OPENSSH PRIVATE KEY-----",)},
        {"authorized_keys": (KEY, "")},
    ],
)
def test_hostile_actions(changes: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        seed(replace(ACTION, **changes))  # type: ignore[arg-type]  # a table of faults
    assert caught.value.next_action


@pytest.mark.parametrize(
    "url",
    [
        "http://10.77.0.1",
        "ftp://10.77.0.1/report",
        "http://10.77.0.1/report\nX",
        "http://10.77.0.1/report?x=$(reboot)",
        "http://10.77.0.2/report",
        "http://10.77.0.1.example.com/report",
        "http://10.77.0.1@10.0.0.1/report",
        "http://10.77.0.1/" + "a" * 300,
    ],
)
def test_hostile_urls(url: str) -> None:
    with pytest.raises(UsageError):
        seed(report_url=url)


@pytest.mark.parametrize("url", ["http://10.77.0.1:8080/report/node-0", "https://10.77.0.1/"])
def test_usual_urls(url: str) -> None:
    assert seed(report_url=url)["report.url"] == f"{url}\n".encode()


@pytest.mark.parametrize("nonce", ["", "short", "with blank in it", "x" * 129, 'quote"quote"'])
def test_hostile_nonces(nonce: str) -> None:
    with pytest.raises(UsageError):
        seed(nonce=nonce)


@given(st.text(max_size=40))
def test_no_text_breaks_out_of_a_host_name(text: str) -> None:
    try:
        files = seed(replace(ACTION, hostname=text))
    except UsageError:
        return
    assert files["hostname"] == f"{text}\n".encode()
    assert text.replace("-", "").isalnum()


def test_a_stated_network_takes_the_place_of_dhcp() -> None:
    files = seed(replace(ACTION, network=BONDED))
    assert {name for name in files if name.endswith((".link", ".netdev", ".network"))} == set(networkd_files(BONDED))
    assert files["10-innervate-bond0.netdev"] == networkd_files(BONDED)["10-innervate-bond0.netdev"]
    assert json.loads(files["network-config"]) == netplan_document(BONDED)
    assert "resolv.conf" not in files
    assert seed(replace(ACTION, network=PLAIN))["resolv.conf"].startswith(b"search rack.test")


def test_a_plan_with_a_network_is_another_plan() -> None:
    stated = replace(ACTION, network=BONDED)
    assert b'"network"' not in to_json(ACTION)
    assert from_json(WriteSeed, to_json(stated)) == stated


def test_each_installation_has_its_own_instance() -> None:
    assert seed()["meta-data"] != seed(nonce="another-nonce")["meta-data"]


CLOUD = CloudInit(
    user_data={
        "users": [{"name": "ops", "ssh_authorized_keys": [KEY], "groups": "sudo"}],
        "write_files": [{"path": "/etc/motd", "content": "worker\n"}],
        "packages": ["chrony"],
        "ssh_pwauth": True,
    },
    vendor_data={"timezone": "Europe/Zurich"},
    meta_data={"rack": "r1"},
    network_config={
        "version": 2,
        "ethernets": {
            "lan0": {
                "match": {"macaddress": "52:54:00:77:00:01"},
                "set-name": "lan0",
                "addresses": ["10.77.0.50/24"],
            }
        },
    },
)
TOLD = replace(ACTION, cloud_init=CLOUD.documents)


def document(files: dict[str, bytes], name: str) -> dict[str, object]:
    return json.loads(files[name].removeprefix(b"#cloud-config\n"))


def test_what_the_site_program_says_is_joined_with_what_we_need() -> None:
    files = seed(TOLD)
    user = document(files, "user-data")
    assert user["packages"] == ["chrony"]
    assert user["ssh_pwauth"] is True
    assert [one["name"] for one in user["users"]] == ["ops", "root"]
    assert [one["path"] for one in user["write_files"]] == ["/etc/motd", "/etc/cloud/cloud.cfg.d/90_innervate.cfg"]
    assert (user["hostname"], user["disable_root"]) == ("node-0", False)
    assert document(files, "vendor-data") == {"timezone": "Europe/Zurich"}
    assert document(files, "meta-data") == {
        "rack": "r1",
        "instance-id": f"node-0-{NONCE}",
        "local-hostname": "node-0",
    }
    assert list(document(files, "network-config")["ethernets"]) == ["lan0"]
    plain = seed()
    assert {name for name in files if files[name] == plain[name]} >= {"hostname", "authorized_keys", "report.json"}


def test_the_source_is_pinned() -> None:
    for action in (ACTION, TOLD):
        last = document(seed(action), "user-data")["write_files"][-1]
        assert yaml.safe_load(last["content"]) == {"datasource_list": ["NoCloud", "None"]}


def test_a_plan_without_it_has_the_digest_that_it_had() -> None:
    assert b"cloud_init" not in to_json(ACTION)
    assert from_json(WriteSeed, to_json(ACTION)) == ACTION
    assert from_json(WriteSeed, to_json(TOLD)) == TOLD
    assert to_json(TOLD) != to_json(replace(ACTION, cloud_init=CloudInit(meta_data={"a": 1}).documents))


def test_one_document_that_is_no_mapping() -> None:
    with pytest.raises(UsageError):
        seed(replace(ACTION, cloud_init=CloudDocuments(user_data="[]")))
