"""What is known of a machine's TPM after which records."""

from dataclasses import replace

import pytest

from appliance.conductor.machine import started
from appliance.model.identity import Rung
from appliance.model.ids import Nonce
from appliance.model.phase import ConditionKind
from appliance.model.views import Errand
from appliance.plan import Rescue
from appliance.store.identity_records import AgentBound, IdentityDisputed, TpmDisputed, TpmLacking, TpmProven
from appliance.store.records import PowerCommanded, Record
from tests.unit.appliance.conductor.test_world import ACTIVE, AGENT, DISCOVERED, begin, state_after
from tests.unit.appliance.store.samples import ADDRESS, NODE

BOUND = AgentBound(machine=NODE, nonce=Nonce("n1"), key="aa" * 32, boot_id="b", rung=Rung.L1, client=ADDRESS)
VALUES = tuple(f"{number}" * 64 for number in range(8))
PROVEN = TpmProven(machine=NODE, nonce=Nonce("n1"), key="aa" * 32, ek="ec" * 32, ak="ab" * 34, pcrs=VALUES)
NONE = TpmLacking(machine=NODE, nonce=Nonce("n1"), why="it has no TPM")
ON = PowerCommanded(machine=NODE, command="on", boots=True)
OTHERS = replace(PROVEN, key="bb" * 32)
MOVED = replace(PROVEN, pcrs=("f" * 64, *VALUES[1:]))


@pytest.mark.parametrize(
    ("records", "rung", "ek", "lacks", "moved"),
    [
        pytest.param((BOUND, PROVEN), Rung.L2, "ec" * 32, "", (), id="proven"),
        pytest.param((PROVEN,), None, "ec" * 32, "", (), id="when nobody speaks for it any more"),
        pytest.param((BOUND, OTHERS), Rung.L1, "ec" * 32, "", (), id="for another agent"),
        pytest.param((BOUND, NONE), Rung.L1, "", "it has no TPM", (), id="none"),
        pytest.param((BOUND, NONE, PROVEN), Rung.L2, "ec" * 32, "", (), id="none, and then one"),
        pytest.param((BOUND, NONE, ON), None, "", "", (), id="none in the boot before"),
        pytest.param((BOUND, PROVEN, ON), None, "ec" * 32, "", (), id="in the boot before"),
        pytest.param((BOUND, PROVEN, ON, MOVED), None, "ec" * 32, "", (0,), id="measured otherwise"),
        pytest.param((BOUND, PROVEN, MOVED, MOVED), Rung.L2, "ec" * 32, "", (), id="and the same again"),
        pytest.param((PROVEN, replace(MOVED, ek="ee" * 32)), None, "ee" * 32, "", (), id="of another TPM"),
        pytest.param((PROVEN, replace(PROVEN, pcrs=())), None, "ec" * 32, "", (), id="not measured"),
    ],
)
def test_what_is_known_of_its_tpm(
    records: tuple[Record, ...], rung: Rung | None, ek: str, lacks: str, moved: tuple[int, ...]
) -> None:
    state = state_after(begin(AGENT), *records)
    assert (state.bound.rung if state.bound else None) is rung
    assert (state.tpm.ek, state.tpm.lacks, state.tpm.moved) == (ek, lacks, moved)
    assert [condition.kind for condition in state.conditions] == ([ConditionKind.DEGRADED] if moved else [])
    assert state.record.conditions == (), "it keeps nobody from a role"


def test_another_tpm_holds_the_machine_and_ends_its_boot() -> None:
    disputed = TpmDisputed(machine=NODE, nonce=Nonce("n1"), ek="ee" * 32, why="its TPM is another", client=ADDRESS)
    state = state_after(begin(AGENT), BOUND, PROVEN, disputed)
    assert (state.bound, state.boot_nonce, state.tpm.ek) == (None, None, "ec" * 32)
    assert state.disputed is not None
    assert state.hold is not None
    assert f'endorsement_keys=("{"ee" * 32}",)' in state.hold.next_action


@pytest.mark.parametrize(
    ("records", "known"),
    [
        pytest.param((*DISCOVERED[:9], BOUND, PROVEN), False, id="it was first seen with one of the two"),
        pytest.param((*DISCOVERED[:9], replace(BOUND, nonce=Nonce("n2")), PROVEN), True, id="it was known before"),
        pytest.param((*ACTIVE, BOUND, PROVEN), True, id="the machine runs its own system"),
    ],
)
def test_a_tpm_that_may_be_anybody_s_is_forgotten(records: tuple[Record, ...], known: bool) -> None:
    disputed = IdentityDisputed(machine=NODE, nonce=Nonce("n1"), why="a second agent", client=ADDRESS)
    assert bool(state_after(*records, disputed).tpm.ek) is known


def test_a_rescue_that_is_begun_again_after_that_boots_under_another_nonce() -> None:
    disputed = TpmDisputed(machine=NODE, nonce=Nonce("n1"), ek="ee" * 32, why="its TPM is another", client=ADDRESS)
    state = state_after(begin(AGENT), BOUND, disputed)
    intent = replace(begin(AGENT), nonce=Nonce("rescue#2"))
    again = started(state, Rescue(authorized_keys=("ssh-ed25519 AAAA",)), intent, Errand.RESCUE, 9.0)
    assert again.boot_nonce == "rescue#2"
