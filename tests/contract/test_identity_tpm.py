"""Rung L2 over real sockets: a cluster's secrets go to the machine whose TPM opened what was sealed for it alone.

The scripts are played beside a machine that wants to be installed with such a secret, as in `test_identity`. Whoever
attacks has read the machine's token, too: it stands on L1 already.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.identity.credential import endorsement_key, fingerprint
from appliance.model.identity import Release, Rung
from images.agent import attest
from images.agent import tpm_words as words
from images.agent.attest import Tpm
from images.agent.bond import Bond
from images.agent.errors import TpmError
from images.agent.tpm_chip import Keys
from images.agent.tpm_structures import Template, name_of
from tests.contract.identity_site import NODE, Agent, Running, played
from tests.contract.test_identity import Script, active, thread
from tests.soft_tpm import SoftTpm

OWN, OTHER = SoftTpm("its own"), SoftTpm("another")


def ek_of(tpm: SoftTpm) -> str:
    return fingerprint(endorsement_key(tpm.keys().ek))


async def reader(site: Running, tpm: Tpm | None) -> Agent:
    """Somebody who has read the token, and has this TPM."""
    await site.booting()
    return await asyncio.to_thread(site.attacker, "reader", await asyncio.to_thread(site.medium), tpm)


async def stays(site: Running, agent: Agent, why: str = "") -> None:
    """On L1, and its secrets wait."""
    await site.provision(agent)
    assert site.state.bound is not None
    assert site.state.bound.rung is Rung.L1
    assert site.is_waiting
    assert not agent.has_secret
    assert why in site.state.tpm.lacks


async def is_held(site: Running, agent: Agent, why: str) -> None:
    await site.until(lambda: site.state.hold is not None, "the machine held")
    assert why in site.state.hold.reason
    assert "endorsement_keys=(" in site.state.hold.next_action
    assert "tpm-disputed" in site.events
    assert await thread(agent.poll) in (401, 403)
    assert not agent.has_secret


async def no_tpm(site: Running) -> None:
    await stays(site, await reader(site, None))


async def key_without_its_tpm(site: Running) -> None:
    """The public half of the machine's endorsement key is no secret."""
    await stays(site, await reader(site, replace(OTHER, claims=OWN.name)))


async def key_for_another_ak(site: Running) -> None:
    """The TPM has another attestation key than the one that was shown."""
    await stays(site, await reader(site, replace(OWN, names="another boot")), "refuses activate_credential")


class Loose:
    """A TPM that shows an attestation key which could sign anything."""

    def __init__(self, tpm: SoftTpm) -> None:
        self._tpm, self._keys = tpm, tpm.keys()

    def keys(self) -> Keys:
        head = Template.AK.head
        loose = head[:5] + bytes([head[5] & ~0x01]) + head[6:]  # not restricted
        return replace(self._keys, ak=loose + self._keys.ak[len(head) :])

    def activate(self, blob: bytes, secret: bytes) -> bytes:
        raise TpmError("this one would open it")

    def measured(self, qualifying: bytes) -> None:
        return None


async def ak_that_signs_anything(site: Running) -> None:
    agent = await reader(site, Loose(OWN))
    await site.provision(agent)
    said = [path for path, _, _ in agent.tap.said]
    assert words.SHOW in said
    assert site.state.bound.rung is Rung.L1
    assert "another kind of key" in site.state.tpm.lacks


async def proof_replayed(site: Running) -> None:
    """What the machine said in its last boot is said again in the next one, by somebody who has read its token."""
    await site.booting()
    victim = await asyncio.to_thread(site.victim, OWN)
    await site.provision(victim)
    assert victim.has_secret
    shown, proof = (next(body for path, body, _ in victim.tap.said if path == at) for at in (words.SHOW, words.PROVE))
    await active(site, victim)
    await site.reinstalled()
    thief = await asyncio.to_thread(site.attacker, "reader", await asyncio.to_thread(site.medium))
    await thread(thief.hello)
    assert (await asyncio.to_thread(thief.channel.post, words.SHOW, shown, {})).status == 200
    for why in ("has not opened", "nothing was asked"):
        assert (await asyncio.to_thread(thief.channel.post, words.PROVE, proof, {})).status == 400
        await site.until(lambda why=why: why in site.state.tpm.lacks, why)  # type: ignore[misc]
    assert site.state.bound.rung is Rung.L1


async def credential_relayed(site: Running) -> None:
    """The machine believes somebody in between, who has the token: its TPM opens, but the word is of their bond."""
    thief = await reader(site, None)
    await thread(thief.hello)
    keys = OWN.keys()
    shown = words.encode(words.Shown(ek=keys.ek, ak=keys.ak))
    asked = await asyncio.to_thread(thief.channel.post, words.SHOW, shown, {})
    challenge = words.parse_challenge(asked.body)
    theirs = Bond(nonce=thief.tap.nonce, agent=b"v" * 32, appliance=b"t" * 32, salt=b"s" * 32, shared=b"x" * 32)
    opened = theirs.opened(OWN.activate(challenge.blob, challenge.seed), name_of(keys.ak))
    said = words.encode(words.Proof(opened=opened))
    assert (await asyncio.to_thread(thief.channel.post, words.PROVE, said, {})).status == 400
    await site.until(lambda: "has not opened" in site.state.tpm.lacks, "the refusal")
    assert site.state.bound.rung is Rung.L1


async def names_alone(site: Running) -> None:
    """Who has no token may have a TPM."""
    await site.booting()
    thief = await asyncio.to_thread(site.attacker, "thief", None, OTHER)
    await site.provision(thief)
    assert site.state.bound.rung is Rung.L0
    assert site.state.tpm.ek == ""
    assert not thief.has_secret


async def another_tpm(site: Running) -> None:
    await site.booting()
    victim = await asyncio.to_thread(site.victim, OWN)
    await site.provision(victim)
    assert victim.has_secret
    await active(site, victim)
    await site.reinstalled()
    other = await asyncio.to_thread(site.attacker, "other", await asyncio.to_thread(site.medium), OTHER)
    await thread(other.hello)
    await is_held(site, other, "another than the one that it proved itself with")
    assert site.state.tpm.ek == ek_of(OWN), "the one that is known is remembered"


async def tpm_that_the_site_does_not_name(site: Running) -> None:
    agent = await reader(site, OTHER)
    await thread(agent.hello)
    await is_held(site, agent, "none that the site program names")


async def quote_of_another_boot(site: Running) -> None:
    await stays(site, await reader(site, replace(OWN, qualifies=b"q" * 32)), "a quote of another boot")


async def values_that_nobody_signed(site: Running) -> None:
    values = (b"0" * 32, *OWN.pcrs[1:])
    await stays(site, await reader(site, replace(OWN, values=values)), "other values of the PCRs")


async def first_proof_of_a_thief(site: Running) -> None:
    """Who has read the token before the machine did has its boot; when the machine comes, his TPM is forgotten."""
    await site.booting()
    medium = await asyncio.to_thread(site.medium)
    thief, victim = (site.attacker(name, medium, tpm) for name, tpm in (("thief", OTHER), ("victim", OWN)))
    await thread(thief.hello)
    await site.until(lambda: site.state.tpm.ek == ek_of(OTHER), "the thief's TPM")
    assert await thread(victim.hello) == 403
    await site.until(lambda: site.state.hold is not None, "the machine held")
    assert site.state.tpm.ek == ""


SCRIPTS: tuple[Script, ...] = (
    no_tpm,
    key_without_its_tpm,
    key_for_another_ak,
    ak_that_signs_anything,
    proof_replayed,
    credential_relayed,
    names_alone,
    another_tpm,
    tpm_that_the_site_does_not_name,
    quote_of_another_boot,
    values_that_nobody_signed,
    first_proof_of_a_thief,
)


def stated_in(script: Script) -> str:
    return ek_of(OWN) if script is tpm_that_the_site_does_not_name else ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_no_secret_of_the_cluster_is_released(script: Script, tmp_path: Path) -> None:
    async def scene(site: Running) -> None:
        await script(site)
        assert not site.wire.leaks

    played(tmp_path, scene, release=Release.CLUSTER, ek=stated_in(script))


def test_a_machine_whose_tpm_opened_it_gets_what_is_the_cluster_s(tmp_path: Path) -> None:
    async def scene(site: Running) -> None:
        await site.booting()
        victim = await asyncio.to_thread(site.victim, OWN)
        await site.provision(victim)
        assert victim.has_secret
        shown = site.application.machine(NODE).identity
        assert shown is not None
        assert (shown.rung, shown.secrets, shown.higher) == ("L2", True, "")
        assert ek_of(OWN)[:16] in shown.why
        assert site.state.tpm.pcrs == tuple(value.hex() for value in OWN.pcrs)
        assert not site.wire.leaks

    played(tmp_path, scene, release=Release.CLUSTER, ek=ek_of(OWN))


def test_a_machine_whose_code_was_compared_shows_its_tpm_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attest, "_AGAIN", 0.0)

    async def scene(site: Running) -> None:
        await site.booting()
        victim = await asyncio.to_thread(site.victim, OWN)
        await site.provision(victim)
        assert site.state.bound.rung is Rung.L0
        await site.application.confirm(NODE, victim.code)
        await thread(victim.attestor.round)
        await site.until(lambda: site.state.bound.rung is Rung.L2, "rung L2")
        await asyncio.to_thread(victim.work, lambda: "write_seed" in victim.tasks)
        assert victim.has_secret

    played(tmp_path, scene, has_drive=False, release=Release.CLUSTER)


def test_a_machine_without_a_tpm_keeps_what_it_had_and_is_told_why_not_more(tmp_path: Path) -> None:
    async def scene(site: Running) -> None:
        await site.booting()
        victim = await asyncio.to_thread(site.victim)

        def absent() -> Tpm:
            raise TpmError("it has no TPM, or its firmware hides it")

        victim.attestor.find(absent)
        await site.provision(victim)
        assert victim.has_secret, "its own, which ask for L1"
        shown = site.application.machine(NODE).identity
        assert shown is not None
        assert shown.rung == "L1"
        assert shown.higher == "a TPM 2.0 would, but it has no TPM, or its firmware hides it"
        for _ in range(3):
            await thread(victim.hello)
        assert site.events.count("tpm-lacking") == 1, "what is said again is not noted again"

    played(tmp_path, scene)


def test_firmware_that_measures_something_else_is_told_and_stops_nothing(tmp_path: Path) -> None:
    async def scene(site: Running) -> None:
        await site.booting()
        victim = await asyncio.to_thread(site.victim, OWN)
        await site.provision(victim)
        await active(site, victim)
        await site.reinstalled()
        changed = replace(OWN, pcrs=(*OWN.pcrs[:7], b"7" * 32))
        victim = await asyncio.to_thread(site.attacker, "victim again", await asyncio.to_thread(site.medium), changed)
        await thread(victim.hello)
        await thread(victim.facts)
        await site.until(lambda: site.state.tpm.moved != (), "the change")
        assert site.state.bound.rung is Rung.L2
        (told,) = (shown for shown in site.application.machine(NODE).conditions if shown.kind.value == "degraded")
        assert "PCR 7 (Secure Boot and its keys)" in told.reason

    played(tmp_path, scene, release=Release.CLUSTER)
