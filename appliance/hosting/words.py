"""What a host answers of its applications. Pure. It is hostile text: whatever is odd is left out, or told as such."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from appliance.errors import ClusterError
from appliance.hosting import account as accounts
from appliance.hosting.account import Account
from appliance.model.application import AppName
from appliance.model.text import clean

_LINE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """As systemd has it (org.freedesktop.systemd1(5)). `source` is the unit of podman that it was made of. `seconds`:
    for how long it is active."""

    name: str
    load: str
    active: str
    sub: str
    source: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One moment of a host. `strange`: why an account could not be read. `files` are all units of podman, SHA-256 by
    path. `containers` (with podman's words on each, by name), `networks` and `volumes` are those with the label of an
    application; `images` as the host pulls them."""

    accounts: Mapping[AppName, Account] = field(default_factory=dict)
    strange: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    containers: Mapping[AppName, Mapping[str, str]] = field(default_factory=dict)
    networks: Mapping[AppName, tuple[str, ...]] = field(default_factory=dict)
    volumes: Mapping[AppName, tuple[str, ...]] = field(default_factory=dict)
    images: frozenset[str] = frozenset()


def sight(text: str) -> Sight:
    """Of what `engine.ask` prints."""
    said = [(key, value) for key, _, value in (line.partition("=") for line in text.splitlines())]
    found, strange = _accounts(value for key, value in said if key == "account")
    uptime = next((_number(value) for key, value in said if key == "uptime"), 0.0)
    containers = _owned(said, "container")
    return Sight(
        accounts={one.name: one for one in found},
        strange=strange,
        files={path: digest for digest, path in (_pair(value) for key, value in said if key == "file")},
        services={one.name: one for one in _services(text, uptime)},
        containers={name: dict(map(_pair, those)) for name, those in containers.items()},
        networks=_owned(said, "network"),
        volumes=_owned(said, "volume"),
        images=frozenset(value for key, value in said if key == "image"),
    )


def _accounts(lines: Iterator[str]) -> tuple[list[Account], str]:
    found, strange = [], ""
    for line in lines:
        try:
            found.append(accounts.read(line))
        except ClusterError as error:
            strange = f"{error}: {clean(error.evidence, _LINE)}"
    return found, strange


def _services(text: str, uptime: float) -> Iterator[Service]:
    """Blocks of KEY=VALUE, one for each unit, with an empty line between them."""
    for block in text.split("\n\n"):
        said = {key: value for key, _, value in (line.partition("=") for line in block.splitlines())}
        if name := said.get("Id", ""):
            since = _number(said.get("ActiveEnterTimestampMonotonic", "")) / 1e6
            active = said.get("ActiveState", "")
            yield Service(
                name=name,
                load=said.get("LoadState", ""),
                active=clean(active, 40),
                sub=clean(said.get("SubState", ""), 40),
                source=said.get("SourcePath", ""),
                seconds=max(0.0, uptime - since) if active == "active" and since else 0.0,
            )


def _owned(said: list[tuple[str, str]], kind: str) -> dict[AppName, tuple[str, ...]]:
    """What bears the label of an application: its words after the label."""
    found: dict[AppName, tuple[str, ...]] = {}
    for key, value in said:
        if key == kind:
            owner, rest = _pair(value)
            name = AppName(owner)
            found[name] = (*found.get(name, ()), clean(rest, _LINE))
    return found


def _pair(value: str) -> tuple[str, str]:
    first, _, rest = value.partition(" ")
    return first, rest.strip()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
