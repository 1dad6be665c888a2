"""ComputerSystem.Boot: the boot source override (DSP2046, ComputerSystem). Pure."""

from appliance.bmc.codec.text import clean
from appliance.bmc.quirks import Fact, Quirks
from appliance.bmc.redfish_codec import (
    MAX_PATH,
    JsonObject,
    child,
    choose,
    link,
    part,
    texts,
    unsupported,
)
from appliance.errors import BmcError
from appliance.model.bmc import BootMode, BootOverride, BootTarget, BootTerm

_TARGET = "BootSourceOverrideTarget"
_ENABLED = "BootSourceOverrideEnabled"
_MODE = "BootSourceOverrideMode"
_URI = "HttpBootUri"

_TARGETS = {
    BootTarget.NONE: ("None",),
    BootTarget.NETWORK: ("Pxe",),
    BootTarget.HTTP: ("UefiHttp",),
    BootTarget.DISK: ("Hdd",),
    BootTarget.CD: ("Cd", "UsbCd"),
    BootTarget.USB: ("Usb",),
    BootTarget.FIRMWARE_SETUP: ("BiosSetup",),
}
_TERMS = {BootTerm.DISABLED: "Disabled", BootTerm.ONCE: "Once", BootTerm.CONTINUOUS: "Continuous"}
_MODES = {BootMode.UEFI: "UEFI", BootMode.LEGACY: "Legacy"}


def settings_path(path: str, system: JsonObject, quirks: Quirks) -> str:
    """Where pending changes of the system at `path` are kept; "" where they are made to the system itself."""
    if named := link(system, "@Redfish.Settings", "SettingsObject"):
        return named
    return f"{path.rstrip('/')}/SD" if Fact.BOOT_AT_SD in quirks.facts else ""


def has_override(document: JsonObject) -> bool:
    """Whether a settings resource takes boot overrides: with many BMCs it is for other attributes only."""
    boot = child(document, "Boot")
    return _TARGET in boot or _ENABLED in boot or f"{_TARGET}@Redfish.AllowableValues" in boot


def says_override(document: JsonObject) -> bool:
    return bool(clean(child(document, "Boot").get(_ENABLED)))


def patch(wanted: BootOverride, document: JsonObject, quirks: Quirks) -> JsonObject:
    """The body that asks for `wanted`. `document` is the system or its settings. Raises `BmcError`."""
    boot = part(document, "Boot")
    if not boot:
        raise unsupported("the BMC offers no boot override", document)
    whole = Fact.BOOT_WHOLE in quirks.facts
    asked: JsonObject = {_ENABLED: _TERMS[wanted.term]}
    if wanted.term is not BootTerm.DISABLED:
        asked[_TARGET] = _target(wanted.target, boot, quirks)
    elif whole:
        asked[_TARGET] = "None"
    if wanted.mode is not None:
        asked[_MODE] = _mode(wanted.mode, boot)
    elif whole and (kept := clean(boot.get(_MODE))):
        asked[_MODE] = kept
    if wanted.http_uri:
        asked[_URI] = wanted.http_uri
    return {"Boot": asked}


def _target(target: BootTarget, boot: JsonObject, quirks: Quirks) -> str:
    choices = _TARGETS[target]
    if Fact.CD_IS_USB_CD in quirks.facts:
        choices = choices[::-1]
    allowable = texts(boot.get(f"{_TARGET}@Redfish.AllowableValues"))
    return choose(choices, allowable, f"the BMC cannot boot from {target.value}")


def _mode(mode: BootMode, boot: JsonObject) -> str:
    allowable = texts(boot.get(f"{_MODE}@Redfish.AllowableValues"))
    return choose((_MODES[mode],), allowable, f"the BMC cannot boot in {mode.value} mode")


def override(document: JsonObject) -> BootOverride:
    """Raises `BmcError` for a target that we never set, such as a floppy: it is not "none"."""
    boot = part(document, "Boot")
    if not boot:
        raise unsupported("the BMC offers no boot override", document)
    modes = {text: mode for mode, text in _MODES.items()}
    mode = modes.get(clean(boot.get(_MODE)))
    name = clean(boot.get(_TARGET))
    if clean(boot.get(_ENABLED)) not in ("Once", "Continuous") or name in ("", "None"):
        return BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED, mode=mode)
    target = next((target for target, names in _TARGETS.items() if name in names), None)
    if target is None:
        raise BmcError("someone else set the boot override", evidence=name, next_action="clear it on the BMC")
    term = BootTerm.ONCE if boot.get(_ENABLED) == "Once" else BootTerm.CONTINUOUS
    return BootOverride(target=target, term=term, mode=mode, http_uri=clean(boot.get(_URI), MAX_PATH))
