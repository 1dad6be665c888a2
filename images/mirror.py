"""Which Debian mirror does this machine use? Read from its own apt configuration: no mirror is ever assumed.

Formats: sources.list(5), "one-line-style" (`*.list`) and "deb822-style" (`*.sources`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from images.errors import MirrorError

OVERRIDE = "INNERVATE_DEBIAN_MIRROR"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_CODENAMES = ("buster", "bullseye", "bookworm", "trixie", "forky", "sid")
_SUITES = frozenset((*_CODENAMES, "oldoldstable", "oldstable", "stable", "testing", "unstable"))
_SCHEMES = ("http://", "https://")
_ONE_LINE = re.compile(r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.*)")
_FIELD = re.compile(r"(?P<name>[A-Za-z0-9-]+):(?P<value>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One line or stanza for binary packages, as written; `signed_by` is empty when apt's default keys apply."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    @property
    def is_debian(self) -> bool:
        """The main archive: third parties also name Debian's suites, but bring their own keys."""
        ours = not self.signed_by or "debian-archive" in self.signed_by
        return ours and "main" in self.components and not _SUITES.isdisjoint(self.suites)


def find_mirror(environment: Mapping[str, str], apt: Path = Path("/etc/apt")) -> str:
    """Base URI of the main archive, without a trailing slash. Raises MirrorError, also when a file is unreadable."""
    if override := environment.get(OVERRIDE, "").strip():
        return _usable(override)
    sources = [source for path in _files(apt) for source in parse(path.name, _read(path))]
    return choose(sources)


def choose(sources: Iterable[Source]) -> str:
    """The first HTTP(S) URI of the first Debian source. Raises MirrorError."""
    seen = list(sources)
    for source in seen:
        for uri in source.uris:
            if source.is_debian and uri.startswith(_SCHEMES):
                return uri.rstrip("/")
    raise MirrorError(
        "this machine's apt configuration names no Debian mirror",
        evidence=f"{len(seen)} sources read, none for Debian's main archive over HTTP",
        next_action=f"set {OVERRIDE} to the base URI of a Debian mirror (the one that holds dists/ and pool/)",
    )


def parse(name: str, text: str) -> list[Source]:
    """Enabled binary sources of one file, in order; `name` tells the format by its ending. Never raises:
    what apt would refuse names no mirror."""
    return list(_parse_stanzas(text) if name.endswith(".sources") else _parse_lines(text))


def _parse_lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0])
        if match is None:
            continue
        pairs = (pair.partition("=") for pair in (match["options"] or "").split())
        options = {name: value for name, _, value in pairs}
        yield Source(
            uris=(match["uri"],),
            suites=(match["suite"],),
            components=tuple(match["components"].split()),
            signed_by=options.get("signed-by", ""),
        )


def _parse_stanzas(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n(?:[ \t]*\n)+", text.replace("\r\n", "\n")):
        fields = _fields(stanza)
        enabled = fields.get("enabled", "yes").strip().lower() not in ("no", "false", "0", "off", "without", "disable")
        if enabled and "deb" in fields.get("types", "").split():
            yield Source(
                uris=tuple(fields.get("uris", "").split()),
                suites=tuple(fields.get("suites", "").split()),
                components=tuple(fields.get("components", "").split()),
                signed_by=fields.get("signed-by", "").strip(),
            )


def _fields(stanza: str) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line.startswith((" ", "\t")) and name:
            fields[name] += "\n" + line
        elif match := _FIELD.fullmatch(line):
            name = match["name"].lower()
            fields[name] = match["value"]
    return fields


def _files(apt: Path) -> list[Path]:
    parts = apt / "sources.list.d"
    listed = sorted(path for path in parts.glob("*") if path.suffix in (".list", ".sources"))
    main = apt / "sources.list"
    return [main, *listed] if main.exists() else listed


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError as cause:
        raise MirrorError(f"{path} cannot be read", evidence=str(cause), next_action=f"set {OVERRIDE}") from cause


def _usable(uri: str) -> str:
    if not uri.startswith(_SCHEMES) or re.search(r"\s", uri):
        raise MirrorError(
            f"{OVERRIDE} is not an HTTP(S) URI", evidence=uri[:200], next_action=f"correct or unset {OVERRIDE}"
        )
    return uri.rstrip("/")
