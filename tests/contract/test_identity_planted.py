"""Each script of `test_identity` and `test_identity_tpm` can fail: with its weakness planted, it does."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

import appliance.boot as boot
import appliance.conductor.attesting as attesting
import appliance.identity.bonds as bonds
import appliance.identity.drive as drive
import appliance.identity.tpms as tpms
import appliance.services.library as library
import images.agent.channel as channel
from appliance.conductor.machine import MachineState
from appliance.errors import InnervateError
from appliance.identity.credential import Credential, Key, endorsement_key, made_credential
from appliance.model.identity import (
    Bind,
    Bound,
    Claimed,
    Dispute,
    IdentityPolicy,
    Release,
    Rung,
    Standing,
    Turn,
    Verdict,
)
from appliance.model.ids import MachineName, Nonce
from appliance.model.tpm import Endorsed
from appliance.services.senses import Senses
from images.agent.bond import Bond
from images.agent.errors import AgentError
from images.agent.tpm_structures import name_of
from tests.contract import identity_site, test_identity, test_identity_tpm
from tests.contract.identity_site import Running, played
from tests.contract.test_identity import SCRIPTS, Script
from tests.contract.test_identity_tpm import OTHER, OWN

pytestmark = pytest.mark.long

CAUGHT = (AssertionError, AgentError, InnervateError, pytest.fail.Exception)
_JUDGED = bonds.judged
_NONCES = boot._agent_nonces


def _bound(claim: Claimed, rung: Rung, now: float) -> Bind:
    bound = Bound(nonce=claim.nonce, key=claim.key, boot_id=claim.boot_id, rung=rung, at=now, token=claim.token)
    return Bind(bound=bound)


def believes_names(claim: Claimed, standing: Standing, bound: Bound | None, *, alive: bool, now: float) -> Verdict:
    return _bound(claim, Rung.L1, now)


def believes_the_last(claim: Claimed, standing: Standing, bound: Bound | None, *, alive: bool, now: float) -> Verdict:
    return _bound(claim, Rung.L1 if claim.token else Rung.L0, now)


def never_disputes(claim: Claimed, standing: Standing, bound: Bound | None, *, alive: bool, now: float) -> Verdict:
    verdict = _JUDGED(claim, standing, bound, alive=alive, now=now)
    return Turn(why=verdict.why) if isinstance(verdict, Dispute) else verdict


def forgets_no_nonce() -> Callable[[MachineState], frozenset[Nonce]]:
    ever: set[Nonce] = set()

    def nonces(state: MachineState) -> frozenset[Nonce]:
        ever.update(_NONCES(state))
        return frozenset(ever)

    return nonces


def hears_everybody(*_: object) -> bonds.Spoken:
    return bonds.Spoken(count=0)


PLANTED = {
    "mac_spoof": (bonds, "judged", believes_names),
    "uuid_spoof": (bonds, "judged", believes_names),
    "lookup_before_the_machine": (bonds.Bonds, "hear", hears_everybody),
    "lookup_after_the_machine": (bonds, "judged", believes_the_last),
    "token_redeemed_twice": (bonds, "judged", believes_the_last),
    "hello_replayed": (bonds.Bonds, "hear", hears_everybody),
    "requests_replayed": (bonds.Bonds, "hear", hears_everybody),
    "token_guessed": (bonds, "same", lambda _one, _other: True),
    "token_fetched_from_the_boot_network": (drive, "any", lambda _: False),
    "hello_of_an_active_machine": (bonds, "judged", never_disputes),
    "script_of_an_active_machine_from_elsewhere": (Senses, "_is_elsewhere", lambda *_: False),
    "seed_guessed_and_sniffed": (library, "sealed", lambda _shared, _salt, _nonce, data: data),
    "nonce_of_an_older_boot": (boot, "_agent_nonces", forgets_no_nonce()),
    "rogue_appliance": (channel.Channel, "_agreed", None),
    "manifest_swapped": (channel, "_check", lambda *_: None),
}


def held_higher(self: bonds.Bonds, machine: MachineName) -> tuple[Bound, Bond] | None:
    held = _HELD(self, machine)
    return None if held is None else (replace(held[0], rung=Rung.L1), held[1])


def for_whoever_asks(_key: Key, name: bytes, secret: bytes, entropy: Callable[[int], bytes]) -> Credential:
    return made_credential(endorsement_key(OTHER.keys().ek), name, secret, entropy)


def for_any_key_of_it(key: Key, _name: bytes, secret: bytes, entropy: Callable[[int], bytes]) -> Credential:
    return made_credential(key, name_of(replace(OWN, boot="another boot").keys().ak), secret, entropy)


_HELD = bonds.Bonds.held


def of_no_bond(self: Bond, secret: bytes, name: bytes) -> str:
    return hashlib.sha256(secret + name).hexdigest()


PLANTED_TPM = {
    "no_tpm": (IdentityPolicy, "asked", lambda _self, _wanted: Rung.L1),
    "key_without_its_tpm": (tpms, "made_credential", for_whoever_asks),
    "key_for_another_ak": (tpms, "made_credential", for_any_key_of_it),
    "ak_that_signs_anything": (tpms, "attestation_key", lambda _: None),
    "proof_replayed": (tpms, "same", lambda _one, _other: True),
    "credential_relayed": (Bond, "opened", of_no_bond),
    "names_alone": (bonds.Bonds, "held", held_higher),
    "another_tpm": (Endorsed, "contradiction", lambda *_: ""),
    "tpm_that_the_site_does_not_name": (Endorsed, "contradiction", lambda *_: ""),
    "quote_of_another_boot": (tpms, "check_quote", lambda *_, **__: None),
    "first_proof_of_a_thief": (attesting, "doubted", lambda tpm, _bound, _phase: tpm),
    "values_that_nobody_signed": (tpms, "check_quote", lambda *_, **__: None),
}


def believes_any_appliance(self: channel.Channel, claim: channel.Claim, reply: channel.Reply) -> channel.Bond:
    self._appliance = b""
    return _AGREED(self, claim, reply)


_AGREED = channel.Channel._agreed


@pytest.mark.parametrize("script", [*SCRIPTS, *test_identity_tpm.SCRIPTS], ids=lambda script: script.__name__)
def test_a_planted_weakness_is_caught(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, weak = (PLANTED | PLANTED_TPM)[script.__name__]
    release = Release.CLUSTER if script.__name__ in PLANTED_TPM else Release.OWN
    monkeypatch.setattr(identity_site, "DEADLINE", 5.0)

    async def scene(site: Running) -> None:
        await script(site)
        assert not site.wire.leaks

    weakened = patch.object(where, name, weak or believes_any_appliance, create=True)
    with weakened, pytest.raises(CAUGHT):
        played(tmp_path, scene, release=release, ek=test_identity_tpm.stated_in(script))


def test_every_script_has_its_weakness() -> None:
    assert set(PLANTED) == {script.__name__ for script in test_identity.SCRIPTS}
    assert set(PLANTED_TPM) == {script.__name__ for script in test_identity_tpm.SCRIPTS}
