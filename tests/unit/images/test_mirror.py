from pathlib import Path

import pytest

from images.errors import MirrorError
from images.mirror import OVERRIDE, Source, choose, find_mirror, parse

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

ONE_LINE = [
    ("deb http://m.example.test/debian trixie main", ("http://m.example.test/debian",), ("trixie",), ("main",), ""),
    (
        "deb  http://m.example.test/debian/\tsid main contrib # why",
        ("http://m.example.test/debian/",),
        ("sid",),
        None,
        "",
    ),
    (
        f"deb [arch=amd64 signed-by={KEYRING}] https://m.example.test/d stable main",
        ("https://m.example.test/d",),
        ("stable",),
        ("main",),
        KEYRING,
    ),
]


@pytest.mark.parametrize(("line", "uris", "suites", "components", "signed_by"), ONE_LINE)
def test_one_line_source(
    line: str, uris: tuple[str, ...], suites: tuple[str, ...], components: tuple[str, ...] | None, signed_by: str
) -> None:
    (source,) = parse("sources.list", line + "\n")
    expected = Source(uris=uris, suites=suites, components=components or ("main", "contrib"), signed_by=signed_by)
    assert source == expected


@pytest.mark.parametrize(
    "line",
    ["", "# deb http://m.example.test/debian trixie main", "deb-src http://m.example.test/debian trixie main", "deb x"],
)
def test_line_that_names_no_binary_source(line: str) -> None:
    assert parse("sources.list", line) == []


DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://a.example.test/debian
  http://b.example.test/debian
# a comment inside
Suites: trixie trixie-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://disabled.example.test/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://source.example.test/debian
Suites: trixie
Components: main
"""


def test_deb822_stanzas() -> None:
    (source,) = parse("debian.sources", DEB822)
    assert source.uris == ("http://a.example.test/debian", "http://b.example.test/debian")
    assert source.suites == ("trixie", "trixie-updates")
    assert source.components == ("main", "contrib")
    assert source.signed_by == KEYRING


def test_deb822_with_an_embedded_key_is_a_third_party() -> None:
    text = "Types: deb\nURIs: http://x.example.test/d\nSuites: trixie\nComponents: main\nSigned-By:\n -----BEGIN\n .\n"
    (source,) = parse("x.sources", text)
    assert not source.is_debian


def _source(uri: str, suite: str = "trixie", component: str = "main", signed_by: str = "") -> Source:
    return Source(uris=(uri,), suites=(suite,), components=(component,), signed_by=signed_by)


def test_third_parties_and_other_transports_are_passed_over() -> None:
    sources = [
        _source("http://security.example.test/debian-security", suite="trixie-security"),
        _source("http://vendor.example.test/apt", signed_by="/usr/share/keyrings/vendor.gpg"),
        _source("http://vendor.example.test/other", component="stable"),
        _source("file:///srv/debian"),
        _source("http://m.example.test/debian/", signed_by=KEYRING),
    ]
    assert choose(sources) == "http://m.example.test/debian"


def test_machine_without_debian_is_told_what_to_set() -> None:
    with pytest.raises(MirrorError) as caught:
        choose([_source("http://ubuntu.example.test/ubuntu", suite="noble")])
    assert OVERRIDE in caught.value.next_action


def test_files_are_read_in_apts_order(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "b.list").write_text("deb http://b.example.test/debian trixie main\n")
    (parts / "a.sources").write_text(DEB822)
    (parts / "a.list.save").write_text("deb http://saved.example.test/debian trixie main\n")
    assert find_mirror({}, tmp_path) == "http://a.example.test/debian"
    (tmp_path / "sources.list").write_text("deb http://main.example.test/debian trixie main\n")
    assert find_mirror({}, tmp_path) == "http://main.example.test/debian"


def test_override_wins_and_must_be_http(tmp_path: Path) -> None:
    assert find_mirror({OVERRIDE: "https://o.example.test/debian/"}, tmp_path) == "https://o.example.test/debian"
    with pytest.raises(MirrorError):
        find_mirror({OVERRIDE: "ftp://o.example.test"}, tmp_path)


def test_no_configuration_at_all(tmp_path: Path) -> None:
    with pytest.raises(MirrorError):
        find_mirror({}, tmp_path)
