"""In a guest with bonding: a machine with systemd and sshd, a switch whose configuration acts on bridges and bonds, and
the appliance's own desk between them. Prints `@NAME JSON` lines, which `tests/contract/test_ports_guest.py` reads.

    python -m tests.guest.ports TREE FOLDER back|on
"""

import asyncio
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path

from appliance.conductor.decision import Progress
from appliance.conductor.machine import MachineState
from appliance.install.networkd import networkd_files
from appliance.inventory.model import Installed
from appliance.model.ids import MachineName
from appliance.model.links import BondLink, BondMode, LacpRate, MachineNetwork, NicLink
from appliance.model.secret import Secret
from appliance.model.stated_links import static
from appliance.model.switch import BondPorts
from appliance.nodes import bonding
from appliance.services.cluster_hold import Around, Hold
from appliance.services.ports import PortDesk
from appliance.services.shells import SshShells
from appliance.switch import dialect as dialects
from appliance.switch.cli import SwitchCli
from appliance.system import SystemClock, SystemRng
from pxe.client import Mac
from tests.cluster.nodes import Ground, ground, nodes
from tests.simulated_switch import Configuration, SimulatedSwitch

SWITCH = "10.77.0.2"
PORTS = {"Ethernet1": "port0", "Ethernet2": "second"}
"""The switch's ports, and the interfaces of this kernel that they are."""
MACS = ("52:54:00:00:02:00", "52:54:00:00:03:00")
(MACHINE,) = MACHINES = nodes("node-0")
NAME = MachineName(MACHINE.name)
IP = static(f"{MACHINE.address}/24", gateway="10.77.0.1")
MEMBERS = tuple(NicLink(name=f"bond0p{at}", mac=Mac(mac)) for at, mac in enumerate(MACS))
BEFORE = MachineNetwork(links=(NicLink(name="eth0", mac=Mac(MACS[0]), ip=IP),))
AFTER = MachineNetwork(
    links=(
        *MEMBERS,
        BondLink(
            name="bond0",
            members=tuple(one.name for one in MEMBERS),
            mode=BondMode.LACP,
            mac=Mac(MACS[0]),
            lacp_rate=LacpRate.FAST,
            ip=IP,
        ),
    )
)
DO = BondPorts(network=AFTER, bond="bond0", switch="leaf-1", ports=tuple(PORTS), channel=101, vlan=10, seconds=60)


class KilledError(Exception):
    """The appliance is no more."""


class Mortal:
    """A switch's shell for an appliance that dies after it has told this many things to the switch."""

    def __init__(self, key: Path, lives: int) -> None:
        self._cli, self._lives = SwitchCli(key), lives

    def ask(self, switch: object, commands: tuple[str, ...]) -> tuple[str, ...]:
        if any(word in " ".join(commands) for word in ("commit", "abort")):
            if self._lives == 0:
                raise KilledError
            self._lives -= 1
        return self._cli.ask(switch, commands)  # type: ignore[arg-type]


class MortalHold(Hold):
    """Of an appliance that dies before it tells a machine to keep what it has."""

    async def feed(self, machine: MachineName, argv: tuple[str, ...], text: Secret) -> str:
        if argv == bonding.keep(DO):
            raise KilledError
        return await super().feed(machine, argv, text)


class Fabric:
    def __init__(self, made: Ground) -> None:
        self._made = made

    def act(self, configuration: Configuration) -> None:
        """Ports into the bridge, or into a bond in it."""
        channels = {number for port in configuration.ports.values() if (number := port.channel)}
        with self._made.inside():
            for number in channels:
                _ip(
                    "link",
                    "add",
                    f"po{number}",
                    "type",
                    "bond",
                    "mode",
                    "802.3ad",
                    "lacp_rate",
                    "fast",
                    "miimon",
                    "100",
                )
                _ip("link", "set", f"po{number}", "master", "br0", "up")
            for name, port in configuration.ports.items():
                link = PORTS[name]
                if port.channel and f"master po{port.channel}" not in _ip("-o", "link", "show", link):
                    _ip("link", "set", link, "down")
                    _ip("link", "set", link, "master", f"po{port.channel}", "up")
                elif not port.channel and "master br0" not in _ip("-o", "link", "show", link):
                    _ip("link", "set", link, "nomaster")
                    _ip("link", "set", link, "master", "br0", "up")
            if not channels:
                _ip("link", "delete", "po101")


def _ip(*argv: str) -> str:
    return subprocess.run(["ip", *argv], capture_output=True, text=True, check=False).stdout


def desk(made: Ground, switch: SimulatedSwitch, lives: int = 99) -> PortDesk:
    around = Around(
        machine=lambda _name: MachineState(
            name=NAME,
            installed=Installed(
                image=None,  # type: ignore[arg-type]  nobody asks for it
                hostname=NAME,
                address=MACHINE.address,
                host_keys=(made.host_key,),
                confirmed=True,
            ),
        ),
        planes=lambda _cluster: (),
        workers=lambda _cluster: (),
        shells=SshShells(made.key),
        user="root",
        files="http://10.77.0.1",
        connect=None,  # type: ignore[arg-type]
        lead=None,  # type: ignore[arg-type]
        clock=SystemClock(),
        rng=SystemRng(),
    )
    shells = Mortal(made.key, lives)
    hold = (MortalHold if lives == 2 else Hold)(None, around)  # type: ignore[arg-type]  nobody asks for keys
    return PortDesk({switch.name: switch.stated(SWITCH)}, shells, hold, SystemClock())


async def through(made: Ground, switch: SimulatedSwitch, do: BondPorts = DO) -> dict[str, object]:
    """As the conductor does it: one order, then looks."""
    one = desk(made, switch)
    seen = [(await one.look(NAME, do)).progress]
    await one.begin(NAME, do)
    while (sight := await _look(one, do)) is None or sight.progress is Progress.AT_WORK:  # noqa: ASYNC110  a machine and a switch work
        await asyncio.sleep(0.5)
    problem = sight.problem.message if sight.problem else ""
    return {"first": seen[0].name, "last": sight.progress.name, "evidence": dict(sight.evidence), "problem": problem}


async def killed(made: Ground, switch: SimulatedSwitch, lives: int) -> dict[str, object]:
    """The appliance dies in the middle; the next one only looks until nobody decides any more."""
    dying = desk(made, switch, lives)
    await dying.begin(NAME, DO)
    (work,) = dying._works.values()
    await asyncio.wait({work})
    assert isinstance(work.exception(), KilledError), work
    heir, middle = desk(made, switch), ""
    while (sight := await _look(heir, DO)) is None or sight.progress is Progress.AT_WORK:
        middle = "deciding"
        await asyncio.sleep(0.5)
    return {"middle": middle, "last": sight.progress.name}


async def _look(one: PortDesk, do: BondPorts):  # type: ignore[no-untyped-def]
    try:
        return await one.look(NAME, do)
    except Exception as error:
        if type(error).__name__ != "UnreachableError":
            raise
        return None


def sides(made: Ground, switch: SimulatedSwitch) -> dict[str, object]:
    """What each of both really is: of the machine, what the kernel says; of the switch, what is configured."""
    bond = made.ssh(MACHINE, "sh", "-c", "cat /proc/net/bonding/bond0 2>/dev/null || :")
    ports = {port.channel for port in switch.running.ports.values()}
    return {"bond": bond.count("Slave Interface"), "channel": sorted(ports), "pending": switch.pending is not None}


def named(network: MachineNetwork) -> dict[str, bytes]:
    """As the product writes them, for ports that are veth: those have no permanent address, and are of a kind."""
    files = {path: data.decode() for path, data in networkd_files(network).items()}
    for at, mac in enumerate(MACS):
        files = {
            path: text.replace(f"PermanentMACAddress={mac}\nKind=!*", f"Name=eth{at}") for path, text in files.items()
        }
    return {path: text.encode() for path, text in files.items()}


def single(made: Ground) -> None:
    """As it was installed: one address on one port, and a second port beside."""
    made.ssh(MACHINE, "sh", "-c", "rm -rf /etc/systemd/network; mkdir -p /etc/systemd/network")
    for name, data in named(BEFORE).items():
        made.ssh(MACHINE, "sh", "-c", f"cat >/etc/systemd/network/{name}", stdin=data)
    made.ssh(MACHINE, "systemctl", "restart", "systemd-networkd.service")


def on(made: Ground, work: Callable[[], Coroutine[object, object, dict[str, object]]]) -> dict[str, object]:
    with made.inside():
        return asyncio.run(work())


def tell(name: str, value: object) -> None:
    print(f"@{name} {json.dumps(value)}", flush=True)  # noqa: T201  what the test reads


def main(tree: Path, folder: Path, which: str) -> None:
    place = folder / "ground"
    place.mkdir()
    with ground(place, tree, MACHINES) as made:
        with made.inside():
            _ip("address", "add", f"{SWITCH}/24", "dev", "br0")
        _spare_registers(place)
        bonding.networkd_files = named
        made.start(MACHINE)
        second(made)
        single(made)
        switch = SimulatedSwitch("leaf-1", dict.fromkeys(PORTS, 10), Fabric(made).act)
        with made.inside():
            served = switch.serving(SWITCH)
            served.__enter__()
        {"back": going_back, "on": going_on}[which](made, switch)
        served.__exit__(None, None, None)


def _spare_registers(place: Path) -> None:
    """Sessions by SSH get no environment of the system's: see `node.sh`."""
    names = ("GLIBC_TUNABLES", "OPENSSL_ia32cap")
    told = " ".join(f'"{name}={value}"' for name in names if (value := os.environ.get(name)))
    path = place / "seed/etc/ssh/sshd_config.d/registers.conf"
    path.parent.mkdir(parents=True)
    path.write_text(f"SetEnv {told}\n" if told else "")


def second(made: Ground) -> None:
    """The machine's other port."""
    link = ("ip", "link", "add", "second", "type", "veth", "peer", "name", "eth1", "address", MACS[1])
    assert made.run(*link, "netns", MACHINE.name, log="second.log").wait(20) == 0
    with made.inside():
        _ip("link", "set", "second", "master", "br0", "up")


def going_back(made: Ground, switch: SimulatedSwitch) -> None:
    """The appliance dies when it has told the switch nothing, or a channel with a timer; and a cable is not there."""
    for told, name in enumerate(("nothing", "channel")):
        tell(f"killed-after-{name}", {**on(made, partial(killed, made, switch, told)), **sides(made, switch)})
    wired = Fabric(made).act
    switch.act = lambda configuration: _without_second(made, wired, configuration)
    switch.act(switch.running)
    tell("unplugged", {**on(made, partial(through, made, switch)), **sides(made, switch)})


def going_on(made: Ground, switch: SimulatedSwitch) -> None:
    """All goes well; and once more, where the appliance dies when the switch is confirmed and the machine not told."""
    before = time.monotonic()
    tell("bonded", {**on(made, partial(through, made, switch)), **sides(made, switch)})
    tell("seconds", round(time.monotonic() - before, 1))
    tell("again", on(made, partial(looked, made, switch)))
    with made.inside():
        SwitchCli(made.key).ask(switch.stated(SWITCH), dialects.separate(dialects.EOS, DO))
    made.ssh(MACHINE, "sh", "-c", f"rm -r {bonding.FOLDER}; ip link delete bond0 & sleep 1")
    single(made)
    tell("killed-after-confirmation", {**on(made, partial(killed, made, switch, 2)), **sides(made, switch)})


def _without_second(made: Ground, act: Callable[[Configuration], None], configuration: Configuration) -> None:
    """A cable that is not there, however the port is configured."""
    act(configuration)
    with made.inside():
        _ip("link", "set", "second", "down")


async def looked(made: Ground, switch: SimulatedSwitch) -> dict[str, object]:
    return {"look": (await desk(made, switch).look(NAME, DO)).progress.name}


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    except BaseException:
        traceback.print_exc()
        for log in Path(sys.argv[2]).glob("ground/*.log"):
            print(log.read_text()[-3000:])  # noqa: T201
        raise
