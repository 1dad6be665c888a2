"""The demo: a virtual rack from powered off to running, by the product's own daemon and front-end.

`./run demo [--nodes N] [--firmware uefi|bios|http] [--bmc redfish|ipmi|both] [--headless] [--json FILE] [--keep]`
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen, TimeoutExpired

import appliance
from appliance.cli import show
from appliance.cli.exits import Exit, of_error
from appliance.cli.progress import display, summary
from appliance.client import Client
from appliance.errors import AbsentError, InnervateError, MachineryError
from appliance.frontend.provision import Outcome, Person, follow_run, provision
from appliance.frontend.words import told
from appliance.lab.rack import Rack
from appliance.lab.report import DemoReport, report
from appliance.lab.spec import BRIDGE_ADDRESS, MAX_NODES, BmcKind, RackFirmware, RackSpec, UefiKind
from appliance.lab.topology import VARIABLE
from appliance.model.codec import to_json
from appliance.model.doctor import Check
from appliance.model.goal import EVERYTHING
from appliance.model.hardware import Firmware
from appliance.model.views import HealthView, PlanView, RunView
from appliance.services.shells import ensure_key
from images.archive import Archive
from images.build import Product, ensure_all
from images.errors import ImagesError
from images.mirror import find_mirror
from images.processes import HostProcesses
from images.ramdisk.modules import Variant
from images.store import Store

_HOME = Path(appliance.__file__).parents[1]
SITE = _HOME / "examples" / "lab_rack.py"
IMAGES = Path("~/.cache/innervate/images").expanduser()
_FIRMWARE = {
    "uefi": (Firmware.UEFI, UefiKind.PXE),
    "bios": (Firmware.BIOS, UefiKind.PXE),
    "http": (Firmware.UEFI, UefiKind.HTTP),
}
_BMCS = {
    "redfish": (BmcKind.REDFISH,),
    "ipmi": (BmcKind.IPMI,),
    "both": (BmcKind.REDFISH, BmcKind.IPMI),
}
_READY_SECONDS = 60.0
_READY_PAUSE = 0.05
_LOOK_PAUSE = 0.5
_STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`uefi` counts where `firmware` is UEFI. `json` is "-" for standard output, empty for no report."""

    nodes: int
    firmware: Firmware
    bmcs: tuple[BmcKind, ...]
    uefi: UefiKind
    headless: bool
    json: str
    keep: bool


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="innervate-") as folder:
            return demo(options, Path(folder))
    except InnervateError as error:
        _say(told(error))
        return of_error(error)
    except ImagesError as error:
        _say(told(MachineryError(str(error), evidence=error.evidence, next_action=error.next_action)))
        return Exit.FAILURE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def parse(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="./run demo", description="Provision a virtual rack, from power-off to SSH.")
    parser.add_argument("--nodes", type=int, default=2, choices=range(1, MAX_NODES + 1), help="default 2")
    parser.add_argument("--firmware", choices=list(_FIRMWARE), default="uefi")
    parser.add_argument("--bmc", choices=list(_BMCS), default="redfish")
    parser.add_argument("--headless", action="store_true", help="a line per change, no live table")
    parser.add_argument("--json", default="", metavar="FILE", help='write the report there ("-": standard output)')
    parser.add_argument("--keep", action="store_true", help="leave the rack running until Ctrl-C")
    given = parser.parse_args(argv)
    firmware, uefi = _FIRMWARE[given.firmware]
    return Options(
        nodes=given.nodes,
        firmware=firmware,
        bmcs=_BMCS[given.bmc],
        uefi=uefi,
        headless=given.headless,
        json=given.json,
        keep=given.keep,
    )


def demo(options: Options, folder: Path) -> int:
    files = ensure_images(uefi=options.uefi)
    key = make_key(folder)
    start = time.monotonic()
    with Rack.start(rack_spec(options, folder, files)) as rack:
        socket = folder / "api.sock"
        config = daemon_config(folder, socket=socket, key=key)
        client = Client(socket)
        with daemon(rack, config, folder) as process:
            ready_seconds = wait_until_ready(client.health, lambda: process.poll() is None, folder / "daemon.log")
            _say(f"Look on from a second terminal: ./run innervate --socket {socket} status")
            outcome = press_provision(client, options)
            result = _report(client, outcome, time.monotonic() - start, ready_seconds)
            _tell(options, client, result, socket)
            if options.keep:
                _wait_for_interrupt()
    return Exit.OK if result.all_active else Exit.FAILURE


def ensure_images(
    folder: Path = IMAGES, variant: Variant = Variant.CLOUD, uefi: UefiKind = UefiKind.PXE
) -> RackFirmware:
    """The ramdisk and the OS image for the daemon, the firmware for the rack; minutes the first time.

    `uefi` is not ARM64: nothing is built for it.
    """
    store = Store(folder)
    archive = Archive(mirror=find_mirror(os.environ), processes=HostProcesses(), progress=_say)
    firmware = ensure_all(store, archive, variant).entry(Product.FIRMWARE)

    def path(name: str) -> Path:
        return store.path_of(firmware.artifact(name).sha256)

    return RackFirmware(
        ovmf_code=path("OVMF_CODE_4M.secboot.fd" if uefi.is_secure else "OVMF_CODE_4M.fd"),
        ovmf_vars=path("OVMF_VARS_4M.ms.fd" if uefi.is_secure else "OVMF_VARS_4M.fd"),
        virtio_rom=path("pxe-virtio.rom"),
    )


def make_key(folder: Path) -> Path:
    """The daemon's SSH key; the lab's topology authorises its public half on the machines."""
    key = folder / "id_ed25519"
    ensure_key(key, HostProcesses())
    return key


def rack_spec(options: Options, folder: Path, files: RackFirmware) -> RackSpec:
    return RackSpec(
        nodes=options.nodes,
        firmware=options.firmware,
        uefi=options.uefi,
        bmcs=options.bmcs,
        workdir=folder,
        files=files,
    )


def daemon_config(
    folder: Path,
    *,
    socket: Path,
    key: Path,
    variant: Variant = Variant.CLOUD,
    redfish_port: int = 0,
    https_port: int = 0,
    site: Path = SITE,
    sets: Path | None = None,
) -> Path:
    """Writes the configuration file that `appliance.config` reads, and returns its path. By `https_port` the daemon
    answers at its own address on the boot network."""
    state_dir = folder / "state"
    state_dir.mkdir(mode=0o700, exist_ok=True)
    keys = {
        "state_dir": state_dir,
        "socket": socket,
        "site": site,
        "images_dir": IMAGES,
        "ssh_key": key,
        "ramdisk": variant,
        "console": "ttyS0,115200",
    } | ({"sets_dir": sets} if sets else {})
    config = folder / "innervate.toml"
    texts = "".join(f'{name} = "{value}"\n' for name, value in keys.items())
    doors = f'https_port = {https_port}\nhttps_hosts = ["{BRIDGE_ADDRESS.ip}"]\n' if https_port else ""
    config.write_text(f"{texts}redfish_port = {redfish_port}\n{doors}")
    return config


@contextmanager
def daemon(rack: Rack, config: Path, folder: Path) -> Iterator[Popen[bytes]]:
    """The daemon inside the rack's network; it is asked to stop at the end, and the rack ends it if it does not."""
    argv = [sys.executable, "-m", "appliance.main", "daemon", "--config", str(config)]
    with (folder / "daemon.log").open("wb") as log:
        process = rack.run(argv, stdout=log, stderr=log, cwd=_HOME, env={**os.environ, VARIABLE: str(folder)})
        try:
            yield process
        except InnervateError:
            _keep_logs(folder)
            raise
        finally:
            process.terminate()
            with suppress(TimeoutExpired):
                process.wait(_STOP_SECONDS)


def wait_until_ready(
    health: Callable[[], HealthView],
    alive: Callable[[], bool],
    log: Path,
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> float:
    """Seconds until it was ready. Raises `MachineryError` with the log's end when it died or took too long."""
    start = now()
    while alive() and now() - start < _READY_SECONDS:
        with suppress(AbsentError):
            if health().ready:
                return now() - start
        pause(_READY_PAUSE)
    raise MachineryError(
        "the daemon did not become ready",
        evidence=log.read_text(errors="replace")[-1500:] if log.is_file() else "it wrote no log",
        next_action="run it by hand: `innervate daemon --config FILE`",
    )


def press_provision(client: Client, options: Options) -> Outcome:
    console = show.console(stderr=True)

    def shown(plan: PlanView) -> None:
        console.print(show.plan(plan))

    def approve(plan: PlanView) -> tuple[Check, ...]:
        shown(plan)
        return ()

    def follow(run: RunView) -> RunView:
        with display(console, headless=options.headless) as table:
            return follow_run(client, run, table, time.time, pause)

    def pause() -> None:
        time.sleep(_LOOK_PAUSE)

    return provision(
        client, Person(approve=approve, told=shown, follow=follow, pause=pause, now=time.time, then=EVERYTHING)
    )


def _report(client: Client, outcome: Outcome, seconds: float, ready_seconds: float) -> DemoReport:
    return report(client.machines(), client.health(), outcome.runs, seconds=seconds, ready_seconds=ready_seconds)


def _tell(options: Options, client: Client, result: DemoReport, socket: Path) -> None:
    show.console(stderr=options.json == "-").print(summary(client.machines()))
    if options.keep:
        _say(f"Enter one: ./run innervate --socket {socket} ssh node-0")
    if options.json == "-":
        sys.stdout.write(to_json(result).decode() + "\n")
        sys.stdout.flush()
    elif options.json:
        Path(options.json).write_bytes(to_json(result) + b"\n")
    if not result.all_active:
        _keep_logs(socket.parent)


def _keep_logs(folder: Path) -> None:
    """The folder goes with the rack; what explains a failure must not."""
    kept = Path(tempfile.mkdtemp(prefix="innervate-failed-"))
    for log in (*folder.glob("*.log"), *folder.glob("*/console.log")):
        shutil.copyfile(log, kept / "-".join(log.relative_to(folder).parts))
    _say(f"Logs: {kept}")


def _wait_for_interrupt() -> None:
    _say("Ctrl-C ends the rack.")
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
