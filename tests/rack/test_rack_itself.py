"""The virtual rack: its machines, its isolation, and that nothing of it outlives its owner."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.bmc.port import Bmc
from appliance.bmc.redfish import RedfishDialler
from appliance.errors import BmcError, NotFoundError
from appliance.lab.accelerator import guest_runs
from appliance.lab.rack import Rack
from appliance.lab.spec import Accelerator, RackFirmware, RackNode, RackSpec
from appliance.model.bmc import BootTarget, PowerCommand, PowerState
from appliance.model.codec import to_json
from appliance.model.hardware import Firmware
from appliance.system import SystemClock

pytestmark = [pytest.mark.rack, pytest.mark.skipif(os.geteuid() != 0, reason="a rack needs root")]

OWNER = """
import sys
from pathlib import Path
from appliance.lab.rack import Rack
from appliance.lab.spec import RackSpec
from appliance.model.codec import from_json
rack = Rack.start(from_json(RackSpec, Path(sys.argv[1]).read_bytes()))
print("up", flush=True)
sys.stdin.read()
"""


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Looks 50 times a second; fails after `seconds`."""
    pace, deadline = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pace.wait(0.02)


def processes_of(folder: Path, program: str = "") -> set[int]:
    """Processes, zombies apart, whose command line names `folder` and `program`."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and program in line:
            found.add(int(file.parent.name))
    return found


def play(rack: Rack, node: RackNode, *commands: PowerCommand, boot: BootTarget | None = None) -> PowerState:
    """Gives the commands to the node's BMC; the power state after them."""

    async def scenario(bmc: Bmc) -> PowerState:
        if boot is not None:
            assert await bmc.set_boot_once(boot) is boot
        for command in commands:
            await bmc.command(command)
        return await bmc.power_state()

    async def dialled() -> PowerState:
        dialler = RedfishDialler(SystemClock())
        try:
            return await scenario(dialler.dial(node.bmc))
        finally:
            await dialler.close()

    return rack.inside(lambda: asyncio.run(dialled()))


def says(rack: Rack, node: RackNode, text: str) -> Callable[[], bool]:
    console = rack.console(node)
    return lambda: console.exists() and text.encode() in console.read_bytes()


def small(workdir: Path) -> RackSpec:
    return RackSpec(nodes=1, firmware=Firmware.BIOS, workdir=workdir, memory_mib=64)


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    with Rack.start(small(tmp_path_factory.mktemp("rack"))) as started:
        yield started


@pytest.mark.parametrize(
    ("firmware", "text"), [(Firmware.UEFI, "Start PXE over IPv4"), (Firmware.BIOS, "https://ipxe.org")]
)
def test_two_nodes_reach_their_pxe_client(
    tmp_path: Path, rack_firmware: RackFirmware, firmware: Firmware, text: str
) -> None:
    started = time.monotonic()
    with Rack.start(RackSpec(nodes=2, firmware=firmware, workdir=tmp_path, files=rack_firmware)) as rack:
        assert time.monotonic() - started < 10
        for node in rack.nodes:
            assert play(rack, node, PowerCommand.ON, boot=BootTarget.NETWORK) is PowerState.ON
        for node in rack.nodes:
            until(says(rack, node, text), f"{node.spec.name} in its PXE client")
        for node in rack.nodes:
            assert play(rack, node, PowerCommand.FORCE_OFF) is PowerState.OFF
    assert processes_of(tmp_path) == set()


@pytest.mark.parametrize("firmware", list(Firmware))
def test_an_empty_disk_falls_through_to_the_network(
    tmp_path: Path, rack_firmware: RackFirmware, firmware: Firmware
) -> None:
    text = {Firmware.UEFI: "Start PXE over IPv4", Firmware.BIOS: "https://ipxe.org"}[firmware]
    with Rack.start(RackSpec(nodes=1, firmware=firmware, workdir=tmp_path, files=rack_firmware)) as rack:
        play(rack, rack.nodes[0], PowerCommand.ON)
        until(says(rack, rack.nodes[0], text), "the PXE client")


def test_two_racks_have_the_same_addresses_and_the_host_sees_neither(tmp_path: Path) -> None:
    before = links()
    with Rack.start(small(tmp_path / "a")) as one, Rack.start(small(tmp_path / "b")) as two:
        (first,), (second,) = one.nodes, two.nodes
        assert first.bmc.url == second.bmc.url
        assert first.bmc.fingerprint != second.bmc.fingerprint
        assert first.bmc.password != second.bmc.password
        assert play(one, first, PowerCommand.ON) is PowerState.ON
        assert play(two, second) is PowerState.OFF
        assert links() == before
    assert links() == before


def links() -> bytes:
    return subprocess.run(["ip", "-j", "link"], capture_output=True, check=True).stdout


def test_killing_the_owner_leaves_nothing(tmp_path: Path) -> None:
    spec = tmp_path / "owner.json"
    spec.write_bytes(to_json(small(tmp_path / "rack")))
    argv = [sys.executable, "-c", OWNER, str(spec)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        assert len(processes_of(tmp_path / "rack")) == 3  # unshare, the supervisor, the BMC
        owner.kill()
    until(lambda: not processes_of(tmp_path / "rack"), "the end of the rack", seconds=5)


def test_a_machine_dies_with_its_bmc(tmp_path: Path) -> None:
    with Rack.start(small(tmp_path)) as rack:
        play(rack, rack.nodes[0], PowerCommand.ON)
        (machine,) = processes_of(tmp_path, "qemu-system")
        (server,) = processes_of(tmp_path, "bmc_server")
        os.kill(server, 9)
        until(lambda: machine not in processes_of(tmp_path), "the end of the machine", seconds=5)


def test_stop_leaves_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    rack = Rack.start(small(tmp_path))
    play(rack, rack.nodes[0], PowerCommand.ON)
    rack.stop()
    rack.stop()
    assert processes_of(tmp_path) == set()


def test_a_folder_is_used_again_with_its_disks(tmp_path: Path) -> None:
    for content in (b"", b"kept"):
        with Rack.start(small(tmp_path)) as rack:
            node = rack.nodes[0]
            play(rack, node, PowerCommand.ON, PowerCommand.FORCE_OFF)
            with node.spec.disk.open("rb+") as disk:
                assert disk.read(len(content)) == content
                disk.seek(0)
                disk.write(b"kept")


def test_a_machine_that_cannot_start_is_an_error_with_its_reason(tmp_path: Path) -> None:
    absent = tmp_path / "absent.rom"
    files = RackFirmware(ovmf_code=absent, ovmf_vars=Path(os.devnull), virtio_rom=absent)
    spec = RackSpec(nodes=1, firmware=Firmware.BIOS, workdir=tmp_path, files=files)
    with Rack.start(spec) as rack:
        with pytest.raises(BmcError, match="refused POST") as caught:
            play(rack, rack.nodes[0], PowerCommand.ON)
        assert "QEMU did not start" in caught.value.evidence
        assert play(rack, rack.nodes[0]) is PowerState.OFF


def test_command_runs_inside(rack: Rack, tmp_path: Path) -> None:
    script = 'ip -br address show br0; pwd; cat /proc/1/cmdline | tr "\\0" " "; echo $THIS; exit 7'
    argv = ["sh", "-c", script]
    with rack.run(argv, stdout=subprocess.PIPE, cwd=tmp_path, env={**os.environ, "THIS": "that"}) as command:
        output = command.communicate()[0].decode()
    assert command.returncode == 7
    assert "10.77.0.1/24" in output
    assert str(tmp_path) in output
    assert "appliance.lab.supervisor" in output
    assert output.endswith("that\n")


def test_command_that_does_not_exist(rack: Rack) -> None:
    with rack.run(["/nonexistent"], stderr=subprocess.PIPE) as command:
        assert b"No such file" in command.communicate()[1]
    assert command.returncode == 127


def test_terminating_a_command_reaches_it(rack: Rack) -> None:
    script = "trap 'echo goodbye; exit 3' TERM; echo up; while :; do read x; done"
    pipe = subprocess.PIPE
    with rack.run(["sh", "-c", script], stdin=pipe, stdout=pipe) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"up\n"
        command.terminate()
        assert command.stdout.readline() == b"goodbye\n"
    assert command.returncode == 3


def test_killing_a_command_kills_what_runs_inside(rack: Rack, tmp_path: Path) -> None:
    marker = str(tmp_path / "marker")
    script = "trap '' TERM; echo up; while :; do read x; done"
    pipe = subprocess.PIPE
    with rack.run(["sh", "-c", script, marker], stdin=pipe, stdout=pipe) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"up\n"
        assert len(processes_of(tmp_path)) == 2
        command.kill()
        # The end of its output: the last process that held it is gone, with our end of its input still open.
        assert command.stdout.read() == b""
    until(lambda: not processes_of(tmp_path), "the end of the command", seconds=5)


def test_status_of_a_command_that_a_signal_ended(rack: Rack) -> None:
    with rack.run(["sh", "-c", "kill -9 $$"]) as command:
        assert command.wait() == 128 + 9


def test_failures_inside_are_raised_outside(rack: Rack) -> None:
    def fail() -> None:
        raise ValueError("from inside")

    with pytest.raises(ValueError, match="from inside"):
        rack.inside(fail)


def test_node_by_name(rack: Rack) -> None:
    assert rack.node("node-0") is rack.nodes[0]
    with pytest.raises(NotFoundError):
        rack.node("node-9")


def test_probe_knows_a_guest_that_runs(tmp_path: Path) -> None:
    assert guest_runs(Accelerator.TCG, tmp_path)
