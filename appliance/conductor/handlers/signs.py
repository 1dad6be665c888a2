"""What a machine has shown since it was started, in words: what it waits for, and where to look. Pure."""

from appliance.conductor.machine import MachineState
from appliance.store.records import BootStage, Problem

_DHCP, _TFTP, _SCRIPT, _RIVAL = (
    stage.value for stage in (BootStage.DHCP, BootStage.TFTP, BootStage.SCRIPT, BootStage.RIVAL)
)
_SYSTEM = frozenset({BootStage.SYSTEM.value, BootStage.LEASE.value})


def next_sign(state: MachineState) -> str:
    """What a machine that network boots has to show next."""
    if state.hello is not None:
        return "the agent said hello; waiting for its next poll"
    if _SCRIPT in state.stages:
        return "boot script served; waiting for the agent's hello from the ramdisk"
    return firmware_sign(state)


def firmware_sign(state: MachineState) -> str:
    if _TFTP in state.stages:
        return "iPXE fetched; waiting for it to ask for its boot script"
    if _DHCP in state.stages:
        return "address given; waiting for the firmware to fetch iPXE"
    if _RIVAL in state.stages:
        return "it took the address of another DHCP server; waiting for it to ask again"
    return "powered on; waiting for the firmware's first DHCP packet"


def silence(state: MachineState) -> Problem:
    """The verdict when no agent came: what was seen last tells where to look."""
    return Problem(
        code="agent-silent",
        message=_what_it_did(state) or "the machine was started but its agent never said hello",
        evidence=f"seen since power-on: {signs(state)}",
        next_action=where_to_look(state),
    )


def signs(state: MachineState) -> str:
    return ", ".join(f"{stage} ({_took(state)})" if stage == _RIVAL else stage for stage in state.stages) or "nothing"


def where_to_look(state: MachineState) -> str:
    if _SCRIPT in state.stages:
        return "read the machine's serial console: the kernel or the ramdisk stops there"
    if _RIVAL in state.stages:
        return "stop that server: innervate doctor shows its hardware address; then plan again"
    if _DHCP in state.stages:
        return "check that TFTP and HTTP reach the machine (firewall, MTU), then read its console"
    if _started_its_disk(state):
        return "put the network before the disk in the firmware's boot order: the BMC's boot once was not obeyed"
    return "check the network cable, the switch port (spanning tree, VLAN) and that PXE is on in the firmware"


def _what_it_did(state: MachineState) -> str:
    """Instead of booting from here; "" for nothing that was seen."""
    if _SCRIPT in state.stages:
        return ""
    if _RIVAL in state.stages:
        return "the machine took its address from another DHCP server, which does not boot it"
    return (
        "the machine started the system on its disk, not the one from the network" if _started_its_disk(state) else ""
    )


def _started_its_disk(state: MachineState) -> bool:
    return _DHCP not in state.stages and not _SYSTEM.isdisjoint(state.stages)


def _took(state: MachineState) -> str:
    return next((proof.detail for proof in reversed(state.evidence) if proof.what == _RIVAL), "")
