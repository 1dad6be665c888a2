"""What the machine is made of: asked of the usual tools and of sysfs. A tool that fails is a line in `errors`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from .disks import read_text
from .errors import ProtocolError
from .fields import Json, parse_json
from .lldp import Heard
from .ports import Disks, Processes
from .protocol import Cpu, DiskFacts, Facts, Firmware, Identity, NicFacts

MAX_OUTPUT = 2 << 20
_TIMEOUT = 120.0
_MAX_NICS = 256

_LSHW = ("lshw", "-json", "-quiet", "-numeric")
_LSBLK = ("lsblk", "--json", "--bytes", "--output-all")
_IP = ("ip", "-json", "-details", "address")
_ROUTES = ("ip", "-json", "route", "show", "table", "all")
_DMIDECODE = ("dmidecode",)


class Survey:
    """Looks at one machine. `proc` and `sys` are where those file systems are mounted."""

    def __init__(self, *, boot_id: str, processes: Processes, disks: Disks, proc: Path, sys: Path) -> None:
        self._boot_id, self._processes, self._disks = boot_id, processes, disks
        self._proc, self._sys = proc, sys

    def facts(self, lldp: Sequence[Heard]) -> Facts:
        """`lldp`: what was heard so far."""
        errors: dict[str, str] = {}
        return Facts(
            boot_id=self._boot_id,
            lshw=self._ask_json("lshw", _LSHW, errors),
            lsblk=self._ask_json("lsblk", _LSBLK, errors),
            ip=self._ask_json("ip", _IP, errors),
            routes=self._ask_json("routes", _ROUTES, errors),
            dmidecode=self._ask("dmidecode", _DMIDECODE, errors).decode("utf-8", "replace"),
            lldp=tuple(heard.frame.hex() for heard in lldp),
            lldp_nics=tuple(heard.nic for heard in lldp),
            disks=self._read_disks(errors),
            nics=tuple(read_nics(self._sys)),
            memory_bytes=parse_meminfo(_file(self._proc / "meminfo")),
            cpu=parse_cpuinfo(_file(self._proc / "cpuinfo")),
            errors=errors,
        )

    def _ask(self, name: str, argv: Sequence[str], errors: dict[str, str]) -> bytes:
        try:
            finished = self._processes.run(argv, timeout=_TIMEOUT)
        except OSError as error:
            errors[name] = str(error)[:1000]
            return b""
        if finished.status != 0:
            said = finished.errors[-1000:].decode("utf-8", "replace")
            errors[name] = f"status {finished.status}: {said}"
        elif len(finished.output) > MAX_OUTPUT:
            errors[name] = f"more than {MAX_OUTPUT} bytes of output"
        return finished.output[:MAX_OUTPUT]

    def _ask_json(self, name: str, argv: Sequence[str], errors: dict[str, str]) -> Json:
        output = self._ask(name, argv, errors)
        if name in errors:
            return None
        try:
            return parse_json(output, limit=MAX_OUTPUT)
        except ProtocolError as error:
            errors[name] = f"{error}: {error.evidence}"
            return None

    def _read_disks(self, errors: dict[str, str]) -> tuple[DiskFacts, ...]:
        try:
            return self._disks.read()
        except OSError as error:
            errors["disks"] = str(error)[:1000]
            return ()


def read_identity(sys: Path) -> Identity:
    """SMBIOS type 1 and 2 as the kernel shows them, and the MACs of the NICs."""
    dmi = sys / "class/dmi/id"
    return Identity(
        uuid=read_text(dmi / "product_uuid")[:64],
        serial=read_text(dmi / "product_serial"),
        board_serial=read_text(dmi / "board_serial"),
        macs=tuple(nic.mac for nic in read_nics(sys) if nic.mac),
        firmware=Firmware.UEFI if (sys / "firmware/efi").is_dir() else Firmware.BIOS,
    )


def read_nics(sys: Path) -> Iterator[NicFacts]:
    """The network interfaces that have hardware, in the order of their names."""
    net = sys / "class/net"
    names = sorted(entry.name for entry in net.iterdir() if (entry / "device").exists()) if net.is_dir() else []
    for name in names[:_MAX_NICS]:
        where = net / name
        driver = where / "device/driver"
        speed = read_text(where / "speed")  # -1 or an error without a link
        yield NicFacts(
            name=name,
            mac=read_text(where / "address").lower(),
            driver=driver.resolve().name if driver.exists() else "",
            speed_mbps=int(speed) if speed.isdecimal() and int(speed) < 1 << 31 else 0,
            carrier=read_text(where / "carrier") == "1",
        )


def parse_meminfo(text: str) -> int:
    """Bytes of memory that the kernel manages; 0 if it does not say."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "MemTotal:" and words[1].isdecimal():
            return int(words[1]) * 1024
    return 0


def parse_cpuinfo(text: str) -> Cpu:
    """proc(5): one paragraph per thread; threads of one core share its physical and core id."""
    threads = [_paragraph(part) for part in text.split("\n\n") if part.strip()]
    cores = {(t.get("physical id", "0"), t.get("core id", str(i))) for i, t in enumerate(threads)}
    model = threads[0].get("model name", "") if threads else ""
    return Cpu(model=model[:200], cores=len(cores), threads=len(threads))


def _paragraph(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _file(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
