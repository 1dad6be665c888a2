"""An IPMI-only BMC: OpenIPMI's `ipmi_sim` in front of a node's QEMU."""

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

from appliance.bmc.ipmi.link import IpmiLimits, Link
from appliance.bmc.ipmi.packet import PORT
from appliance.bmc.ipmi.wire import Wire
from appliance.errors import BmcError, MachineryError
from appliance.lab.node import BootOverride, Machine
from appliance.lab.serial import serial_port
from appliance.lab.spec import BMC_USER, BootDevice, NodeSpec
from appliance.system import SystemClock, SystemRng

_EMULATOR = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""
_LAN = """\
name "{name}"
set_working_mc 0x20
  startlan 1
    addr {address} {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid {guid}
  endlan
  sol "tcp:127.0.0.1:{serial}" 115200
  chassis_control "{chassis}"
  startnow false
  user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""
# What the simulator calls the devices of the boot options, parameter 5.
_BOOTS = {"pxe": BootDevice.NIC, "default": BootDevice.DISK, "cdrom": BootDevice.CD}
_PROBE = IpmiLimits(tries_seconds=(0.1, 0.1, 0.2, 0.2, 0.5, 1.0, 2.0, 4.0))


@asynccontextmanager
async def ipmi_served(machine: Machine) -> AsyncIterator[None]:
    """From the first answer on. Raises `MachineryError` where none comes."""
    node = machine.node

    async def owner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = (await reader.readline()).decode().split()
        answer = await asyncio.to_thread(obey, machine, words)
        writer.write(answer.encode())
        writer.close()

    node.chassis_socket.unlink(missing_ok=True)
    async with (
        await asyncio.start_unix_server(owner, node.chassis_socket),
        serial_port(node.console_socket) as serial,
    ):
        process = await asyncio.create_subprocess_exec(*_argv(node, serial), stdin=DEVNULL, stdout=DEVNULL)
        try:
            await _until_it_answers(node)
            yield
        finally:
            process.terminate()
            await process.wait()


def obey(machine: Machine, words: list[str]) -> str:
    """One call of the simulator: `get NAME ...` is answered, `set NAME VALUE` done, anything else ignored."""
    match words:
        case ["get", *names]:
            values = {"power": str(int(machine.is_on)), "boot": _boot_name(machine.override)}
            return "".join(f"{name}:{values[name]}\n" for name in names if name in values)
        case ["set", "power", "1"]:
            machine.on()
        case ["set", "power", _]:
            machine.off()
        case ["set", "reset", _]:
            machine.reset()
        case ["set", "shutdown", _]:
            machine.press_power_button()
        case ["set", "boot", name]:
            device = _BOOTS.get(name)
            machine.set_override(BootOverride(device=device, once=True) if device else None)
        case _:
            pass
    return ""


def _boot_name(override: BootOverride | None) -> str:
    return next((name for name, device in _BOOTS.items() if override and device is override.device), "none")


def _argv(node: NodeSpec, serial: int) -> tuple[str, ...]:
    lan, emulator, state = node.folder / "ipmi.lan", node.folder / "ipmi.emu", node.folder / "ipmi"
    tool = (sys.executable, "-I", "-S", str(Path(__file__).with_name("chassis.py")), str(node.chassis_socket))
    text = _LAN.format(
        name=node.name,
        address=node.bmc_address,
        port=PORT,
        serial=serial,
        guid=node.uuid.hex,
        chassis=shlex.join(tool),
        user=BMC_USER,
        password=node.password.read_text(),
    )
    lan.touch(mode=0o600)
    lan.write_text(text)
    emulator.write_text(_EMULATOR)
    state.mkdir(exist_ok=True)
    simulator = ("ipmi_sim", "-n", "-c", str(lan), "-f", str(emulator), "-s", str(state))
    return ("setpriv", "--pdeathsig", "KILL", "--", *simulator)


async def _until_it_answers(node: NodeSpec) -> None:
    wire = Wire()
    try:
        address = await wire.resolve(str(node.bmc_address), PORT)
        await Link(wire, address, SystemClock(), SystemRng(), _PROBE).probe()
    except BmcError as error:
        raise MachineryError(f"the IPMI simulator of {node.name} is silent", evidence=str(error)) from error
    finally:
        wire.close()
