"""From a password that everybody knows to one of the BMC's own, whatever is cut off on the way."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import pytest

from appliance.bmc.discovery import Dialect, Found, Login, Traits
from appliance.bmc.fake import FakeBmc
from appliance.bmc.finder import Finder, Opened
from appliance.bmc.rotation import PASSWORD_BYTES, new_password, rotate
from appliance.bmc.vault import REST_SECONDS, Entry, Vault, endpoint_of
from appliance.errors import BmcError, BmcLoginError, MachineryError, NotFoundError
from appliance.model.bmc import BmcEndpoint, PowerState, SystemIdentity
from appliance.model.bmc_views import VaultScope
from appliance.model.secret import Secret
from appliance.store.secrets import SecretFile
from appliance.system import SystemRng

LOCKED_AFTER = 3
FACTORY = Entry(scope=VaultScope.FACTORY, value="Dell", user="root", password=Secret("calvin"))
IDENTITY = SystemIdentity(
    path="", uuid=None, serial="SN1", manufacturer="Dell", product="", macs=(), power=PowerState.OFF
)
FOUND = Found(
    address=IPv4Address("10.0.0.9"),
    dialect=Dialect.REDFISH,
    port=443,
    fingerprint="ab" * 32,
    traits=Traits(make="Dell", uuid=UUID(int=9)),
)


class CrashError(BaseException):
    """As if the process ended here: nobody handles it."""


class Clock:
    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Fuse:
    """Blows at the `left`-th effect."""

    left: int | None = None

    def effect(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise CrashError


@dataclass
class Hardware:
    """A BMC's own memory; it outlives every crash. `cuts` takes a password and keeps less; `lies` keeps the old one."""

    fuse: Fuse
    password: str = "calvin"
    failures: int = 0
    worst: int = 0
    lies: bool = False
    late: bool = False
    keep: int = 128
    due: bool = False

    def admit(self, password: Secret) -> None:
        if password.reveal() == self.password and self.worst < LOCKED_AFTER:
            self.failures = 0
            return
        self.failures += 1
        self.worst = max(self.worst, self.failures)
        raise BmcLoginError("refused", next_action="x")


class GuardedBmc(FakeBmc):
    def __init__(self, hardware: Hardware, endpoint: BmcEndpoint) -> None:
        super().__init__(IDENTITY)
        self.hardware, self.endpoint = hardware, endpoint

    async def identify(self) -> SystemIdentity:
        self.hardware.fuse.effect()
        self.hardware.admit(self.endpoint.password)
        self.hardware.fuse.effect()
        return await super().identify()

    async def change_password(self, password: Secret) -> None:
        hardware = self.hardware
        hardware.fuse.effect()
        hardware.admit(self.endpoint.password)
        if not hardware.lies:
            hardware.password = password.reveal()[: hardware.keep]
        hardware.fuse.effect()
        if hardware.late:
            raise BmcError("does not answer in time", next_action="x")
        hardware.admit(password)
        hardware.fuse.effect()


class GuardedDialler:
    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware

    def dial(self, endpoint: BmcEndpoint) -> GuardedBmc:
        return GuardedBmc(self._hardware, endpoint)

    async def close(self) -> None:
        pass


class FusedFile(SecretFile):
    """A crash before the data is on disk, or after."""

    fuse = Fuse()

    def save(self, data: bytes) -> None:
        self.fuse.effect()
        super().save(data)
        self.fuse.effect()


@dataclass
class Site:
    folder: Path
    fuse: Fuse = field(default_factory=Fuse)
    clock: Clock = field(default_factory=Clock)
    kind: type[Vault] = Vault

    def __post_init__(self) -> None:
        self.hardware = Hardware(self.fuse)
        self.dialler = GuardedDialler(self.hardware)
        with self.vault() as vault:
            vault.add(FACTORY)

    @contextmanager
    def vault(self) -> Iterator[Vault]:
        """As a fresh process finds it on disk."""
        with closing(FusedFile(self.folder / "bmc.vault", SystemRng())) as file:
            file.fuse = self.fuse
            yield self.kind(file, self.clock)

    async def _run(self, work: Callable[[Vault, Opened], bool]) -> None:
        with self.vault() as vault:
            opened = await Finder(self.clock, SystemRng()).login(FOUND, vault, self.dialler)
            if work(vault, opened):
                await rotate(FOUND, vault, self.dialler, SystemRng())

    def enter(self) -> None:
        asyncio.run(self._run(lambda _vault, _opened: False))

    def rotate(self) -> None:
        """What a person's `rotate everything` does: log in, and change what is not ours yet."""
        asyncio.run(self._run(lambda vault, opened: opened.must_change or vault.begun(FOUND) is not None))

    def enter_sooner_or_later(self) -> None:
        """A BMC is left alone for a while where two tries were cut off: that is not lost."""
        try:
            self.enter()
        except BmcLoginError:
            self.clock.time += REST_SECONDS + 1
            self.enter()


def effects_of_a_rotation(folder: Path) -> int:
    site = Site(folder)
    site.fuse.left = 1000
    site.rotate()
    return 1000 - site.fuse.left


def test_factory_password_is_changed_and_forgotten(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.rotate()
    assert site.hardware.password != "calvin"
    with site.vault() as vault:
        assert vault.known(FOUND) == Login(user="root", password=Secret(site.hardware.password))
        assert vault.begun(FOUND) is None
    site.enter()
    assert site.hardware.worst == 0


def test_endpoint_holds_the_new_password(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def play() -> BmcEndpoint:
        with site.vault() as vault:
            await Finder(site.clock, SystemRng()).login(FOUND, vault, site.dialler)
            return await rotate(FOUND, vault, site.dialler, SystemRng())

    endpoint = asyncio.run(play())
    assert endpoint.password.reveal() == site.hardware.password
    assert endpoint == endpoint_of(FOUND, Login(user="root", password=endpoint.password))


def test_unknown_bmc_is_not_rotated(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def play() -> None:
        with site.vault() as vault:
            await rotate(FOUND, vault, site.dialler, SystemRng())

    with pytest.raises(NotFoundError):
        asyncio.run(play())


def test_crash_at_any_point_loses_no_access(tmp_path: Path) -> None:
    """And the next rotation ends well; the account is never near its lock."""
    effects = effects_of_a_rotation(tmp_path / "whole")
    assert effects > 12
    for point in range(effects):
        site = Site(tmp_path / f"{point}")
        site.fuse.left = point
        with pytest.raises(CrashError):
            site.rotate()
        site.fuse.left = None
        site.enter_sooner_or_later()
        assert site.hardware.worst < LOCKED_AFTER, point
        site.rotate()
        site.enter()
        assert site.hardware.password != "calvin", point
        with site.vault() as vault:
            assert vault.begun(FOUND) is None, point


def test_second_crash_during_the_repair_loses_no_access_either(tmp_path: Path) -> None:
    effects = effects_of_a_rotation(tmp_path / "whole")
    for first in range(effects):
        for second in range(0, effects, 2):
            site = Site(tmp_path / f"{first}-{second}")
            for point in (first, second):
                site.fuse.left = point
                try:
                    site.rotate()
                except CrashError:
                    pass
                except BmcLoginError:
                    site.clock.time += REST_SECONDS + 1
            site.fuse.left = None
            site.enter_sooner_or_later()
            assert site.hardware.worst < LOCKED_AFTER, (first, second)


@pytest.mark.parametrize(("fault", "value"), [("lies", True), ("late", True), ("keep", 8)])
def test_bmc_that_does_not_do_what_it_says(tmp_path: Path, fault: str, value: int) -> None:
    site = Site(tmp_path)
    setattr(site.hardware, fault, value)
    with pytest.raises(BmcError):
        site.rotate()
    if fault == "keep":  # nobody could know what it made of it; the password that we sent is on disk for a person
        with site.vault() as vault:
            begun = vault.begun(FOUND)
        assert begun is not None
        assert begun.password.reveal().startswith(site.hardware.password)
        return
    site.enter()
    assert site.hardware.worst < LOCKED_AFTER


class CarelessVault(Vault):
    """Does not save what a rotation begins."""

    def begin(self, found: Found, password: Secret) -> Login:
        return Login(user="root", password=password)


def test_crashes_would_show_a_password_that_was_saved_too_late(tmp_path: Path) -> None:
    lost = 0
    for point in range(effects_of_a_rotation(tmp_path / "whole")):
        site = Site(tmp_path / f"{point}", kind=CarelessVault)
        site.fuse.left = point
        with suppress(CrashError):
            site.rotate()
        site.fuse.left = None
        try:
            site.enter_sooner_or_later()
        except BmcLoginError:
            lost += 1
    assert lost > 1


def test_passwords_are_good_and_different() -> None:
    seen = {new_password(SystemRng()).reveal() for _ in range(500)}
    assert len(seen) == 500
    for text in seen:
        assert len(text.encode("ascii")) == PASSWORD_BYTES == len(text)
        kinds = (str.isupper, str.islower, str.isdigit, lambda c: c in "-_.")
        assert all(any(kind(character) for character in text) for kind in kinds)
        assert text[0].isalpha()
        assert text[-1].isalpha()
        assert not any(text[i] == text[i + 1] == text[i + 2] for i in range(len(text) - 2))
    assert not set("".join(seen)) & set("0O1lI")


def test_characters_are_evenly_likely() -> None:
    counts: dict[str, int] = {}
    for _ in range(2000):
        for character in new_password(SystemRng()).reveal()[1:-1]:
            counts[character] = counts.get(character, 0) + 1
    letters = [counts[letter] for letter in "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"]
    assert max(letters) < 1.5 * min(letters)


def test_random_numbers_that_are_none_make_no_password() -> None:
    class Broken:
        def token(self, size: int) -> str:
            return "00" * size

    with pytest.raises(MachineryError):
        new_password(Broken())
