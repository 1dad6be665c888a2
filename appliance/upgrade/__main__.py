"""`python -m appliance.upgrade settle | prove | obey`: the units of the appliance image call it, as root."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from appliance.errors import InnervateError, UsageError
from appliance.system import SystemClock
from appliance.upgrade.board import Board
from appliance.upgrade.boot import boot_of
from appliance.upgrade.disk import SlotDisk
from appliance.upgrade.host import CONFIG, Host, signs
from appliance.upgrade.keeping import keep_state
from appliance.upgrade.spool import FOLDER, Spool
from images.processes import HostProcesses, check

_STATE = Path("/data/state")


def main(arguments: Sequence[str]) -> int:
    processes, board = HostProcesses(), Board()
    try:
        boot = boot_of(Path("/proc/cmdline").read_text())
        host = Host(
            boot=boot,
            disk=SlotDisk(esp=boot.esp, roots=boot.roots, processes=processes),
            board=board,
            spool=Spool(folder=_STATE / FOLDER),
            clock=SystemClock(),
            wait=time.sleep,
            restart=lambda: void(check(processes, ["systemctl", "--no-block", "reboot"])),
            say=say,
            signs=signs,
            keep=lambda: keep_state(CONFIG, board.kept),
        )
        match list(arguments):
            case ["settle"]:
                host.settle()
            case ["prove"]:
                return 0 if host.prove() else 1
            case ["obey"]:
                host.obey()
            case _:
                raise UsageError("say settle, prove or obey", next_action="leave it to the appliance's units")
    except InnervateError as error:
        say("; ".join(filter(None, (str(error), error.evidence, error.next_action))))
        return 1
    return 0


def void(_output: bytes) -> None:
    """What the tool printed is of no interest."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
