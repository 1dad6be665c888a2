"""Runs a command inside a rack: `python enter.py <pid> <folder> <command> ...`; imports nothing of ours.

nsenter(1) would do, but it neither passes SIGTERM on to the command nor takes it along when killed. Here:
SIGTERM and SIGHUP reach the command; when this process dies, the kernel kills the command; its exit status is ours.
A SIGINT from the terminal reaches the command directly, so it is not passed on twice.

`pid` is the `unshare` process that made the namespaces: it holds them all, and its children's pid namespace.
"""

import ctypes
import os
import select
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
_libc = ctypes.CDLL(None, use_errno=True)


def _join(pid: int) -> None:
    folder = Path(f"/proc/{pid}/ns")
    files = [os.open(folder / name, os.O_RDONLY) for name in ("net", "pid_for_children", "mnt")]
    for file in files:
        if _libc.setns(file, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
        os.close(file)


def _become(command: list[str], alive: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if select.select([alive], [], [], 0)[0]:
        os._exit(1)  # the parent was gone before the kernel knew of our wish
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    os.execvp(command[0], command)  # noqa: S606  an argv list, and this process is to become the command


def main() -> int:
    _join(int(sys.argv[1]))
    os.chdir(sys.argv[2])
    alive, _held_open = os.pipe()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Held back until there is somebody to pass them on to.
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    child = os.fork()
    if child == 0:
        os.close(_held_open)
        try:
            _become(sys.argv[3:], alive)
        except OSError as error:
            sys.stderr.write(f"{sys.argv[3]}: {error.strerror}\n")
            os._exit(127)
    for number in _PASSED_ON:
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
