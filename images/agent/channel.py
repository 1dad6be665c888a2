"""The conversation, bound: an `Http` whose every word is this boot's own, and that believes one appliance only.

Which one: the one that the medium in the BMC's drive names. Without a medium it is the one that answers first, and the
six digits on the console are for a person to compare.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .bond import (
    CODE,
    COMMIT_HEADER,
    HELLO,
    KEY_HEADER,
    PROOF_HEADER,
    SALT_HEADER,
    SEAL_HEADER,
    SIZE,
    Bond,
    Claim,
    agree,
    commitment,
    parse_bytes,
    public_of,
    same,
    unsealed,
)
from .errors import LinkError, ProtocolError
from .medium import Medium
from .ports import Http, Reply, Stream
from .protocol import LOG_OFFSET_HEADER


class Entropy(Protocol):
    def bytes(self, size: int) -> bytes:
        """Fit for keys."""
        ...


@dataclass(slots=True)
class _Talk:
    bond: Bond
    count: int = 0


class Channel:
    """`key` is the private one of this boot; `look` finds the medium, if there is one by now."""

    def __init__(
        self,
        *,
        http: Http,
        nonce: str,
        key: bytes,
        look: Callable[[], Medium | None],
        entropy: Entropy,
        say: Callable[[str], None],
    ) -> None:
        self._http, self._nonce, self._key = http, nonce, key
        self._look, self._entropy, self._say = look, entropy, say
        self._medium: Medium | None = None
        self._appliance = b""
        self._talk: _Talk | None = None

    @property
    def bond(self) -> Bond | None:
        """Another one each time that the appliance was greeted; None where it was not."""
        return self._talk.bond if self._talk is not None else None

    def open(self, path: str, *, start: int) -> Stream:
        """Files are bound by the hashes in tasks, which come by `post`."""
        return self._http.open(path, start=start)

    def unsealed(self, salt: str, data: bytes) -> bytes:
        """Raises ProtocolError."""
        return unsealed(agree(self._key, self._appliance), parse_bytes(salt, "salt"), self._nonce, data)

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        """Raises LinkError too when somebody else answers."""
        if path == HELLO:
            return self._greet(body, headers)
        if self._talk is None:
            raise LinkError("nobody was greeted yet")
        return self._bound(self._talk, path, body, headers)

    def _bound(self, talk: _Talk, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        talk.count += 1
        seal = talk.bond.request(talk.count, path, headers.get(LOG_OFFSET_HEADER, ""), body)
        reply = self._http.post(path, body, {**headers, SEAL_HEADER: f"{talk.count}:{seal}"})
        if reply.status < 300:
            _check(reply, talk.bond.reply(talk.count, reply.status, reply.body))
        return reply

    def _greet(self, body: bytes, headers: dict[str, str]) -> Reply:
        """A new salt and a new reveal each time: what was said under older ones counts no more."""
        self._talk = None
        if self._medium is None and (found := self._look()) is not None:
            self._medium, self._appliance = found, found.appliance
            self._say("this boot's token came through the BMC")
        reveal = self._entropy.bytes(SIZE)
        claim = Claim(nonce=self._nonce, key=public_of(self._key), commit=commitment(reveal), body=body)
        reply = self._http.post(HELLO, body, {**headers, **self._claimed(claim)})
        if reply.status != 200:
            return reply
        bond = self._agreed(claim, reply)
        _check(reply, bond.welcome(claim.commit, reply.body))
        self._appliance, self._talk = bond.appliance, _Talk(bond)
        self._say(f"identity code {_spaced(bond.code(reveal))}: what the appliance shows has to be the same")
        self._bound(self._talk, CODE, reveal.hex().encode(), {})
        return reply

    def _claimed(self, claim: Claim) -> dict[str, str]:
        said = {KEY_HEADER: claim.key.hex(), COMMIT_HEADER: claim.commit}
        if not self._appliance:
            return said
        token = self._medium.token if self._medium is not None else b""
        return {**said, PROOF_HEADER: claim.proof(agree(self._key, self._appliance), token)}

    def _agreed(self, claim: Claim, reply: Reply) -> Bond:
        try:
            theirs = parse_bytes(reply.headers.get(KEY_HEADER.lower(), ""), "key of the appliance")
            salt = parse_bytes(reply.headers.get(SALT_HEADER.lower(), ""), "salt of the appliance")
            shared = agree(self._key, theirs)
        except ProtocolError as error:
            raise LinkError(f"another server than an appliance answers: {error}", evidence=error.evidence) from error
        if self._appliance and theirs != self._appliance:
            raise LinkError("another appliance answers than the one that is known", evidence=theirs.hex()[:16])
        return Bond(nonce=self._nonce, agent=claim.key, appliance=theirs, salt=salt, shared=shared)


def _check(reply: Reply, wanted: str) -> None:
    if not same(reply.headers.get(SEAL_HEADER.lower(), ""), wanted):
        raise LinkError("an answer that is not from the appliance", evidence=f"status {reply.status}, another seal")


def _spaced(code: str) -> str:
    return f"{code[:3]} {code[3:]}"
