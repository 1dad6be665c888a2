"""What the installer's recipe reads and writes: a signed archive's own words, pins, and the list of files."""

from pathlib import Path

import pytest

from images.archive import Archive
from images.build import STANDARD, Product, find_extras
from images.errors import BuildError, ImageFormatError
from images.installer import index, listing
from images.installer.recipe import recipe_of
from images.ports import Finished
from images.ramdisk.modules import Variant
from images.store import Entry, Store

HASH, OTHER = "ab" * 32, "cd" * 32
PACKAGES = f"""Package: dpkg
Priority: required
Version: 1.22
Depends: libc6 (>= 2.38),
 tar
Filename: pool/main/d/dpkg/dpkg_1.22_amd64.deb
SHA256: {HASH}

Package: openssh-server
Priority: optional
Filename: pool/main/o/openssh/openssh-server_1%3a10+x~1_amd64.deb
SHA256: {HASH}

Package: g++
Priority: optional
Filename: pool/main/g/gcc/g++_14+b1~x_amd64.deb
SHA256: {OTHER}

Package: climber
Priority: important
Filename: pool/../../etc/passwd
SHA256: {OTHER}
"""


def test_packages() -> None:
    packages = index.parse_packages(PACKAGES)
    assert sorted(packages) == ["dpkg", "g++"]
    assert index.always(packages.values()) == ("dpkg",)
    assert index.chosen(packages, ["g++", "g++"]) == {"pool/main/g/gcc/g++_14+b1~x_amd64.deb": OTHER}
    with pytest.raises(BuildError) as caught:
        index.chosen(packages, ["dpkg", "climber"])
    assert caught.value.evidence == "climber"


def test_release() -> None:
    text = f"Origin: Debian\nMD5Sum:\n {'0' * 32} 5 main/x\nSHA256:\n {HASH} 5 main/x\n {OTHER} 7 main/y\n"
    assert index.release_table(text) == {"main/x": HASH, "main/y": OTHER}
    with pytest.raises(BuildError):
        index.release_table("Origin: Debian\n")


def test_kernel_version() -> None:
    image = bytearray(4096)
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = (0x100).to_bytes(2, "little")
    image[0x300:0x320] = b"6.12.117+deb13-amd64 (debian) #1"
    assert index.kernel_version(bytes(image)) == "6.12.117+deb13-amd64"
    with pytest.raises(BuildError):
        index.kernel_version(bytes(4096))


def test_pins() -> None:
    lock = Path(index.__file__).parent / "udebs.lock"
    pins = index.parse_lock(lock.read_text())
    assert {path.rpartition(".")[2] for path in pins} == {"udeb"}
    for line in (f"{HASH}", f"{HASH} ../x.udeb", "0 pool/x.udeb", f"{HASH} pool/x.udeb more"):
        with pytest.raises(BuildError):
            index.parse_lock(line)


def test_the_list_of_files_is_read_back_and_holds_no_other_path() -> None:
    files = {"dists/trixie/InRelease": HASH, "pool/main/g/gcc/g++_14+b1~x_amd64.deb": OTHER}
    assert listing.parse(listing.to_json(files).encode()) == files
    for bad in ("../etc/passwd", "/etc/passwd", "a/../b", "", "a b"):
        with pytest.raises(ImageFormatError):
            listing.parse(listing.to_json({bad: HASH}).encode())
    for data in (b"", b"{}", b'{"files": {"a": 1}}', b'{"files": ["a"]}'):
        with pytest.raises(ImageFormatError):
            listing.parse(data)


class Recorded:
    """Programs that all end well; apt's simulation says what it is told to."""

    def __init__(self, said: bytes = b"") -> None:
        self.ran: list[list[str]] = []
        self._said = said

    def run(self, argv: list[str], **_options: object) -> Finished:
        self.ran.append([*argv])
        return Finished(status=0, output=self._said if "-s" in argv else b"", errors=b"")


def test_apt_is_asked_once_for_its_lists_and_verifies_what_is_fetched(tmp_path: Path) -> None:
    programs = Recorded(b"NOTE: this is a simulation\nInst libc6 (2.41 Debian:13 [amd64])\nConf libc6 (2.41)\n")
    archive = Archive(mirror="mirror:", processes=programs, progress=lambda _line: None)  # type: ignore[arg-type]
    assert archive.closure(["libc6"], tmp_path) == {"libc6"}
    assert archive.closure(["libc6"], tmp_path) == {"libc6"}
    there = archive.fetch({"pool/b": OTHER, "pool/a": HASH}, tmp_path / "files")
    assert sum("update" in argv for argv in programs.ran) == 1
    assert programs.ran[-1][2:] == [
        *("download-file", "mirror:/pool/a", str(there["pool/a"]), f"SHA256:{HASH}"),
        *("mirror:/pool/b", str(there["pool/b"]), f"SHA256:{OTHER}"),
    ]


def test_it_is_built_and_looked_for_only_when_it_is_named(tmp_path: Path) -> None:
    store, recipe = Store(tmp_path), recipe_of(Variant.CLOUD)
    assert Product.INSTALLER not in STANDARD
    assert not find_extras(store, Variant.CLOUD).entries
    file = tmp_path / "x"
    file.write_bytes(b"x")
    store.record(Entry(recipe=recipe.name, key=recipe.key, artifacts=(store.put(file, "vmlinuz"),)))
    assert list(find_extras(store, Variant.CLOUD).entries) == [Product.INSTALLER]
    assert not find_extras(store, Variant.GENERIC).entries
