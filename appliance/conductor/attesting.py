"""What a machine's TPM has shown, boot by boot, and what people are told where a machine is in doubt. Pure."""

from dataclasses import replace

from appliance.model.identity import Bound
from appliance.model.ids import MachineName
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.tpm import WATCHED, Tpm, moved
from appliance.store.identity_records import TpmDisputed, TpmProven

_LADDER = "the identity ladder"


def proven(before: Tpm, record: TpmProven, now: float) -> Tpm:
    """What is measured is compared with the boot before: what a person knows of is told once."""
    learnt = before.learnt if before.ek == record.ek else record.nonce
    known = replace(before, ek=record.ek, learnt=learnt, lacks="")
    if not record.pcrs:
        return known
    changed = moved(before.pcrs, record.pcrs) if before.ek == record.ek else ()
    return replace(known, pcrs=record.pcrs, moved=changed, moved_at=now)


def doubted(tpm: Tpm, bound: Bound | None, phase: Phase) -> Tpm:
    """After two have claimed to be the machine: a TPM that was first seen with one of them may be anybody's.

    Of a machine that runs its own system it was known before."""
    return Tpm() if bound is not None and tpm.learnt == bound.nonce and phase is not Phase.ACTIVE else tpm


def condition(tpm: Tpm) -> Condition | None:
    """It blocks nothing: firmware is updated, and Secure Boot switched, by people too."""
    if not tpm.moved:
        return None
    what = ", ".join(f"PCR {number} ({WATCHED[number]})" for number in tpm.moved)
    return Condition(
        kind=ConditionKind.DEGRADED,
        since=tpm.moved_at,
        reason=f"its TPM measured something else than at the boot before: {what}",
        next_action="ask who changed its firmware or its settings; it goes when the next boot measures the same",
    )


def disputed(machine: MachineName, why: str, now: float) -> Condition:
    """Held: two claim to be this machine."""
    action = (
        f"find the other one by its address and switch port: innervate events --machine {machine}; "
        f"then innervate release {machine}, and start it anew"
    )
    return Condition(kind=ConditionKind.HOLD, since=now, reason=why, next_action=action, by=_LADDER)


def another(record: TpmDisputed, now: float) -> Condition:
    """Held: it has shown another TPM than its own."""
    name = record.machine
    action = (
        f"look who changed its TPM or its main board; where that was meant, state the new one in the site program: "
        f'Server(name="{name}", endorsement_keys=("{record.ek}",)), and restart the daemon; '
        f"then innervate release {name}, and start it anew"
    )
    return Condition(kind=ConditionKind.HOLD, since=now, reason=record.why, next_action=action, by=_LADDER)
