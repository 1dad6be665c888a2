"""What a log-in teaches the vault."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.bmc.discovery import Dialect, Found
from appliance.bmc.fake import FakeBmc, FakeDialler
from appliance.bmc.finder import Finder, Opened
from appliance.bmc.vault import Entry, Vault
from appliance.errors import BmcError, BmcLoginError, BmcPasswordChangeError, BmcSessionsFullError
from appliance.model.bmc import PowerState, SystemIdentity
from appliance.model.bmc_views import VaultScope
from appliance.model.secret import Secret
from appliance.store.secrets import SecretFile
from appliance.system import SystemClock, SystemRng

FOUND = Found(address=IPv4Address("10.0.0.9"), dialect=Dialect.REDFISH, port=443, fingerprint="ab" * 32)
IDENTITY = SystemIdentity(
    path="", uuid=None, serial="SN1", manufacturer="Dell", product="", macs=(), power=PowerState.OFF
)


@pytest.fixture
def bmc() -> FakeBmc:
    return FakeBmc(IDENTITY)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with closing(SecretFile(tmp_path / "bmc.vault", SystemRng())) as file:
        vault = Vault(file, SystemClock())
        vault.add(
            *(
                Entry(scope=VaultScope.SITE, value="", user=f"u{number}", password=Secret("x"), priority=-number)
                for number in range(4)
            )
        )
        yield vault


def login(bmc: FakeBmc, vault: Vault, found: Found = FOUND) -> Opened:
    finder = Finder(SystemClock(), SystemRng())
    return asyncio.run(finder.login(found, vault, FakeDialler({FOUND.url: bmc})))


def test_first_log_in_that_works_is_remembered(bmc: FakeBmc, vault: Vault) -> None:
    bmc.failures.append(BmcLoginError("refused"))
    opened = login(bmc, vault)
    assert (opened.endpoint.user, opened.identity, opened.must_change) == ("u1", IDENTITY, False)
    assert (opened.endpoint.url, opened.endpoint.fingerprint) == (FOUND.url, FOUND.fingerprint)
    assert [known.user for known in vault.candidates(FOUND)] == ["u1", "u2"]


def test_refused_twice_is_the_end(bmc: FakeBmc, vault: Vault) -> None:
    bmc.failures.extend(BmcLoginError("refused") for _ in range(3))
    with pytest.raises(BmcLoginError) as caught:
        login(bmc, vault)
    assert caught.value.next_action
    assert len(bmc.failures) == 1
    assert bmc.closed
    with pytest.raises(BmcLoginError, match="left alone"):
        login(bmc, vault)
    assert len(bmc.failures) == 1


def test_other_trouble_is_no_refusal(bmc: FakeBmc, vault: Vault) -> None:
    for trouble in (BmcError("silent"), BmcSessionsFullError("full")) * 3:
        bmc.failures.append(trouble)
        with pytest.raises(BmcError) as caught:
            login(bmc, vault)
        assert caught.value is trouble
    assert login(bmc, vault).endpoint.user == "u0"


def test_password_that_is_due_is_one_that_works(bmc: FakeBmc, vault: Vault) -> None:
    bmc.failures.append(BmcPasswordChangeError("due"))
    opened = login(bmc, vault)
    assert (opened.identity, opened.must_change) == (None, True)
    known = vault.known(FOUND)
    assert known is not None
    assert known.user == "u0"


def test_password_that_everybody_knows_must_change(bmc: FakeBmc, vault: Vault) -> None:
    for number in range(4):
        vault.remove(VaultScope.SITE, "", f"u{number}")
    vault.add(Entry(scope=VaultScope.FACTORY, value="Acme", user="root", password=Secret("x")))
    with pytest.raises(BmcLoginError):
        login(bmc, vault)  # of no known make
    bmc_of_acme = Found(
        address=FOUND.address,
        dialect=FOUND.dialect,
        port=FOUND.port,
        fingerprint=FOUND.fingerprint,
        traits=type(FOUND.traits)(make="Acme Ltd"),
    )
    assert login(bmc, vault, bmc_of_acme).must_change
    assert login(bmc, vault, bmc_of_acme).must_change  # until it is another
