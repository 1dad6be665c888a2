"""What the appliance image is made of, without building it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import __version__
from appliance.manual.reading import Manual, own
from appliance.upgrade.state import own as own_form
from images import bundle
from images.appliance.disk import Layout, menu, take_kernel
from images.appliance.recipe import add_documentation, manifest_of, recipe_of
from images.epoch import EPOCH
from images.errors import BuildError
from images.ramdisk.modules import Variant
from images.signature import make_key

KEY = make_key(bytes(40)).public
ROOT = Path(__file__).parents[3]
FILES = ROOT / "images" / "appliance" / "files"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(file: Path) -> dict[str, str]:
    return dict(PINNED.findall(file.read_text("utf-8")))


def test_the_image_installs_what_the_product_is_tested_with() -> None:
    """Anew: uv pip compile --universal --generate-hashes --constraint requirements.lock pyproject.toml."""
    tested, installed = pins(ROOT / "requirements.lock"), pins(ROOT / "images" / "appliance" / "requirements.lock")
    assert installed.items() <= tested.items()
    assert not {"pytest", "mypy", "playwright"} & installed.keys()


def test_the_image_installs_all_that_the_product_needs() -> None:
    wanted = re.search(r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert wanted is not None
    names = {re.split(r"[\[>=<]", name)[0] for name in re.findall(r'"([^"]+)"', wanted[1])}
    assert names
    assert names <= pins(ROOT / "images" / "appliance" / "requirements.lock").keys()


def test_every_unit_that_is_enabled_is_there() -> None:
    recipe = (ROOT / "images" / "appliance" / "recipe.py").read_text()
    for unit in re.findall(r'"(innervate[^"]*\.(?:service|path))"', recipe):
        assert (FILES / "usr/lib/systemd/system" / re.sub("@.+\\.", "@.", unit)).is_file(), unit


def test_no_network_daemon_is_root() -> None:
    unit = (FILES / "usr/lib/systemd/system/innervate.service").read_text()
    assert "User=innervate\n" in unit
    assert "NoNewPrivileges=yes\n" in unit


def test_ids_follow_from_what_is_in_it() -> None:
    one, two = Layout(root_size=400, identity="a"), Layout(root_size=400, identity="b")
    assert one.id_of("root-a") == Layout(root_size=9, identity="a").id_of("root-a") != two.id_of("root-a")
    assert one.size == 913 << 20


def test_taking_the_kernel_out_leaves_no_date_behind(tmp_path: Path) -> None:
    tree, slot = tmp_path / "tree", tmp_path / "esp/a"
    (tree / "boot").mkdir(parents=True)
    for name in ("vmlinuz-6.12", "initrd.img-6.12"):
        (tree / "boot" / name).write_text(name)
    take_kernel(tree, slot)
    assert (slot / "vmlinuz").read_text() == "vmlinuz-6.12"
    assert (tree / "boot").stat().st_mtime == EPOCH


def test_the_documentation_is_inside(tmp_path: Path) -> None:
    """Where the installed product looks for it; another page makes another image."""
    add_documentation(tmp_path)
    inside = Manual(tmp_path / "appliance/manual/shelf")
    assert inside.paths == own().paths
    assert inside.page("/docs/stuck").html == own().page("/docs/stuck").html
    assert own().paths <= recipe_of(Variant.GENERIC, KEY).sources.keys()


def test_bundles_of_the_builder_alone_are_taken() -> None:
    other = make_key(bytes(range(40))).public
    assert recipe_of(Variant.GENERIC, KEY).key != recipe_of(Variant.GENERIC, other).key


def test_the_manifest_is_what_the_product_says_of_itself(tmp_path: Path) -> None:
    parts = {name: tmp_path / name for name in bundle.PARTS}
    for path in parts.values():
        path.write_bytes(b"x")
    spoken = subprocess.run(
        [sys.executable, "-m", "appliance.upgrade.state"], cwd=ROOT, capture_output=True, check=True
    )
    manifest = manifest_of(spoken.stdout, "ab" * 32, parts)
    assert (manifest.version, manifest.build, manifest.state) == (__version__, "ab" * 6, own_form())
    with pytest.raises(BuildError):
        manifest_of(b"{}", "ab" * 32, parts)


def test_grub_knows_the_partitions_that_the_first_boot_makes() -> None:
    layout = Layout(root_size=400, identity="a")
    text = menu(layout)
    assert "@" not in text
    for name in ("root-a", "root-b", "esp"):
        assert layout.id_of(name) in text
