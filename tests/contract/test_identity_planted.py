"""Each script of `test_identity` can fail: with the weakness that it is about planted, it does."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

import appliance.boot as boot
import appliance.identity.bonds as bonds
import appliance.identity.drive as drive
import appliance.services.library as library
import images.agent.channel as channel
from appliance.conductor.machine import MachineState
from appliance.errors import InnervateError
from appliance.model.identity import Bind, Bound, Claimed, Dispute, Rung, Standing, Turn, Verdict
from appliance.model.ids import Nonce
from appliance.services.senses import Senses
from images.agent.errors import AgentError
from tests.contract import identity_site, test_identity
from tests.contract.identity_site import Running, played
from tests.contract.test_identity import SCRIPTS, Script

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


def believes_any_appliance(self: channel.Channel, claim: channel.Claim, reply: channel.Reply) -> channel.Bond:
    self._appliance = b""
    return _AGREED(self, claim, reply)


_AGREED = channel.Channel._agreed


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_planted_weakness_is_caught(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, weak = PLANTED[script.__name__]
    monkeypatch.setattr(identity_site, "DEADLINE", 5.0)

    async def scene(site: Running) -> None:
        await script(site)
        assert not site.wire.leaks

    with patch.object(where, name, weak or believes_any_appliance, create=True), pytest.raises(CAUGHT):
        played(tmp_path, scene)


def test_every_script_has_its_weakness() -> None:
    assert set(PLANTED) == {script.__name__ for script in test_identity.SCRIPTS}
