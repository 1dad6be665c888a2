"""The appliance's slots as text for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from appliance.cli.show import columns, console
from appliance.model.text import clean
from appliance.model.upgrade_views import ApplianceView, SlotView, Stage

__all__ = ["appliance", "begun", "console"]

_LINE = 1000


def appliance(view: ApplianceView) -> RenderableType:
    table = columns("slot", "version", "build", "")
    for slot in view.slots:
        table.add_row(
            Text(slot.slot), Text(clean(slot.version, 32) or "-"), Text(clean(slot.build, 12) or "-"), Text(_role(slot))
        )
    style = "bold red" if view.stage is Stage.FAILED else ""
    lines = [Text(f"{view.stage.value}{': ' if view.text else ''}{clean(view.text, _LINE)}", style=style)]
    if view.outcome:
        lines.append(Text(f"last trial: {clean(view.outcome, _LINE)}"))
    return Group(table, *lines)


def begun(view: ApplianceView) -> RenderableType:
    said = Text("The appliance writes, keeps its state, and restarts by itself; see: innervate appliance status")
    return Group(appliance(view), said)


def _role(slot: SlotView) -> str:
    match slot.running, slot.good:
        case True, True:
            return "runs"
        case True, False:
            return "runs, on trial"
        case False, True:
            return "is started next, unless the trial ends well"
        case _:
            return ""
