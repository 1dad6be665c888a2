"""Showing the machine's TPM to the appliance: once for each time that it was greeted, beside all else that is said."""

from collections.abc import Callable
from typing import Protocol

from . import tpm_words as words
from .bond import Bond
from .errors import TpmError
from .ports import Clock, Reply
from .tpm_chip import Keys, Measured
from .tpm_structures import name_of

_AGAIN = 15.0  # seconds, where the machine has yet to prove otherwise which it is


class Talk(Protocol):
    """The channel."""

    @property
    def bond(self) -> Bond | None: ...

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply: ...


class Tpm(Protocol):
    """The chip. All raise TpmError."""

    def keys(self) -> Keys: ...

    def activate(self, blob: bytes, secret: bytes) -> bytes: ...

    def measured(self, qualifying: bytes) -> Measured | None: ...


class Attestor:
    """`find` may be slow, and runs in a thread of its own; `round` belongs to the conversation."""

    def __init__(self, talk: Talk, clock: Clock, say: Callable[[str], None]) -> None:
        self._talk, self._clock, self._say = talk, clock, say
        self._found: tuple[Tpm, Keys] | words.Shown | None = None
        self._bond: Bond | None = None
        self._due: float | None = None

    def find(self, opened: Callable[[], Tpm]) -> None:
        try:
            tpm = opened()
            self._found = tpm, tpm.keys()
            self._say("the TPM has shown its keys")
        except TpmError as error:
            self._found = self._lacking(error)

    def round(self) -> None:
        """Raises LinkError, ProtocolError."""
        bond, found = self._talk.bond, self._found
        if bond is None or found is None:
            return
        if bond is not self._bond:
            self._bond, self._due = bond, self._clock.monotonic()
        if self._due is None or self._clock.monotonic() < self._due:
            return
        again = self._shown(bond, found)
        self._due = self._clock.monotonic() + _AGAIN if again else None

    def _shown(self, bond: Bond, found: tuple[Tpm, Keys] | words.Shown) -> bool:
        """Whether it is to be shown again later."""
        if isinstance(found, words.Shown):
            return self._post(words.SHOW, found).status == words.LATER
        tpm, keys = found
        reply = self._post(words.SHOW, words.Shown(ek=keys.ek, ak=keys.ak, certificate=keys.certificate))
        if reply.status != 200:
            return reply.status == words.LATER
        challenge = words.parse_challenge(reply.body)
        try:
            proof = _proof(tpm, keys, bond, challenge)
        except TpmError as error:
            self._post(words.SHOW, self._lacking(error))
        else:
            self._post(words.PROVE, proof)
        return False

    def _post(self, path: str, message: words.Shown | words.Proof) -> Reply:
        reply = self._talk.post(path, words.encode(message), {"Content-Type": "application/json"})
        if reply.status >= 400:
            self._say(f"the TPM is not believed ({reply.status}): {reply.body[:200]!a}")
        return reply

    def _lacking(self, error: TpmError) -> words.Shown:
        self._say(f"TPM: {error} ({error.evidence})")
        return words.Shown(lacks=f"{error} ({error.evidence})"[:1000] if error.evidence else str(error)[:1000])


def _proof(tpm: Tpm, keys: Keys, bond: Bond, challenge: words.Challenge) -> words.Proof:
    opened = bond.opened(tpm.activate(challenge.blob, challenge.seed), name_of(keys.ak))
    measured = tpm.measured(bond.qualifying)
    if measured is None:
        return words.Proof(opened=opened)
    return words.Proof(opened=opened, quote=measured.quote, signature=measured.signature, pcrs=measured.pcrs)
