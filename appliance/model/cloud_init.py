"""What a site program says to cloud-init on installed machines, as Python values; no secret may be among them.

The documents travel over the boot network in the clear, and stay on the disk. What would be a clear password there, or
what cloud-init would print as one, is refused (GHSA-jj89-4799-j2qv). Format: cloud-init documentation, "Cloud config
examples".
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.errors import SiteError

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]

OURS: Mapping[str, str] = {
    "hostname": "the machine's name",
    "fqdn": "the machine's name in the boot network's domain",
    "disable_root": "the appliance enters by SSH as root to prove the installation",
    "datasource": "the seed on the machine's own disk is the only source",
    "datasource_list": "the seed on the machine's own disk is the only source",
}
"""Keys of user-data that are the appliance's, and why."""
OUR_META = ("instance-id", "local-hostname")

_HASH = re.compile(r"\$(?:2[aby]|5|6|7|y|gy|argon2id)\$[./A-Za-z0-9$=,+-]{8,250}")
_LOCKED = re.compile(r"[!*]{1,2}")
_PASSWORD_KEYS = re.compile(r"(?:.*_)?(?:password|passwd|passphrase)")
_PRIVATE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_LONGEST = 256 * 1024
_DEEPEST = 32
_WRITE_HASH = "give a hash (mkpasswd -m yescrypt), or better a public key"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudInit:
    """`user_data` and `vendor_data` are cloud-configs, user-data the stronger one. `network_config` (version 1 or 2)
    takes the place of DHCP on every Ethernet port. `meta_data` is added to instance and host name. Raises `SiteError`.
    """

    user_data: Mapping[str, Json] = field(default_factory=dict)
    vendor_data: Mapping[str, Json] = field(default_factory=dict)
    meta_data: Mapping[str, Json] = field(default_factory=dict)
    network_config: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, document in self._named():
            for path, value in _leaves(document, name):
                _refuse_secret(path, value)
        _refuse_text_passwords(self.user_data, "user_data")
        _refuse_text_passwords(self.vendor_data, "vendor_data")
        self._refuse_ours()
        if self.network_config and self.network_config.get("version") not in (1, 2):
            raise _error("network_config has no version", "", 'give "version": 2, see the cloud-init documentation')

    @property
    def documents(self) -> "CloudDocuments | None":
        """None where nothing is said."""
        if not any(document for _, document in self._named()):
            return None
        return CloudDocuments(**{name: _text(name, document) for name, document in self._named() if document})

    def _named(self) -> tuple[tuple[str, Mapping[str, Json]], ...]:
        return (
            ("user_data", self.user_data),
            ("vendor_data", self.vendor_data),
            ("meta_data", self.meta_data),
            ("network_config", self.network_config),
        )

    def _refuse_ours(self) -> None:
        for name, document in (("user_data", self.user_data), ("vendor_data", self.vendor_data)):
            for key in sorted(set(document) & set(OURS)):
                raise _error(f"{name}: {key} is the appliance's", OURS[key], f"leave {key} out")
        for key in sorted(set(self.meta_data) & set(OUR_META)):
            raise _error(f"meta_data: {key} is the appliance's", "it names the installation", f"leave {key} out")
        for key in ("users", "write_files"):
            if not isinstance(listed := self.user_data.get(key, ()), Sequence) or isinstance(listed, str):
                raise _error(f"user_data: {key} is no list", "the appliance adds to it", f"make {key} a list")
            if key == "users" and any(one == "root" or _named_root(one) for one in listed):
                raise _error("user_data: root is the appliance's", OURS["disable_root"], "name another user")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudDocuments:
    """The same as JSON, which is YAML too: for a plan and its digest. "" where nothing is said."""

    user_data: str = ""
    vendor_data: str = ""
    meta_data: str = ""
    network_config: str = ""


def _text(name: str, document: Mapping[str, Json]) -> str:
    try:
        text = json.dumps(document, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _error(f"{name} is no JSON", str(error)[:200], "use text, numbers, lists and dicts") from error
    if len(text) > _LONGEST:
        raise _error(f"{name} is too long", f"{len(text)} characters", f"keep it below {_LONGEST}")
    return text


def _leaves(value: Json, path: str, depth: int = 0) -> Iterator[tuple[str, Json]]:
    """Everything that is no list and no dict, with where it stands."""
    if depth > _DEEPEST:
        raise _error(f"{path[:80]} is too deep", "", "nest less")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}", depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{number}", depth + 1)
    else:
        yield path, value


def _refuse_secret(path: str, value: Json) -> None:
    key = path.rpartition(".")[2]
    if isinstance(value, str) and _PRIVATE.search(value):
        raise _error(
            f"{path}: a private key", "the seed can be read on the boot network", "let the machine make its own"
        )
    if key == "plain_text_passwd" or (_PASSWORD_KEYS.fullmatch(key) and not _is_hashed(value)):
        raise _error(f"{path}: a clear password", "the seed can be read on the boot network", _WRITE_HASH)


def _is_hashed(value: Json) -> bool:
    """Or says that there is none."""
    if isinstance(value, str):
        return not value or bool(_HASH.fullmatch(value) or _LOCKED.fullmatch(value))
    return value is None or isinstance(value, bool)


def _refuse_text_passwords(document: Mapping[str, Json], name: str) -> None:
    """chpasswd has lists of `user:password`, and makes passwords of its own, which cloud-init prints on the console."""
    chpasswd = document.get("chpasswd")
    if not isinstance(chpasswd, Mapping):
        return
    listed = chpasswd.get("list") or ()
    lines = listed.splitlines() if isinstance(listed, str) else listed if isinstance(listed, Sequence) else (listed,)
    for line in lines:
        if not (isinstance(line, str) and (not line.strip() or _is_hashed(line.partition(":")[2].strip() or "x"))):
            raise _error(f"{name}.chpasswd.list: a clear password", "or one that is printed", _WRITE_HASH)
    users = chpasswd.get("users") or ()
    for user in users if isinstance(users, Sequence) and not isinstance(users, str) else ():
        if isinstance(user, Mapping) and user.get("type", "hash") != "hash":
            raise _error(f"{name}.chpasswd.users: a password that is no hash", f"type {user.get('type')}", _WRITE_HASH)


def _named_root(user: Json) -> bool:
    return isinstance(user, Mapping) and user.get("name") == "root"


def _error(text: str, evidence: str, action: str) -> SiteError:
    return SiteError(f"cloud-init: {text}", evidence=evidence, next_action=action)
