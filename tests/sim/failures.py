"""The faults behind the ten scenes of `tests/failures.py`."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from math import inf

from appliance.model.ids import MachineName
from appliance.services.application import Appliance
from appliance.sim.faults import Character, Injected, MachineFault, Rogue, Scenario, SiteFault
from appliance.sim.run import Wanted, watched
from tests.failures import Scene

_FINE = Character()
_FOR_EVER = 1e9
_WHILE_IT_IS_WRITTEN = 50.0
_PATIENCE = 4000.0


def _alone(character: Character) -> Scenario:
    return Scenario(characters={1: character})


FAULTS: Mapping[str, Scenario] = {
    "dead-bmc": _alone(Character(fault=MachineFault.BMC_SILENT, seconds=_FOR_EVER)),
    "no-dhcp": _alone(Character(fault=MachineFault.PXE_DEAD, seconds=_FOR_EVER)),
    "boot-order": _alone(Character(injected=Injected.NETWORK_ONLY)),
    "wrong-hash": _alone(Character(injected=Injected.DAMAGED_IMAGE)),
    "disk-full": Scenario(characters={1: _FINE}, faults=(SiteFault.DISK_FULL,), full=((_WHILE_IT_IS_WRITTEN, inf),)),
    "same-mac": Scenario(characters={1: _FINE, 2: Character(injected=Injected.SHARED_MAC)}),
    "rogue-dhcp": Scenario(characters={1: _FINE}, rogue=Rogue(server=IPv4Address("10.80.7.254"), begins=10.0)),
    "other-disk": _alone(Character(fault=MachineFault.DISK_SWAPPED)),
    "small-disk": _alone(Character(injected=Injected.SMALL_DISKS)),
    "no-link": _alone(Character(injected=Injected.NO_LINK)),
}


def wanted(scenario: Scenario) -> Wanted:
    return Wanted(machines=len(scenario.characters), seed=1, scenario=scenario)


def played(scenario: Scenario) -> Scene:
    """From one press of the button until the product shows a machine in trouble."""
    scene = watched(wanted(scenario), _seen, _PATIENCE)
    assert scene is not None, "nothing was ever shown"
    return scene


def _seen(application: Appliance, now: float) -> Scene | None:
    view = application.machines()
    name = next((MachineName(machine.name) for machine in view.machines if machine.conditions), None)
    if name is None:
        return None
    machine, explained = application.machine(name), application.explain(name)
    return Scene(now=now, machine=machine, explain=explained, segment=view.segment)
