"""What an errand of one machine begins with where the machine belongs to a Slurm cluster."""

from collections.abc import Sequence

from appliance.errors import PlanError
from appliance.inventory.model import MachineRecord
from appliance.model.slurm import DrainSlurm, LeaveSlurm, SlurmMember, SlurmRole
from appliance.scores.score import Move

DRAIN_SECONDS, LEAVE_SECONDS = 24 * 3600.0, 600.0


def leave_first(record: MachineRecord, member: SlurmMember, others: Sequence[MachineRecord]) -> tuple[Move, ...]:
    """Of a machine that lives: jobs end, then the key goes. `others` are machines of the site.

    The machine asks for its own draining: an errand is carried out on the one machine that it is about. Raises
    `PlanError` for a controller as long as its cluster has workers."""
    home, name = member.home, record.name
    says = f"take {home.name} and its key off {name}"
    leave = Move(do=LeaveSlurm(home=home), summary=says, budget=LEAVE_SECONDS)
    if member.role is SlurmRole.CONTROLLER:
        _check_last(record, member, others)
        return (leave,)
    says = f"let {name} end its jobs for {home.name}, and give it no more"
    return Move(do=DrainSlurm(home=home, node=name), summary=says, budget=DRAIN_SECONDS), leave


def _check_last(record: MachineRecord, member: SlurmMember, others: Sequence[MachineRecord]) -> None:
    left = [
        one.name
        for one in others
        if one.slurm is not None and one.slurm.home.name == member.home.name and one.slurm.role is SlurmRole.WORKER
    ]
    if left:
        raise PlanError(
            f"{record.name} leads the cluster {member.home.name}",
            evidence=f"its workers: {', '.join(left[:10])}",
            next_action="name another controller in the site program, or empty its workers first",
        )
