"""Looks for BMCs on the network, and for the log-in that each takes. Only where, and when, it is told to."""

import asyncio
import contextlib
import hashlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import assert_never

from appliance.bmc import discovery
from appliance.bmc.discovery import Dialect, Found, Login, Suspect
from appliance.bmc.ipmi.link import IpmiLimits, Link
from appliance.bmc.ipmi.wire import Wire
from appliance.bmc.port import BmcDialler
from appliance.bmc.vault import Vault, endpoint_of
from appliance.errors import BmcError, BmcLoginError, BmcPasswordChangeError, MachineryError
from appliance.model.bmc import BmcEndpoint, SystemIdentity
from appliance.ports import Clock, Rng
from pxe.client import Mac
from pxe.errors import PacketError

_log = logging.getLogger(__name__)

_REPLY_BYTES = 1 << 16
_SEARCHES = 2
_HOPS = 2
_NEIGHBOURS = Path("/proc/net/arp")
_PROBE = IpmiLimits(tries_seconds=(0.5, 1.0))
_GET_ROOT = "GET /redfish/v1/ HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinderLimits:
    """`at_once` bounds how many addresses are asked at a time, `probe_seconds` how long each may take: together how
    long a sweep lasts (4096 silent addresses: 64 s). More at once would crowd the kernel's table of neighbours."""

    search_seconds: int = 3
    probe_seconds: float = 4.0
    at_once: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A BMC that let us in. `identity` is None where it wants a new password first; `must_change` there, and where
    everybody knows the password."""

    found: Found
    endpoint: BmcEndpoint
    identity: SystemIdentity | None
    must_change: bool


class Finder:
    def __init__(self, clock: Clock, rng: Rng, limits: FinderLimits | None = None) -> None:
        self._clock, self._rng, self._limits = clock, rng, limits or FinderLimits()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    async def search(self, ours: IPv4Address) -> tuple[Suspect, ...]:
        """Who answers to SSDP on the network of our address `ours`. Raises `MachineryError`."""
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as asking:
                asking.bind((str(ours), 0))
                asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, ours.packed)
                asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _HOPS)
                return await self._ask_all(asking)
        except OSError as error:
            action = "give the address of an interface of ours that is up"
            raise MachineryError(f"cannot search from {ours}", evidence=str(error), next_action=action) from error

    async def _ask_all(self, asking: socket.socket) -> tuple[Suspect, ...]:
        """More than once: a datagram may get lost."""
        suspects: dict[IPv4Address, Suspect] = {}

        def hear(datagram: bytes, source: IPv4Address) -> None:
            with contextlib.suppress(PacketError):
                if len(suspects) < discovery.MAX_SWEEP:
                    suspects.setdefault(source, discovery.answer(datagram, source))

        seconds = self._limits.search_seconds
        asyncio.get_running_loop().add_reader(asking, _receive, asking, hear)
        try:
            for _ in range(_SEARCHES):
                asking.sendto(discovery.search(seconds), (discovery.SSDP_GROUP, discovery.SSDP_PORT))
                await self._clock.sleep((seconds + 1.0) / _SEARCHES)
            await self._clock.sleep(seconds / _SEARCHES)
        finally:
            asyncio.get_running_loop().remove_reader(asking)
        return tuple(suspects.values())

    async def probe(self, suspects: Iterable[Suspect]) -> tuple[Found, ...]:
        """Those that are BMCs: Redfish where it is spoken, else IPMI 2.0. Nobody is logged in to."""
        gate, wire = asyncio.Semaphore(self._limits.at_once), Wire()

        async def one(suspect: Suspect) -> Found | None:
            async with gate:
                return await self._probe(wire, suspect)

        try:
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(one(suspect)) for suspect in discovery.merged(tuple(suspects))]
        finally:
            wire.close()
        macs = await asyncio.to_thread(_neighbours)
        found = [task.result() for task in asked]
        return tuple(_with_mac(bmc, macs.get(bmc.address)) for bmc in found if bmc is not None)

    async def _probe(self, wire: Wire, suspect: Suspect) -> Found | None:
        match suspect.dialect:
            case Dialect.REDFISH:
                return await self._redfish(suspect)
            case Dialect.IPMI:
                return await self._ipmi(wire, suspect)
            case None:
                return await self._either(wire, suspect)
            case _:
                assert_never(suspect.dialect)

    async def _either(self, wire: Wire, suspect: Suspect) -> Found | None:
        """Both ways at once, so that a silent host costs no more than one."""
        ipmi = asyncio.create_task(self._ipmi(wire, suspect))
        try:
            return await self._redfish(suspect) or await ipmi
        finally:
            ipmi.cancel()
            await asyncio.wait((ipmi,))

    async def _redfish(self, suspect: Suspect) -> Found | None:
        try:
            async with asyncio.timeout(self._limits.probe_seconds):
                certificate, reply = await _get_root(str(suspect.address), suspect.port, self._tls)
        except (OSError, TimeoutError):
            return None
        if not discovery.is_redfish(reply):
            return None
        return Found(
            address=suspect.address,
            dialect=Dialect.REDFISH,
            port=suspect.port,
            fingerprint=hashlib.sha256(certificate).hexdigest(),
            traits=discovery.combined(suspect.traits, discovery.traits_of(reply)),
        )

    async def _ipmi(self, wire: Wire, suspect: Suspect) -> Found | None:
        try:
            async with asyncio.timeout(self._limits.probe_seconds):
                resolved = await wire.resolve(str(suspect.address), suspect.ipmi_port)
                await Link(wire, resolved, self._clock, self._rng, _PROBE).probe()
        except (BmcError, TimeoutError):
            return None
        return Found(address=suspect.address, dialect=Dialect.IPMI, port=suspect.ipmi_port, traits=suspect.traits)

    async def login(self, found: Found, vault: Vault, dialler: BmcDialler, stated: Login | None = None) -> Opened:
        """With the first log-in that works of what the vault knows and of `stated`, which the vault is told.

        Raises `BmcLoginError` when none does, or when none may be tried now; `BmcError` for any other trouble.
        """
        refusal: BmcError | None = None
        for login in vault.candidates(found, stated):
            try:
                return await _try(found, login, vault, dialler)
            except BmcLoginError as error:
                refusal = error
        action = "give this BMC's user and password to the vault, and look whether the account is locked by now"
        raise BmcLoginError(f"no log-in of the vault opens {found.url}", next_action=action) from refusal


async def _try(found: Found, login: Login, vault: Vault, dialler: BmcDialler) -> Opened:
    endpoint = endpoint_of(found, login)
    bmc, identity, must_change = dialler.dial(endpoint), None, login.factory
    vault.trying(found)
    try:
        identity = await bmc.identify()
    except BmcPasswordChangeError:
        must_change = True
    except BmcLoginError:
        vault.was_refused(found, login)
        _log.warning("log-in refused bmc=%s user=%r", found.url, login.user)
        with contextlib.suppress(BmcError):
            await bmc.close()
        raise
    except BmcError:
        vault.was_not_heard(found)
        raise
    vault.worked(found, login)
    return Opened(found=found, endpoint=endpoint, identity=identity, must_change=must_change)


def _receive(asking: socket.socket, hear: Callable[[bytes, IPv4Address], None]) -> None:
    with contextlib.suppress(OSError):
        datagram, source = asking.recvfrom(_REPLY_BYTES)
        hear(datagram, IPv4Address(source[0]))


def _neighbours() -> dict[IPv4Address, Mac]:
    with contextlib.suppress(OSError):
        return discovery.neighbours(_NEIGHBOURS.read_text())
    return {}


def _with_mac(found: Found, mac: Mac | None) -> Found:
    return replace(found, traits=discovery.combined(found.traits, discovery.Traits(mac=mac)))


async def _get_root(host: str, port: int, tls: ssl.SSLContext) -> tuple[bytes, bytes]:
    """The certificate and the reply. Nothing secret is sent, so any certificate will do: its owner is pinned by it."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        writer.write(_GET_ROOT.format(host).encode())
        reply = b""
        while len(reply) < _REPLY_BYTES and (part := await reader.read(_REPLY_BYTES)):
            reply += part
            if discovery.is_redfish(reply) and _is_enough(reply):
                break
        return writer.get_extra_info("ssl_object").getpeercert(binary_form=True), reply
    finally:
        writer.transport.abort()


def _is_enough(reply: bytes) -> bool:
    """Not every BMC hangs up when it is asked to; nor need we know where a chunk ends."""
    return reply[9:12] == b"401" or reply.rstrip().endswith((b"}", b"\r\n0"))
