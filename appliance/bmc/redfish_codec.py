"""Redfish documents (DSP0266 protocol, DSP2046 properties): what all subjects share, and who the system is. Pure.

A BMC may be broken or hostile: whatever the document, the outcome is a value or a `BmcError`.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from appliance.bmc.codec.text import clean
from appliance.bmc.quirks import Fact, Product, Quirks
from appliance.errors import BmcError, BmcUnsupportedError
from appliance.model.bmc import Health, PowerState, SystemIdentity
from pxe.client import Mac
from pxe.errors import PacketError

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
JsonObject = dict[str, JsonValue]

MAX_PATH = 512
MAX_MEMBERS = 256
EVIDENCE = 200
CHECK = "check that this address is a Redfish service, and its firmware version"


def parse_document(body: bytes) -> JsonObject:
    """Raises `BmcError` unless `body` is a JSON object."""
    try:
        document: JsonValue = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BmcError("the BMC's answer is not JSON", evidence=clean_bytes(body), next_action=CHECK) from error
    if not isinstance(document, dict):
        raise BmcError("the BMC's answer is not a JSON object", evidence=clean_bytes(body), next_action=CHECK)
    return document


def clean_bytes(body: bytes) -> str:
    return clean(body[: EVIDENCE * 8].decode("utf-8", "replace"), EVIDENCE)


def child(document: JsonObject, *keys: str) -> JsonObject:
    """The object at the end of `keys`; empty where there is none."""
    for key in keys:
        inner = document.get(key)
        if not isinstance(inner, dict):
            return {}
        document = inner
    return document


def part(document: JsonObject, key: str) -> JsonObject:
    """The object under `key`; empty where there is none. Raises `BmcError` for what is there and is no object."""
    value = document.get(key)
    if value is not None and not isinstance(value, dict):
        raise _malformed(key, value)
    return value or {}


def _malformed(key: str, value: JsonValue) -> BmcError:
    seen = clean(f"{key}: {json.dumps(value)[: EVIDENCE * 2]}", EVIDENCE)
    return BmcError("the BMC's answer is malformed", evidence=seen, next_action=CHECK)


def objects(document: JsonObject, key: str) -> tuple[JsonObject, ...]:
    """The objects in the list under `key`. Raises `BmcError` where all that is in it is something else: what cannot
    be read is not nothing."""
    entries = document.get(key)
    bounded = entries[:MAX_MEMBERS] if isinstance(entries, list) else []
    found = tuple(entry for entry in bounded if isinstance(entry, dict))
    if not found and any(entry is not None for entry in bounded):
        raise _malformed(key, entries)
    return found


def texts(value: JsonValue) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else []
    return tuple(text for text in map(clean, entries[:MAX_MEMBERS]) if text)


def number(value: JsonValue) -> float | None:
    """None for what is no finite number; some BMCs write numbers as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)[:32]) > 31:
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def time(manager: JsonObject) -> float | None:
    """`DateTime` (RFC 3339, with an offset) in seconds since the epoch; None where it is not told."""
    try:
        told = datetime.fromisoformat(clean(manager.get("DateTime")))
    except ValueError:
        return None
    return told.timestamp() if told.tzinfo is not None else None


_HEALTH = {"OK": Health.OK, "Warning": Health.WARNING, "Critical": Health.CRITICAL}


def health(value: JsonValue) -> Health:
    return _HEALTH.get(clean(value), Health.UNKNOWN)


def path_of(value: JsonValue) -> str:
    """Of a link object; "" for what is none."""
    path = value.get("@odata.id") if isinstance(value, dict) else None
    return path if isinstance(path, str) and len(path) <= MAX_PATH and path.isprintable() else ""


def link(document: JsonObject, *keys: str) -> str:
    """The path of the resource at the end of `keys`, or "" where there is none. Raises `BmcError` for what is there
    and is no link."""
    return path_of(part(child(document, *keys[:-1]), keys[-1]))


def first_link(document: JsonObject, key: str) -> str:
    """The first of the resources under Links, such as the Chassis or the managers of a system."""
    return next((path for path in map(path_of, objects(child(document, "Links"), key)) if path), "")


def members(collection: JsonObject) -> tuple[str, ...]:
    """Paths of the members of one page. Raises `BmcError` if that is not a collection."""
    return tuple(path for path in map(path_of, member_objects(collection)) if path)


def member_objects(collection: JsonObject) -> tuple[JsonObject, ...]:
    """Links, or whole members where the BMC expands them by itself. Raises `BmcError` if that is not a collection."""
    if not isinstance(collection.get("Members"), list):
        raise BmcError("the BMC's collection has no members", evidence=keys_of(collection), next_action=CHECK)
    return objects(collection, "Members")


def next_page(collection: JsonObject) -> str:
    return path_of({"@odata.id": collection.get("Members@odata.nextLink")})


def keys_of(document: JsonObject) -> str:
    return clean("it has " + ", ".join(list(document)[:MAX_MEMBERS]), EVIDENCE)


def choose(choices: Sequence[str], allowable: Sequence[str], complaint: str) -> str:
    """The first choice that the BMC allows; the very first where it does not say."""
    for choice in choices:
        if not allowable or choice in allowable:
            return choice
    seen = clean("it allows " + ", ".join(allowable), EVIDENCE)
    raise BmcUnsupportedError(complaint, evidence=seen, next_action="use another way")


# --- actions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """`described` has the `...@Redfish.AllowableValues`; `info` is the path of an ActionInfo, or ""."""

    target: str
    described: JsonObject
    info: str

    def allowable(self, parameter: str) -> tuple[str, ...]:
        return texts(self.described.get(f"{parameter}@Redfish.AllowableValues"))


def action(document: JsonObject, name: str) -> Action | None:
    """`name` such as ComputerSystem.Reset; None where the resource does not offer it. Raises `BmcError`."""
    described = part(part(document, "Actions"), f"#{name}")
    target = described.get("target")
    if not isinstance(target, str) or not 0 < len(target) <= MAX_PATH or not target.isprintable():
        return None
    return Action(target=target, described=described, info=path_of({"@odata.id": described.get("@Redfish.ActionInfo")}))


def info_allowable(info: JsonObject, parameter: str) -> tuple[str, ...]:
    """The allowable values of a parameter in an ActionInfo resource; empty where it does not say."""
    for described in objects(info, "Parameters"):
        if described.get("Name") == parameter:
            return texts(described.get("AllowableValues"))
    return ()


def unsupported(what: str, document: JsonObject) -> BmcUnsupportedError:
    return BmcUnsupportedError(what, evidence=keys_of(document), next_action="update its firmware, or use another way")


# --- refusals -------------------------------------------------------------------------------------------------


def refusal(status: int, body: bytes) -> str:
    """What a refusing answer says, for people: "HTTP 400: ..."; the service's own messages where there are any."""
    said = "; ".join(dict.fromkeys(text for text in _said(_parsed(body)) if text))
    return clean(f"HTTP {status}: {said or clean_bytes(body)}", EVIDENCE)


def message_ids(body: bytes) -> tuple[str, ...]:
    """Of a refusal, without registry and version: PasswordChangeRequired, SessionLimitExceeded."""
    document = _parsed(body)
    found = [clean(entry.get("MessageId")) for entry in _extended(document)]
    return tuple(name.rpartition(".")[2] for name in [*found, clean(child(document, "error").get("code"))] if name)


def password_path(body: bytes) -> str:
    """Of the account whose password must be changed (DSP0266 section 13.6.6); "" where the refusal does not say."""
    for entry in _extended(_parsed(body)):
        if clean(entry.get("MessageId")).endswith("PasswordChangeRequired"):
            arguments = entry.get("MessageArgs")
            return path_of({"@odata.id": arguments[0]}) if isinstance(arguments, list) and arguments else ""
    return ""


def _parsed(body: bytes) -> JsonObject:
    try:
        return parse_document(body)
    except BmcError:
        return {}


def _said(document: JsonObject) -> Iterable[str]:
    for entry in _extended(document):
        yield clean(entry.get("Message"), EVIDENCE)
    yield clean(child(document, "error").get("message"), EVIDENCE)


def _extended(document: JsonObject) -> Iterable[JsonObject]:
    for holder in (child(document, "error"), document):
        extended = holder.get("@Message.ExtendedInfo")
        # A single object in place of the list: seen on some BMCs.
        entries = extended[:MAX_MEMBERS] if isinstance(extended, list) else [extended]
        yield from (entry for entry in entries if isinstance(entry, dict))


def retry_after(header: str | None) -> float | None:
    """Seconds to wait; None where the header is absent, a date or nonsense (RFC 9110 section 10.2.3)."""
    if header is None or not header.strip().isascii() or not header.strip().isdigit() or len(header) > 8:
        return None
    return float(header)


# --- service root and system ----------------------------------------------------------------------------------


def has_sessions(root: JsonObject) -> bool:
    return bool(link(root, "SessionService") or link(root, "Links", "Sessions"))


def only_system(paths: Sequence[str]) -> str:
    if len(paths) == 1:
        return paths[0]
    if not paths:
        action = "wait until the BMC has started, or reset it"
        raise BmcError("the BMC knows no system", evidence="its collection of systems is empty", next_action=action)
    names = clean(", ".join(paths), EVIDENCE)
    action = "give the BMC of one server, not the manager of a chassis"
    raise BmcError("the BMC controls several systems", evidence=names, next_action=action)


_POWER = {
    "On": PowerState.ON,
    "Off": PowerState.OFF,
    "PoweringOn": PowerState.CHANGING,
    "PoweringOff": PowerState.CHANGING,
}


def power_state(system: JsonObject) -> PowerState:
    return _POWER.get(clean(system.get("PowerState")), PowerState.UNKNOWN)


def product_of(system: JsonObject) -> Product:
    return Product(manufacturer=clean(system.get("Manufacturer")), model=clean(system.get("Model")))


def system_identity(path: str, system: JsonObject, macs: tuple[Mac, ...], quirks: Quirks) -> SystemIdentity:
    serial = clean(system.get("SKU")) if Fact.SERIAL_IN_SKU in quirks.facts else ""
    return SystemIdentity(
        path=path,
        uuid=_uuid(system.get("UUID")),
        serial=serial or clean(system.get("SerialNumber")),
        manufacturer=clean(system.get("Manufacturer")),
        product=clean(system.get("Model")),
        macs=macs,
        power=power_state(system),
    )


def _uuid(value: JsonValue) -> UUID | None:
    """None where the firmware was never given one: all 0 or all F (SMBIOS, DSP0134 section 7.2.1)."""
    try:
        uuid = UUID(clean(value))
    except ValueError:
        return None
    return None if uuid.int in (0, (1 << 128) - 1) else uuid


def mac_of(interface: JsonObject) -> Mac | None:
    """None for what is no unicast Ethernet address: empty, all zeros, InfiniBand."""
    for key in ("PermanentMACAddress", "MACAddress"):
        try:
            mac = Mac.parse(clean(interface.get(key)))
        except PacketError:
            continue
        if any(bytes(mac)) and not bytes(mac)[0] & 1:
            return mac
    return None
