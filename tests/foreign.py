"""Programs of others that the tests ask: each in an environment of its own below the cache, never in the product's."""

import fcntl
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

CACHE = Path("~/.cache/innervate/foreign").expanduser()
REDFISH_CLIENTS = ("sushy==5.14.0", "redfishtool==1.1.8")
ANSIBLE = ("ansible==12.3.0",)
ANSIBLE_CORE = ("ansible-core==2.19.14",)
_INSTALL_SECONDS = 600


def environment(*packages: str) -> Path:
    """The folder of its programs, installed at first use. The same packages have one environment."""
    folder = CACHE / sha256("\n".join((sys.version, *packages)).encode()).hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _run(sys.executable, "-m", "venv", "--clear", str(folder))
            _run(str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *packages)
            (folder / "complete").touch()
    return folder / "bin"


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr[-2000:]}"
