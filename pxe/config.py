"""The boot services on their own: one TOML file, parsed once into the values that the servers take.

tests/golden/pxe.toml is an example with every key. Paths are relative to the file. Nothing in it is guessed: a key that
is not known is an error, and every error names its key.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import MappingProxyType

from pxe.boot import BootIntent, Chain, Endpoints, LocalDisk, Mode, RunKernel, Wait
from pxe.client import Arch, Client, Mac, Stage
from pxe.content import OCTETS, Content, ContentTable, FileContent
from pxe.dhcp.flood import Limits, Rate
from pxe.dhcp.guards import Guards
from pxe.dhcp.subnet import ClientClass, DhcpConfig, Reservation, Subnet
from pxe.dns.forward import Forwarding
from pxe.dns.responder import Zone
from pxe.dns.server import PORT as DNS_PORT
from pxe.errors import ConfigError
from pxe.http.server import TLS_PORT
from pxe.script import boot_script
from pxe.service import ServiceConfig, TlsConfig
from pxe.tls import Credential, PrivateKey, read_credential
from pxe.toml import Table

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
    """`identity`: the file by which other appliances know us; None where the segment is ours alone."""

    service: ServiceConfig
    identity: Path | None
    artifacts: ContentTable
    policy: StaticPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    mac: Mac
    boot: str
    address: IPv4Address | None
    name: str
    chain: Chain | None


def load(path: Path) -> Standalone:
    """Reads the file and lists its two folders. Raises ConfigError."""
    try:
        root = Table(tomllib.loads(path.read_text()), "")
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


def _standalone(root: Table, base: Path) -> Standalone:
    endpoints = Endpoints(address=root.take("address", IPv4Address), http_port=root.number("http_port", 80))
    artifacts = _folder(root, "artifacts", base)
    machines = [_machine(table) for table in root.tables("machine")]
    policy = _policy(root, machines, artifacts, endpoints)
    mode = root.choice("mode", Mode) if "mode" in root else Mode.FULL
    # A proxy gives out no addresses; what the file says of them is read all the same, for the day it is to.
    gives = mode is Mode.FULL or "subnet" in root
    device, journal = root.text("device"), base / root.text("leases") if gives else None
    dhcp = _dhcp(root, endpoints, machines) if gives else None
    guards, identity = _guards(root.table("guards"), base)
    zone = _zone(root.table("zone"), endpoints, machines)
    programs = _folder(root, "programs", base)
    tls = _tls(root.table("tls"), base)
    forwarding, chain = _forwarding(root.table("dns")), _chain(root)
    service = root.build(
        lambda: ServiceConfig(
            device=device,
            endpoints=endpoints,
            zone=zone,
            programs=programs,
            mode=mode,
            dhcp=dhcp,
            journal=journal,
            guards=guards,
            forwarding=forwarding,
            tls=tls,
            chains={one.mac: one.chain for one in machines if one.chain is not None},
            chain=chain,
        )
    )
    return Standalone(service=service, identity=identity, artifacts=artifacts, policy=policy)


def _machine(table: Table) -> _Machine:
    machine = _Machine(
        mac=table.take("mac", Mac.parse),
        boot=table.text("boot", ""),
        address=table.take("address", IPv4Address) if "address" in table else None,
        name=table.text("name", ""),
        chain=_chain(table),
    )
    table.finish()
    return machine


def _chain(table: Table) -> Chain | None:
    return table.choice("chain", Chain) if "chain" in table else None


# Boot policy


def _policy(root: Table, machines: list[_Machine], artifacts: ContentTable, endpoints: Endpoints) -> StaticPolicy:
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


def _intent(table: Table, artifacts: ContentTable, endpoints: Endpoints) -> BootIntent:
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


def _artifact(table: Table, key: str, artifacts: ContentTable) -> str:
    name = table.text(key)
    if artifacts.content(name) is None:
        raise table.error(key, "no such file among the artifacts", name, "put it into the artifacts folder")
    return f"/artifact/{name}"


# Addresses and names


def _dhcp(root: Table, endpoints: Endpoints, machines: list[_Machine]) -> DhcpConfig:
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
    classes = tuple(map(_class, root.tables("class")))
    return root.build(lambda: DhcpConfig(local=local, relayed=relayed, known=known, classes=classes))


def _subnet(table: Table, endpoints: Endpoints, machines: list[_Machine]) -> Subnet:
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


def _class(table: Table) -> ClientClass:
    name, archs = table.text("name"), frozenset(table.each("archs", _arch))
    vendor_class, user_class = table.text("vendor_class", "").encode(), table.text("user_class", "").encode()
    mac_prefix = table.take("mac_prefix", _hexadecimal) if "mac_prefix" in table else b""
    lease_seconds = table.number("lease_seconds", 0) or None
    next_server = table.take("next_server", IPv4Address) if "next_server" in table else None
    boot_file = table.text("boot_file", "") or None
    ignore, known_only = table.flag("ignore", False), table.flag("known_only", False)
    codes = table.table("options")
    options = {int(code): codes.take(code, _option) for code in codes.names() if _is_number(codes, code)}
    table.finish()
    return table.build(
        lambda: ClientClass(
            name=name,
            archs=archs,
            vendor_class=vendor_class,
            user_class=user_class,
            mac_prefix=mac_prefix,
            ignore=ignore,
            known_only=known_only,
            lease_seconds=lease_seconds,
            next_server=next_server,
            boot_file=boot_file,
            options=options,
        )
    )


def _arch(name: str) -> Arch:
    found = Arch.__members__.get(name.upper().replace("-", "_"))
    if found is None:
        raise ValueError("no such architecture, known: " + ", ".join(map(_arch_name, Arch)))
    return found


def _arch_name(arch: Arch) -> str:
    return arch.name.lower().replace("_", "-")


def _hexadecimal(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _option(text: str) -> bytes:
    """Text, or bytes in hexadecimal behind 0x."""
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


def _is_number(codes: Table, code: str) -> bool:
    if not (code.isascii() and code.isdigit()):
        raise codes.error(code, "not the number of an option", code, "name options by their numbers")
    return True


def _zone(table: Table, endpoints: Endpoints, machines: list[_Machine]) -> Zone:
    domain, extra = table.text("domain"), table.table("hosts")
    table.finish()
    hosts = {name: extra.take(name, IPv4Address) for name in extra.names()}
    hosts |= {one.name: one.address for one in machines if one.name and one.address is not None}
    return table.build(lambda: Zone(domain=domain, server=endpoints.address, hosts=hosts))


# Guards and forwarding


def _guards(table: Table, base: Path) -> tuple[Guards, Path | None]:
    identity, alone = base / table.text("identity", "identity"), table.flag("alone", False)
    probe, flood = table.flag("probe", True), table.flag("flood", True)
    limits = _limits(table.table("limits"))
    table.finish()
    return Guards(probe=probe, limits=limits if flood else None), None if alone else identity


def _limits(table: Table) -> Limits:
    usual = Limits()
    limits = Limits(
        machine=_rate(table, "machine", usual.machine),
        known_machine=_rate(table, "known_machine", usual.known_machine),
        port=_rate(table, "port", usual.port),
        machine_declines=_rate(table, "machine_declines", usual.machine_declines),
        port_declines=_rate(table, "port_declines", usual.port_declines),
    )
    table.finish()
    return limits


def _rate(table: Table, key: str, usual: Rate) -> Rate:
    rate = table.table(key)
    burst, per_second = rate.number("burst", usual.burst), rate.decimal("per_second", usual.per_second)
    rate.finish()
    return rate.build(lambda: Rate(burst=burst, per_second=per_second))


def _forwarding(table: Table) -> Forwarding | None:
    upstreams = tuple((address, DNS_PORT) for address in table.each("forward", IPv4Address))
    private_domains = table.texts("private_domains")
    table.finish()
    if not upstreams:
        return None
    return table.build(lambda: Forwarding(upstreams=upstreams, private_domains=private_domains))


# Files


def _tls(table: Table, base: Path) -> TlsConfig | None:
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


def _folder(root: Table, key: str, base: Path) -> ContentTable:
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
