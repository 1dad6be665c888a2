"""Programs of others that the tests ask: each in a folder of its own below the cache, never where the product's are.

Debian packages that would change this machine when installed (a syslog daemon, cloud-init) are unpacked instead.
"""

import fcntl
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

CACHE = Path("~/.cache/innervate/foreign").expanduser()
REDFISH_CLIENTS = ("sushy==5.14.0", "redfishtool==1.1.8")
ANSIBLE = ("ansible==12.3.0",)
ANSIBLE_CORE = ("ansible-core==2.19.14",)
OPENTELEMETRY_SDK = ("opentelemetry-sdk==1.45.2",)
RSYSLOG = ("rsyslog", "rsyslog-openssl", "libestr0", "libfastjson4", "liblognorm5")
CLOUD_INIT = (
    *("cloud-init", "python3-attr", "python3-certifi", "python3-chardet", "python3-configobj", "python3-idna"),
    *("python3-jinja2", "python3-jsonpatch", "python3-json-pointer", "python3-jsonschema", "python3-markupsafe"),
    *("python3-netifaces", "python3-oauthlib", "python3-pkg-resources", "python3-pyrsistent", "python3-requests"),
    *("python3-serial", "python3-six", "python3-urllib3", "python3-yaml"),
)
NETPLAN = ("netplan.io", "libnetplan0", "libyaml-0-2")
NETWORK_MANAGER = (
    *("network-manager", "libnm0", "libndp0", "libteamdctl0", "libjansson4", "libnss3", "libnspr4", "libcurl3-gnutls"),
    *("libpsl5", "libbluetooth3", "libmm-glib0", "libnewt0.52", "libslang2", "libreadline8"),
)
_INSTALL_SECONDS = 600


def environment(*packages: str) -> Path:
    """The folder of its programs, installed at first use. The same packages have one environment."""

    def install(folder: Path) -> None:
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *packages)

    return _made((sys.version, *packages), install) / "bin"


def unpacked(*packages: str) -> Path:
    """The root of what these Debian packages hold, without what they depend on."""

    def unpack(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        _run("apt-get", "download", "-q", *packages, cwd=folder)
        for package in folder.glob("*.deb"):
            _run("dpkg-deb", "-x", str(package), str(folder))

    return _made(("debian", *packages), unpack)


def _made(key: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    folder = CACHE / sha256("\n".join(key).encode()).hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            make(folder)
            (folder / "complete").touch()
    return folder


def _run(*argv: str, cwd: Path | None = None) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False, cwd=cwd)
    assert done.returncode == 0, f"{argv}: {done.stderr[-2000:]}"
