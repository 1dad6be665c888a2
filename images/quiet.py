"""What Debian starts at boot and no fresh server needs: each costs a slow machine a process or a module load."""

from pathlib import Path

NEEDLESS = (
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


def without_generators(tree: Path) -> None:
    folder = tree / "etc/systemd/system-generators"
    folder.mkdir(parents=True)
    for name in _GENERATORS:
        (folder / name).symlink_to("/dev/null")
