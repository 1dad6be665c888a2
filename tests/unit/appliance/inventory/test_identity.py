from collections.abc import Mapping
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.inventory.identity import Conflict, Evidence, Identities, Match, Unknown, Verdict, evidence_of, identify
from appliance.model.bmc import PowerState, SystemIdentity
from appliance.model.hardware import Firmware, HardwareFacts
from appliance.model.ids import MachineName
from pxe.client import Mac

A, B = MachineName("node-0"), MachineName("node-1")
UUID_A, UUID_B = UUID("00000077-0000-4000-8000-000000000001"), UUID("00000077-0000-4000-8000-000000000002")
MAC_A, MAC_B, MAC_C = (Mac(f"52:54:00:77:00:0{i}") for i in (1, 2, 3))
AMI = UUID("03000200-0400-0500-0006-000700080009")
OEM = "To be filled by O.E.M."


def identity(uuid: UUID | None = None, serial: str = "", *macs: Mac) -> SystemIdentity:
    return SystemIdentity(
        path="/redfish/v1/Systems/1",
        uuid=uuid,
        serial=serial,
        manufacturer="",
        product="",
        macs=macs,
        power=PowerState.OFF,
    )


RACK = {A: identity(UUID_A, "SN0001", MAC_A), B: identity(UUID_B, "SN0002", MAC_B)}
CLONES = {A: identity(AMI, OEM, MAC_A), B: identity(AMI, OEM, MAC_B)}
TWINS = {A: identity(UUID_A, "SN0001", MAC_A), B: identity(UUID_B, "SN0002", MAC_A)}


@pytest.mark.parametrize(
    ("evidence", "known", "verdict"),
    [
        (Evidence(uuid=UUID_A, serial="SN0001", macs=(MAC_A,)), RACK, Match(name=A)),
        (Evidence(macs=(MAC_B,)), RACK, Match(name=B)),
        (Evidence(uuid=UUID(bytes=UUID_A.bytes_le)), RACK, Match(name=A)),
        (Evidence(board_serial="sn0002 "), RACK, Match(name=B)),
        (Evidence(uuid=UUID_A, serial="SN0001", macs=(MAC_A, MAC_C)), RACK, Match(name=A)),
        # a NIC of node-1 in node-0; a NIC of node-0 in a stranger
        (Evidence(uuid=UUID_A, serial="SN0001", macs=(MAC_B,)), RACK, Match(name=A)),
        (Evidence(uuid=UUID(int=7), serial="SN9", macs=(MAC_A,)), RACK, Unknown()),
        (Evidence(macs=(MAC_C,)), RACK, Unknown()),
        (Evidence(), RACK, Unknown()),
        (Evidence(uuid=UUID_A), {}, Unknown()),
        # placeholders are no traits
        (Evidence(uuid=AMI, serial=OEM, macs=(MAC_A,)), CLONES, Match(name=A)),
        (Evidence(uuid=AMI, serial=OEM), CLONES, Unknown()),
        (Evidence(macs=(Mac("00:00:00:00:00:00"),)), {A: identity(None, "", Mac("00:00:00:00:00:00"))}, Unknown()),
        # one trait, two claims
        (
            Evidence(uuid=UUID_A, macs=(MAC_A,)),
            TWINS,
            Conflict(names=(A, B), why="duplicate MAC 52:54:00:77:00:01 claimed by node-0 and node-1"),
        ),
        # two traits, one claim each
        (
            Evidence(macs=(MAC_A, MAC_B)),
            RACK,
            Conflict(names=(A, B), why="traits of node-0 and node-1 in one machine"),
        ),
    ],
)
def test_verdicts(evidence: Evidence, known: Mapping[MachineName, SystemIdentity], verdict: Verdict) -> None:
    assert identify(evidence, Identities.of(known)) == verdict


@pytest.mark.parametrize(
    ("known", "name", "why"),
    [
        (RACK, A, ""),
        (CLONES, A, ""),
        (TWINS, A, "duplicate MAC 52:54:00:77:00:01 claimed by node-0 and node-1"),
        (TWINS, B, "duplicate MAC 52:54:00:77:00:01 claimed by node-0 and node-1"),
        (
            {A: identity(UUID_A), B: identity(UUID(bytes=UUID_A.bytes_le))},
            B,
            f"duplicate UUID {min(UUID_A, UUID(bytes=UUID_A.bytes_le))} claimed by node-0 and node-1",
        ),
    ],
)
def test_a_clash_names_both(known: Mapping[MachineName, SystemIdentity], name: MachineName, why: str) -> None:
    found = Identities.of(known).clash(name, known[name])
    assert (found.why if found else "") == why


def test_what_a_machine_was_before_is_forgotten() -> None:
    moved = Identities.of(TWINS).put(A, identity(UUID_A, "SN0001", MAC_C))
    assert moved.clash(A, identity(UUID_A, "SN0001", MAC_C)) is None
    assert identify(Evidence(macs=(MAC_A,)), moved) == Match(name=B)


def test_facts_are_evidence() -> None:
    facts = HardwareFacts(
        uuid=UUID_A,
        serial="SN0001",
        board_serial="B1",
        manufacturer="",
        product="",
        firmware=Firmware.BIOS,
        cpu_model="",
        cores=1,
        memory_bytes=1,
        disks=(),
        nics=(),
    )
    assert evidence_of(facts) == Evidence(uuid=UUID_A, serial="SN0001", board_serial="B1")


UUIDS = st.sampled_from([None, UUID(int=0), AMI, UUID_A, UUID_B])
SERIALS = st.sampled_from(["", "None", "SN0001", "SN0002"])
MACS = st.lists(st.sampled_from([MAC_A, MAC_B, MAC_C]), max_size=3)
IDENTITIES = st.builds(lambda uuid, serial, macs: identity(uuid, serial, *macs), UUIDS, SERIALS, MACS)
RACKS = st.lists(IDENTITIES, max_size=4).map(lambda rack: {MachineName(f"node-{i}"): x for i, x in enumerate(rack)})
EVIDENCE = st.builds(
    lambda uuid, serial, board, macs: Evidence(uuid=uuid, serial=serial, board_serial=board, macs=tuple(macs)),
    UUIDS,
    SERIALS,
    SERIALS,
    MACS,
)


@given(known=RACKS, evidence=EVIDENCE)
def test_order_means_nothing(known: dict[MachineName, SystemIdentity], evidence: Evidence) -> None:
    turned = dict(reversed(known.items()))
    backward = Evidence(
        uuid=evidence.uuid, serial=evidence.board_serial, board_serial=evidence.serial, macs=evidence.macs[::-1]
    )
    assert identify(evidence, Identities.of(known)) == identify(backward, Identities.of(turned))


@given(known=RACKS, evidence=EVIDENCE)
def test_a_match_never_fits_a_second_machine(known: dict[MachineName, SystemIdentity], evidence: Evidence) -> None:
    verdict = identify(evidence, Identities.of(known))
    if isinstance(verdict, Match):
        others = {name: known[name] for name in known if name != verdict.name}
        assert not isinstance(identify(evidence, Identities.of(others)), Match | Conflict)


@given(known=RACKS, evidence=EVIDENCE)
def test_a_conflict_names_two(known: dict[MachineName, SystemIdentity], evidence: Evidence) -> None:
    verdict = identify(evidence, Identities.of(known))
    assert not isinstance(verdict, Conflict) or len(set(verdict.names)) >= 2
