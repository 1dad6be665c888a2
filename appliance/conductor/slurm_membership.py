"""As what a machine belongs to a Slurm cluster after a step of it was done. Pure."""

from dataclasses import replace
from typing import assert_never

from appliance.model.slurm import (
    ConfirmSlurm,
    DrainSlurm,
    JoinSlurm,
    LeaveSlurm,
    PrepareSlurm,
    ServeSlurm,
    SlurmAction,
    SlurmMember,
    SlurmRole,
)


def done(do: SlurmAction, member: SlurmMember | None, now: float) -> SlurmMember | None:
    """The machine's membership from now on."""
    match do:
        case PrepareSlurm() | DrainSlurm():
            return member
        case ServeSlurm(spec=spec):
            return SlurmMember(home=spec.home, role=SlurmRole.CONTROLLER, since=now, spec=spec)
        case JoinSlurm(home=home, devices=devices):
            return SlurmMember(home=home, role=SlurmRole.WORKER, since=now, devices=devices)
        case LeaveSlurm():
            return None
        case ConfirmSlurm():
            return replace(member, confirmed=True) if member is not None else None
        case _:
            assert_never(do)
