"""What is tried on which BMC, how often, and how it is kept."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import pytest

from appliance.bmc.discovery import Dialect, Found, Login, Traits
from appliance.bmc.vault import MAX_TRIES, REST_SECONDS, Entry, Vault, factory_defaults
from appliance.errors import BmcError, BmcLoginError, MachineryError, NotFoundError, UsageError
from appliance.model.bmc_views import VaultScope
from appliance.model.secret import Secret
from appliance.store.secrets import SecretFile
from appliance.system import SystemRng
from pxe.client import Mac

MAC = Mac("52:54:00:00:00:09")
TRAITS = Traits(make="Dell Inc.", serial="SN1", mac=MAC, uuid=UUID(int=9))
FOUND = Found(address=IPv4Address("10.0.0.9"), dialect=Dialect.REDFISH, port=443, fingerprint="ab" * 32, traits=TRAITS)
OWN = Login(user="root", password=Secret("own-password"))


class Clock:
    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@contextmanager
def opened(folder: Path, clock: Clock | None = None) -> Iterator[Vault]:
    with closing(SecretFile(folder / "bmc.vault", SystemRng())) as file:
        yield Vault(file, clock or Clock())


def entry(scope: VaultScope, value: str, user: str, password: str = "x", priority: int = 0) -> Entry:  # noqa: S107
    return Entry(scope=scope, value=value, user=user, password=Secret(password), priority=priority)


def users(vault: Vault, found: Found = FOUND) -> list[str]:
    return [login.user for login in vault.candidates(found)]


def fail(vault: Vault, found: Found = FOUND) -> list[str]:
    """A run in which everything is refused; what it tried."""
    tried = vault.candidates(found)
    for login in tried:
        vault.trying(found)
        vault.was_refused(found, login)
    return [login.user for login in tried]


# --- what is tried --------------------------------------------------------------------------------------------


def test_closest_entries_are_tried_first(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.add(entry(VaultScope.FACTORY, "Dell", "factory"), entry(VaultScope.SITE, "", "site"))
        assert users(vault) == ["site", "factory"]
        vault.add(entry(VaultScope.MAKE, "dell", "make"), entry(VaultScope.MAKE, "HPE", "other"))
        assert users(vault) == ["make", "site"]
        vault.add(entry(VaultScope.SERIAL, "SN1", "serial"), entry(VaultScope.SERIAL, "SN", "other"))
        assert users(vault) == ["serial", "make"]
        vault.add(entry(VaultScope.MAC, str(MAC).upper(), "mac"))
        assert users(vault) == ["mac", "serial"]


def test_priority_decides_within_a_scope(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.add(*(entry(VaultScope.SITE, "", f"u{number}", priority=number) for number in (1, 3, 2)))
        assert users(vault) == ["u3", "u2"]


def test_same_log_in_is_tried_once(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.add(
            entry(VaultScope.MAKE, "Dell", "root"),
            entry(VaultScope.SITE, "", "root"),
            entry(VaultScope.SITE, "", "admin"),
        )
        assert users(vault) == ["root", "admin"]


def test_nothing_is_guessed_that_nobody_gave(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        assert users(vault) == []
        vault.add(*factory_defaults())
        (login,) = vault.candidates(FOUND)
        assert (login.user, login.password.reveal(), login.factory) == ("root", "calvin", True)
        assert users(vault, replace(FOUND, traits=Traits())) == []


def test_what_ipmi_cannot_carry_is_not_tried_there(tmp_path: Path) -> None:
    found = replace(FOUND, dialect=Dialect.IPMI, fingerprint="", port=623)
    with opened(tmp_path) as vault:
        vault.add(entry(VaultScope.SITE, "", "long", "x" * 21, 2), entry(VaultScope.SITE, "", "u" * 17, priority=1))
        vault.add(entry(VaultScope.SITE, "", "fits", "x" * 20))
        assert users(vault, found) == ["fits"]
        assert users(vault) == ["long", "u" * 17]


@pytest.mark.parametrize(
    ("scope", "value"), [(VaultScope.SITE, "x"), (VaultScope.MAKE, ""), (VaultScope.MAC, ""), (VaultScope.FACTORY, "")]
)
def test_entry_that_fits_nothing_is_refused(scope: VaultScope, value: str) -> None:
    with pytest.raises(UsageError):
        entry(scope, value, "root")


def test_entry_is_replaced_and_removed(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.add(entry(VaultScope.SITE, "", "root", "old"))
        vault.add(entry(VaultScope.SITE, "", "root", "new"))
        assert [kept.password.reveal() for kept in vault.entries()] == ["new"]
        vault.remove(VaultScope.SITE, "", "root")
        assert vault.entries() == ()
        with pytest.raises(NotFoundError):
            vault.remove(VaultScope.SITE, "", "root")


# --- how often ------------------------------------------------------------------------------------------------


def test_two_failures_and_then_a_rest_over_restarts(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path, clock) as vault:
        vault.add(*(entry(VaultScope.SITE, "", f"u{number}", priority=-number) for number in range(5)))
        assert fail(vault) == ["u0", "u1"]
    with opened(tmp_path, clock) as vault:
        with pytest.raises(BmcLoginError, match="left alone"):
            vault.candidates(FOUND)
        clock.time -= 10 * REST_SECONDS  # a clock set back is no way out
        with pytest.raises(BmcLoginError):
            vault.candidates(FOUND)
        clock.time += 11 * REST_SECONDS
        assert fail(vault) == ["u2", "u3"]
        clock.time += REST_SECONDS
        assert fail(vault) == ["u4"]
        clock.time += REST_SECONDS
        assert fail(vault) == []


def test_try_that_a_crash_cut_off_counts(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.add(*(entry(VaultScope.SITE, "", f"u{number}") for number in range(3)))
        vault.trying(FOUND)
    with opened(tmp_path) as vault:
        assert len(users(vault)) == MAX_TRIES - 1
        vault.trying(FOUND)
    with opened(tmp_path) as vault, pytest.raises(BmcLoginError):
        vault.candidates(FOUND)


def test_try_that_was_not_heard_counts_for_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.add(entry(VaultScope.SITE, "", "root"))
        for _ in range(10):
            vault.trying(FOUND)
            vault.was_not_heard(FOUND)
        assert users(vault) == ["root"]


def test_failures_on_one_bmc_say_nothing_of_another(tmp_path: Path) -> None:
    other = replace(FOUND, address=IPv4Address("10.0.0.10"), traits=Traits(uuid=UUID(int=10)), fingerprint="cd" * 32)
    with opened(tmp_path) as vault:
        vault.add(entry(VaultScope.SITE, "", "a"), entry(VaultScope.SITE, "", "b"))
        fail(vault)
        assert users(vault, other) == ["a", "b"]


def test_person_may_have_it_tried_again(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.add(entry(VaultScope.SITE, "", "a"), entry(VaultScope.SITE, "", "b"))
        fail(vault)
        vault.forgive(FOUND)
        assert users(vault) == ["a", "b"]


# --- what was learnt ------------------------------------------------------------------------------------------


def test_log_in_that_worked_is_the_first_one(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.add(entry(VaultScope.MAC, str(MAC), "a"), entry(VaultScope.SITE, "", "b"))
        vault.worked(FOUND, OWN)
    with opened(tmp_path) as vault:
        assert users(vault) == ["root", "a"]


def test_own_log_in_is_tried_again_after_a_rest(tmp_path: Path) -> None:
    """The BMC may have been locked by somebody else."""
    clock = Clock()
    with opened(tmp_path, clock) as vault:
        vault.worked(FOUND, OWN)
        assert fail(vault) == ["root"]
        assert users(vault) == []
        clock.time += REST_SECONDS + 1
        assert users(vault) == ["root"]


@pytest.mark.parametrize(
    "later",
    [
        replace(FOUND, address=IPv4Address("10.0.0.77")),
        replace(FOUND, traits=Traits(uuid=UUID(int=9))),
        replace(FOUND, traits=Traits()),
        replace(FOUND, traits=Traits(), address=IPv4Address("10.0.0.77")),
        replace(FOUND, dialect=Dialect.IPMI, fingerprint="", port=623),
    ],
)
def test_bmc_is_known_again(tmp_path: Path, later: Found) -> None:
    with opened(tmp_path) as vault:
        vault.worked(FOUND, OWN)
        assert vault.known(later) == OWN


@pytest.mark.parametrize(
    "other",
    [
        replace(FOUND, traits=Traits(mac=Mac("52:54:00:00:00:0a"))),
        replace(FOUND, traits=Traits(uuid=UUID(int=10))),
        replace(FOUND, traits=Traits(), address=IPv4Address("10.0.0.77"), fingerprint="cd" * 32),
    ],
)
def test_bmc_at_the_address_of_another_is_not_taken_for_it(tmp_path: Path, other: Found) -> None:
    with opened(tmp_path) as vault:
        vault.worked(FOUND, OWN)
        assert vault.known(other) is None
        vault.worked(other, Login(user="x", password=Secret("y")))
        assert vault.known(FOUND) == OWN


def test_changed_certificate_is_told_nothing(tmp_path: Path) -> None:
    changed = replace(FOUND, fingerprint="cd" * 32)
    with opened(tmp_path) as vault:
        vault.add(entry(VaultScope.SITE, "", "a"))
        vault.worked(FOUND, OWN)
        for impostor in (changed, replace(changed, traits=Traits())):
            with pytest.raises(BmcError, match="certificate"):
                vault.candidates(impostor)
        vault.forgive(changed)
        assert users(vault, changed) == ["root", "a"]


def test_rotation_begins_with_a_known_log_in_only(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        with pytest.raises(NotFoundError):
            vault.begin(FOUND, Secret("n"))
        vault.worked(FOUND, OWN)
        new = vault.begin(FOUND, Secret("n"))
        assert vault.begin(FOUND, Secret("m")) == new
        assert vault.candidates(FOUND) == (new, OWN)
        vault.worked(FOUND, new)
        assert vault.candidates(FOUND) == (new,)


# --- the file -------------------------------------------------------------------------------------------------


def test_files_are_encrypted_and_ours_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(tmp_path) as vault:
            vault.worked(FOUND, OWN)
    finally:
        os.umask(before)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["bmc.vault", "bmc.vault.key"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert b"own-password" not in b"".join(file.read_bytes() for file in files)
    assert b"root" not in files[0].read_bytes()


def test_same_content_is_never_sealed_alike(tmp_path: Path) -> None:
    with closing(SecretFile(tmp_path / "f", SystemRng())) as file:
        sealed = []
        for _ in range(2):
            file.save(b"data")
            sealed.append((tmp_path / "f").read_bytes())
        assert sealed[0] != sealed[1]
        assert file.load() == b"data"


@pytest.mark.parametrize("place", [0, 22, 35, -1])
def test_damaged_file_is_named(tmp_path: Path, place: int) -> None:
    with opened(tmp_path) as vault:
        vault.worked(FOUND, OWN)
    path = tmp_path / "bmc.vault"
    sealed = bytearray(path.read_bytes())
    sealed[place] ^= 1
    for damaged in (bytes(sealed), bytes(sealed[:10]), b""):
        path.write_bytes(damaged)
        with pytest.raises(MachineryError, match="cannot be opened"), opened(tmp_path):
            pass


def test_lost_key_is_not_replaced(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.worked(FOUND, OWN)
    (tmp_path / "bmc.vault.key").unlink()
    with pytest.raises(MachineryError, match="key"), opened(tmp_path):
        pass
    assert not (tmp_path / "bmc.vault.key").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with opened(tmp_path):
        (tmp_path / "bmc.vault.key").chmod(mode)
    with pytest.raises(MachineryError, match="others may read"), opened(tmp_path):
        pass


def test_two_daemons_do_not_share_a_vault(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(MachineryError, match="in use"), opened(tmp_path):
        pass
    with opened(tmp_path):
        pass


def test_disk_that_refuses_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with opened(tmp_path) as vault:
        vault.worked(FOUND, OWN)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refuse)
            with pytest.raises(MachineryError):
                vault.begin(FOUND, Secret("new"))
        assert vault.begun(FOUND) is None
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bmc.vault", "bmc.vault.key"]
    with opened(tmp_path) as vault:
        assert vault.candidates(FOUND) == (OWN,)


def test_secrets_do_not_print(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.add(entry(VaultScope.SITE, "", "root", "hush"))
        assert "hush" not in repr((vault.entries(), vault.candidates(FOUND)))
        assert "hush" not in json.dumps(str(vault))
