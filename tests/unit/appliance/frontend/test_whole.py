"""Lists longer than a page."""

from pathlib import Path

from appliance.api.fake import FakeApplication, served
from appliance.client import Client
from appliance.frontend.whole import all_machines, all_runs
from appliance.model.phase import Phase
from appliance.model.views import MachineView, PlanView, SegmentView

NOW = 1_800_000_000.0


def test_all_pages(tmp_path: Path) -> None:
    names = [f"node-{number}" for number in range(250)]
    trouble = SegmentView(kind="rival-server", subject="", text="a server answers here too", since=NOW)
    application = FakeApplication(
        inventory={name: MachineView(name=name, phase=Phase.ACTIVE, since=NOW) for name in names},
        segment=[trouble],
        plans=[PlanView(digest=f"{number:064}", site="lab", steps=(), deferred=()) for number in range(120)],
    )
    with served(application, tmp_path / "api.sock") as server:
        client = Client(tmp_path / "api.sock")
        server.do(application.tell("node-0", "something happened"))
        view = all_machines(client)
        assert [machine.name for machine in view.machines] == names
        assert (view.segment, view.last, view.next) == ((trouble,), 1, "")
        assert [machine.name for machine in all_machines(client, "name:node-24*").machines] == [
            "node-24",
            *(f"node-24{digit}" for digit in range(10)),
        ]
        assert all_runs(client).runs == ()
        for _ in range(120):
            client.apply(client.make_plan().digest)
        assert [run.id for run in all_runs(client).runs] == [f"run-{number}" for number in range(120, 0, -1)]
