"""Which machines a person wants to see. Pure; the one place that knows how a filter is written."""

from collections.abc import Sequence

from appliance.model.views import MachineView


def chosen(machines: Sequence[MachineView], text: str) -> tuple[MachineView, ...]:
    """Those whose name holds `text`, whatever the case; all of them for an empty one."""
    wanted = text.strip().lower()
    return tuple(machine for machine in machines if wanted in machine.name.lower())
