"""What a simulated BMC does to its documents and its machine when it is told to. No request, no answer in here.

A change is looked at first: what cannot be done raises `RefusedError`, and nothing was done. Its effect comes after,
at once or at the end of a task.
"""

from collections.abc import Callable

from appliance.bmc.redfish_codec import JsonObject, JsonValue, child
from appliance.model.bmc import BootMode, BootOverride, BootTarget, BootTerm, Indicator, PowerCommand
from appliance.redfish.systems import INDICATORS, MODES, RESET_TYPES, TARGETS, TERMS
from appliance.simulator.personality import Habits, Tree
from appliance.simulator.state import Machine

Effect = Callable[[], None]

_COMMANDS = {name: command for command, name in RESET_TYPES.items()}
_TARGETS = {name: target for target, name in TARGETS.items()} | {"UsbCd": BootTarget.CD}
_TERMS = {name: term for term, name in TERMS.items()}
_MODES = {name: mode for mode, name in MODES.items()}
_LEDS = {name: led for led, name in INDICATORS.items()}
_OFF = (PowerCommand.FORCE_OFF, PowerCommand.GRACEFUL_OFF)


class RefusedError(Exception):
    """With HTTP 400."""


def nothing() -> None:
    """The effect of what is accepted and forgotten."""


def reset(tree: Tree, path: str, body: JsonObject, habits: Habits) -> PowerCommand:
    """The command that the body is."""
    command = _COMMANDS.get(str(body.get("ResetType")))
    if command is None:
        raise RefusedError(f"ResetType {body.get('ResetType')} is not in the list")
    on = tree[path].get("PowerState") == "On"
    nothing_to_do = command is PowerCommand.ON if on else command is not PowerCommand.ON
    if habits.same and nothing_to_do:
        raise RefusedError("InvalidOperationForSystemState")
    return command


def show_power(tree: Tree, path: str, command: PowerCommand, habits: Habits) -> None:
    """As if the machine had followed. An override for one boot is used up by it."""
    document = tree[path]
    if command is PowerCommand.NMI or (command is PowerCommand.ON and document.get("PowerState") == "On"):
        return
    document["PowerState"] = "Off" if command in _OFF else "On"
    if command in _OFF:
        return
    for holder in (document, tree.get(f"{path}/{habits.settings}", {})):
        boot = child(holder, "Boot")
        if boot.get("BootSourceOverrideEnabled") == "Once":
            boot.update({"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"})


def set_boot(document: JsonObject, machine: Machine, asked: JsonObject, habits: Habits, *, drops_mode: bool) -> Effect:
    if habits.whole and len(asked) < 3:
        return nothing
    boot = child(document, "Boot") | asked
    if drops_mode:
        boot["BootSourceOverrideMode"] = "Legacy"
    override = _override(boot)

    def effect() -> None:
        document["Boot"] = boot
        machine.override = override

    return effect


def _override(boot: JsonObject) -> BootOverride:
    try:
        term = _TERMS[str(boot.get("BootSourceOverrideEnabled"))]
        target = _TARGETS[str(boot.get("BootSourceOverrideTarget"))]
        mode: BootMode | None = _MODES[str(boot.get("BootSourceOverrideMode", "UEFI"))]
    except KeyError as error:
        raise RefusedError(f"{error} is not in the list") from error
    if term is BootTerm.DISABLED or target is BootTarget.NONE:
        return BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED, mode=mode)
    return BootOverride(target=target, term=term, mode=mode, http_uri=str(boot.get("HttpBootUri") or ""))


def set_medium(document: JsonObject, machine: Machine, image: JsonValue) -> Effect:
    """None ejects."""
    drive = str(document.get("Id"))
    if image is not None and (not isinstance(image, str) or not image):
        raise RefusedError("Image is missing")

    def effect() -> None:
        document.update({"Image": image, "Inserted": image is not None})
        machine.media.pop(drive, None)
        if isinstance(image, str):
            machine.media[drive] = image

    return effect


def set_indicator(document: JsonObject, machine: Machine, body: JsonObject) -> Effect:
    lit = body.get("LocationIndicatorActive")
    led = Indicator.LIT if lit is True else Indicator.OFF if lit is False else _LEDS.get(str(body.get("IndicatorLED")))
    if led is None:
        raise RefusedError("no such light")

    def effect() -> None:
        document.update(body)
        machine.indicator = led

    return effect


def update(machine: Machine, body: JsonObject) -> Effect:
    image = body.get("ImageURI")
    if not isinstance(image, str) or not image:
        raise RefusedError("ImageURI is missing")
    return lambda: machine.updates.append(image)
