"""Artifact sets as text for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from appliance.cli.show import columns, console
from appliance.frontend import units
from appliance.model.set_views import SetJobView, SetsView, SetView, WorkState
from appliance.model.text import clean

__all__ = ["console", "job_line", "sets"]

_LINE, _NAME = 1000, 128


def sets(view: SetsView) -> RenderableType:
    table = columns("set", "provenance", "files", "images", "size", "")
    for one in view.sets:
        table.add_row(
            Text(clean(one.name, _NAME)),
            Text(clean(one.provenance, 20)),
            Text(str(one.files)),
            Text(str(one.images)),
            Text(units.size(one.size_bytes)),
            Text(_state(one), style="bold red" if one.gaps else ""),
        )
    lines = [Text(f"registry {clean(view.registry, 60)}; imports from {clean(view.folder, 300) or 'no folder'}")]
    lines += [Text(f"  {clean(one.name, _NAME)}: {clean(gap, 400)}") for one in view.sets for gap in one.gaps]
    if view.job is not None:
        style = "bold red" if view.job.state is WorkState.FAILED else ""
        lines.append(Text(job_line(view.job), style=style))
    return Group(table, *lines) if view.sets else Group(Text("no sets"), *lines)


def job_line(job: SetJobView) -> str:
    head = f"{job.work.value} of {clean(job.subject, _NAME)}: {job.state.value}"
    match job.state:
        case WorkState.FAILED if job.fault is not None:
            return f"{head}: {clean(job.fault.message, _LINE)}"
        case WorkState.RUNNING if job.total_bytes:
            done, total = units.size(job.done_bytes), units.size(job.total_bytes)
            return f"{head}: {clean(job.doing, 60)}, {done} of {total}"
        case WorkState.RUNNING if job.doing:
            return f"{head}: {clean(job.doing, 60)}"
        case _:
            return head


def _state(one: SetView) -> str:
    if one.looked is None:
        return "not looked at yet"
    return f"not complete: {len(one.gaps)} parts" if one.gaps else f"complete, {units.moment(one.looked)}"
