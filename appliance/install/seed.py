"""The seed of an installed system: what makes one of many equal images this machine, on a partition labelled CIDATA.

NoCloud files for systems with cloud-init (its documentation, "NoCloud"; network configuration version 2), and the same
as plain files for systems without. YAML is written as JSON, its subset: no value can leave its quotes.
"""

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from appliance.errors import UsageError
from appliance.model.ids import Nonce
from appliance.model.site import BootNetwork
from appliance.plan import WriteSeed

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOSTNAME = re.compile(_LABEL)
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_KEY = re.compile(
    r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com"
    r"|sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]{16,8000}={0,2}(?: [ -~]{0,200})?"
)
_URL = re.compile(r"https?://[0-9.]{7,15}(?::[0-9]{1,5})?/[A-Za-z0-9._~/-]{0,200}")
_NONCE = re.compile(r"[A-Za-z0-9_-]{8,128}")
_NICS = ("en*", "eth*")


def seed_files(action: WriteSeed, *, nonce: Nonce, report_url: str, network: BootNetwork) -> Mapping[str, bytes]:
    """File name -> content. Raises `UsageError` for a value that has no place in these files."""
    _refuse_strange(action, nonce)
    _refuse_foreign(report_url, network)
    keys = "".join(f"{key}\n" for key in action.authorized_keys)
    return {
        "meta-data": _json({"instance-id": f"{action.hostname}-{nonce}", "local-hostname": action.hostname}),
        "user-data": b"#cloud-config\n" + _json(_user_data(action)),
        "network-config": _json(_network_config()),
        "hostname": f"{action.hostname}\n".encode(),
        "authorized_keys": keys.encode(),
        "10-innervate.network": _networkd().encode(),
        "report.url": f"{report_url}\n".encode(),
        "report.json": _json({"nonce": nonce}),
    }


def _user_data(action: WriteSeed) -> Mapping[str, object]:
    """Keys stand under the user: at the top level cloud-init gives them to the distribution's default user."""
    return {
        "hostname": action.hostname,
        "fqdn": f"{action.hostname}.{action.domain}",
        "disable_root": False,
        "ssh_pwauth": False,
        "users": [{"name": "root", "ssh_authorized_keys": list(action.authorized_keys)}],
        "growpart": {"mode": "auto", "devices": ["/"]},
        "resize_rootfs": True,
    }


def _network_config() -> Mapping[str, object]:
    ethernets = {
        f"nic{i}": {"match": {"name": name}, "dhcp4": True, "dhcp-identifier": "mac"} for i, name in enumerate(_NICS)
    }
    return {"version": 2, "ethernets": ethernets}


def _networkd() -> str:
    """The MAC as client identifier: the firmware's, too, so that the lease stays the same from PXE to the system."""
    return (
        f"[Match]\nName={' '.join(_NICS)}\n\n"
        "[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n\n"
        "[DHCPv4]\nClientIdentifier=mac\n"
    )


def _refuse_strange(action: WriteSeed, nonce: Nonce) -> None:
    _require(_HOSTNAME, action.hostname, "host name")
    _require(_DOMAIN, action.domain, "domain")
    _require(_NONCE, nonce, "nonce")
    for key in action.authorized_keys:
        _require(_KEY, key, "OpenSSH public key line")


def _refuse_foreign(report_url: str, network: BootNetwork) -> None:
    _require(_URL, report_url, "report URL")
    if urlsplit(report_url).hostname != str(network.address):
        raise UsageError(
            "machines report to their own appliance only",
            evidence=f"{report_url} is not on {network.address}",
            next_action="use the appliance's address on the boot network in the report URL",
        )


def _require(pattern: re.Pattern[str], text: str, what: str) -> None:
    if not pattern.fullmatch(text):
        raise UsageError(
            f"not a {what}", evidence=repr(text)[:120], next_action=f"correct the {what} in the site program"
        )


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
