"""How BMCs give themselves away: SSDP (DSP0266, "Discovery"), DHCP vendor classes, a sweep, a list. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from urllib.parse import urlsplit
from uuid import UUID

from appliance.bmc.codec.text import clean
from appliance.bmc.ipmi.packet import PORT as IPMI_PORT
from appliance.errors import UsageError
from appliance.model.secret import Secret
from pxe.client import Mac
from pxe.errors import PacketError

SSDP_GROUP, SSDP_PORT = "239.255.255.250", 1900
HTTPS_PORT = 443
MAX_SWEEP = 4096

_SERVICE = "urn:dmtf-org:service:redfish-rest:1"
_MAX_HEADERS = 32
_MAX_ANSWER = 4096
_MAX_VALUE = 128


class Sign(Enum):
    SSDP = "ssdp"
    DHCP = "dhcp"
    SWEEP = "sweep"
    STATED = "stated"


class Dialect(Enum):
    REDFISH = "redfish"
    IPMI = "ipmi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What tells a BMC from others before anyone has logged in; "" and None where unknown, and all of it hearsay."""

    make: str = ""
    serial: str = ""
    mac: Mac | None = None
    uuid: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """Perhaps a BMC. `port` is where its Redfish would be, `ipmi_port` its IPMI; `dialect` None where either will
    do."""

    address: IPv4Address
    sign: Sign
    port: int = HTTPS_PORT
    ipmi_port: int = IPMI_PORT
    dialect: Dialect | None = None
    traits: Traits = field(default_factory=Traits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A BMC that answers. `fingerprint` is the SHA-256 of the certificate that it showed at first sight, hex, and ""
    with IPMI."""

    address: IPv4Address
    dialect: Dialect
    port: int
    fingerprint: str = ""
    traits: Traits = field(default_factory=Traits)

    @property
    def url(self) -> str:
        scheme, usual = ("https", HTTPS_PORT) if self.dialect is Dialect.REDFISH else ("ipmi", IPMI_PORT)
        return f"{scheme}://{self.address}" + ("" if self.port == usual else f":{self.port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """`factory`: everybody knows it, so it is to be changed."""

    user: str
    password: Secret
    factory: bool = False


# Vendor class identifier (option 60) as these BMCs send it: Dell's iDRAC guides, HPE iLO, NVIDIA BlueField.
# Others send their DHCP client's own, such as "udhcp 1.23.1", which says nothing.
_VENDOR_CLASSES = (
    ("iDRAC", "Dell"),
    ("CPQRIB3", "HPE"),
    ("NVIDIA/BF/BMC", "NVIDIA"),
)
# One maker under several names.
_MAKES = (
    ("hewlett packard", "HPE"),
    ("super micro", "Supermicro"),
    ("ami ", "AMI"),
    ("american megatrends", "AMI"),
)


def from_dhcp(vendor_class: str, address: IPv4Address, mac: Mac) -> Suspect | None:
    """None where the vendor class is nobody's that we know."""
    make = next((make for prefix, make in _VENDOR_CLASSES if vendor_class.startswith(prefix)), None)
    return None if make is None else Suspect(address=address, sign=Sign.DHCP, traits=Traits(make=make, mac=mac))


def make_of(vendor: str) -> str:
    """The short name of a maker that calls itself `vendor`; what it says itself where we know none."""
    lowered = vendor.lower()
    return next((make for prefix, make in _MAKES if lowered.startswith(prefix)), vendor)


def search(seconds: int) -> bytes:
    """M-SEARCH for Redfish services, which answer within `seconds` at random (1 to 5)."""
    lines = (
        "M-SEARCH * HTTP/1.1",
        f"HOST: {SSDP_GROUP}:{SSDP_PORT}",
        'MAN: "ssdp:discover"',
        f"MX: {seconds}",
        f"ST: {_SERVICE}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(datagram: bytes, source: IPv4Address) -> Suspect:
    """A service's answer to `search`. Raises `PacketError`.

    One that names another host than itself (AL header) is not believed: anyone may answer for anyone. Neither is plain
    HTTP, which would carry a password for all to read.
    """
    headers = _headers(datagram)
    service = headers.get("st", "")
    if service != _SERVICE and not service.startswith(f"{_SERVICE}:"):
        raise PacketError("no Redfish service", evidence=clean(service))
    try:
        location = urlsplit(headers.get("al", ""))
        host, port = location.hostname, location.port
    except ValueError as error:
        raise PacketError("no address in AL") from error
    if location.scheme != "https" or host != str(source) or port == 0:
        raise PacketError("not an https service of its own", evidence=clean(headers.get("al", "no AL header")))
    traits = Traits(uuid=_uuid(headers.get("usn", "")))
    return Suspect(address=source, sign=Sign.SSDP, port=port or HTTPS_PORT, traits=traits)


def _headers(datagram: bytes) -> dict[str, str]:
    lines = datagram[:_MAX_ANSWER].decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1.1 200"):
        raise PacketError("no answer to a search")
    pairs = (line.partition(":") for line in lines[1:_MAX_HEADERS] if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _uuid(text: str) -> UUID | None:
    """None for the nil UUID too: firmware without one shows that."""
    try:
        known = UUID(text.removeprefix("uuid:").partition("::")[0])
    except ValueError:
        return None
    return known if known.int else None


def sweep(networks: Sequence[IPv4Network]) -> tuple[Suspect, ...]:
    """Every host address of `networks`, each once. Raises `UsageError` for more than `MAX_SWEEP` of them."""
    size = sum(network.num_addresses for network in networks)
    if size > MAX_SWEEP:
        seen = f"{size} addresses in {', '.join(map(str, networks[:8]))}"
        action = "name the networks of the BMCs, /20 or smaller in all"
        raise UsageError(f"a sweep asks at most {MAX_SWEEP} addresses", evidence=seen, next_action=action)
    hosts = dict.fromkeys(host for network in networks for host in network.hosts())
    return tuple(Suspect(address=host, sign=Sign.SWEEP) for host in hosts)


def targets(texts: Sequence[str]) -> tuple[Suspect, ...]:
    """What people name: networks (10.0.1.0/24), addresses, and URLs with an address (https://, ipmi://).

    Raises `UsageError`.
    """
    networks = [_network(text) for text in texts if "://" not in text]
    return (*(at(text) for text in texts if "://" in text), *sweep(networks))


def _network(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as error:
        action = "write 10.0.1.0/24, 10.0.1.9, https://10.0.1.9 or ipmi://10.0.1.9"
        raise UsageError("neither a network nor an address", evidence=clean(text), next_action=action) from error


def at(url: str) -> Suspect:
    """The BMC with this URL. Raises `UsageError` where it is none, or names a host by its name."""
    try:
        parts = urlsplit(url)
        address, port = IPv4Address(parts.hostname or ""), parts.port
    except ValueError as error:
        action = "write https://ADDRESS[:PORT] or ipmi://ADDRESS[:PORT]"
        raise UsageError("not the URL of a BMC", evidence=clean(url), next_action=action) from error
    match parts.scheme:
        case "https":
            return Suspect(address=address, sign=Sign.STATED, port=port or HTTPS_PORT, dialect=Dialect.REDFISH)
        case "ipmi":
            return Suspect(address=address, sign=Sign.STATED, ipmi_port=port or IPMI_PORT, dialect=Dialect.IPMI)
        case other:
            raise UsageError("no BMC speaks this", evidence=clean(other), next_action="write https:// or ipmi://")


def stated(text: str) -> tuple[Suspect, ...]:
    """A list, one BMC a line: its address, then what is known of it: `10.0.0.9 mac=... serial=... make=...`.

    Raises `UsageError` that names the line. Empty lines, and what follows a #, do not count.
    """
    lines = ((number, line.partition("#")[0].split()) for number, line in enumerate(text.splitlines(), 1))
    suspects = [_stated(number, words) for number, words in lines if words]
    if len(suspects) > MAX_SWEEP:
        raise UsageError(f"a list names at most {MAX_SWEEP} BMCs", next_action="divide it")
    return tuple(suspects)


def _stated(number: int, words: Sequence[str]) -> Suspect:
    facts = dict.fromkeys(("mac", "serial", "make"), "")
    try:
        address = IPv4Address(words[0])
        for word in words[1:]:
            name, _, value = word.partition("=")
            if name not in facts or not 0 < len(value) <= _MAX_VALUE:
                raise ValueError(word)
            facts[name] = value
        mac = Mac.parse(facts["mac"]) if facts["mac"] else None
    except (ValueError, PacketError) as error:
        action = "write ADDRESS [mac=MAC] [serial=SERIAL] [make=MAKE]"
        raise UsageError(f"line {number} names no BMC", evidence=clean(str(error)), next_action=action) from error
    traits = Traits(make=make_of(facts["make"]), serial=facts["serial"], mac=mac)
    return Suspect(address=address, sign=Sign.STATED, traits=traits)


def merged(suspects: Sequence[Suspect]) -> tuple[Suspect, ...]:
    """Each address once: the first that names it, with what the others know besides."""
    known: dict[IPv4Address, Suspect] = {}
    for suspect in suspects:
        first = known.setdefault(suspect.address, suspect)
        if first is not suspect:
            traits = combined(first.traits, suspect.traits)
            port = suspect.port if first.port == HTTPS_PORT else first.port
            known[suspect.address] = replace(first, port=port, traits=traits)
    return tuple(known.values())


def combined(first: Traits, second: Traits) -> Traits:
    """`first`, and where it knows nothing `second`."""
    return Traits(
        make=first.make or second.make,
        serial=first.serial or second.serial,
        mac=first.mac or second.mac,
        uuid=first.uuid or second.uuid,
    )


def is_redfish(reply: bytes) -> bool:
    """Whether a reply to GET /redfish/v1/ is that of a Redfish service, however it is framed."""
    head, _, body = reply.partition(b"\r\n\r\n")
    status = head[9:12]
    return head.startswith(b"HTTP/1.") and (
        (status == b"200" and b'"RedfishVersion"' in body) or (status == b"401" and b"odata-version" in head.lower())
    )


_MEMBER = rb'"%s"\s{0,8}:\s{0,8}"([^"\\]{1,128})"'
_VENDOR, _UUID = re.compile(_MEMBER % b"Vendor"), re.compile(_MEMBER % b"UUID")


def traits_of(reply: bytes) -> Traits:
    """What a service root says of its machine to everybody (DSP0268, ServiceRoot)."""
    vendor, uuid = _VENDOR.search(reply), _UUID.search(reply)
    return Traits(
        make=make_of(clean(vendor[1].decode("utf-8", "replace"))) if vendor else "",
        uuid=_uuid(uuid[1].decode("latin-1")) if uuid else None,
    )


def neighbours(table: str) -> dict[IPv4Address, Mac]:
    """The hardware addresses in the text of /proc/net/arp; lines that are none do not count."""
    found: dict[IPv4Address, Mac] = {}
    for line in table.splitlines()[1:]:
        words = line.split()
        try:
            if words[2] != "0x0":
                found[IPv4Address(words[0])] = Mac(words[3])
        except (IndexError, ValueError, PacketError):
            continue
    return found
