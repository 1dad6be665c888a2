"""The ladder: who is believed, what each rung may have, and what people are told."""

from dataclasses import replace

import pytest

from appliance.model.identity import (
    RELEASES,
    TOKEN_SECONDS,
    Bind,
    Bound,
    Claimed,
    Dispute,
    IdentityPolicy,
    Placed,
    Release,
    Rung,
    Standing,
    Turn,
    explained,
    judged,
)
from appliance.model.ids import MachineName, Nonce
from appliance.model.tpm import Tpm

NOW = 1_800_000_000.0
NODE, NONCE = MachineName("node-0"), Nonce("n1")
PLACED = Placed(nonce=NONCE, number=1, at=NOW - 60)
FRESH, IDLE = Standing(placed=PLACED), Standing()
OLD = Standing(placed=replace(PLACED, at=NOW - TOKEN_SECONDS))
THIS, OTHER = "aa" * 32, "bb" * 32
PLAIN = Claimed(nonce=NONCE, key=THIS, boot_id="b")
PROVEN = replace(PLAIN, token=PLACED.id)
THEIRS = Bound(nonce=NONCE, key=OTHER, boot_id="o", rung=Rung.L0, at=NOW - 30)
MINE = replace(THEIRS, key=THIS)
REDEEMED = replace(THEIRS, rung=Rung.L1, token=PLACED.id)
EK = "ec" * 32
L0, L1, L3 = Rung.L0, Rung.L1, Rung.L3


@pytest.mark.parametrize(
    ("claim", "standing", "bound", "alive", "verdict"),
    [
        pytest.param(PLAIN, IDLE, None, False, L0, id="the first"),
        pytest.param(PROVEN, FRESH, None, False, L1, id="with the token"),
        pytest.param(PROVEN, OLD, None, False, L0, id="with a token that is too old"),
        pytest.param(PROVEN, IDLE, None, False, L0, id="with a token of which nobody knows any more"),
        pytest.param(replace(PLAIN, wrong=1), FRESH, None, False, L0, id="with another boot's token"),
        pytest.param(replace(PLAIN, wrong=6), FRESH, None, False, Turn, id="guessing"),
        pytest.param(replace(PROVEN, wrong=0), FRESH, THEIRS, True, L1, id="with the token, behind an impostor"),
        pytest.param(PROVEN, FRESH, REDEEMED, True, Dispute, id="the second with the token"),
        pytest.param(PROVEN, FRESH, REDEEMED, False, Dispute, id="the second, when the first is silent"),
        pytest.param(PLAIN, FRESH, MINE, True, L0, id="again"),
        pytest.param(PLAIN, FRESH, replace(MINE, rung=L3), True, L3, id="again, once confirmed"),
        pytest.param(PROVEN, FRESH, MINE, True, L1, id="again, and it has found the token"),
        pytest.param(PROVEN, FRESH, replace(REDEEMED, key=THIS), True, L1, id="again, with the token that it redeemed"),
        pytest.param(PLAIN, FRESH, REDEEMED, True, Turn, id="beside one that lives"),
        pytest.param(PLAIN, FRESH, REDEEMED, False, L0, id="after one that died"),
        pytest.param(PLAIN, Standing(disk=True), None, False, Turn, id="a machine that is to run from its disk"),
        pytest.param(PLAIN, Standing(disk=True), MINE, True, L0, id="its agent, on its way out"),
        pytest.param(PLAIN, Standing(disk=True, active=True), THEIRS, False, Dispute, id="a machine that runs"),
        pytest.param(PLAIN, Standing(disputed=NONCE), None, False, Turn, id="a boot that is over"),
    ],
)
def test_verdicts(
    claim: Claimed, standing: Standing, bound: Bound | None, alive: bool, verdict: Rung | type[Turn] | type[Dispute]
) -> None:
    said = judged(claim, standing, bound, alive=alive, now=NOW)
    if isinstance(verdict, Rung):
        assert isinstance(said, Bind)
        assert (said.bound.rung, said.bound.key) == (verdict, claim.key)
    else:
        assert isinstance(said, verdict)
        assert said.why


def test_only_one_that_lives_is_challenged() -> None:
    said = judged(PLAIN, FRESH, REDEEMED, alive=True, now=NOW)
    assert said == Turn(why="another agent speaks for this machine", challenges=True)


def test_what_each_rung_may_have() -> None:
    assert {rung for rung in Rung if Release.OWN in RELEASES[rung]} == {Rung.L1, Rung.L2, Rung.L3}
    assert {rung for rung in Rung if Release.CLUSTER in RELEASES[rung]} == {Rung.L2}
    assert all(Release.PUBLIC in RELEASES[rung] for rung in Rung)


@pytest.mark.parametrize(
    ("wanted", "enough"),
    [
        (Rung.L0, {Rung.L0, Rung.L1, Rung.L2, Rung.L3}),
        (Rung.L1, {Rung.L1, Rung.L2, Rung.L3}),
        (Rung.L3, {Rung.L1, Rung.L2, Rung.L3}),
        (Rung.L2, {Rung.L2}),
    ],
)
def test_policy(wanted: Rung, enough: set[Rung]) -> None:
    assert {rung for rung in Rung if IdentityPolicy(secrets=wanted).suffices(rung)} == enough


@pytest.mark.parametrize("rung", [None, *Rung])
def test_people_are_told_why_and_what_would_raise_it(rung: Rung | None) -> None:
    bound = None if rung is None else replace(MINE, rung=rung, by="ann")
    told = explained(NODE, bound, IdentityPolicy(), Tpm(ek=EK))
    assert told.why
    assert bool(told.higher) is (rung is not Rung.L2)


def test_an_open_lab_is_called_one() -> None:
    assert "whoever asks first" in explained(NODE, MINE, IdentityPolicy(secrets=Rung.L0), Tpm()).why
    assert "whoever asks first" not in explained(NODE, MINE, IdentityPolicy(), Tpm()).why


@pytest.mark.parametrize(
    ("tpm", "higher"),
    [
        pytest.param(Tpm(), "a TPM 2.0 would: its agent has yet to show one", id="not said yet"),
        pytest.param(Tpm(lacks="it has no TPM"), "a TPM 2.0 would, but it has no TPM", id="none"),
        pytest.param(
            Tpm(lacks="it has no TPM", ek=EK),
            f"a TPM 2.0 would, but it has no TPM; it had one before, endorsement key {EK[:16]}",
            id="none any more",
        ),
    ],
)
@pytest.mark.parametrize("rung", [L1, L3])
def test_people_are_told_why_not_l2(rung: Rung, tpm: Tpm, higher: str) -> None:
    assert explained(NODE, replace(MINE, rung=rung), IdentityPolicy(), tpm).higher == higher


@pytest.mark.parametrize(
    ("policy", "wanted", "rung"),
    [
        (IdentityPolicy(), (), L0),
        (IdentityPolicy(), (Release.PUBLIC,), L0),
        (IdentityPolicy(), (Release.OWN,), L1),
        (IdentityPolicy(), (Release.CLUSTER,), L1),
        (IdentityPolicy(cluster=Rung.L2), (Release.OWN,), L1),
        (IdentityPolicy(cluster=Rung.L2), (Release.OWN, Release.CLUSTER), Rung.L2),
        (IdentityPolicy(secrets=Rung.L0, cluster=Rung.L2), (Release.CLUSTER,), Rung.L2),
        (IdentityPolicy(secrets=Rung.L2), (Release.CLUSTER,), Rung.L2),
    ],
    ids=str,
)
def test_what_secrets_ask_for(policy: IdentityPolicy, wanted: tuple[Release, ...], rung: Rung) -> None:
    assert policy.asked(wanted) is rung
    assert policy.suffices(rung, wanted)
