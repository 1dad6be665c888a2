"""The boot services on their own: one TOML file, parsed once into the values that the servers take.

tests/golden/pxe.toml is an example with every key. Paths are relative to the file. Nothing in it is guessed: a key that
is not known is an error, and every error names its key.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from pxe.boot import BootIntent, Endpoints, LocalDisk, RunKernel, Wait
from pxe.client import Client, Mac, Stage
from pxe.content import OCTETS, Content, ContentTable, FileContent
from pxe.dhcp.subnet import DhcpConfig, Reservation, Subnet
from pxe.dns.responder import Zone
from pxe.errors import ConfigError, PacketError
from pxe.http.server import TLS_PORT
from pxe.script import boot_script
from pxe.service import ServiceConfig, TlsConfig
from pxe.tls import Credential, PrivateKey, read_credential

T = TypeVar("T")

_PEM = "-----BEGIN "
_ANYBODY = Client(mac=Mac("00:00:00:00:00:00"), stage=Stage.IPXE)

# What UEFI HTTP Boot tells a program from a disk image by (UEFI 2.10, section 24.7.3.1).
_MEDIA_TYPES = MappingProxyType(
    {".efi": "application/efi", ".iso": "application/vnd.efi-iso", ".img": "application/vnd.efi-img"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticPolicy:
    """What each machine boots, by its MAC address; `default` is for all others."""

    machines: Mapping[Mac, BootIntent]
    default: BootIntent

    def __post_init__(self) -> None:
        object.__setattr__(self, "machines", MappingProxyType(dict(self.machines)))

    def intent_for(self, client: Client) -> BootIntent:
        return self.machines.get(client.mac, self.default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standalone:
    service: ServiceConfig
    artifacts: ContentTable
    policy: StaticPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    mac: Mac
    boot: str
    address: IPv4Address | None
    name: str


def load(path: Path) -> Standalone:
    """Reads the file and lists its two folders. Raises ConfigError."""
    try:
        root = _Table(tomllib.loads(path.read_text()), "")
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigError(
            f"cannot read {path}", evidence=str(cause), next_action="give a TOML file that exists"
        ) from cause
    except tomllib.TOMLDecodeError as cause:
        raise ConfigError(
            f"{path} is not TOML", evidence=str(cause), next_action="correct the line that it names"
        ) from cause
    found = _standalone(root, path.parent)
    root.finish()
    return found


def _standalone(root: "_Table", base: Path) -> Standalone:
    endpoints = Endpoints(address=root.take("address", IPv4Address), http_port=root.number("http_port", 80))
    artifacts = _folder(root, "artifacts", base)
    machines = [_machine(table) for table in root.tables("machine")]
    policy = _policy(root, machines, artifacts, endpoints)
    device, journal = root.text("device"), base / root.text("leases")
    dhcp = _dhcp(root, endpoints, machines)
    zone = _zone(root.table("zone"), endpoints, machines)
    programs = _folder(root, "programs", base)
    tls = _tls(root.table("tls"), base)
    service = root.build(
        lambda: ServiceConfig(
            device=device, dhcp=dhcp, endpoints=endpoints, journal=journal, zone=zone, programs=programs, tls=tls
        )
    )
    return Standalone(service=service, artifacts=artifacts, policy=policy)


def _machine(table: "_Table") -> _Machine:
    machine = _Machine(
        mac=table.take("mac", Mac.parse),
        boot=table.text("boot", ""),
        address=table.take("address", IPv4Address) if "address" in table else None,
        name=table.text("name", ""),
    )
    table.finish()
    return machine


# Boot policy


def _policy(root: "_Table", machines: list[_Machine], artifacts: ContentTable, endpoints: Endpoints) -> StaticPolicy:
    for mac in (one.mac for number, one in enumerate(machines) if one.mac in {two.mac for two in machines[:number]}):
        raise ConfigError(f"machine {mac}: listed twice", next_action="remove one of the two")
    intents = {name: _intent(table, artifacts, endpoints) for name, table in root.named("intent").items()}
    default = root.text("default")
    return StaticPolicy(
        machines={one.mac: _known(intents, one.boot or default, f"machine {one.mac}: boot") for one in machines},
        default=_known(intents, default, "default"),
    )


def _known(intents: Mapping[str, BootIntent], name: str, where: str) -> BootIntent:
    if name not in intents:
        raise ConfigError(
            f"{where}: no such intent",
            evidence=f"{name!r}, known: {', '.join(sorted(intents))}",
            next_action=f"add a table [intent.{name}] or name one that exists",
        )
    return intents[name]


def _intent(table: "_Table", artifacts: ContentTable, endpoints: Endpoints) -> BootIntent:
    action = table.text("action")
    intent: BootIntent
    match action:
        case "local-disk":
            intent = LocalDisk()
        case "wait":
            intent = Wait(reason=table.text("reason"), seconds=table.number("seconds", 10))
        case "run-kernel":
            intent = RunKernel(
                kernel=_artifact(table, "kernel", artifacts),
                initrd=_artifact(table, "initrd", artifacts),
                arguments=table.texts("arguments"),
            )
        case _:
            raise table.error("action", "unknown action", repr(action), "use local-disk, run-kernel or wait")
    table.finish()
    table.build(lambda: boot_script(intent, _ANYBODY, endpoints))
    return intent


def _artifact(table: "_Table", key: str, artifacts: ContentTable) -> str:
    name = table.text(key)
    if artifacts.content(name) is None:
        raise table.error(key, "no such file among the artifacts", name, "put it into the artifacts folder")
    return f"/artifact/{name}"


# Addresses and names


def _dhcp(root: "_Table", endpoints: Endpoints, machines: list[_Machine]) -> DhcpConfig:
    subnets = [_subnet(table, endpoints, machines) for table in root.tables("subnet")]
    local = tuple(subnet for subnet in subnets if endpoints.address in subnet.network)
    served = [subnet.network for subnet in subnets]
    for one in machines:
        if one.address is not None and not any(one.address in network for network in served):
            raise ConfigError(
                f"machine {one.mac}: address: in no subnet",
                evidence=str(one.address),
                next_action="correct the address or add its subnet",
            )
    if not local:
        raise ConfigError(
            "subnet: none contains our own address",
            evidence=str(endpoints.address),
            next_action="add the [[subnet]] of the interface",
        )
    relayed = tuple((subnet,) for subnet in subnets if subnet not in local)
    known = frozenset(one.mac for one in machines)
    return root.build(lambda: DhcpConfig(local=local, relayed=relayed, known=known))


def _subnet(table: "_Table", endpoints: Endpoints, machines: list[_Machine]) -> Subnet:
    network = table.take("network", IPv4Network)
    reserved = {
        one.mac: Reservation(address=one.address, hostname=one.name)
        for one in machines
        if one.address is not None and one.address in network
    }
    first, last = table.take("pool_first", IPv4Address), table.take("pool_last", IPv4Address)
    router = table.take("router", IPv4Address) if "router" in table else None
    domain, lease_seconds = table.text("domain", ""), table.number("lease_seconds", 3600)
    table.finish()
    return table.build(
        lambda: Subnet(
            network=network,
            server=endpoints.address,
            pool_first=first,
            pool_last=last,
            router=router,
            dns_servers=(endpoints.address,),
            domain=domain,
            lease_seconds=lease_seconds,
            reservations=reserved,
        )
    )


def _zone(table: "_Table", endpoints: Endpoints, machines: list[_Machine]) -> Zone:
    domain, extra = table.text("domain"), table.table("hosts")
    table.finish()
    hosts = {name: extra.take(name, IPv4Address) for name in extra.names()}
    hosts |= {one.name: one.address for one in machines if one.name and one.address is not None}
    return table.build(lambda: Zone(domain=domain, server=endpoints.address, hosts=hosts))


# Files


def _tls(table: "_Table", base: Path) -> TlsConfig | None:
    if not table.names():
        return None
    certificate, key = table.text("certificate"), table.text("key")
    port = table.number("port", TLS_PORT)
    table.finish()
    return table.build(lambda: TlsConfig(credentials=(_credential(certificate, key, base),), port=port))


def _credential(certificate: str, key: str, base: Path) -> Credential:
    if certificate.startswith(_PEM):
        return Credential(certificate=certificate.encode(), key=PrivateKey(key.encode()))
    return read_credential(base / certificate, base / key)


def _folder(root: "_Table", key: str, base: Path) -> ContentTable:
    folder = base / root.text(key)
    if not folder.is_dir():
        raise root.error(key, "no such folder", str(folder), "create it or correct the path")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return ContentTable({str(path.relative_to(folder)): _file(path) for path in files})


def _file(path: Path) -> Content:
    """The entity tag is of the file's state, as nginx makes it: hashing images would make every start wait."""
    status = path.stat()
    return FileContent(
        path=path,
        size=status.st_size,
        media_type=_MEDIA_TYPES.get(path.suffix.lower(), OCTETS),
        digest=f"{status.st_mtime_ns:x}-{status.st_size:x}",
    )


# TOML


class _Table:
    """A TOML table that is taken apart key by key; `finish` finds what nobody asked for."""

    def __init__(self, values: Mapping[str, object], path: str) -> None:
        self._values = values
        self._path = path
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def names(self) -> tuple[str, ...]:
        return tuple(self._values)

    def error(self, key: str, message: str, evidence: str, next_action: str) -> ConfigError:
        return ConfigError(f"{self._where(key)}: {message}", evidence=evidence[:200], next_action=next_action)

    def text(self, key: str, default: str | None = None) -> str:
        return self._typed(key, str, default)

    def number(self, key: str, default: int) -> int:
        return self._typed(key, int, default)

    def texts(self, key: str) -> tuple[str, ...]:
        found = self._items(key)
        if not all(isinstance(item, str) for item in found):
            raise self.error(key, "not a list of texts", repr(found), "put each into quotes")
        return tuple(map(str, found))

    def take(self, key: str, parse: Callable[[str], T]) -> T:
        text = self.text(key)
        try:
            return parse(text)
        except (ValueError, PacketError) as cause:
            raise self.error(key, str(cause), text, "correct the value") from cause

    def table(self, key: str) -> "_Table":
        """An absent one is empty."""
        self._asked.add(key)
        return self._table(self._values.get(key, {}), key)

    def tables(self, key: str) -> list["_Table"]:
        return [self._table(item, f"{key}[{number}]") for number, item in enumerate(self._items(key))]

    def named(self, key: str) -> dict[str, "_Table"]:
        group = self.table(key)
        return {name: group.table(name) for name in group.names()}

    def build(self, make: Callable[[], T]) -> T:
        """The values' own errors know no key: they get the name of this table."""
        try:
            return make()
        except ConfigError as error:
            where = f"{self._path}: " if self._path else ""
            raise ConfigError(f"{where}{error}", evidence=error.evidence, next_action=error.next_action) from error

    def finish(self) -> None:
        for key in self._values:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise self.error(key, "unknown key", f"known here: {known}", "correct or remove it")

    def _where(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _table(self, value: object, key: str) -> "_Table":
        if not isinstance(value, dict):
            raise self.error(key, "not a table", repr(value), f"write it as [{self._where(key)}]")
        return _Table(value, self._where(key))

    def _items(self, key: str) -> list[object]:
        self._asked.add(key)
        found = self._values.get(key, [])
        if not isinstance(found, list):
            raise self.error(key, "not a list", repr(found), "put it into brackets")
        return found

    def _typed(self, key: str, kind: type[T], default: T | None) -> T:
        self._asked.add(key)
        found = self._values.get(key, default)
        if found is None:
            raise self.error(key, "missing", "", f"add {key} = ...")
        if not isinstance(found, kind) or isinstance(found, bool):
            raise self.error(key, f"not of type {kind.__name__}", repr(found), "see tests/golden/pxe.toml")
        return found
