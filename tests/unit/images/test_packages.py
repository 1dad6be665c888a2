"""Lists of packages: what a copyright file says, and JSON both ways."""

import os
from pathlib import Path

import pytest

from images.epoch import EPOCH, settle
from images.errors import BuildError
from images.packages import Package, licences, parse, to_json
from images.wheels import Wheel, drop_scripts, of_report
from images.wheels import parse as parse_wheels
from images.wheels import to_json as wheels_to_json

MACHINE_READABLE = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: zstd

Files: *
Copyright: 2015, Yann Collet
License: BSD-3-clause and GPL-2
 Text.

Files: debian/*
License: MIT

License: MIT
 Permission is hereby granted
"""
ZSTD = Package(name="zstd", version="1.5", architecture="amd64", source="libzstd", sha256="ab", licences=("MIT",))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (MACHINE_READABLE, ("BSD-3-clause and GPL-2", "MIT")),
        ("This package was debianized by Ian.\nLicense: GPL\n", ()),
        ("", ()),
    ],
    ids=["machine-readable", "prose", "none"],
)
def test_licences_are_those_that_are_said_machine_readably(text: str, found: tuple[str, ...]) -> None:
    assert licences(text) == found


def test_a_list_of_packages_comes_back_sorted() -> None:
    other = Package(name="acl", version="2", architecture="amd64", source="acl", sha256="")
    assert parse(to_json([ZSTD, other])) == (other, ZSTD)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "zstd"}]'])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(BuildError):
        parse(text)
    with pytest.raises(BuildError):
        parse_wheels(text)


REPORT = """{"version": "1", "install": [{"metadata": {"name": "Typing_Extensions", "version": "4.15"},
 "download_info": {"url": "https://example.org/p/typing_extensions-4.15%2Blocal-py3-none-any.whl",
 "archive_info": {"hash": "sha256=cd", "hashes": {"sha256": "cd"}}}}]}"""


def test_wheels_are_what_pip_says_that_it_installed() -> None:
    wheel = Wheel(
        name="typing-extensions", version="4.15", file="typing_extensions-4.15+local-py3-none-any.whl", sha256="cd"
    )
    assert of_report(REPORT) == (wheel,)
    assert parse_wheels(wheels_to_json([wheel])) == (wheel,)


def test_commands_of_wheels_leave_no_trace(tmp_path: Path) -> None:
    record = tmp_path / "typer-1.dist-info/RECORD"
    record.parent.mkdir()
    record.write_text("../../bin/typer,sha256=x,1\ntyper/__init__.py,sha256=y,2\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/typer").write_text("#!/home/somebody/python\n")
    drop_scripts(tmp_path)
    assert record.read_text() == "typer/__init__.py,sha256=y,2\n"
    assert not (tmp_path / "bin").exists()


def test_what_a_build_made_is_dated_back_and_what_packages_brought_is_not(tmp_path: Path) -> None:
    old, new = tmp_path / "old.py", tmp_path / "new"
    old.write_text("")
    new.symlink_to("old.py")
    began = new.lstat().st_mtime_ns
    os.utime(old, ns=(began - 1, began - 1))
    settle(tmp_path, began)
    assert old.stat().st_mtime_ns == began - 1
    assert new.lstat().st_mtime == tmp_path.stat().st_mtime == EPOCH
