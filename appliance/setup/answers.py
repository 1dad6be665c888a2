"""What the first boot has to know, and how each answer is read. Pure.

On a stick, in the file `innervate-setup.toml` of a volume labelled INNERVSETUP:

    device   = "enp1s0"                   the provisioning network's interface; left out: the only one, or the only one
                                          with a link on which nobody else serves DHCP
    address  = "10.77.0.1/24"             the appliance's own address there
    bmcs     = ["10.77.1.0/24"]           where the BMCs are: addresses, URLs, networks
    user     = "admin"                    one log-in for all of them; others later: innervate bmc vault add
    password = "..."
    keys     = ["ssh-ed25519 AAAA..."]    optional; who may enter installed machines as root
    rack     = "r12"                      optional; how the rack is called
    disk     = "tpm"                      optional; "passphrase" or "plain"; left out: the TPM, or who is there is asked
    passphrase = "..."                    with disk = "passphrase"
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

from pydantic import ConfigDict, TypeAdapter, ValidationError

from appliance.bmc.discovery import Suspect, targets
from appliance.errors import UsageError
from appliance.model.secret import Secret
from appliance.setup.sealing import Sealing, sealing_of

DEFAULT_ADDRESS = IPv4Interface("10.77.0.1/24")
_SMALLEST_PREFIX, _LARGEST_PREFIX = 28, 16
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_RACK = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_KEY = re.compile(r"(ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+ [A-Za-z0-9+/]{16,8000}={0,2}( [ -~]{0,200})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """An Ethernet interface of the appliance. `speed` is in Mbit/s, 0 where the driver does not say; `servers` are the
    DHCP servers that answer there, None where nobody could ask."""

    name: str
    mac: str
    has_link: bool
    speed: int
    servers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """`bmcs` as they were written; `user` "" where no log-in is known yet."""

    device: str
    address: IPv4Interface
    bmcs: tuple[str, ...]
    user: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))
    keys: tuple[str, ...] = ()
    rack: str = "rack"

    @property
    def pool(self) -> tuple[IPv4Address, IPv4Address]:
        """First and last address for machines: the upper half of the network, without the appliance's own."""
        network = self.address.network
        first, last = network.network_address + network.num_addresses // 2, network.broadcast_address - 1
        if not first <= self.address.ip <= last:
            return first, last
        below, above = int(self.address.ip) - int(first), int(last) - int(self.address.ip)
        return (first, self.address.ip - 1) if below > above else (self.address.ip + 1, last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stick:
    """What `innervate-setup.toml` may hold, as it is written."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    bmcs: tuple[str, ...]
    device: str = ""
    address: str = str(DEFAULT_ADDRESS)
    user: str = ""
    password: str = ""
    keys: tuple[str, ...] = ()
    rack: str = "rack"
    disk: str = ""
    passphrase: str = ""


_ADAPTER = TypeAdapter(Stick)


def sealing_in(text: str) -> Sealing | None:
    """What a stick says of the data partition; None where that is nothing. Raises `UsageError` that names the key."""
    file = _file(text)
    return sealing_of(file.disk, file.passphrase) if file.disk or file.passphrase else None


def read_file(text: str, nics: Sequence[Nic]) -> Answers:
    """The answers of a stick. Raises `UsageError` that names the key."""
    file = _file(text)
    bmcs = tuple(" ".join(file.bmcs).split())
    targets_of(bmcs)
    return Answers(
        device=device_of(file.device, nics),
        address=address_of(file.address),
        bmcs=bmcs,
        user=file.user,
        password=Secret(file.password),
        keys=tuple(key_of(key) for key in file.keys),
        rack=rack_of(file.rack),
    )


def _file(text: str) -> Stick:
    try:
        return _ADAPTER.validate_python(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        first = error.errors(include_url=False, include_input=False)[0] if isinstance(error, ValidationError) else None
        said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise UsageError(
            "the answers on the stick cannot be read", evidence=said, next_action="correct innervate-setup.toml"
        ) from error


def suggested(nics: Sequence[Nic]) -> str:
    """Where a rack is likely to be: the only interface, or the only one with a link and no DHCP server of somebody
    else's; "" where that is none or several."""
    likely = [nic for nic in nics if nic.has_link and nic.servers == ()]
    found = nics if len(nics) == 1 else likely
    return found[0].name if len(found) == 1 else ""


def device_of(answer: str, nics: Sequence[Nic]) -> str:
    """A number of the list, counted from 1, or a name; nothing is the one that is suggested."""
    names = [nic.name for nic in nics]
    answer = answer.strip() or suggested(nics)
    if answer.isdecimal() and 1 <= int(answer) <= len(names):
        return names[int(answer) - 1]
    if answer in names and _DEVICE.fullmatch(answer):
        return answer
    raise UsageError(
        f"there is no network interface {answer!r:.40}",
        evidence=f"interfaces: {', '.join(names) or 'none'}",
        next_action="name one of these, or its number" if names else "put a network card in",
    )


def address_of(answer: str) -> IPv4Interface:
    """ADDRESS/PREFIX; nothing is the default."""
    try:
        address = IPv4Interface(answer.strip() or str(DEFAULT_ADDRESS))
    except ValueError as error:
        raise _no_address(answer) from error
    network = address.network
    usable = _LARGEST_PREFIX <= network.prefixlen <= _SMALLEST_PREFIX
    if not usable or address.ip in (network.network_address, network.broadcast_address) or not address.is_private:
        raise _no_address(answer)
    return address


def _no_address(answer: str) -> UsageError:
    return UsageError(
        f"{answer.strip()!r:.40} is no address for the provisioning network",
        evidence=f"wanted: a private IPv4 address and a prefix from /{_LARGEST_PREFIX} to /{_SMALLEST_PREFIX}",
        next_action=f"for example {DEFAULT_ADDRESS}",
    )


def targets_of(bmcs: Iterable[str]) -> tuple[Suspect, ...]:
    """Where to look. Raises `UsageError` that names the word which is none of an address, a URL, a network."""
    words = tuple(bmcs)
    if not words:
        action = "name the BMCs' addresses, or their network: 10.77.1.0/24"
        raise UsageError("without BMCs no server can be switched on", next_action=action)
    return targets(words)


def key_of(answer: str) -> str:
    if _KEY.fullmatch(answer.strip()):
        return answer.strip()
    action = "give the line of an id_ed25519.pub"
    raise UsageError("that is no public key of OpenSSH", evidence=f"{answer[:60]!r}", next_action=action)


def rack_of(answer: str) -> str:
    if _RACK.fullmatch(answer):
        return answer
    action = "use up to 32 small letters, digits and hyphens"
    raise UsageError(f"{answer!r:.40} cannot be a rack's name", next_action=action)
