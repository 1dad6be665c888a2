"""When the agent shows the machine's TPM, and what it makes of the answers."""

from dataclasses import dataclass, field

import pytest

from appliance.identity.credential import endorsement_key, made_credential
from images.agent import tpm_words as words
from images.agent.attest import Attestor, Tpm
from images.agent.bond import Bond
from images.agent.errors import LinkError, TpmError
from images.agent.ports import Reply
from images.agent.tpm_structures import name_of
from tests.soft_tpm import SoftTpm

TPM = SoftTpm("attest")


def bond(salt: bytes) -> Bond:
    return Bond(nonce="n", agent=b"a" * 32, appliance=b"b" * 32, salt=salt * 32, shared=b"c" * 32)


FIRST, SECOND = bond(b"1"), bond(b"2")


@dataclass
class Talk:
    """Implements `images.agent.attest.Talk`: says `replies` one after the other, and then 204."""

    bond: Bond | None = None
    replies: list[Reply | LinkError] = field(default_factory=list)
    said: list[tuple[str, bytes]] = field(default_factory=list)

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        self.said.append((path, body))
        reply = self.replies.pop(0) if self.replies else Reply(status=204, body=b"")
        if isinstance(reply, LinkError):
            raise reply
        return reply

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.said]


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Scene:
    def __init__(self, tpm: Tpm | TpmError | None, *replies: Reply | LinkError) -> None:
        self.talk, self.clock, self.console = Talk(FIRST, list(replies)), Clock(), list[str]()
        self.attestor = Attestor(self.talk, self.clock, self.console.append)
        if tpm is not None:
            self.attestor.find(lambda: self._opened(tpm))

    def _opened(self, tpm: Tpm | TpmError) -> Tpm:
        if isinstance(tpm, TpmError):
            raise tpm
        return tpm

    def rounds(self, count: int = 3) -> list[str]:
        for _ in range(count):
            self.attestor.round()
        return self.talk.paths


def challenge(tpm: SoftTpm = TPM) -> Reply:
    keys = tpm.keys()
    made = made_credential(endorsement_key(keys.ek), name_of(keys.ak), b"s" * 32, bytes)
    return Reply(status=200, body=words.encode(words.Challenge(blob=made.blob, seed=made.seed)))


def status(number: int) -> Reply:
    return Reply(status=number, body=b'{"error":"why \x1b[2J"}')


def test_nothing_is_said_before_the_appliance_was_greeted_or_the_tpm_was_found() -> None:
    scene = Scene(None)
    assert scene.rounds() == []
    scene.attestor.find(lambda: TPM)
    scene.talk.bond = None
    assert scene.rounds() == []


def test_what_was_sealed_is_opened_once_and_said_for_this_bond() -> None:
    scene = Scene(TPM, challenge())
    assert scene.rounds() == [words.SHOW, words.PROVE]
    shown = words.parse_shown(scene.talk.said[0][1])
    assert (shown.ek, shown.ak) == (TPM.keys().ek, TPM.keys().ak)
    proof = words.parse_proof(scene.talk.said[1][1])
    assert proof.opened == FIRST.opened(b"s" * 32, name_of(shown.ak)) != SECOND.opened(b"s" * 32, name_of(shown.ak))
    assert proof.pcrs == TPM.pcrs
    assert FIRST.qualifying in proof.quote
    assert b"s" * 32 not in b"".join(body for _, body in scene.talk.said), "the secret itself is never sent"


def test_after_another_greeting_it_is_shown_again() -> None:
    scene = Scene(TPM, challenge(), status(204), challenge())
    scene.rounds()
    scene.talk.bond = SECOND
    assert scene.rounds() == [words.SHOW, words.PROVE] * 2


def test_a_machine_that_has_yet_to_prove_otherwise_which_it_is_asks_again_later() -> None:
    scene = Scene(TPM, status(202), status(202), challenge())
    assert scene.rounds() == [words.SHOW]
    scene.clock.sleep(14)
    assert scene.rounds() == [words.SHOW]
    scene.clock.sleep(1)
    assert scene.rounds() == [words.SHOW] * 2
    scene.clock.sleep(15)
    assert scene.rounds() == [*[words.SHOW] * 3, words.PROVE]


@pytest.mark.parametrize("number", [204, 400, 401, 403, 404])
def test_what_ends_it_until_the_next_greeting(number: int) -> None:
    scene = Scene(TPM, status(number))
    scene.clock.sleep(60)
    assert scene.rounds() == [words.SHOW]
    assert any("not believed" in line for line in scene.console) is (number >= 400)
    assert not any("\x1b" in line for line in scene.console)


def test_no_tpm_is_said_with_its_reason() -> None:
    scene = Scene(TpmError("it has no TPM, or its firmware hides it", evidence="No such file"))
    assert scene.rounds() == [words.SHOW]
    assert words.parse_shown(scene.talk.said[0][1]) == words.Shown(
        lacks="it has no TPM, or its firmware hides it (No such file)"
    )


def test_a_tpm_that_does_not_open_it_says_so() -> None:
    scene = Scene(TPM, challenge(SoftTpm("another")))
    assert scene.rounds() == [words.SHOW, words.SHOW]
    assert "refuses activate_credential" in words.parse_shown(scene.talk.said[1][1]).lacks


def test_a_tpm_without_pcrs_of_sha256_proves_itself_without_them() -> None:
    scene = Scene(SoftTpm("attest", pcrs=()), challenge())
    scene.rounds()
    assert words.parse_proof(scene.talk.said[1][1]).pcrs == ()


def test_an_answer_that_was_lost_is_asked_for_again() -> None:
    scene = Scene(TPM, LinkError("gone"), challenge(), LinkError("gone"), challenge())
    for _ in range(2):
        with pytest.raises(LinkError):
            scene.attestor.round()
    assert scene.rounds() == [words.SHOW, words.SHOW, words.PROVE, words.SHOW, words.PROVE]
