"""The container registry of the appliance: two programs over one store, and how they are reached."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import bcrypt

from appliance.files import write_whole
from appliance.model.secret import Secret
from appliance.model.site_services import RegistryPlace
from appliance.ports import Clock, Rng
from appliance.registry.config import Door, rendered
from appliance.registry.link import Registry
from appliance.registry.secrets import USER, RegistrySecrets
from appliance.supervision.keeper import Keeper
from appliance.supervision.ports import Children
from pxe.tls import issue

PROGRAM = "docker-registry"
_LOOPBACK = IPv4Address("127.0.0.1")
_SECRET_BYTES = 16
_CHEAPEST = 4
"""Of bcrypt: the password is 32 random bytes, which nobody guesses however cheap a guess is; each request pays it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFiles:
    """Below `folder`, which only the appliance's user may read."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def reading(self) -> Path:
        return self.folder / "reading.yml"

    @property
    def writing(self) -> Path:
        return self.folder / "writing.yml"


class RegistryService:
    """Reads at `address`:`port`, writes at the loopback address and `writing_port`."""

    def __init__(
        self,
        files: RegistryFiles,
        secrets: RegistrySecrets,
        *,
        address: IPv4Address,
        port: int,
        writing_port: int,
        clock: Clock,
        rng: Rng,
        program: Sequence[str] = (PROGRAM,),
    ) -> None:
        self.files, self._secrets, self._clock, self.program = files, secrets, clock, tuple(program)
        self._rng = rng
        self._address, self._port, self._writing_port = address, port, writing_port
        self._context = ssl.create_default_context(cadata=secrets.authority.certificate.decode())

    @property
    def place(self) -> RegistryPlace:
        authority = self._secrets.authority.certificate.decode()
        return RegistryPlace(address=self._address, port=self._port, authority=authority)

    def lay_out(self) -> None:
        """Writes what the programs read. A certificate of their own at each start: it is never old. Raises OSError."""
        self.files.store.mkdir(parents=True, exist_ok=True, mode=0o700)
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        served = issue(self._secrets.authority, addresses=[self._address, _LOOPBACK], now=now)
        password = self._secrets.password.reveal().encode()
        hashed = bcrypt.hashpw(password, bcrypt.gensalt(_CHEAPEST))
        reading = Door(
            address=self._address,
            port=self._port,
            certificate=self.files.folder / "server.crt",
            key=self.files.folder / "server.key",
            store=self.files.store,
            secret=Secret(self._rng.token(_SECRET_BYTES)),
        )
        writing = replace(reading, address=_LOOPBACK, port=self._writing_port, htpasswd=self.files.folder / "htpasswd")
        write_whole(reading.key, served.key.reveal())
        write_whole(reading.certificate, served.certificate)
        write_whole(self.files.folder / "htpasswd", f"{USER}:".encode() + hashed + b"\n")
        write_whole(self.files.reading, rendered(reading).encode())
        write_whole(self.files.writing, rendered(writing).encode())

    def keepers(self, children: Children) -> tuple[Keeper, ...]:
        doors = (("container registry", self.files.reading), ("container registry (writing)", self.files.writing))
        return tuple(Keeper(name, (*self.program, "serve", str(file)), children, self._clock) for name, file in doors)

    @contextmanager
    def links(self) -> Iterator[tuple[Registry, Registry]]:
        """For reading as nodes do, and for writing."""
        reading = Registry(str(self._address), self._port, self._context)
        writing = Registry(
            str(_LOOPBACK), self._writing_port, self._context, user=USER, password=self._secrets.password
        )
        try:
            yield reading, writing
        finally:
            reading.close()
            writing.close()
