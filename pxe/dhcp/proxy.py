"""proxyDHCP: the boot file beside another server's address (PXE 2.1 sections 2.2.3 and 2.3, RFC 4578).

    port 67     DISCOVER                  OFFER without an address, which already names the boot file
    port 4011   REQUEST, INFORM to us     ACK with the boot file, to whoever asked

The second exchange is for firmware that takes an offer with option 60 and without option 43, or a file it did not
find, as a reason to ask the boot server itself. A full DHCP server answers it too. Both exchanges take one decision
(`_bootable`), so no machine is promised on one port what is refused on the other.

Nothing here depends on what was answered before: all ports of one machine, and all its tries, get the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from types import MappingProxyType

from pxe.boot import BootAnswer
from pxe.client import Client, Stage
from pxe.dhcp.address import LIMITED_BROADCAST, UNSPECIFIED, Address, packed
from pxe.dhcp.exchange import CLIENT_PORT, SERVER_PORT
from pxe.dhcp.options import NO_DISCOVERY
from pxe.dhcp.packet import (
    BOOTREPLY,
    BOOTREQUEST,
    BROADCAST_FLAG,
    FILE_SIZE,
    DhcpPacket,
    MessageType,
    Option,
    client_of,
    traits_of,
)
from pxe.dhcp.policy import Boot
from pxe.dhcp.relay import suboption
from pxe.errors import PacketError

BOOT_SERVER_PORT = 4011

_BOOT_ITEM = 71
_BOOT_ITEM_SIZE = 4

BootOf = Callable[[DhcpPacket], Boot | None]
"""What the sender of a packet boots; None for nothing. Of a full DHCP server, `Policy.boot_of` with the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyReply:
    """`address` and `port`: where the packet goes."""

    client: Client
    packet: DhcpPacket
    address: IPv4Address
    port: int
    filename: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """`client` is None when the packet does not say who it is from."""

    client: Client | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bootable:
    client: Client
    boot: Boot


def boot_by(answer: Callable[[Client], BootAnswer | None]) -> BootOf:
    """`answer` is mostly `pxe.boot.answer` with its endpoints."""

    def boot_of(packet: DhcpPacket) -> Boot | None:
        found = answer(client_of(packet))
        return None if found is None else Boot(packed(found.next_server), found.filename.encode(), found.http_boot)

    return boot_of


def offer(packet: DhcpPacket, server: Address, boot_of: BootOf) -> ProxyReply | Silence:
    """What port 67 answers. `server` is our address."""
    if packet.message_type is not MessageType.DISCOVER:
        return Silence(client=sender_of(packet), reason="a proxyDHCP server answers only DISCOVER here")
    machine = _bootable(packet, boot_of)
    if isinstance(machine, Silence):
        return machine
    address, port = LIMITED_BROADCAST, CLIENT_PORT
    if packet.giaddr != UNSPECIFIED:
        address, port = packet.giaddr, SERVER_PORT
    elif packet.ciaddr != UNSPECIFIED:
        address = packet.ciaddr
    return ProxyReply(
        client=machine.client,
        packet=_reply(packet, MessageType.OFFER, machine.boot, server),
        address=IPv4Address(address),
        port=port,
        filename=_text(machine.boot),
    )


def acknowledge(
    packet: DhcpPacket, source: Address, port: int, server: Address, boot_of: BootOf
) -> ProxyReply | Silence:
    """What port 4011 answers to a packet from `source`. The client has an address by now: the reply goes back there."""
    if packet.message_type not in (MessageType.REQUEST, MessageType.INFORM):
        return Silence(client=sender_of(packet), reason="a boot server answers only REQUEST and INFORM")
    machine = _bootable(packet, boot_of)
    if isinstance(machine, Silence):
        return machine
    if machine.client.stage is Stage.HTTP_BOOT:
        return Silence(client=machine.client, reason="HTTP boot does not ask on port 4011")
    if source == UNSPECIFIED:
        return Silence(client=machine.client, reason="a boot server request needs an address to answer to")
    return ProxyReply(
        client=machine.client,
        packet=_reply(packet, MessageType.ACK, machine.boot, server),
        address=IPv4Address(source),
        port=port,
        filename=_text(machine.boot),
    )


def sender_of(packet: DhcpPacket) -> Client | None:
    """None when the packet does not say."""
    try:
        return client_of(packet)
    except PacketError:
        return None


def _bootable(packet: DhcpPacket, boot_of: BootOf) -> _Bootable | Silence:
    """The gates of both ports."""
    client = sender_of(packet)
    if client is None or packet.op != BOOTREQUEST:
        return Silence(client=client, reason="not from an Ethernet client")
    traits = traits_of(packet)
    if not traits.pxe and client.stage is not Stage.HTTP_BOOT:
        return Silence(client=client, reason="not a PXE client")
    boot = boot_of(packet)
    if boot is None:
        return Silence(client=client, reason="no boot program for this architecture")
    return _Bootable(client=client, boot=boot)


def _text(boot: Boot) -> str:
    return boot.filename.decode("ascii", "replace")


def _reply(packet: DhcpPacket, kind: MessageType, boot: Boot, server: Address) -> DhcpPacket:
    """The boot file stands in the header and in the options: some clients read only the one, some only the other."""
    return DhcpPacket(
        op=BOOTREPLY,
        htype=packet.htype,
        xid=packet.xid,
        # The client has no address that a frame could be sent to.
        flags=packet.flags | BROADCAST_FLAG if kind is MessageType.OFFER else packet.flags,
        ciaddr=packet.ciaddr,
        siaddr=boot.next_server,
        giaddr=packet.giaddr,
        chaddr=packet.chaddr,
        file=boot.filename if len(boot.filename) < FILE_SIZE else b"",
        options=MappingProxyType(_options(packet, kind, boot, server)),
    )


def _options(packet: DhcpPacket, kind: MessageType, boot: Boot, server: Address) -> Mapping[int, bytes]:
    options: dict[int, bytes] = {
        Option.MESSAGE_TYPE: bytes((kind,)),
        Option.SERVER_IDENTIFIER: server,
        Option.BOOT_FILE: boot.filename,
    }
    if boot.http_boot:
        options[Option.VENDOR_CLASS] = b"HTTPClient"
    else:
        options[Option.VENDOR_CLASS] = b"PXEClient"
        # No menu and no prompt (sub-options 9 and 10): a prompt stops machines without a console.
        options[Option.VENDOR_SPECIFIC] = NO_DISCOVERY + _boot_item(packet) + b"\xff"
        options[Option.TFTP_SERVER_NAME] = str(IPv4Address(boot.next_server)).encode()
    # RFC 4578 section 2.3, RFC 6842, and last RFC 3046 section 2.2.
    for code in (Option.CLIENT_UUID, Option.CLIENT_IDENTIFIER, Option.RELAY_INFORMATION):
        if code in packet.options:
            options[code] = packet.options[code]
    return options


def _boot_item(packet: DhcpPacket) -> bytes:
    """PXE 2.1 section 2.2.3: a boot server returns the boot item that it was asked for."""
    item = suboption(packet.options.get(Option.VENDOR_SPECIFIC, b""), _BOOT_ITEM)
    return bytes((_BOOT_ITEM, len(item))) + item if len(item) == _BOOT_ITEM_SIZE else b""
