"""On which rung of the ladder a machine stands, as people see it. Pure."""

from typing import assert_never

from appliance.conductor.machine import MachineState
from appliance.identity.bonds import Code
from appliance.model.identity import IdentityPolicy, Rung, explained
from appliance.model.tpm import short
from appliance.model.views import IdentityView
from appliance.store.identity_records import (
    AgentBound,
    CodeRefused,
    IdentityConfirmed,
    IdentityDisputed,
    IdentityRecord,
    TokenPlaced,
    TpmDisputed,
    TpmLacking,
    TpmProven,
)


def identity_view(state: MachineState, code: Code | None, policy: IdentityPolicy) -> IdentityView:
    """A code that was shown by another agent than the one that is bound by now is none."""
    bound = state.bound
    told = explained(state.name, bound, policy, state.tpm)
    rung = bound.rung if bound is not None else Rung.L0
    shown = code if code is not None and bound is not None and code.key == bound.key and rung is Rung.L0 else None
    return IdentityView(
        rung=rung.value,
        why=told.why,
        higher=told.higher,
        secrets=bound is not None and policy.suffices(rung),
        wanted=policy.secrets.value,
        code=shown.digits if shown is not None else "",
        code_until=shown.until if shown is not None else None,
    )


def describe_identity(record: IdentityRecord) -> str:
    match record:
        case TokenPlaced(number=number):
            return f"one-time token {number} lies in the BMC's drive"
        case AgentBound(rung=rung, key=key, client=client, why=why):
            strange = f"; {why}" if why else ""
            return f"agent key {key[:16]} from {client} speaks for it, rung {rung.value}{strange}"
        case IdentityConfirmed(key=key, by=by):
            return f"the code of agent key {key[:16]} was compared{_by(by)}: rung L3"
        case CodeRefused(why=why, by=by):
            return f"code refused{_by(by)}: {why}"
        case TpmProven(ek=ek, key=key, issuer=issuer, pcrs=pcrs):
            quoted = f"; {_pcrs(pcrs)}" if pcrs else "; nothing measured was quoted"
            issued = f"; its certificate, not checked, is by {issuer}" if issuer else ""
            return f"the TPM with endorsement key {ek} speaks for agent key {key[:16]}: rung L2{issued}{quoted}"
        case TpmLacking(why=why):
            return f"no TPM speaks for it: {why}"
        case TpmDisputed(ek=ek, why=why, client=client):
            return f"held: {why}; all of it: {ek}, from {client}"
        case IdentityDisputed(why=why, client=client):
            return f"held: {why}; the last to speak was {client}"
        case _:
            assert_never(record)


def _pcrs(pcrs: tuple[str, ...]) -> str:
    return "PCRs " + ", ".join(f"{number}:{short(value)}" for number, value in enumerate(pcrs))


def _by(name: str) -> str:
    return f" by {name}" if name else ""
