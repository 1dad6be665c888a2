"""What is noticed of a machine, and what the site program lets be done about it: tables."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.conductor.machine import MachineState
from appliance.conductor.reflex import Hold, Reaction, Run, notice, reaction
from appliance.inventory.model import Installed
from appliance.model.ids import MachineName
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.reflex import Policy, Reflexes, Stray
from appliance.model.views import Errand
from appliance.plan import DiskRef
from tests.unit.appliance.conductor.rack import IMAGE
from tests.unit.appliance.store.samples import FACTS

NODE = MachineName("node-0")
OWN = FACTS.disks[0]
DISK = DiskRef(serial=OWN.serial, wwn=OWN.wwn, size_bytes=OWN.size_bytes, contents="blank")
ACTIVE = MachineState(
    name=NODE,
    phase=Phase.ACTIVE,
    role="worker",
    facts=FACTS,
    facts_current=True,
    installed=Installed(image=IMAGE, hostname=NODE, address=IPv4Address("10.0.0.1"), host_keys=(), disk=DISK),
)
BROKEN = replace(ACTIVE, facts=replace(FACTS, disks=()))


@pytest.mark.parametrize(
    ("state", "stray", "text"),
    [
        (ACTIVE, None, ""),
        (replace(ACTIVE, returns=(900.0, 920.0, 940.0)), None, ""),
        (replace(ACTIVE, returns=(900.0, 920.0, 940.0, 960.0)), Stray.RETURNS, "4 times in 2 minutes"),
        (replace(ACTIVE, returns=(-900.0, 920.0, 940.0, 960.0)), None, ""),
        (replace(ACTIVE, phase=Phase.BOOTING, returns=(900.0, 920.0, 940.0, 960.0)), None, ""),
        (BROKEN, Stray.CHANGED, "the disk that it was installed on is gone: DISK0001"),
        (replace(BROKEN, facts_current=False), None, ""),
        (replace(BROKEN, installed=None), None, ""),
        (replace(BROKEN, strayed=Condition(kind=ConditionKind.DEGRADED, since=1, reason="known")), None, ""),
    ],
)
def test_what_is_noticed(state: MachineState, stray: Stray | None, text: str) -> None:
    found = notice(state, 1000.0)
    assert (found.stray if found else None) is stray
    assert text in (found.text if found else "")


FAILED = Condition(kind=ConditionKind.FAILED, since=1.0, reason="EIO")
SILENT = Condition(kind=ConditionKind.UNREACHABLE, since=1.0, reason="no answer")
DEPLOYING = replace(ACTIVE, phase=Phase.DEPLOYING, failed=FAILED)
MUTE = replace(ACTIVE, silent=SILENT)
BACK = replace(ACTIVE, strayed=Condition(kind=ConditionKind.DEGRADED, since=1, reason="back"), stray=Stray.RETURNS)
OTHER = replace(BACK, stray=Stray.CHANGED)
REPLACE = Errand.REPLACE


@pytest.mark.parametrize(
    ("state", "reflexes", "expected"),
    [
        (ACTIVE, Reflexes(on_silence=Policy.REPLACE, on_failure=Policy.REPLACE), None),
        (DEPLOYING, Reflexes(), None),
        (DEPLOYING, Reflexes(on_failure=Policy.HOLD), Hold(reason="its installation failed: EIO")),
        (DEPLOYING, Reflexes(on_failure=Policy.REPLACE), Run(errand=REPLACE, why="its installation failed: EIO")),
        (replace(DEPLOYING, role=""), Reflexes(on_failure=Policy.REPLACE), None),
        (replace(DEPLOYING, phase=Phase.PREPARING), Reflexes(on_failure=Policy.REPLACE), None),
        (
            replace(DEPLOYING, hold=Condition(kind=ConditionKind.HOLD, since=1, reason="mine")),
            Reflexes(on_failure=Policy.REPLACE),
            None,
        ),
        (MUTE, Reflexes(), None),
        (MUTE, Reflexes(on_silence=Policy.HOLD), Hold(reason="no answer")),
        (MUTE, Reflexes(on_silence=Policy.REPLACE), Run(errand=REPLACE, why="no answer")),
        (replace(MUTE, role=""), Reflexes(on_silence=Policy.REPLACE), None),
        (BACK, Reflexes(on_return=Policy.HOLD), Hold(reason="back")),
        (BACK, Reflexes(on_change=Policy.HOLD), None),
        (OTHER, Reflexes(on_change=Policy.REPLACE), Run(errand=REPLACE, why="back")),
        (OTHER, Reflexes(on_return=Policy.REPLACE), None),
    ],
)
def test_what_is_done(state: MachineState, reflexes: Reflexes, expected: Reaction | None) -> None:
    assert reaction(state, reflexes) == expected
