"""Who boots what: the table of intents, and identities that two machines claim."""

from dataclasses import replace
from uuid import UUID

import pytest

from appliance.boot import Ramdisk, Snapshot, intent_for
from appliance.conductor.machine import MachineState
from appliance.inventory.identity import Identities
from appliance.model.bmc import PowerState, SystemIdentity
from appliance.model.hardware import Firmware
from appliance.model.ids import MachineName, Nonce
from appliance.model.phase import Phase
from appliance.store.records import HelloSeen
from pxe.boot import BootIntent, LocalDisk, RunKernel, Wait
from pxe.client import Client, Mac, Stage

A, B = MachineName("node-0"), MachineName("node-1")
MAC_A, MAC_B, MAC_C = (Mac(f"52:54:00:77:00:0{i}") for i in (1, 2, 3))
UUID_A, UUID_B = UUID(int=0xA), UUID(int=0xB)
PLACEHOLDER = UUID("03000200-0400-0500-0006-000700080009")
RAMDISK = Ramdisk(kernel="/k", initrd="/i", server_url="http://10.77.0.1", arguments=("console=ttyS0",))
RUN_A = RunKernel(
    kernel="/k",
    initrd="/i",
    arguments=("innervate.server=http://10.77.0.1", "innervate.nonce=na", "console=ttyS0"),
    attempt="na",
)


def state(name: MachineName, uuid: UUID | None, *macs: Mac, nonce: str = "") -> MachineState:
    identity = SystemIdentity(
        path="/1", uuid=uuid, serial=name, manufacturer="", product="", macs=macs, power=PowerState.ON
    )
    return MachineState(name=name, identity=identity, boot_nonce=Nonce(nonce) if nonce else None)


def taken(states: tuple[MachineState, ...], stated: dict[MachineName, Mac]) -> Snapshot:
    """Where the machines came one after the other, it is the same as of all at once."""
    known = Identities.of({one.name: one.identity for one in states if one.identity is not None})
    whole = Snapshot.of(states, known, stated, RAMDISK)
    grown = Snapshot.of((), Identities(), stated, RAMDISK)
    for one in states:
        grown = grown.after([replace(one, boot_nonce=Nonce("old"))], known, RAMDISK).after([one], known, RAMDISK)
    assert grown == whole
    return whole


ONE = state(A, UUID_A, MAC_A, nonce="na")
TWO = state(B, UUID_B, MAC_B)


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (ONE, RUN_A),
        (replace(ONE, boots_disk=True), LocalDisk()),
        (TWO, Wait(reason="node-1 is waiting for an approved plan", seconds=15)),
        (replace(TWO, boots_disk=True), LocalDisk()),
    ],
)
def test_intents(machine: MachineState, expected: BootIntent) -> None:
    assert intent_for(machine, RAMDISK) == expected


STRANGER, CLAIMED, WAITS = "not named in the site program", "two machines claim", "waiting for an approved plan"
TOO_EARLY = "this may be node-1, whose BMC has not been read yet"
UNREAD = MachineState(name=B)


@pytest.mark.parametrize(
    ("states", "stated", "mac", "uuid", "expected"),
    [
        ((ONE, TWO), {}, MAC_A, UUID_A, RUN_A),
        ((ONE, TWO), {}, MAC_A, None, RUN_A),
        ((ONE, TWO), {}, MAC_C, UUID_A, RUN_A),
        ((ONE, TWO), {}, MAC_A, UUID(int=9), RUN_A),
        ((ONE, TWO), {}, MAC_B, UUID_B, WAITS),
        ((ONE, TWO), {}, MAC_C, None, STRANGER),
        ((ONE, TWO), {}, MAC_C, UUID(int=9), STRANGER),
        ((ONE, TWO), {}, MAC_A, UUID_B, CLAIMED),
        ((ONE, state(B, UUID_B, MAC_A)), {}, MAC_A, None, CLAIMED),
        ((ONE, state(B, UUID_B, MAC_A)), {}, MAC_A, UUID_A, CLAIMED),
        ((ONE, state(B, UUID_B, MAC_A, MAC_B)), {}, MAC_B, None, WAITS),
        ((ONE, state(B, UUID_A, MAC_B)), {}, MAC_C, UUID_A, CLAIMED),
        ((ONE, state(B, UUID_A, MAC_B)), {}, MAC_A, UUID_A, CLAIMED),
        ((ONE, TWO), {A: MAC_C}, MAC_C, None, RUN_A),
        ((ONE, TWO), {A: MAC_A}, MAC_A, None, RUN_A),
        ((ONE, TWO), {B: MAC_A}, MAC_A, None, CLAIMED),
        ((MachineState(name=A, boot_nonce=Nonce("na")),), {A: MAC_A}, MAC_A, UUID_A, RUN_A),
        ((MachineState(name=A),), {}, MAC_A, UUID_A, STRANGER),
        ((ONE, UNREAD), {}, MAC_C, UUID_A, TOO_EARLY),
        ((ONE, UNREAD), {}, MAC_A, UUID_A, RUN_A),
        ((ONE, UNREAD), {}, MAC_C, UUID_B, STRANGER),
        ((ONE, UNREAD), {B: MAC_B}, MAC_C, UUID_A, RUN_A),
        ((ONE, replace(UNREAD, phase=Phase.RETIRED)), {}, MAC_C, UUID_A, RUN_A),
        ((state(A, UUID_A, nonce="na"), UNREAD), {}, MAC_C, UUID_A, RUN_A),
        ((state(A, PLACEHOLDER, MAC_A, nonce="na"), state(B, PLACEHOLDER, MAC_B)), {}, MAC_A, PLACEHOLDER, RUN_A),
        ((state(A, PLACEHOLDER, MAC_A), state(B, PLACEHOLDER, MAC_B)), {}, MAC_C, PLACEHOLDER, STRANGER),
    ],
)
def test_who_asks(
    states: tuple[MachineState, ...],
    stated: dict[MachineName, Mac],
    mac: Mac,
    uuid: UUID | None,
    expected: RunKernel | str,
) -> None:
    found = taken(states, stated).intent_for(Client(mac=mac, stage=Stage.IPXE, uuid=uuid))
    if isinstance(expected, str):
        assert isinstance(found, Wait)
        assert expected in found.reason
    else:
        assert found == expected


def hello(nonce: str) -> HelloSeen:
    return HelloSeen(machine=A, nonce=Nonce(nonce), boot_id="b", firmware=Firmware.UEFI, detail="")


@pytest.mark.parametrize(
    ("machine", "agents", "seeds"),
    [
        (MachineState(name=A), set(), set()),
        (ONE, {"na"}, set()),
        (replace(ONE, hello=hello("older")), {"na", "older"}, set()),
        (replace(ONE, hello=hello("na")), {"na"}, set()),
        (replace(ONE, seed_nonce=Nonce("s")), {"na"}, {"s"}),
    ],
)
def test_who_may_speak(machine: MachineState, agents: set[str], seeds: set[str]) -> None:
    found = taken((machine, TWO), {})
    assert (set(found.agents), set(found.seeds)) == (agents, seeds)
    assert set(found.agents.values()) | set(found.seeds.values()) <= {A}
