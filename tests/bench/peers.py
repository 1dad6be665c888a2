"""The peers: Debian's own packages, unpacked into the cache and run from there, and Python's from the locked venv.

Nothing is installed: `apt-get --download-only` and `dpkg -x` start no service, take no port and conflict with nothing.
Each package has its own root with the libraries that this machine lacks.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from tests.bench import ours, traffic
from tests.bench.errors import BenchError
from tests.bench.lab import CACHE, DEVICE, HTTP_PORT, NETWORK, POOL_FIRST, POOL_LAST, SERVER
from tests.bench.process import Launch
from tests.bench.tools import large_buffers

_PEERS = CACHE / "peers"
_SECONDS = 600


def fetch(packages: Sequence[str], *, progress: Callable[[str], None]) -> None:
    """BenchError when a package cannot be had."""
    missing = [package for package in packages if not (_PEERS / package).is_dir()]
    if missing and shutil.which("apt-get") is None:
        raise BenchError(f"the peers come as Debian packages, and there is no apt-get here: {' '.join(missing)}")
    if missing:
        progress(f"innervate: downloading {' '.join(missing)} for the bench")
        _do("apt-get", "update", "-q")
    for package in missing:
        _unpack(package)


def _unpack(package: str) -> None:
    """The package, installed or not, and what it needs and this machine lacks."""
    target, unready = _PEERS / package, _PEERS / f"{package}.new"
    shutil.rmtree(unready, ignore_errors=True)
    archives = unready / "archives"
    (archives / "partial").mkdir(parents=True)
    _do(
        *("apt-get", "install", "-q", "-y", "--download-only", "--reinstall", "--no-install-recommends"),
        *("-o", f"Dir::Cache::archives={archives}", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"),
        package,
    )
    for archive in sorted(archives.glob("*.deb")):
        _do("dpkg", "-x", str(archive), str(unready))
    shutil.rmtree(archives)
    unready.rename(target)


def _do(*argv: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment)
    if done.returncode:
        raise BenchError(f"{' '.join(argv)[:120]}: {done.stderr.strip()[-400:]}")


def fetch_environments(names: Sequence[str], *, progress: Callable[[str], None]) -> None:
    """Python environments of their own, so that nothing of ours depends on a peer. Each is named after the file here
    with its pinned packages. BenchError when one cannot be made."""
    for name in names:
        target = _environment(name)
        if not target.is_dir():
            progress(f"innervate: making a Python environment with {name} for the bench")
            unready = target.with_name(f"{target.name}.new")
            shutil.rmtree(unready, ignore_errors=True)
            _do(sys.executable, "-m", "venv", str(unready))
            pip = (str(unready / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            _do(*pip, "--no-deps", "--requirement", str(_requirements(name)))
            unready.rename(target)


def python_of(name: str) -> str:
    return str(_environment(name) / "bin/python")


def _environment(name: str) -> Path:
    return CACHE / "environments" / f"{name}-{sha256(_requirements(name).read_bytes()).hexdigest()[:12]}"


def _requirements(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.txt")


def program(package: str, path: str) -> str:
    return str(_PEERS / package / path)


def libraries(package: str) -> Mapping[str, str]:
    root = _PEERS / package
    folders = sorted({str(found.parent) for found in root.rglob("*.so*")})
    return {"LD_LIBRARY_PATH": ":".join(folders)} if folders else {}


# DHCP


def kea(folder: Path, *, persist: bool, buffers: bool = False) -> Launch:
    """memfile: a CSV journal that is written but not flushed. `buffers` as with net.core.rmem_default at 8 MiB."""
    package = "kea-dhcp4-server"
    place = {"KEA_PIDFILE_DIR": str(folder), "KEA_LOCKFILE_DIR": "none"}
    return Launch(
        argv=(program(package, "usr/sbin/kea-dhcp4"), "-c", str(folder / "kea.json")),
        udp=67,
        files={"kea.json": traffic.kea_json(folder / "leases.csv", persist=persist)},
        environment={**place, **libraries(package), **(large_buffers() if buffers else {})},
    )


def dnsmasq_dhcp(folder: Path) -> Launch:
    mask = NETWORK.netmask
    return _dnsmasq(
        *(
            "--port=0",
            "--no-ping",
            "--dhcp-authoritative",
            "--quiet-dhcp",
            f"--interface={DEVICE}",
            "--bind-interfaces",
        ),
        *(f"--dhcp-range={POOL_FIRST},{POOL_LAST},{mask},4000", "--dhcp-lease-max=1000000"),
        *("--dhcp-boot=snponly.efi", f"--dhcp-leasefile={folder / 'leases'}"),
        udp=67,
    )


def _dnsmasq(*options: str, udp: int, files: Mapping[str, str] | None = None) -> Launch:
    package = "dnsmasq-base"
    common = (
        "--keep-in-foreground",
        "--user=root",
        "--log-facility=/dev/null",
        "--pid-file",
        "--no-resolv",
        "--no-hosts",
    )
    conf = () if files else ("--conf-file=/dev/null",)
    return Launch(
        argv=(program(package, "usr/sbin/dnsmasq"), *conf, *common, *options),
        udp=udp,
        files=files or {},
        environment=libraries(package),
    )


# TFTP


def tftpd_hpa(_: Path) -> Launch:
    package = "tftpd-hpa"
    options = ("-L", "-s", "--address", f"{SERVER}:69", "-u", "root", str(traffic.TFTP_ROOT))
    return Launch(argv=(program(package, "usr/sbin/in.tftpd"), *options), udp=69, environment=libraries(package))


def atftpd(_: Path) -> Launch:
    package = "atftpd"
    options = ("--daemon", "--no-fork", "--bind-address", str(SERVER), "--maxthread", "400", "--user", "root")
    quiet = ("--group", "root", "--verbose=0", "--logfile", "/dev/null", str(traffic.TFTP_ROOT))
    argv = (program(package, "usr/sbin/atftpd"), *options, *quiet)
    return Launch(argv=argv, udp=69, environment=libraries(package))


def dnsmasq_tftp(_: Path) -> Launch:
    return _dnsmasq("--port=0", "--enable-tftp", f"--tftp-root={traffic.TFTP_ROOT}", "--tftp-max=400", udp=69)


def tftpy(_: Path) -> Launch:
    return Launch(argv=(sys.executable, "-m", "tests.bench.pypeers", "tftpy"), udp=69)


# HTTP


def nginx(folder: Path) -> Launch:
    package = "nginx"
    return Launch(
        argv=(program(package, "usr/sbin/nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")),
        tcp=HTTP_PORT,
        files={"nginx.conf": traffic.nginx_conf(folder), "boot.ipxe": ours.script_of(0)},
        environment=libraries(package),
    )


def starlette(_: Path) -> Launch:
    return Launch(argv=(sys.executable, "-m", "tests.bench.pypeers", "starlette"), tcp=HTTP_PORT)


# DNS


def knot(folder: Path) -> Launch:
    package = "knot"
    return Launch(
        argv=(program(package, "usr/sbin/knotd"), "-c", str(folder / "knot.conf")),
        udp=53,
        files={"knot.conf": traffic.knot_conf(folder), "zone": traffic.zone_file()},
        environment=libraries(package),
    )


def unbound(folder: Path) -> Launch:
    package = "unbound"
    return Launch(
        argv=(program(package, "usr/sbin/unbound"), "-d", "-c", str(folder / "unbound.conf")),
        udp=53,
        files={"unbound.conf": traffic.unbound_conf(folder)},
        environment=libraries(package),
    )


def dnsmasq_dns(folder: Path) -> Launch:
    options = (f"--conf-file={folder / 'dnsmasq.conf'}", f"--listen-address={SERVER}", "--bind-interfaces")
    return _dnsmasq(*options, udp=53, files={"dnsmasq.conf": traffic.dnsmasq_conf()})


def dnslib(_: Path) -> Launch:
    return Launch(argv=(sys.executable, "-m", "tests.bench.pypeers", "dnslib"), udp=53)


# Images


def bmaptool(*arguments: str) -> tuple[str, ...]:
    """A Python program of Debian's, for Debian's Python."""
    return ("/usr/bin/python3", program("bmap-tools", "usr/bin/bmaptool"), *arguments)


def qemu_img(*arguments: str) -> tuple[str, ...]:
    return (program("qemu-utils", "usr/bin/qemu-img"), *arguments)


def image_tools() -> Mapping[str, str]:
    return {**libraries("qemu-utils"), "PYTHONPATH": program("bmap-tools", "usr/lib/python3/dist-packages")}
