"""Redfish documents <-> our values (DSP0266 protocol, DSP2046 properties). Pure.

A BMC may be broken or hostile: whatever the document, the outcome is a value or a `BmcError`.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from appliance.bmc.quirks import serial_key
from appliance.errors import BmcError
from appliance.model.bmc import BootTarget, PowerCommand, PowerState, SystemIdentity
from pxe.client import Mac
from pxe.errors import PacketError

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
JsonObject = dict[str, JsonValue]

MAX_TEXT = 128
MAX_PATH = 512
MAX_MEMBERS = 64
_EVIDENCE = 200

_POWER = {
    "On": PowerState.ON,
    "Off": PowerState.OFF,
    "PoweringOn": PowerState.CHANGING,
    "PoweringOff": PowerState.CHANGING,
}

# First choice first. PushPowerButton is nobody's choice: what it does depends on the state.
_RESET_TYPES = {
    PowerCommand.ON: ("On", "ForceOn"),
    PowerCommand.GRACEFUL_OFF: ("GracefulShutdown",),
    PowerCommand.FORCE_OFF: ("ForceOff",),
    PowerCommand.GRACEFUL_RESTART: ("GracefulRestart",),
    PowerCommand.FORCE_RESTART: ("ForceRestart", "PowerCycle"),
    PowerCommand.CYCLE: ("PowerCycle",),
    PowerCommand.NMI: ("Nmi",),
}

_TARGETS = {
    BootTarget.NETWORK: ("Pxe",),
    BootTarget.HTTP: ("UefiHttp",),
    BootTarget.DISK: ("Hdd",),
    # Supermicro X11 and later accept UsbCd for their virtual drive, not Cd.
    BootTarget.CD: ("Cd", "UsbCd"),
    BootTarget.USB: ("Usb",),
    BootTarget.FIRMWARE_SETUP: ("BiosSetup",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetAction:
    """`allowable` is empty where the system does not say; `info` is then the path of an ActionInfo, or ""."""

    target: str
    allowable: tuple[str, ...]
    info: str


def parse_document(body: bytes) -> JsonObject:
    """Raises `BmcError` unless `body` is a JSON object."""
    try:
        document: JsonValue = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BmcError("the BMC's answer is not JSON", evidence=clean_bytes(body), next_action=_CHECK) from error
    if not isinstance(document, dict):
        raise BmcError("the BMC's answer is not a JSON object", evidence=clean_bytes(body), next_action=_CHECK)
    return document


_CHECK = "check that this address is a Redfish service, and its firmware version"


def clean(value: JsonValue, limit: int = MAX_TEXT) -> str:
    """A text that is safe to show and store: no control or formatting characters, `limit` characters at most."""
    if not isinstance(value, str):
        return ""
    bounded = value[: limit * 4]
    printable = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in bounded)
    return " ".join(printable.split())[:limit]


def clean_bytes(body: bytes) -> str:
    return clean(body[: _EVIDENCE * 8].decode("utf-8", "replace"), _EVIDENCE)


def refusal(status: int, body: bytes) -> str:
    """What a refusing answer says, for people: "HTTP 400: ..."; the service's own messages where there are any."""
    try:
        said = "; ".join(text for text in _messages(parse_document(body)) if text)
    except BmcError:
        said = ""
    return clean(f"HTTP {status}: {said or clean_bytes(body)}", _EVIDENCE)


def _messages(document: JsonObject) -> Iterable[str]:
    fault = document.get("error")
    if not isinstance(fault, dict):
        return
    extended = fault.get("@Message.ExtendedInfo")
    # A single object in place of the list: seen on some BMCs.
    for entry in extended if isinstance(extended, list) else [extended]:
        if isinstance(entry, dict):
            yield clean(entry.get("Message"), _EVIDENCE)
    yield clean(fault.get("message"), _EVIDENCE)


def retry_after(header: str | None) -> float | None:
    """Seconds to wait; None where the header is absent, a date or nonsense (RFC 9110 section 10.2.3)."""
    if header is None or not header.strip().isascii() or not header.strip().isdigit() or len(header) > 8:
        return None
    return float(header)


def link(document: JsonObject, key: str) -> str:
    """The path of the resource under `key`, or "" where there is none."""
    return _path(document.get(key))


def _path(value: JsonValue) -> str:
    path = value.get("@odata.id") if isinstance(value, dict) else None
    return path if isinstance(path, str) and len(path) <= MAX_PATH and path.isprintable() else ""


def members(collection: JsonObject) -> tuple[str, ...]:
    """Paths of the members of one page. Raises `BmcError` if that is not a collection."""
    entries = collection.get("Members")
    if not isinstance(entries, list):
        raise BmcError("the BMC's collection has no members", evidence=_keys(collection), next_action=_CHECK)
    return tuple(path for path in map(_path, entries[:MAX_MEMBERS]) if path)


def next_page(collection: JsonObject) -> str:
    following = collection.get("Members@odata.nextLink")
    return _path({"@odata.id": following})


def only_system(paths: Sequence[str]) -> str:
    if len(paths) == 1:
        return paths[0]
    if not paths:
        raise BmcError("the BMC knows no system", next_action="wait until the BMC has started, or reset it")
    names = clean(", ".join(paths), _EVIDENCE)
    action = "give the BMC of one server, not the manager of a chassis"
    raise BmcError("the BMC controls several systems", evidence=names, next_action=action)


def has_sessions(root: JsonObject) -> bool:
    links = root.get("Links")
    return bool(link(root, "SessionService") or (isinstance(links, dict) and link(links, "Sessions")))


def power_state(system: JsonObject) -> PowerState:
    return _POWER.get(clean(system.get("PowerState")), PowerState.UNKNOWN)


def system_identity(path: str, system: JsonObject, macs: tuple[Mac, ...]) -> SystemIdentity:
    manufacturer = clean(system.get("Manufacturer"))
    return SystemIdentity(
        path=path,
        uuid=_uuid(system.get("UUID")),
        serial=clean(system.get(serial_key(manufacturer))) or clean(system.get("SerialNumber")),
        manufacturer=manufacturer,
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


def reset_action(system: JsonObject) -> ResetAction:
    actions = system.get("Actions")
    action = actions.get("#ComputerSystem.Reset") if isinstance(actions, dict) else None
    target = action.get("target") if isinstance(action, dict) else None
    if not isinstance(action, dict) or not isinstance(target, str) or not 0 < len(target) <= MAX_PATH:
        raise BmcError("the system cannot be reset through this BMC", evidence=_keys(system), next_action=_CHECK)
    info = action.get("@Redfish.ActionInfo")
    return ResetAction(
        target=target,
        allowable=_texts(action.get("ResetType@Redfish.AllowableValues")),
        info=_path({"@odata.id": info}),
    )


def reset_types(info: JsonObject) -> tuple[str, ...]:
    """The allowable values of ResetType in an ActionInfo resource; empty where it does not say."""
    parameters = info.get("Parameters")
    for parameter in parameters if isinstance(parameters, list) else []:
        if isinstance(parameter, dict) and parameter.get("Name") == "ResetType":
            return _texts(parameter.get("AllowableValues"))
    return ()


def reset_type(command: PowerCommand, allowable: Sequence[str]) -> str:
    """The best ResetType for `command`; the first choice where the BMC does not say what it allows."""
    choices = _RESET_TYPES[command]
    return _choose(choices, allowable, f"the BMC offers no {command.value}")


def boot_patch(target: BootTarget, system: JsonObject) -> JsonObject:
    """The body that asks for a once-override (or for none) of the boot source."""
    if target is BootTarget.NONE:
        return {"Boot": {"BootSourceOverrideEnabled": "Disabled"}}
    boot = _boot(system)
    allowable = _texts(boot.get("BootSourceOverrideTarget@Redfish.AllowableValues"))
    name = _choose(_TARGETS[target], allowable, f"the BMC cannot boot once from {target.value}")
    return {"Boot": {"BootSourceOverrideTarget": name, "BootSourceOverrideEnabled": "Once"}}


def boot_override(system: JsonObject) -> BootTarget:
    """Raises `BmcError` for a target that we never set, such as a floppy: it is not "none"."""
    boot = _boot(system)
    if boot.get("BootSourceOverrideEnabled") == "Disabled":
        return BootTarget.NONE
    name = clean(boot.get("BootSourceOverrideTarget"))
    if name in ("", "None"):
        return BootTarget.NONE
    for target, names in _TARGETS.items():
        if name in names:
            return target
    raise BmcError("someone else set the boot override", evidence=name, next_action="clear it on the BMC")


def _choose(choices: Sequence[str], allowable: Sequence[str], complaint: str) -> str:
    for choice in choices:
        if not allowable or choice in allowable:
            return choice
    raise BmcError(complaint, evidence="it allows " + ", ".join(allowable)[:_EVIDENCE], next_action="use another way")


def _boot(system: JsonObject) -> JsonObject:
    boot = system.get("Boot")
    if not isinstance(boot, dict):
        raise BmcError("the BMC offers no boot override", evidence=_keys(system), next_action=_CHECK)
    return boot


def _texts(value: JsonValue) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else []
    return tuple(text for text in map(clean, entries[:MAX_MEMBERS]) if text)


def _keys(document: JsonObject) -> str:
    return clean("it has " + ", ".join(list(document)[:MAX_MEMBERS]), _EVIDENCE)
