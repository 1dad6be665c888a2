"""The BMC of one node: `python -m appliance.lab.bmc_server <spec.json>`. Owns the node's QEMU, which dies with it.

sushy-tools serves the Redfish tree; what it gets wrong about a real server is put right here:

* its driver is chosen by configuration only, so ours is set on its application class;
* it ignores BootSourceOverrideEnabled and always reports "Continuous": a once-override was never once;
* it names a fixed manufacturer and neither model nor serial number, which discovery matches machines by;
* an unknown ResetType or target is a 500 of its own making: a server answers 400, and knows PowerCycle;
* it has no SessionService: clients must fall back to basic authentication (left as it is, some BMCs do the same).
"""

# sushy-tools has no types: of its abstract methods, which only raise, pyright infers that they never return.
# pyright: reportIncompatibleMethodOverride=false

import logging
import signal
import ssl
import sys
from http import HTTPStatus
from pathlib import Path
from types import FrameType

import flask
from sushy_tools import error
from sushy_tools.emulator import main as emulator
from sushy_tools.emulator.resources.systems.base import AbstractSystemsDriver
from werkzeug.serving import make_server

from appliance.errors import MachineryError
from appliance.lab.node import BootOverride, Machine
from appliance.lab.spec import MANUFACTURER, PRODUCT, BmcServerSpec, BootDevice, NodeSpec
from appliance.model.codec import from_json
from appliance.model.hardware import Firmware

_TARGETS = {"Pxe": BootDevice.NIC, "Hdd": BootDevice.DISK}
_NO_TARGET = "None"


class LabSystems(AbstractSystemsDriver):  # type: ignore[misc]  # sushy-tools has no types
    """The one system behind this BMC, as sushy-tools asks for it; its identity is its UUID."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @property
    def driver(self) -> str:
        return "<qmp>"

    @property
    def systems(self) -> list[str]:
        return [str(self._machine.node.uuid)]

    def uuid(self, identity: str) -> str:
        return str(self.node(identity).uuid)

    def name(self, identity: str) -> str:
        return self.node(identity).name

    def get_power_state(self, identity: str) -> str:
        return "On" if self.machine(identity).is_on else "Off"

    def set_power_state(self, identity: str, state: str) -> None:
        machine = self.machine(identity)
        actions = {
            "On": machine.on,
            "ForceOn": machine.on,
            "ForceOff": machine.off,
            "GracefulShutdown": machine.press_power_button,
            "ForceRestart": machine.reset,
            "PowerCycle": machine.cycle,
            "Nmi": machine.inject_nmi,
        }
        if state not in actions:
            raise error.BadRequest(f"ResetType must be one of {', '.join(actions)}")
        actions[state]()

    def get_boot_device(self, identity: str) -> str:
        override = self.machine(identity).override
        return _name_of(override.device) if override else _NO_TARGET

    def set_boot_device(self, identity: str, boot_source: str) -> None:
        raise error.NotSupportedError("the boot override is set by patch_boot, which knows for how long")

    def get_boot_mode(self, identity: str) -> str:
        return "UEFI" if self.node(identity).firmware is Firmware.UEFI else "Legacy"

    def get_nics(self, identity: str) -> list[dict[str, str]]:
        return [{"id": BootDevice.NIC.value, "mac": str(self.node(identity).mac)}]

    def get_total_memory(self, identity: str) -> float:
        return self.node(identity).memory_mib / 1024

    def get_total_cpus(self, identity: str) -> int:
        return 1

    def machine(self, identity: str) -> Machine:
        if identity not in self.systems:
            raise error.NotFound(f"there is no system {identity}")
        return self._machine

    def node(self, identity: str) -> NodeSpec:
        return self.machine(identity).node

    def describe(self, identity: str) -> dict[str, object]:
        """The members of ComputerSystem that sushy-tools gets wrong or leaves out (DSP2046)."""
        node, override = self.node(identity), self.machine(identity).override
        frequency = "Disabled" if override is None else "Once" if override.once else "Continuous"
        return {
            "Manufacturer": MANUFACTURER,
            "Model": PRODUCT,
            "SerialNumber": node.serial,
            "Boot": {
                "BootSourceOverrideEnabled": frequency,
                "BootSourceOverrideTarget": self.get_boot_device(identity),
                "BootSourceOverrideTarget@Redfish.AllowableValues": [_NO_TARGET, *_TARGETS],
                "BootSourceOverrideMode": self.get_boot_mode(identity),
            },
        }

    def patch_boot(self, identity: str, boot: dict[str, object]) -> None:
        current = self.machine(identity).override
        target = boot.get("BootSourceOverrideTarget", _name_of(current.device) if current else _NO_TARGET)
        frequency = boot.get("BootSourceOverrideEnabled", "Once")
        self.machine(identity).set_override(_override(target, frequency))


def _name_of(device: BootDevice) -> str:
    return next(name for name, target in _TARGETS.items() if target is device)


def _override(target: object, frequency: object) -> BootOverride | None:
    if frequency not in ("Once", "Continuous", "Disabled"):
        raise error.BadRequest("BootSourceOverrideEnabled must be Once, Continuous or Disabled")
    if frequency == "Disabled" or target == _NO_TARGET:
        return None
    if not isinstance(target, str) or target not in _TARGETS:
        raise error.BadRequest(f"BootSourceOverrideTarget must be one of {_NO_TARGET}, {', '.join(_TARGETS)}")
    return BootOverride(device=_TARGETS[target], once=frequency == "Once")


def application(machine: Machine) -> flask.Flask:
    """sushy-tools has one application per process, made at import: so has a BMC."""
    systems = LabSystems(machine)
    emulator.Application.systems = systems  # pyright: ignore[reportAttributeAccessIssue]
    app: flask.Flask = emulator.app
    emulator.app.configure(
        extra_config={
            "SUSHY_EMULATOR_AUTH_FILE": str(machine.node.passwords),
            "SUSHY_EMULATOR_STATE_DIR": str(machine.node.folder),
        }
    )
    upstream = app.view_functions["system_resource"]

    def system_resource(identity: str) -> flask.Response:
        if flask.request.method == "PATCH":
            systems.patch_boot(identity, _boot_of(flask.request.get_json(silent=True)))
            return flask.Response(status=HTTPStatus.NO_CONTENT)
        document = flask.json.loads(app.ensure_sync(upstream)(identity=identity).get_data())
        actions = document["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"]
        actions[:] = [name for name in actions if name != "GracefulRestart"] + ["PowerCycle"]
        return flask.jsonify(document | systems.describe(identity))

    app.view_functions["system_resource"] = system_resource
    app.register_error_handler(MachineryError, _failed)
    return app


def _failed(failure: MachineryError) -> tuple[flask.Response, HTTPStatus]:
    """sushy-tools would take our error's `code` for an HTTP status."""
    message = f"{failure}: {failure.evidence}"
    document = {"error": {"code": "Base.1.0.InternalError", "message": message}}
    return flask.jsonify(document), HTTPStatus.INTERNAL_SERVER_ERROR


def _boot_of(body: object) -> dict[str, object]:
    match body:
        case {"Boot": dict(boot)}:
            return boot
        case _:
            raise error.BadRequest("only Boot can be changed")


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    spec = from_json(BmcServerSpec, Path(sys.argv[1]).read_bytes())
    node = spec.node
    machine = Machine(node, spec.accelerator)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(node.certificate, node.key)
    server = make_server(str(node.bmc_address), 443, application(machine), threaded=True, ssl_context=tls)
    signal.signal(signal.SIGTERM, _leave)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        server.serve_forever()
    finally:
        machine.off()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
