"""Children that end with the stand-in, however that ends: the genuine program has all of them in one process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


class Children:
    """`folder` takes what each of them says."""

    def __init__(self, folder: Path, bins: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._bins = folder, bins
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._again: dict[str, list[str]] = {}
        self.environment = environment(bins)

    def start(self, name: str, *argv: str, again: bool = False) -> None:
        """`again`: it is started anew where it ends; the end of any other is the end of all."""
        command = ["setpriv", "--pdeathsig", "KILL", *argv]
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment)
        if again:
            self._again[name] = list(argv)

    def run(self, *argv: str, seconds: float = 120.0) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False, env=self.environment)
        if done.returncode:
            raise SystemExit(f"{' '.join(argv)}: {done.stderr[-1500:]}")
        return done.stdout

    def check(self) -> None:
        for name, running in list(self._running.items()):
            if running.poll() is None:
                continue
            if name not in self._again:
                sys.exit(f"{name} ended with {running.returncode}: {self.said(name)}")
            self.start(name, *self._again[name])

    def said(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")[-1500:]

    def end(self, name: str) -> None:
        running = self._running.pop(name)
        running.send_signal(signal.SIGTERM)
        running.wait(30)

    def until(self, done: object, what: str, seconds: float = 300.0) -> None:
        """`done` is asked until it says yes; dead children are no reason to go on."""
        deadline = time.monotonic() + seconds
        while not done():  # type: ignore[operator]
            self.check()
            if time.monotonic() > deadline:
                sys.exit(f"{what} did not come")
            time.sleep(0.3)


def environment(bins: Path) -> dict[str, str]:
    """The genuine program brings its own helpers, below bin/aux."""
    aux = bins / "aux"
    libraries = [str(aux / "usr/lib/x86_64-linux-gnu")]
    path = [str(bins), *(str(aux / place) for place in ("usr/sbin", "usr/bin")), "/usr/sbin", "/usr/bin"]
    mine = {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "PYTHONHOME")}
    return {
        **mine,
        "PATH": ":".join(path),
        "LD_LIBRARY_PATH": ":".join(libraries),
        "XTABLES_LIBDIR": str(aux / "usr/lib/x86_64-linux-gnu/xtables"),
        "ETCDCTL_API": "3",
    }
