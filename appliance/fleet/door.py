"""The Redfish endpoint of the appliance: its certificate, its accounts on disk, its socket."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from appliance.access.passwords import PasswordHash
from appliance.errors import MachineryError, UsageError
from appliance.files import write_whole
from appliance.fleet.credential import kept
from appliance.model.bmc import AccountRole
from appliance.model.codec import from_json, to_json
from appliance.ports import Clock, Rng
from appliance.redfish.accounts import Account
from appliance.redfish.assembly import World, assembled
from appliance.redfish.backend import Backend
from appliance.redfish.model import ServiceInfo
from appliance.redfish.server import HttpPost, serve
from pxe.tls import server_context

_LOGGER = logging.getLogger(__name__)
_NAMESPACE = UUID("8d0c8b4e-5b0f-4f0e-9d3a-6a1f1c0b7e55")
_FIRST_USER = "admin"
_PASSWORD_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedAccount:
    """An account at rest; `salt` and `digest` of its password's hash in hex."""

    name: str
    role: AccountRole
    enabled: bool
    salt: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedAccounts:
    accounts: tuple[SavedAccount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """`folder` keeps the certificate, the accounts and the first password, readable by the appliance's user alone."""

    folder: Path
    address: IPv4Address
    port: int
    site: str
    version: str


@asynccontextmanager
async def opened(door: Door, backend: Backend, clock: Clock, rng: Rng) -> AsyncIterator[None]:
    """Serves until the end of the context. Raises `MachineryError` where it cannot."""
    folder, stop = door.folder, asyncio.Event()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    info = ServiceInfo(
        uuid=uuid5(_NAMESPACE, door.site),
        vendor="Innervate",
        product="Innervate appliance",
        version=door.version,
        aggregates=True,
    )
    tls = server_context([kept(folder, door.site, (str(door.address), "innervate"), clock)])
    async with HttpPost(ssl.create_default_context()) as post:
        world = World(clock=clock, rng=rng, post=post, allows=is_elsewhere)
        async with assembled(backend, info, world, saved=_saved(folder), save=lambda all_: _save(folder, all_)) as made:
            if not made.accounts.names():
                await made.accounts.add(_FIRST_USER, _first_password(folder, rng), AccountRole.ADMINISTRATOR)
            with _listen(door) as listener:
                serving = asyncio.create_task(serve(made.app, listener, tls, stop), name="redfish")
                try:
                    yield
                finally:
                    stop.set()
                    await serving


def is_elsewhere(url: str) -> bool:
    """Whether events may be sent there: over TLS, and not to the appliance itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return parts.scheme == "https" and host not in ("", "localhost") and not host.endswith(".localhost")
    special = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return parts.scheme == "https" and not special


def _listen(door: Door) -> socket.socket:
    try:
        return socket.create_server((str(door.address), door.port))
    except OSError as error:
        where = f"{door.address}:{door.port}"
        action = "choose another redfish_port"
        raise MachineryError(f"cannot serve Redfish on {where}", evidence=str(error), next_action=action) from error


def _first_password(folder: Path, rng: Rng) -> str:
    file, password = folder / "first-password", rng.token(_PASSWORD_BYTES)
    write_whole(file, f"{password}\n".encode())
    _LOGGER.info("Redfish: the password of %s is in %s; change it, then remove the file", _FIRST_USER, file)
    return password


def _saved(folder: Path) -> tuple[Account, ...]:
    file = folder / "accounts.json"
    try:
        saved = from_json(SavedAccounts, file.read_bytes())
        return tuple(map(_account, saved.accounts))
    except FileNotFoundError:
        return ()
    except (OSError, UsageError, ValueError) as error:
        action = "restore it, or remove it: a new first password is made then"
        raise MachineryError(f"{file} cannot be read", evidence=str(error), next_action=action) from error


def _account(saved: SavedAccount) -> Account:
    password = PasswordHash(salt=bytes.fromhex(saved.salt), digest=bytes.fromhex(saved.digest))
    return Account(name=saved.name, role=saved.role, enabled=saved.enabled, password=password)


def _save(folder: Path, accounts: tuple[Account, ...]) -> None:
    saved = tuple(
        SavedAccount(
            name=account.name,
            role=account.role,
            enabled=account.enabled,
            salt=account.password.salt.hex(),
            digest=account.password.digest.hex(),
        )
        for account in accounts
    )
    write_whole(folder / "accounts.json", to_json(SavedAccounts(accounts=saved)))
