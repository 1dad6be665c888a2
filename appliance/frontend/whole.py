"""Whole lists, read page by page: no answer grows with the rack."""

from typing import TYPE_CHECKING

from appliance.model.views import MachinesView, RunsView

if TYPE_CHECKING:
    from appliance.client import Client


def all_machines(client: "Client", wanted: str = "") -> MachinesView:
    """`last` is of the first page, which is the oldest: who follows from there misses nothing."""
    pages = tuple(client.machine_pages(wanted))
    machines = tuple(machine for page in pages for machine in page.machines)
    return MachinesView(machines=machines, segment=pages[-1].segment, last=pages[0].last)


def all_runs(client: "Client") -> RunsView:
    return RunsView(runs=tuple(run for page in client.run_pages() for run in page.runs))
