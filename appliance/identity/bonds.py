"""Whose key speaks for each machine, and whether a word is that key's.

What is decided is decided in `appliance.model.identity`; here are the keys, the counts, and who was heard when. Called
from the HTTP server's worker threads, under one lock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import assert_never

from appliance.identity.key import ApplianceKey
from appliance.model.identity import (
    CODE_SECONDS,
    CODE_TRIES,
    Bind,
    Bound,
    Claimed,
    Dispute,
    Rung,
    Standing,
    Turn,
    Verdict,
    judged,
)
from appliance.model.ids import MachineName, Nonce
from appliance.ports import Rng
from images.agent import protocol
from images.agent.bond import (
    COMMIT_HEADER,
    KEY_HEADER,
    PROOF_HEADER,
    SALT_HEADER,
    SEAL_HEADER,
    SIZE,
    Bond,
    Claim,
    commitment,
    parse_bytes,
    same,
)
from images.agent.errors import ProtocolError
from pxe.http.responder import HttpReply, HttpRequest
from pxe.ports import Clock

ALIVE = 30.0
"""Agents poll every 2 s, and try again within 30 s where they cannot."""
_CHALLENGE = 60.0
_GUESSES_FADE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Six digits that the machine's console shows until then, in seconds since the epoch."""

    digits: str
    key: str
    until: float


@dataclass(slots=True, kw_only=True)
class _Line:
    """`seen` and `guessed` on the monotonic clock; `reply` is the answer to `seal`, which was the last word."""

    bound: Bound
    bond: Bond
    commit: str
    seen: float
    count: int = 0
    seal: str = ""
    reply: HttpReply | None = None
    code: Code | None = None
    wrong: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeted:
    """`seals` makes the headers of the answer from its body."""

    verdict: Verdict
    seals: Callable[[bytes], tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A word of the bound agent. `again`: the answer it got, where it was said before and the answer was lost."""

    count: int
    again: HttpReply | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Not the bound agent's word."""

    why: str


@dataclass(slots=True)
class _Guesses:
    number: int = 0
    last: float = 0.0


@dataclass(slots=True)
class _State:
    lines: dict[MachineName, _Line] = field(default_factory=dict)
    challenged: dict[MachineName, float] = field(default_factory=dict)
    over: dict[MachineName, Nonce] = field(default_factory=dict)
    guesses: dict[MachineName, _Guesses] = field(default_factory=dict)


class Bonds:
    def __init__(self, key: ApplianceKey, clock: Clock, rng: Rng) -> None:
        self._key, self._clock, self._rng = key, clock, rng
        self._state, self._lock = _State(), Lock()
        self._came_up = clock.monotonic()

    def greet(self, request: HttpRequest, machine: MachineName, nonce: Nonce, boot: str, standing: Standing) -> Greeted:
        """Raises ProtocolError where the hello has no usable key."""
        key = parse_bytes(request.headers.get(KEY_HEADER.lower(), ""), "key of the agent")
        commit = request.headers.get(COMMIT_HEADER.lower(), "")
        parse_bytes(commit, "commitment")
        claim, shared = Claim(nonce=nonce, key=key, commit=commit, body=request.body), self._key.shared(key)
        with self._lock:
            token, wrong = self._token(request, claim, shared, machine, standing)
            claimed = Claimed(nonce=nonce, key=key.hex(), boot_id=boot, token=token, wrong=wrong)
            verdict = self._judge(claimed, machine, standing)
            if not isinstance(verdict, Bind):
                return Greeted(verdict=verdict, seals=lambda _: ())
            salt = bytes.fromhex(self._rng.token(SIZE))
            bond = Bond(nonce=nonce, agent=key, appliance=self._key.public, salt=salt, shared=shared)
            line = _Line(bound=verdict.bound, bond=bond, commit=commit, seen=self._clock.monotonic())
            self._state.lines[machine] = line
        return Greeted(verdict=verdict, seals=lambda body: _welcome(bond, commit, body))

    def hear(
        self, request: HttpRequest, machine: MachineName, nonce: Nonce, standing: Standing
    ) -> Spoken | Foreign | Dispute:
        """Whether the bound agent says this, and whether somebody else spoke for its machine meanwhile."""
        count, seal = _parse_seal(request.headers.get(SEAL_HEADER.lower(), ""))
        offset = request.headers.get(protocol.LOG_OFFSET_HEADER.lower(), "")
        with self._lock:
            line = self._line(machine, standing)
            if line is None or line.bound.nonce != nonce:
                return Foreign(why="nobody was greeted with this nonce since the appliance came up")
            if not same(seal, line.bond.request(count, request.path, offset, request.body)):
                return Foreign(why="not a word of the agent that was greeted")
            if (challenged := self._state.challenged.get(machine)) is not None:
                del self._state.challenged[machine]
                if self._clock.monotonic() - challenged < _CHALLENGE:
                    del self._state.lines[machine]
                    self._state.over[machine] = nonce
                    return Dispute(why="two agents speak for one machine at the same time")
            if count == line.count and seal == line.seal and line.reply is not None:
                return Spoken(count=count, again=line.reply)
            if count <= line.count:
                return Foreign(why="a word that was said before")
            line.count, line.seal, line.reply, line.seen = count, seal, None, self._clock.monotonic()
        return Spoken(count=count)

    def answer(self, machine: MachineName, spoken: Spoken, reply: HttpReply) -> HttpReply:
        """The reply, sealed; it is kept in case it gets lost."""
        with self._lock:
            line = self._state.lines.get(machine)
            if line is None or line.count != spoken.count:
                return reply
            seal = line.bond.reply(spoken.count, int(reply.status), reply.body)
            line.reply = HttpReply(
                status=reply.status,
                body=reply.body,
                media_type=reply.media_type,
                headers=(*reply.headers, (SEAL_HEADER, seal)),
            )
            return line.reply

    def reveal(self, machine: MachineName, body: bytes) -> None:
        """The machine's console shows the code from now on. Raises ProtocolError."""
        reveal = parse_bytes(body.decode("ascii", "replace"), "reveal")
        with self._lock:
            line = self._state.lines[machine]
            if not same(commitment(reveal), line.commit):
                raise ProtocolError("another reveal than the one that was committed to", evidence=reveal.hex()[:16])
            until = self._clock.now() + CODE_SECONDS
            line.code = Code(digits=line.bond.code(reveal), key=line.bound.key, until=until)

    def code(self, machine: MachineName) -> Code | None:
        """None where the machine shows none, or where it was guessed at too often or is too old."""
        with self._lock:
            line = self._state.lines.get(machine)
            shown = line.code if line is not None and line.wrong < CODE_TRIES else None
            return shown if shown is not None and self._clock.now() < shown.until else None

    def compare(self, machine: MachineName, digits: str) -> Bound | None:
        """Who is confirmed by these digits; None when they are wrong. A wrong one is counted."""
        shown = self.code(machine)
        with self._lock:
            line = self._state.lines.get(machine)
            if line is None or shown is None:
                return None
            if not same(digits, shown.digits):
                line.wrong += 1
                return None
            return line.bound

    def rise(self, machine: MachineName, bound: Bound, by: str) -> None:
        """A person has compared its code."""
        with self._lock:
            line = self._state.lines.get(machine)
            if line is not None and line.bound == bound and bound.rung is Rung.L0:
                line.bound = replace(bound, rung=Rung.L3, by=by)

    def held(self, machine: MachineName) -> tuple[Bound, Bond] | None:
        """Who speaks for the machine, and by which bond: another one for each greeting."""
        with self._lock:
            line = self._state.lines.get(machine)
            return (line.bound, line.bond) if line is not None else None

    def lift(self, machine: MachineName, bond: Bond) -> Bound | None:
        """Its TPM has proven it. None where this bond is over."""
        with self._lock:
            line = self._state.lines.get(machine)
            if line is None or line.bond is not bond:
                return None
            line.bound = replace(line.bound, rung=Rung.L2)
            return line.bound

    def end(self, machine: MachineName, nonce: Nonce) -> None:
        """It has shown what cannot be this machine's: its boot is over."""
        with self._lock:
            self._state.over[machine] = nonce
            self._state.lines.pop(machine, None)

    def is_spent(self, machine: MachineName) -> bool:
        """Its code is too old, or was guessed at too often: it has to show another one."""
        with self._lock:
            line = self._state.lines.get(machine)
            if line is None or line.code is None or line.bound.rung is not Rung.L0:
                return False
            return line.wrong >= CODE_TRIES or self._clock.now() >= line.code.until

    def _line(self, machine: MachineName, standing: Standing) -> _Line | None:
        """A machine that was told to start after it was bound is another boot."""
        line = self._state.lines.get(machine)
        if line is not None and line.bound.at < standing.powered:
            del self._state.lines[machine]
            return None
        return line

    def _judge(self, claimed: Claimed, machine: MachineName, standing: Standing) -> Verdict:
        if self._state.over.get(machine) == claimed.nonce:  # the log may not know of it yet
            return Turn(why="two have spoken for this boot: it is over")
        line, now = self._line(machine, standing), self._clock.monotonic()
        bound = line.bound if line is not None else standing.bound
        heard = line.seen if line is not None else self._came_up
        verdict = judged(claimed, standing, bound, alive=now - heard < ALIVE, now=self._clock.now())
        match verdict:
            case Turn(challenges=True):
                self._state.challenged[machine] = now
            case Dispute():
                self._state.over[machine] = claimed.nonce
                self._state.lines.pop(machine, None)
                self._state.challenged.pop(machine, None)
            case Bind():
                self._state.challenged.pop(machine, None)
            case Turn():
                pass
            case _:
                assert_never(verdict)
        return verdict

    def _token(
        self, request: HttpRequest, claim: Claim, shared: bytes, machine: MachineName, standing: Standing
    ) -> tuple[str, int]:
        """The id of the token that is proven, and how many were lately that were none."""
        proof = request.headers.get(PROOF_HEADER.lower(), "")
        if not proof or same(proof, claim.proof(shared, b"")):
            return "", 0
        placed = standing.placed
        if placed is not None:
            token = self._key.token(machine, placed.nonce, placed.number)
            if same(proof, claim.proof(shared, token)):
                return placed.id, 0
        guesses, now = self._state.guesses.setdefault(machine, _Guesses()), self._clock.monotonic()
        if now - guesses.last > _GUESSES_FADE:
            guesses.number = 0
        guesses.number, guesses.last = guesses.number + 1, now
        return "", guesses.number


def _welcome(bond: Bond, commit: str, body: bytes) -> tuple[tuple[str, str], ...]:
    return (
        (KEY_HEADER, bond.appliance.hex()),
        (SALT_HEADER, bond.salt.hex()),
        (SEAL_HEADER, bond.welcome(commit, body)),
    )


def _parse_seal(text: str) -> tuple[int, str]:
    """Raises ProtocolError."""
    count, _, seal = text.partition(":")
    if not (count.isascii() and count.isdigit() and len(count) < 16):
        raise ProtocolError("a word without a seal: boot again with this appliance's ramdisk", evidence=text[:40])
    return int(count), seal
