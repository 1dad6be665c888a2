"""What the appliance image is made of, without building it."""

import re
from pathlib import Path

from appliance.manual.reading import Manual, own
from images.appliance import disk
from images.appliance.disk import Layout
from images.appliance.recipe import add_documentation, recipe_of
from images.epoch import EPOCH
from images.ramdisk.modules import Variant

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
    for unit in re.findall(r'"(innervate[^"]*\.service)"', recipe):
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
    tree, boot = tmp_path / "tree", tmp_path / "loaders"
    (tree / "boot").mkdir(parents=True)
    for name in ("vmlinuz-6.12", "initrd.img-6.12"):
        (tree / "boot" / name).write_text(name)
    for source in disk.SIGNED.values():
        (boot / source).parent.mkdir(parents=True, exist_ok=True)
        (boot / source).write_text("signed")
    esp = disk.stage_esp(tree, boot, tmp_path / "esp")
    assert (esp / "a/vmlinuz").read_text() == "vmlinuz-6.12"
    assert (tree / "boot").stat().st_mtime == EPOCH


def test_the_documentation_is_inside(tmp_path: Path) -> None:
    """Where the installed product looks for it; another page makes another image."""
    add_documentation(tmp_path)
    inside = Manual(tmp_path / "appliance/manual/shelf")
    assert inside.paths == own().paths
    assert inside.page("/docs/stuck").html == own().page("/docs/stuck").html
    assert own().paths <= recipe_of(Variant.GENERIC).sources.keys()
