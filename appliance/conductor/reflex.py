"""What is noticed of a machine that is not as it should be, and what is done about it. Pure, and of the present alone:
a reaction changes what it was a reaction to, so that it comes once."""

from dataclasses import dataclass
from typing import assert_never

from appliance.conductor.machine import MachineState
from appliance.model.phase import Phase
from appliance.model.reflex import Policy, Reflexes, Stray
from appliance.model.views import Errand
from appliance.store.records import MachineStrayed

_RETURNS = 4
_RETURNS_SECONDS = 1200.0
_INSTALLING = frozenset({Phase.ENROLLING, Phase.DEPLOYING, Phase.BOOTING, Phase.CONFIGURING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    errand: Errand
    why: str


Reaction = Hold | Run


def notice(state: MachineState, now: float) -> MachineStrayed | None:
    """What nobody has put into words yet."""
    if state.phase is not Phase.ACTIVE or state.strayed is not None or state.installed is None:
        return None
    lately = [at for at in state.returns if now - at < _RETURNS_SECONDS]
    if len(lately) >= _RETURNS:
        text = f"it came back to the boot server {len(lately)} times in {(now - lately[0]) / 60:.0f} minutes"
        return MachineStrayed(machine=state.name, stray=Stray.RETURNS, text=text)
    disk = state.installed.disk
    if disk is None or state.facts is None or not state.facts_current:
        return None
    if any((one.serial, one.wwn) == (disk.serial, disk.wwn) for one in state.facts.disks):
        return None
    text = f"the disk that it was installed on is gone: {disk.serial or disk.wwn}"
    return MachineStrayed(machine=state.name, stray=Stray.CHANGED, text=text)


def reaction(state: MachineState, reflexes: Reflexes) -> Reaction | None:
    """A held machine is a person's."""
    if state.hold is not None:
        return None
    if state.failed is not None and state.role and state.phase in _INSTALLING:
        return _by(reflexes.on_failure, state, f"its installation failed: {state.failed.reason}")
    if state.phase is not Phase.ACTIVE:
        return None
    if state.silent is not None:
        return _by(reflexes.on_silence, state, state.silent.reason)
    match state.stray:
        case None:
            return None
        case Stray.RETURNS:
            return _by(reflexes.on_return, state, state.strayed.reason if state.strayed else "")
        case Stray.CHANGED:
            return _by(reflexes.on_change, state, state.strayed.reason if state.strayed else "")
        case _:
            assert_never(state.stray)


def _by(policy: Policy, state: MachineState, why: str) -> Reaction | None:
    match policy:
        case Policy.TELL:
            return None
        case Policy.HOLD:
            return Hold(reason=why)
        case Policy.REPLACE:
            return Run(errand=Errand.REPLACE, why=why) if state.role else None
        case _:
            assert_never(policy)
