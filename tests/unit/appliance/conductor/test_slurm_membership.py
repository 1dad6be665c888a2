"""As what a machine belongs to a Slurm cluster after each step."""

from dataclasses import replace

import pytest

from appliance.conductor.slurm_membership import done
from appliance.model.ids import MachineName
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
from tests.unit.appliance.slurm.test_conf import HOME, SPEC

OLD = SlurmMember(home=replace(HOME, key=7), role=SlurmRole.CONTROLLER, since=1.0, spec=SPEC)


@pytest.mark.parametrize(
    ("do", "member"),
    [
        (PrepareSlurm(home=HOME, role=SlurmRole.WORKER), OLD),
        (DrainSlurm(home=HOME, node=MachineName("gpu-0")), OLD),
        (ServeSlurm(spec=SPEC), SlurmMember(home=HOME, role=SlurmRole.CONTROLLER, since=9.0, spec=SPEC)),
        (
            JoinSlurm(home=HOME, devices=("/dev/nvidia0",)),
            SlurmMember(home=HOME, role=SlurmRole.WORKER, since=9.0, devices=("/dev/nvidia0",)),
        ),
        (ConfirmSlurm(spec=SPEC), replace(OLD, confirmed=True)),
        (LeaveSlurm(home=HOME), None),
    ],
    ids=lambda one: one.action if hasattr(one, "action") else "",
)
def test_after_a_step(do: SlurmAction, member: SlurmMember | None) -> None:
    assert done(do, OLD, 9.0) == member
