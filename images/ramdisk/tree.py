"""From an unpacked Debian to the few files that the ramdisk holds: programs, their libraries, a trimmed Python."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from images.errors import BuildError
from images.ports import Processes
from images.processes import check
from images.ramdisk import modules
from images.ramdisk.modules import Variant

PYTHON = "python3.13"
PROGRAMS = (
    "bin/busybox",
    "bin/kmod",
    "bin/python3.13",
    "bin/ip",
    "bin/lshw",
    "bin/lsblk",
    "bin/efibootmgr",
    "bin/dropbearkey",
    "sbin/dmidecode",
    "sbin/dropbear",
    "sbin/sfdisk",
    "sbin/blkdiscard",
    "sbin/blkid",  # busybox has one too, which knows neither probing nor the ends of disks
    "sbin/blockdev",
    "sbin/wipefs",
    "bin/partx",
    "sbin/nvme",
    "sbin/smartctl",
)
IPMITOOL = "bin/ipmitool"
_LOADER = "usr/lib64/ld-linux-x86-64.so.2"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LIBRARY = re.compile(r"\s(/\S+/[^/\s]+\.so[^/\s]*) \(0x")
_FOLDERS = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/lib64", "usr/sbin", "var")
_KMOD_NAMES = ("modprobe", "insmod", "rmmod", "lsmod", "depmod", "modinfo")
# Parts of the standard library that need a person, a compiler, a terminal or a test run.
_NO_PYTHON = frozenset(
    (
        "__pycache__",
        "__phello__",
        "_pyrepl",
        "curses",
        "dbm",
        "ensurepip",
        "idlelib",
        "pydoc_data",
        "sqlite3",
        "test",
        "tkinter",
        "turtledemo",
        "unittest",
        "venv",
        "wsgiref",
        "xmlrpc",
        "__hello__.py",
        "antigravity.py",
        "doctest.py",
        "sitecustomize.py",  # a link out of the tree
        "mailbox.py",
        "pdb.py",
        "pickletools.py",
        "pydoc.py",
        "this.py",
        "turtle.py",
        "webbrowser.py",
    )
)
_NO_EXTENSION = re.compile(r"_test|_ctypes_test|_xx|xx|_codecs_|_multibytecodec|_curses|_dbm|_sqlite3|readline")
_SITE = "usr/lib/python3/dist-packages"
_PACKAGES = ("zstandard", "cryptography")
_NO_PACKAGE = shutil.ignore_patterns("_cffi*", "*cffi.py", "*.pyi", "x509")
_ENCODINGS = frozenset(
    (
        "__init__",
        "aliases",
        "ascii",
        "base64_codec",
        "cp437",
        "hex_codec",
        "idna",
        "latin_1",
        "punycode",
        "raw_unicode_escape",
        "unicode_escape",
        "utf_16",
        "utf_16_be",
        "utf_16_le",
        "utf_8",
        "utf_8_sig",
    )
)


def pick(source: Path, target: Path, variant: Variant, processes: Processes) -> None:
    """Fill the empty folder `target` from the unpacked tree `source`. Raises BuildError, ToolError."""
    _lay_out(target)
    programs = (*PROGRAMS, IPMITOOL) if variant is Variant.GENERIC else PROGRAMS
    copied = [_copy(source, target, f"usr/{program}") for program in programs]
    extensions = _copy_python(source, target)
    _copy_libraries(source, target, [*copied, *extensions], processes)
    _copy(source, target, "usr/share/misc/pci.ids")
    _link_names(target, processes)
    _copy_modules(source, target, variant, processes)
    _compile(target, f"/usr/lib/{PYTHON}", "/usr/lib/python3/dist-packages", processes=processes)


def kernel_of(source: Path) -> Path:
    kernels = sorted((source / "boot").glob("vmlinuz-*"))
    if len(kernels) != 1:
        raise BuildError("expected one kernel", evidence=", ".join(path.name for path in kernels))
    return kernels[0]


def link_merged_usr(tree: Path) -> None:
    """/bin, /sbin, /lib and /lib64 as links into /usr, which base-files makes only when it is configured."""
    for name in ("bin", "sbin", "lib", "lib64"):
        link = tree / name
        if not link.is_symlink():
            link.symlink_to(f"usr/{name}")


def _lay_out(target: Path) -> None:
    for folder in (*_FOLDERS, _LIBRARIES, "usr/lib/innervate"):
        (target / folder).mkdir(parents=True, exist_ok=True)
    link_merged_usr(target)
    (target / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (target / "etc/group").write_text("root:x:0:\n")
    (target / "etc/hostname").write_text("ramdisk\n")


def _copy(source: Path, target: Path, path: str) -> Path:
    origin = source / path
    if not origin.is_file():
        raise BuildError(f"Debian's packages no longer hold /{path}", next_action="find the package that does")
    copy = target / path
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(origin, copy)
    return origin


def _copy_python(source: Path, target: Path) -> list[Path]:
    """Returns the extension modules that were copied, as found in `source`."""
    library = source / "usr/lib" / PYTHON
    shutil.copytree(library, target / "usr/lib" / PYTHON, ignore=_ignore_python)
    for package in _PACKAGES:
        shutil.copytree(source / _SITE / package, target / _SITE / package, ignore=_NO_PACKAGE)
    for module in (source / _SITE).glob("_cffi_backend*.so"):
        shutil.copy2(module, target / _SITE / module.name)
    (target / "usr/bin/python3").symlink_to(PYTHON)
    found = [*target.glob(f"usr/lib/{PYTHON}/lib-dynload/*.so"), *(target / _SITE).rglob("*.so")]
    return [source / path.relative_to(target) for path in found]


def _ignore_python(folder: str, names: list[str]) -> list[str]:
    match Path(folder).name:
        case "lib-dynload":
            return [name for name in names if _NO_EXTENSION.match(name)]
        case "encodings":
            return [name for name in names if name.removesuffix(".py") not in _ENCODINGS]
        case _:
            return [name for name in names if name in _NO_PYTHON or name.startswith("config-")]


def _copy_libraries(source: Path, target: Path, binaries: Iterable[Path], processes: Processes) -> None:
    """The target's own loader tells what each binary needs: no chroot, no second ELF reader."""
    loader = source / _LOADER
    _copy(source, target, _LOADER)
    for binary in binaries:
        argv = [str(loader), "--library-path", str(source / _LIBRARIES), "--list", str(binary)]
        for library in _LIBRARY.findall(check(processes, argv).decode()):
            if not library.endswith("ld-linux-x86-64.so.2"):
                _copy(source, target, f"{_LIBRARIES}/{Path(library).name}")


def _link_names(target: Path, processes: Processes) -> None:
    for name in _KMOD_NAMES:
        (target / "usr/sbin" / name).symlink_to("../bin/kmod")
    applets = check(processes, ["chroot", str(target), "/usr/bin/busybox", "--list"]).decode().split()
    taken = {path.name for folder in ("usr/bin", "usr/sbin") for path in (target / folder).iterdir()}
    for name in sorted(set(applets) - taken):
        (target / "usr/bin" / name).symlink_to("busybox")


def _copy_modules(source: Path, target: Path, variant: Variant, processes: Processes) -> None:
    version = kernel_of(source).name.removeprefix("vmlinuz-")
    check(processes, ["chroot", str(source), "depmod", version])
    folder = f"usr/lib/modules/{version}"
    modules.copy(source / folder, target / folder, modules.SELECTIONS[variant])
    check(processes, ["chroot", str(target), "/usr/sbin/depmod", version])


def _compile(target: Path, *folders: str, processes: Processes) -> None:
    """Sources give way to byte code beside them (PEP 3147, "legacy" location): nothing is compiled at boot."""
    python = ["chroot", str(target), "/usr/bin/python3", "-B", "-m", "compileall", "-q", "-b"]
    check(processes, [*python, "--invalidation-mode", "unchecked-hash", *folders])
    for folder in folders:
        for path in target.joinpath(folder.lstrip("/")).rglob("*.py"):
            path.unlink()
