"""The root file system of nodes: that of the image `debian-13`, without kernel and first boot."""

from pathlib import Path

from images import rootfs
from images.archive import Archive
from images.debian import recipe as debian
from images.processes import check
from images.ramdisk.modules import Variant
from images.store import Entry, Store

_DEBIAN = Path(debian.__file__).parent
_WITHOUT = ("./boot", "./dev/*", "./usr/lib/modules/*")
# Messages of the kernel are the machine's, and of what was here before.
_JOURNAL = "[Journal]\nReadKMsg=no\nStorage=volatile\n"


def base_of(variant: Variant, store: Store) -> Entry | None:
    recipe = debian.base_recipe(variant)
    return store.find(recipe.name, recipe.key)


def ensure_base(variant: Variant, store: Store, archive: Archive) -> Entry:
    return rootfs.ensure_base(debian.base_recipe(variant), _DEBIAN / "initramfs", store, archive)


def make_tree(base: Entry, tree: Path, store: Store, archive: Archive) -> None:
    tree.mkdir()
    tarball = store.path_of(base.artifact("base.tar").sha256)
    left_out = [f"--exclude={pattern}" for pattern in _WITHOUT]
    argv = ["tar", "-C", str(tree), "--numeric-owner", "--xattrs", "--xattrs-include=*", *left_out, "-xf", str(tarball)]
    check(archive.processes, argv, timeout=120)
    rootfs.lay_over(_DEBIAN / "files", tree)
    rootfs.make_anonymous(tree, "debian")
    rootfs.choose_services(tree, archive, enabled=("ssh.service",))
    configuration = tree / "etc/systemd/journald.conf.d/ground.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(_JOURNAL)
