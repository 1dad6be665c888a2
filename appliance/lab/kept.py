"""A virtual rack that stays, with its daemon: one process holds both, and its end is theirs.

`innervate lab up` starts it as `python -m appliance.lab.kept FOLDER NODES FIRMWARE BMC`, `innervate lab down` ends it.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import DEVNULL, Popen

from appliance.errors import ConflictError, InnervateError, MachineryError, NotFoundError
from appliance.frontend.words import told
from appliance.model.codec import from_json, to_json

_STATE = "lab.json"
_LOG = "lab.log"
_UP_SECONDS = 180.0
_DOWN_SECONDS = 40.0
_PAUSE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`firmware` and `bmc` as `./run demo` names them."""

    nodes: int
    firmware: str
    bmc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A lab that runs: `pid` is the process that holds it, `socket` its daemon's."""

    pid: int
    socket: Path
    wanted: Wanted


def found(folder: Path) -> Lab | None:
    """The lab that runs in the folder. A file that a dead process left is none."""
    with suppress(FileNotFoundError):
        lab = from_json(Lab, (folder / _STATE).read_bytes())
        return lab if _holds(lab.pid, folder) else None
    return None


def _holds(pid: int, folder: Path) -> bool:
    """Numbers of processes are given again: this one has to be ours."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"appliance.lab.kept" in words and os.fsencode(folder) in words


def argv_of(folder: Path, wanted: Wanted) -> tuple[str, ...]:
    words = (str(folder), str(wanted.nodes), wanted.firmware, wanted.bmc)
    return (sys.executable, "-m", "appliance.lab.kept", *words)


def up(folder: Path, argv: Sequence[str], pause: Callable[[float], None] = time.sleep) -> Lab:
    """Starts it, and returns when its daemon answers. Raises `ConflictError`, `MachineryError`."""
    if (lab := found(folder)) is not None:
        raise ConflictError(
            f"a lab runs in {folder}", evidence=f"pid {lab.pid}", next_action="innervate lab status; innervate lab down"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _STATE).unlink(missing_ok=True)
    with (folder / _LOG).open("wb") as log:
        process = Popen(argv, stdin=DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + _UP_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if (lab := found(folder)) is not None:
            process.returncode = 0  # it outlives us: nobody here waits for it
            return lab
        pause(_PAUSE)
    process.terminate()
    said = (folder / _LOG).read_text(errors="replace")[-1500:]
    raise MachineryError("the lab did not come up", evidence=said, next_action=f"read {folder}/*.log")


def down(folder: Path, pause: Callable[[float], None] = time.sleep) -> Lab:
    """Returns when nothing of it is left. Raises `NotFoundError`, `MachineryError`."""
    if (lab := found(folder)) is None:
        raise NotFoundError(f"no lab runs in {folder}", next_action="innervate lab up starts one")
    os.kill(lab.pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_SECONDS
    while _holds(lab.pid, folder):
        if time.monotonic() > deadline:
            raise MachineryError("the lab does not end", evidence=f"pid {lab.pid}", next_action=f"kill {lab.pid}")
        pause(_PAUSE)
    (folder / _STATE).unlink(missing_ok=True)
    return lab


def tell(folder: Path, lab: Lab) -> None:
    """Whole or not at all: whoever waits reads it at any moment."""
    fresh = folder / f"{_STATE}.new"
    fresh.write_bytes(to_json(lab))
    fresh.replace(folder / _STATE)


def hold(folder: Path, wanted: Wanted) -> None:
    """Until SIGTERM."""
    from appliance.client import Client
    from appliance.lab import demo
    from appliance.lab.rack import Rack
    from appliance.model.hardware import Firmware

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    options = demo.parse(["--nodes", str(wanted.nodes), "--firmware", wanted.firmware, "--bmc", wanted.bmc])
    files, key, socket = demo.ensure_images(uefi=options.uefi), demo.make_key(folder), folder / "api.sock"
    spec = demo.rack_spec(options, folder, files)
    screens = tuple(range(spec.nodes)) if spec.firmware is Firmware.UEFI else ()
    with Rack.start(replace(spec, screens=screens)) as rack:
        config = demo.daemon_config(folder, socket=socket, key=key)
        with demo.daemon(rack, config, folder) as process:
            demo.wait_until_ready(Client(socket).health, lambda: process.poll() is None, folder / "daemon.log")
            tell(folder, Lab(pid=os.getpid(), socket=socket, wanted=wanted))
            process.wait()


def main(words: Sequence[str]) -> None:
    folder, nodes, firmware, bmc = words
    try:
        hold(Path(folder), Wanted(nodes=int(nodes), firmware=firmware, bmc=bmc))
    except InnervateError as error:
        sys.exit(told(error))


if __name__ == "__main__":
    main(sys.argv[1:])
