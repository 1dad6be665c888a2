"""Which machine has proven its TPM: the last step of the ladder, for agents that stand on L1 or L3 already.

A challenge is for one greeting of one agent. Called from the HTTP server's worker threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

from appliance.identity.bonds import Bonds
from appliance.identity.credential import (
    SECRET,
    Credential,
    attestation_key,
    check_quote,
    endorsement_key,
    fingerprint,
    issuer_of,
    made_credential,
)
from appliance.model.identity import Bound, Rung, Standing
from appliance.model.ids import MachineName
from appliance.model.text import clean
from appliance.model.tpm import Endorsed
from appliance.ports import Rng
from images.agent.bond import Bond, same
from images.agent.errors import TpmError
from images.agent.tpm_structures import name_of
from images.agent.tpm_words import Challenge, Proof, Shown

_WHY = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """It has yet to prove otherwise which machine it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Nothing is to be proven. `lacks`: why it has no TPM, where that is why."""

    lacks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    challenge: Challenge


@dataclass(frozen=True, slots=True, kw_only=True)
class Another:
    """The TPM, by the SHA-256 of its endorsement key, is not this machine's."""

    ek: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """`bound` stands on L2 now. `issuer`: of the certificate of its endorsement key. `pcrs` as hex; empty where they
    were not quoted."""

    bound: Bound
    ek: str
    ak: str
    issuer: str
    pcrs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    bond: Bond
    secret: bytes
    ak: bytes
    ek: str
    issuer: str


class Tpms:
    """`stated` are the endorsement keys that the site program names."""

    def __init__(self, bonds: Bonds, rng: Rng, stated: Mapping[MachineName, frozenset[str]]) -> None:
        self._bonds, self._rng, self._stated = bonds, rng, stated
        self._pending: dict[MachineName, _Pending] = {}
        self._lock = Lock()

    def show(
        self, machine: MachineName, shown: Shown, standings: Mapping[MachineName, Standing]
    ) -> Later | Settled | Asked | Another:
        """Raises TpmError for keys that are not what they have to be."""
        held = self._bonds.held(machine)
        if held is None or held[0].rung is Rung.L0:
            return Later()
        bound, bond = held
        if shown.lacks or bound.rung is Rung.L2:
            return Settled(lacks="" if bound.rung is Rung.L2 else clean(shown.lacks, _WHY))
        key = endorsement_key(shown.ek)
        attestation_key(shown.ak)
        ek, secret = fingerprint(key), self._bytes(SECRET)
        proven = {name: standing.ek for name, standing in standings.items() if standing.ek}
        if why := Endorsed(stated=self._stated, proven=proven).contradiction(machine, ek):
            return Another(ek=ek, why=why)
        made = made_credential(key, name_of(shown.ak), secret, self._bytes)
        issuer = clean(issuer_of(shown.certificate, key), _WHY)
        pending = _Pending(bond=bond, secret=secret, ak=shown.ak, ek=ek, issuer=issuer)
        with self._lock:
            self._pending[machine] = pending
        return Asked(challenge=_challenge(made))

    def prove(self, machine: MachineName, proof: Proof) -> Proven:
        """Raises TpmError, and then the machine stands where it stood. One try for each challenge."""
        with self._lock:
            pending = self._pending.pop(machine, None)
        held = self._bonds.held(machine)
        if pending is None or held is None or held[1] is not pending.bond:
            raise TpmError("nothing was asked of its TPM since it was greeted last")
        if not same(proof.opened, pending.bond.opened(pending.secret, name_of(pending.ak))):
            raise TpmError("its TPM has not opened what was sealed for it", evidence=f"endorsement key {pending.ek}")
        if proof.pcrs:
            check_quote(
                attestation_key(pending.ak),
                quote=proof.quote,
                signature=proof.signature,
                qualifying=pending.bond.qualifying,
                pcrs=proof.pcrs,
            )
        lifted = self._bonds.lift(machine, pending.bond)
        if lifted is None:
            raise TpmError("another agent speaks for the machine by now")
        pcrs = tuple(value.hex() for value in proof.pcrs)
        ak = name_of(pending.ak).hex()
        return Proven(bound=lifted, ek=pending.ek, ak=ak, issuer=pending.issuer, pcrs=pcrs)

    def _bytes(self, size: int) -> bytes:
        return bytes.fromhex(self._rng.token(size))


def _challenge(credential: Credential) -> Challenge:
    return Challenge(blob=credential.blob, seed=credential.seed)
