"""The seed of an installed system: what makes one of many equal images this machine, on a partition labelled CIDATA.

NoCloud files for systems with cloud-init (its documentation, "NoCloud"; network configuration version 2), and the same
as plain files for systems without. YAML is written as JSON, its subset: no value can leave its quotes. What the site
program says to cloud-init is joined with what the appliance needs.
"""

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from appliance.errors import UsageError
from appliance.install.netplan import netplan_document
from appliance.install.networkd import PREFIX, networkd_files, resolv_conf
from appliance.model.cloud_init import CloudDocuments
from appliance.model.ids import Nonce
from appliance.model.secret import Secret
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
_HEAD = b"#cloud-config\n"
_PIN = "/etc/cloud/cloud.cfg.d/90_innervate.cfg"
_PINNED = "datasource_list: [NoCloud, None]\n"


def seed_files(
    action: WriteSeed,
    *,
    nonce: Nonce,
    report_url: str,
    network: BootNetwork,
    secrets: Mapping[str, Secret] | None = None,
) -> Mapping[str, bytes]:
    """File name -> content. `secrets` by name. Raises `UsageError` for a value that has no place in these files."""
    _refuse_strange(action, nonce)
    _refuse_foreign(report_url, network)
    told = action.cloud_init or CloudDocuments()
    keys = "".join(f"{key}\n" for key in action.authorized_keys)
    return {
        "meta-data": _json({**_said(told.meta_data), **_meta_data(action, nonce)}),
        "user-data": _HEAD + _json(_user_data(action, _said(told.user_data))),
        "vendor-data": _HEAD + _json(_said(told.vendor_data)),
        "network-config": _json(_said(told.network_config) or _network_config(action)),
        "hostname": f"{action.hostname}\n".encode(),
        "authorized_keys": keys.encode(),
        **_plain_network(action),
        "report.url": f"{report_url}\n".encode(),
        "report.json": _json({"nonce": nonce}),
        **{f"secret.{name}": secret.reveal().encode() for name, secret in (secrets or {}).items()},
    }


def _meta_data(action: WriteSeed, nonce: Nonce) -> dict[str, object]:
    return {"instance-id": f"{action.hostname}-{nonce}", "local-hostname": action.hostname}


def _user_data(action: WriteSeed, told: Mapping[str, object]) -> Mapping[str, object]:
    """Keys stand under the user: at the top level cloud-init gives them to the distribution's default user.

    The file that is written pins the source: nothing on the network is asked at later boots (CVE-2024-6174).
    """
    root = {"name": "root", "ssh_authorized_keys": list(action.authorized_keys)}
    pinned = {"path": _PIN, "content": _PINNED, "permissions": "0644"}
    return {
        "ssh_pwauth": False,
        "growpart": {"mode": "auto", "devices": ["/"]},
        "resize_rootfs": True,
        **told,
        "hostname": action.hostname,
        "fqdn": f"{action.hostname}.{action.domain}",
        "disable_root": False,
        "users": [*_listed(told, "users"), root],
        "write_files": [*_listed(told, "write_files"), pinned],
    }


def _said(document: str) -> dict[str, object]:
    said = json.loads(document or "{}")
    if not isinstance(said, dict):
        raise UsageError("what is said to cloud-init is no mapping", next_action="correct `cloud_init` in the score")
    return said


def _listed(told: Mapping[str, object], key: str) -> Sequence[object]:
    listed = told.get(key, ())
    return listed if isinstance(listed, list) else ()


def _network_config(action: WriteSeed) -> Mapping[str, object]:
    if action.network is not None:
        return netplan_document(action.network)
    ethernets = {
        f"nic{i}": {"match": {"name": name}, "dhcp4": True, "dhcp-identifier": "mac"} for i, name in enumerate(_NICS)
    }
    return {"version": 2, "ethernets": ethernets}


def _plain_network(action: WriteSeed) -> Mapping[str, bytes]:
    """For systemd-networkd, and for systems without a resolver of their own."""
    if action.network is None:
        return {f"{PREFIX.rstrip('-')}.network": _dhcp_everywhere().encode()}
    resolver = resolv_conf(action.network)
    return {**networkd_files(action.network), **({"resolv.conf": resolver} if resolver else {})}


def _dhcp_everywhere() -> str:
    """The MAC as client identifier: the firmware's, too, so that the lease stays the same from PXE to the system."""
    return (
        f"[Match]\nName={' '.join(_NICS)}\n\n"
        "[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n\n"
        "[DHCPv4]\nClientIdentifier=mac\n"
    )


def _refuse_strange(action: WriteSeed, nonce: Nonce) -> None:
    require_names(action.hostname, action.domain)
    _require(_NONCE, nonce, "nonce")
    for key in action.authorized_keys:
        _require(_KEY, key, "OpenSSH public key line")


def require_names(hostname: str, domain: str) -> None:
    """Raises `UsageError`."""
    _require(_HOSTNAME, hostname, "host name")
    _require(_DOMAIN, domain, "domain")


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
