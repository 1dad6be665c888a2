"""How sure the appliance is which machine it speaks with, and what that machine may therefore have.

A MAC, a UUID or a serial number proves nothing: whoever can reach the boot network can say the same. Each rung asks for
something that such a neighbour does not have.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import assert_never

from appliance.model.ids import MachineName, Nonce
from appliance.model.tpm import Tpm, short

TOKEN_SECONDS = 900.0
"""How long a token may be redeemed after it was put into the drive."""
CODE_SECONDS = 900.0
"""How long a code may be confirmed after the machine has shown it."""
TOKEN_TRIES = 5
"""Tokens that are none, within a minute, until nobody listens any more."""
CODE_TRIES = 3
"""Wrong codes, and the agent has to show another one."""


class Rung(Enum):
    """The steps of the ladder. L3 is another way to where L1 leads, not a step above L2."""

    L0 = "L0"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"


class Release(Enum):
    """What an appliance has to give, by how much harm it does in wrong hands."""

    PUBLIC = "boot programs, kernel, ramdisk, images"
    OWN = "this machine's own configuration and secrets"
    CLUSTER = "secrets of the whole cluster"


RELEASES: Mapping[Rung, frozenset[Release]] = MappingProxyType(  # what each is meant for; a site's policy decides
    {
        Rung.L0: frozenset({Release.PUBLIC}),
        Rung.L1: frozenset({Release.PUBLIC, Release.OWN}),
        Rung.L2: frozenset(Release),
        Rung.L3: frozenset({Release.PUBLIC, Release.OWN}),
    }
)
_HEIGHT: Mapping[Rung, int] = MappingProxyType({Rung.L0: 0, Rung.L1: 1, Rung.L3: 1, Rung.L2: 2})


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPolicy:
    """`secrets`: the rung from which on a machine gets its own secrets. L0 is an open lab: whoever asks first.
    `cluster`: the same for secrets of the whole cluster; L2 asks for a TPM. Never less than `secrets`.

    `port`: where BMCs fetch their tokens from, on every address of ours that faces BMCs alone."""

    secrets: Rung = Rung.L1
    cluster: Rung = Rung.L1
    port: int = 8069

    @property
    def is_open(self) -> bool:
        return self.secrets is Rung.L0

    def suffices(self, rung: Rung, wanted: Iterable[Release] = (Release.OWN,)) -> bool:
        return _HEIGHT[rung] >= _HEIGHT[self.asked(wanted)]

    def asked(self, wanted: Iterable[Release]) -> Rung:
        """The rung from which on a machine gets all of these."""
        return max((self._rung(release) for release in wanted), key=_HEIGHT.__getitem__, default=Rung.L0)

    def _rung(self, release: Release) -> Rung:
        match release:
            case Release.PUBLIC:
                return Rung.L0
            case Release.OWN:
                return self.secrets
            case Release.CLUSTER:
                return max(self.secrets, self.cluster, key=_HEIGHT.__getitem__)
            case _:
                assert_never(release)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A token that lies in the drive of a machine's BMC. `at` in seconds since the epoch.

    It is for the start that it was made for; the steps of that boot have nonces of their own.
    """

    nonce: Nonce
    number: int
    at: float

    @property
    def id(self) -> str:
        return f"{self.nonce}.{self.number}"

    def is_fresh(self, now: float) -> bool:
        return now - self.at < TOKEN_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The agent's public key (hex) that speaks for a machine in one boot, and the rung that this boot has reached.

    `token` is the id of the one that it redeemed, empty without. `by`: who compared the code.
    """

    nonce: Nonce
    key: str
    boot_id: str
    rung: Rung
    at: float
    token: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the node-facing services have to know of a machine. `powered`: when it was last told to start.

    `disk`: it is to run from its disk, so that nobody waits for an agent. `active`: and was proven to do so.
    `disputed` is the nonce of a boot that two have spoken for. `ek` names the TPM that it has proven.
    """

    bound: Bound | None = None
    placed: Placed | None = None
    powered: float = 0.0
    disk: bool = False
    active: bool = False
    disputed: Nonce | None = None
    ek: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a hello has shown: `token` is the id of the token that it knows, if any. `wrong`: it pretends to know one,
    for the so many-eth time lately."""

    nonce: Nonce
    key: str
    boot_id: str
    token: str = ""
    wrong: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """This key speaks for the machine from now on. `why` is empty where nothing is strange."""

    bound: Bound
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Turned away; `challenges`: it claims a machine that another agent may speak for at this moment."""

    why: str
    challenges: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """Two claim one machine, and at most one of them is it: it is held, and neither gets anything."""

    why: str


Verdict = Bind | Turn | Dispute


def judged(claim: Claimed, standing: Standing, bound: Bound | None, *, alive: bool, now: float) -> Verdict:
    """`bound` is who speaks for the machine so far, `alive` whether that one was heard a moment ago."""
    if claim.wrong > TOKEN_TRIES:
        return Turn(why="too many tokens that are not this boot's")
    if standing.disputed == claim.nonce:
        return Turn(why="two have spoken for this boot: it is over")
    if bound is not None and bound.nonce == claim.nonce and bound.key == claim.key:
        return Bind(bound=_risen(bound, claim, standing, now))
    if claim.token and bound is not None and bound.token == claim.token:
        return Dispute(why="a second agent has redeemed the token of this boot")
    if claim.token and standing.placed is not None and standing.placed.is_fresh(now):
        why = f"an agent without the token spoke for this boot before: key {bound.key[:8]}" if bound is not None else ""
        return Bind(bound=_bound(claim, Rung.L1, claim.token, now), why=why)
    if standing.active:
        return Dispute(why="an agent speaks for a machine that runs its own system")
    if bound is not None and alive:
        return Turn(why="another agent speaks for this machine", challenges=True)
    if standing.disk and bound is None:
        return Turn(why="this machine is to run from its disk: no agent is expected")
    return Bind(bound=_bound(claim, Rung.L0, "", now), why=_why_not(claim))


def _why_not(claim: Claimed) -> str:
    if claim.wrong:
        return "the token that it has read is not this boot's"
    return "its token is older than 15 minutes" if claim.token else ""


def _bound(claim: Claimed, rung: Rung, token: str, now: float) -> Bound:
    return Bound(nonce=claim.nonce, key=claim.key, boot_id=claim.boot_id, rung=rung, at=now, token=token)


def _risen(bound: Bound, claim: Claimed, standing: Standing, now: float) -> Bound:
    """The same agent again; it may have found the token only now."""
    fresh = standing.placed is not None and standing.placed.is_fresh(now)
    if bound.rung is Rung.L0 and claim.token and fresh:
        return _bound(claim, Rung.L1, claim.token, now)
    return bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """`higher` is empty where nothing is to be gained."""

    why: str
    higher: str


def explained(name: MachineName, bound: Bound | None, policy: IdentityPolicy, tpm: Tpm) -> Explained:
    """In one sentence each: why a machine stands where it does, and what would raise it."""
    if bound is None:
        return Explained(why="no agent speaks for it", higher="boot it into the ramdisk: innervate plan, then apply")
    confirm = f"compare the code on its console with the one here: innervate confirm {name} CODE"
    match bound.rung:
        case Rung.L0:
            open_ = "; this site gives secrets to whoever asks first" if policy.is_open else ""
            return Explained(why=f"its agent gave names and numbers that anybody can give{open_}", higher=confirm)
        case Rung.L1:
            return Explained(why="its agent has read the token that its BMC carried to it", higher=_by_tpm(tpm))
        case Rung.L2:
            return Explained(
                why=f"its TPM, endorsement key {short(tpm.ek)}, has opened what was sealed for it", higher=""
            )
        case Rung.L3:
            return Explained(why=f"{bound.by} compared the code on its console", higher=_by_tpm(tpm))
        case _:
            assert_never(bound.rung)


def _by_tpm(tpm: Tpm) -> str:
    if not tpm.lacks:
        return "a TPM 2.0 would: its agent has yet to show one"
    known = f"; it had one before, endorsement key {short(tpm.ek)}" if tpm.ek else ""
    return f"a TPM 2.0 would, but {tpm.lacks}{known}"
