"""A root tree of Debian as one image of ours among others has it: no identity, no needless services, files of ours."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from images import packages
from images.archive import Archive
from images.epoch import settle
from images.processes import check
from images.recipe import Recipe, ensure
from images.store import Entry, Store

_BASE = "base.tar"
PACKAGES = "packages.json"
SHARED = ("archive.py", "epoch.py", "packages.py")
"""What decides, here, how every base comes out."""
_TAR = ("--sort=name", "--numeric-owner", "--xattrs", "--xattrs-include=*")

# Each costs a slow machine a process or a module load, and no fresh server needs it.
_NEEDLESS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "man-db.timer",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount",
    "ldconfig.service",
    "modprobe@configfs.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "proc-sys-fs-binfmt_misc.automount",
    "run-lock.mount",
    "sshd-keygen.service",
    "systemd-binfmt.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-network-generator.service",
    "systemd-networkd-persistent-storage.service",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
    "systemd-remount-fs.service",
    "systemd-sysusers.service",
    "systemd-udev-load-credentials.service",
    "systemd-update-done.service",
)
_CACHE = "__pycache__"
_GENERATORS = (
    "systemd-gpt-auto-generator",
    "systemd-debug-generator",
    "systemd-hibernate-resume-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-ssh-generator",
    "systemd-system-update-generator",
    "systemd-sysv-generator",
    "systemd-tpm2-generator",
)


# Made anew by each machine: two machines must share neither identity nor randomness.
_UNIQUE = (
    "etc/ssh/ssh_host_*",
    "etc/hostname",
    "etc/resolv.conf",
    "var/cache/apt/*.bin",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists/*_*",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/log/apt/*",
    "var/log/*.log",
    "initrd.img.old",
    "vmlinuz.old",
)


def ensure_base(recipe: Recipe, initramfs: Path, store: Store, archive: Archive) -> Entry:
    """The configured packages of `recipe`; `initramfs` is what stands in /etc/initramfs-tools. Artefacts: a tarball and
    the list in the form of `images.packages`. Raises ImagesError."""

    def build(work: Path) -> Mapping[str, Path]:
        staged, tree, tarball = work / "staged", work / "tree", work / _BASE
        began = work.stat().st_mtime_ns
        shutil.copytree(initramfs, staged / "etc/initramfs-tools")
        # Before any package is configured: the kernel's own installation then makes the right initramfs at once.
        options = ["--aptopt=APT::Install-Recommends false", f"--essential-hook=sync-in {staged} /"]
        listed = list_packages(archive.bootstrap("minbase", recipe.packages, tree, options), tree, work, archive)
        _forget(tree)
        settle(tree, began)
        check(archive.processes, ["tar", "-C", str(tree), *_TAR, "-cf", str(tarball), "."], timeout=300)
        return {_BASE: tarball, PACKAGES: listed}

    return ensure(recipe, store, build, archive.progress)


def list_packages(debs: Iterable[Path], tree: Path, work: Path, archive: Archive) -> Path:
    """The list, `work`/packages.json, in exchange for the packages' files. Raises ToolError."""
    listed, found = work / PACKAGES, tuple(debs)
    listed.write_text(packages.to_json(packages.describe(deb, tree, archive.processes) for deb in found))
    for deb in found:
        deb.unlink()
    return listed


def _forget(tree: Path) -> None:
    for path in (path for pattern in _UNIQUE for path in tree.glob(pattern)):
        path.unlink()


def unpack(entry: Entry, tree: Path, store: Store, archive: Archive) -> None:
    """Every tarball of the entry, owners and extended attributes included."""
    for artifact in (one for one in entry.artifacts if one.name.endswith(".tar")):
        tarball = str(store.path_of(artifact.sha256))
        check(archive.processes, ["tar", "-C", str(tree), *_TAR, "-xf", tarball], timeout=300)


def lay_over(files: Path, tree: Path) -> None:
    """Scripts may be executed, nothing else. Byte code of this machine's Python stays behind."""
    for path in sorted(path for path in files.rglob("*") if path.is_file() and _CACHE not in path.parts):
        lay_file(path, tree / path.relative_to(files))


def lay_file(path: Path, target: Path) -> None:
    """In place of what stood there: an absolute link in a tree leads out of it."""
    _make_folder(target.parent)
    target.unlink(missing_ok=True)
    shutil.copyfile(path, target)
    target.chmod(0o755 if path.read_bytes().startswith(b"#!") else 0o644)


def _make_folder(folder: Path) -> None:
    """With the same mode whatever the builder's umask is."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)


def make_anonymous(tree: Path, hostname: str) -> None:
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/hostname").write_text(f"{hostname}\n")
    # The kernel command line names the root and how it is mounted: nothing is left to mount again.
    (tree / "etc/fstab").write_text("")


def choose_services(tree: Path, archive: Archive, *, enabled: Iterable[str], masked: Iterable[str] = ()) -> None:
    """Enables `enabled`, and masks `masked` and what no fresh server needs."""
    generators = tree / "etc/systemd/system-generators"
    generators.mkdir(parents=True)
    for name in _GENERATORS:
        (generators / name).symlink_to("/dev/null")
    for command, units in (("enable", enabled), ("mask", (*_NEEDLESS, *masked))):
        check(archive.processes, ["chroot", str(tree), "systemctl", "--quiet", command, *units])
