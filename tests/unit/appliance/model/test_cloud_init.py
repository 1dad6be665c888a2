"""What a site program may say to cloud-init, and what not: a seed is read by whoever listens on the boot network."""

import json
from collections.abc import Mapping

import pytest

from appliance.errors import SiteError
from appliance.model.cloud_init import CloudInit, Json

HASH = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n"


@pytest.mark.parametrize(
    ("user_data", "reason"),
    [
        ({"password": "hunter2"}, "user_data.password: a clear password"),
        ({"users": [{"name": "ops", "passwd": "hunter2"}]}, "user_data.users.0.passwd: a clear password"),
        ({"users": [{"name": "ops", "plain_text_passwd": "x"}]}, "plain_text_passwd: a clear password"),
        ({"users": [{"name": "ops", "plain_text_passwd": HASH}]}, "plain_text_passwd: a clear password"),
        ({"users": [{"name": "ops", "hashed_passwd": "hunter2"}]}, "hashed_passwd: a clear password"),
        ({"users": [{"name": "ops", "passwd": 1234}]}, "passwd: a clear password"),
        ({"chpasswd": {"list": "ops:hunter2\n"}}, "chpasswd.list: a clear password"),
        ({"chpasswd": {"list": [f"ops:{HASH}", "ann:RANDOM"]}}, "chpasswd.list: a clear password"),
        ({"chpasswd": {"list": "ops:R"}}, "chpasswd.list: a clear password"),
        ({"chpasswd": {"list": "ops:"}}, "chpasswd.list: a clear password"),
        ({"chpasswd": {"users": [{"name": "ops", "password": "x"}]}}, "password: a clear password"),
        ({"chpasswd": {"users": [{"name": "ops", "type": "RANDOM"}]}}, "a password that is no hash"),
        ({"chpasswd": {"users": [{"name": "ops", "password": HASH, "type": "text"}]}}, "a password that is no hash"),
        ({"rh_subscription": {"username": "a", "password": "b"}}, "rh_subscription.password: a clear password"),
        ({"ssh_keys": {"ed25519_private": PRIVATE}}, "ed25519_private: a private key"),
        ({"write_files": [{"path": "/k", "content": PRIVATE}]}, "write_files.0.content: a private key"),
        ({"hostname": "x"}, "hostname is the appliance's"),
        ({"datasource_list": ["Ec2"]}, "datasource_list is the appliance's"),
        ({"disable_root": True}, "disable_root is the appliance's"),
        ({"users": [{"name": "root"}]}, "root is the appliance's"),
        ({"users": ["root"]}, "root is the appliance's"),
        ({"users": "ops"}, "users is no list"),
        ({"write_files": {"path": "/x"}}, "write_files is no list"),
    ],
)
def test_refused(user_data: Mapping[str, Json], reason: str) -> None:
    with pytest.raises(SiteError) as caught:
        CloudInit(user_data=user_data)
    assert reason in str(caught.value)
    assert caught.value.next_action
    assert "hunter2" not in f"{caught.value} {caught.value.evidence} {caught.value.next_action}"


@pytest.mark.parametrize(
    "user_data",
    [
        {"users": [{"name": "ops", "passwd": HASH, "lock_passwd": False}]},
        {"users": [{"name": "ops", "passwd": "!"}]},
        {"chpasswd": {"list": f"ops:{HASH}\n", "expire": False}},
        {"chpasswd": {"users": [{"name": "ops", "password": HASH}]}},
        {"ssh_pwauth": True, "packages": ["postgresql"], "runcmd": [["systemctl", "enable", "x"]]},
        {"write_files": [{"path": "/etc/motd", "content": "no password here"}]},
    ],
)
def test_accepted(user_data: Mapping[str, Json]) -> None:
    documents = CloudInit(user_data=user_data).documents
    assert documents is not None
    assert json.loads(documents.user_data) == user_data
    assert (documents.vendor_data, documents.meta_data, documents.network_config) == ("", "", "")


def test_other_documents() -> None:
    wifi: Json = {"version": 2, "wifis": {"w0": {"access-points": {"net": {"password": "hunter2"}}}}}
    assert isinstance(wifi, dict)
    with pytest.raises(SiteError, match=r"network_config.*password: a clear password"):
        CloudInit(network_config=wifi)
    with pytest.raises(SiteError, match="no version"):
        CloudInit(network_config={"ethernets": {}})
    with pytest.raises(SiteError, match="instance-id is the appliance's"):
        CloudInit(meta_data={"instance-id": "x"})
    with pytest.raises(SiteError, match="fqdn is the appliance's"):
        CloudInit(vendor_data={"fqdn": "x"})
    with pytest.raises(SiteError, match=r"vendor_data.password"):
        CloudInit(vendor_data={"password": "x"})
    assert CloudInit().documents is None
    assert CloudInit(user_data={"b": 1, "a": 2}).documents == CloudInit(user_data={"a": 2, "b": 1}).documents


@pytest.mark.parametrize("value", [float("nan"), "x" * 300_000, b"bytes", object()])
def test_what_is_no_json_or_too_much(value: object) -> None:
    with pytest.raises(SiteError):
        _ = CloudInit(user_data={"x": value}).documents  # type: ignore[dict-item]  # a table of faults


def test_depth() -> None:
    deep: Json = "x"
    for _ in range(40):
        deep = [deep]
    with pytest.raises(SiteError, match="too deep"):
        CloudInit(user_data={"x": deep})
