"""The API and its client over a real Unix socket: what goes in at one end comes out at the other."""

import asyncio
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.client import HTTPResponse
from pathlib import Path

import pytest

from appliance.api.bodies import BODY_LIMIT
from appliance.api.fake import PROGRAM, FakeApplication, Served, served
from appliance.api.fake_findings import ROGUE_DHCP
from appliance.bmc.vault import factory_defaults
from appliance.client import Client
from appliance.errors import (
    ConflictError,
    InnervateError,
    MachineryError,
    NotFoundError,
    PlanError,
    RefusedError,
    ShellError,
    StaleError,
    UsageError,
)
from appliance.exchange import KINDS
from appliance.model.bmc import Health, SensorKind
from appliance.model.bmc_views import (
    BmcSearchRequest,
    BmcsView,
    BmcView,
    LoginState,
    SensorsView,
    SensorView,
    VaultEntryRequest,
    VaultEntryView,
    VaultScope,
)
from appliance.model.cluster_views import ClustersView, Membership
from appliance.model.codec import to_json
from appliance.model.doctor import Check, DoctorRequest, DoctorView, Finding, Verdict
from appliance.model.goal import EVERYTHING, Consent
from appliance.model.image_views import ArtifactView, HashState, ImageView
from appliance.model.network_views import (
    AddressState,
    HistoryView,
    LeaseView,
    NetworksView,
    NetworkView,
    RivalView,
    SampleView,
)
from appliance.model.phase import ConditionKind, Phase
from appliance.model.secret import Secret
from appliance.model.set_views import SetWork, WorkState
from appliance.model.site_views import SiteChangeView
from appliance.model.views import (
    DeferredView,
    Errand,
    EvidenceView,
    ExplainLine,
    ExplainView,
    GoalState,
    IdentityView,
    MachinesView,
    MachineView,
    PhaseView,
    PlanView,
    PowerAction,
    ProgressView,
    RoleView,
    RunState,
    RunSummaryView,
    RunView,
    SegmentView,
    ShellView,
    StepState,
    StepView,
)
from appliance.model.words import RETIREMENT, Destroys
from tests.pictures import png

NODE = MachineView(
    name="node-0",
    phase=Phase.DEPLOYING,
    since=1_800_000_000.5,
    serial="SN0001",
    uuid="00000077-0000-4000-8000-000000000001",
    address="10.77.0.50",
    progress=ProgressView(done=5, total=10, rate=2.5, eta=None),
    stages={"dhcp": 3.5, "tftp": None},
    phases=(PhaseView(phase=Phase.ENROLLING, since=1.0),),
    evidence=(EvidenceView(what="dhcp", time=2.0, detail="DISCOVER from 52:54:00:77:00:01"),),
)
STEP = StepView(
    id="write-node-0",
    machine="node-0",
    score="debian",
    summary="write debian-13 to DISK0001",
    kind="destructive",
    budget=600.0,
)
PLAN = PlanView(
    digest="a" * 64, site="lab", steps=(STEP,), deferred=(DeferredView(score="cluster", reason="needs facts"),)
)
BMC = BmcView(
    url="https://10.0.1.9",
    machine="node-0",
    make="Acme",
    mac="52:54:00:00:00:01",
    fingerprint="ab" * 32,
    login=LoginState.UNTRIED,
    must_change=True,
)
IMAGE = ImageView(
    name="debian-13",
    version="ab" * 32,
    size_bytes=7,
    sha256="ef" * 32,
    served=True,
    state=HashState.WHOLE,
    looked=5.0,
    machines=("node-0",),
    artifacts=(
        ArtifactView(
            name="blob.zst", sha256="ef" * 32, size_bytes=7, media_type="application/zstd", state=HashState.WHOLE
        ),
    ),
)
NETWORKS = NetworksView(
    networks=(NetworkView(network="10.77.0.0/24", mode="full", device="br0", address="10.77.0.1", size=9, used=3),),
    serves=False,
    troubles=(SegmentView(kind="pool", subject="10.77.0.0/24", text="full", since=1.0),),
    rivals=(RivalView(server="10.77.0.9", text="a second server", since=1.0, heard=2.0, here=True),),
)
LEASE = LeaseView(
    address="10.77.0.51",
    network="10.77.0.0/24",
    state=AddressState.BOUND,
    mac="52:54:00:00:00:01",
    machine="node-0",
    hostname="node-0",
    reserved=True,
    until=9.0,
)
OTHER = replace(PLAN, digest="b" * 64, deferred=())
WIPE = replace(
    OTHER,
    digest="c" * 64,
    purpose="wipe node-0",
    roles=(RoleView(machine="node-0", role="worker", spare=True, why="the site program names it"),),
    missing=("worker: 1 of 2 missing",),
)
PAIR = replace(
    OTHER,
    digest="d" * 64,
    steps=(STEP, replace(STEP, id="boot-node-0", needs=(STEP.id,)), replace(STEP, id="write-node-1", machine="node-1")),
)
WHY = ExplainView(
    machine="node-0",
    verdict="it waits for its first DHCP packet",
    lines=(ExplainLine(kind="step", text="boot-agent runs", since=3.0, evidence="power is on", next_action="wait"),),
)


@pytest.fixture
def application() -> FakeApplication:
    return FakeApplication(inventory={"node-0": NODE}, plans=[PLAN, OTHER])


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


@pytest.fixture
def server(application: FakeApplication, socket_path: Path) -> Iterator[Served]:
    with served(application, socket_path) as server:
        yield server


@pytest.fixture
def client(server: Served, socket_path: Path) -> Client:
    return Client(socket_path, timeout=10)


@pytest.fixture
def echo() -> Iterator[int]:
    """A TCP port on loopback that sends back what it gets, to one caller after the other."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(65536):
                    connection.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def shell(port: int) -> ShellView:
    return ShellView(
        machine="node-0",
        user="root",
        address="127.0.0.1",
        port=port,
        host_keys=("ssh-ed25519 AAAA",),
        identity_file="/key",
    )


def test_every_view_survives_the_way(application: FakeApplication, client: Client) -> None:
    application.shells["node-0"] = shell(22)
    assert client.health() == application.health()
    assert client.machines() == MachinesView(machines=(NODE,))
    assert client.machine("node-0") == NODE
    assert client.shell("node-0") == shell(22)


def test_plan_and_apply(client: Client) -> None:
    plan = client.make_plan()
    assert plan == PLAN
    assert client.plan(plan.digest) == PLAN
    run = client.apply(plan.digest)
    assert (run.state, run.plan, run.steps) == (RunState.RUNNING, PLAN.digest, (STEP,))
    ended = client.run(run.id)
    assert ended.state is RunState.DONE
    assert [step.state for step in ended.steps] == [StepState.DONE]


def test_a_goal_goes_on_and_asks(application: FakeApplication, client: Client) -> None:
    """`PLAN` puts something off; `OTHER` is what can be planned then, and destroys."""
    disks = Consent(destroys=Destroys.BLANK, disks=("SER1",))
    run = client.apply(client.make_plan().digest, disks)
    assert (run.goal, client.goal(run.goal).state) == ("goal-1", GoalState.WORKING)
    assert client.run(run.id).state is RunState.DONE
    goal = client.goal(run.goal)
    assert (goal.state, goal.plan, goal.consent, goal.by) == (GoalState.ASKING, OTHER.digest, disks, "local:root")
    assert client.goals().goals == (goal,)
    approved = client.apply(goal.plan)
    assert approved.goal == goal.id
    assert client.run(approved.id).state is RunState.DONE
    over = client.goal(goal.id)
    assert (over.state, over.runs) == (GoalState.REACHED, (run.id, approved.id))
    assert (client.goals().goals, client.goals(every=True).goals) == ((), (over,))


def test_a_goal_that_was_consented_to_needs_no_second_word(application: FakeApplication, client: Client) -> None:
    run = client.apply(client.make_plan().digest, EVERYTHING)
    client.run(run.id)
    (goal,) = client.goals().goals
    assert (goal.state, len(goal.runs)) == (GoalState.WORKING, 2)
    dropped = client.drop(goal.id)
    assert dropped.state is GoalState.CANCELLED
    with pytest.raises(ConflictError):
        client.drop(goal.id)
    with pytest.raises(NotFoundError):
        client.goal("x")


def test_the_site_program(application: FakeApplication, client: Client) -> None:
    change = SiteChangeView(change="added", machine="node-0", kind="destructive", summary="write é to DISK1")
    application.site_program = changed = replace(
        PROGRAM,
        changed=True,
        diff="+x",
        digest="d" * 64,
        reloadable=True,
        changes=(change,),
        machines_added=("node-9",),
    )
    assert client.site() == changed
    with pytest.raises(StaleError):
        client.reload_site("e" * 64)
    assert not client.reload_site("d" * 64).changed
    with pytest.raises(ConflictError):
        client.reload_site("d" * 64)


def test_a_stale_plan_is_a_conflict(client: Client) -> None:
    stale, _ = client.make_plan(), client.make_plan()
    with pytest.raises(ConflictError) as raised:
        client.apply(stale.digest)
    assert raised.value.evidence == f"digest {stale.digest[:12]}"
    assert raised.value.next_action == "plan again and read it"


def started(application: FakeApplication, client: Client) -> RunView:
    """Of two machines; the second one is held."""
    application.plans = [PAIR]
    application.inventory["node-1"] = replace(NODE, name="node-1")
    client.hold("node-1", "disk swap")
    return client.apply(client.make_plan().digest)


def states(run: RunView) -> dict[str, StepState]:
    return {step.id: step.state for step in run.steps}


def test_errand(application: FakeApplication, client: Client) -> None:
    application.errands[Errand.WIPE] = [WIPE]
    assert client.plan_errand("node-0", Errand.WIPE) == client.plan(WIPE.digest) == WIPE
    client.make_plan()
    assert client.apply(WIPE.digest).plan == WIPE.digest, "a plan of the site does not make it stale"
    with pytest.raises(NotFoundError):
        client.plan_errand("node-9", Errand.WIPE)
    with pytest.raises(PlanError):
        client.plan_errand("node-0", Errand.REPLACE)


def test_the_end_of_the_site(application: FakeApplication, client: Client) -> None:
    application.retirements = [replace(WIPE, digest="f" * 64, purpose=RETIREMENT)]
    plan = client.plan_retirement()
    assert plan == client.plan(plan.digest)
    assert client.apply(plan.digest).plan == plan.digest


def test_explain(application: FakeApplication, client: Client) -> None:
    application.explained["node-0"] = WHY
    assert client.explain("node-0") == WHY
    with pytest.raises(NotFoundError):
        client.explain("node-9")


def test_runs_are_listed_latest_first(application: FakeApplication, client: Client) -> None:
    assert client.runs().runs == ()
    run = started(application, client)
    power = client.power("node-0", PowerAction.ON)
    assert client.run(run.id).state is RunState.RUNNING
    client.pause(run.id, "smoke")
    latest, first = client.runs().runs
    assert latest.id == power.id
    assert first == RunSummaryView(
        id=run.id,
        plan=PAIR.digest,
        state=RunState.RUNNING,
        started=run.started,
        ended=None,
        paused="smoke",
        machines=2,
        settled=1,
        failed=0,
        by="local:root",
        paused_by="local:root",
    )


def test_a_paused_run_begins_nothing(application: FakeApplication, client: Client) -> None:
    run = started(application, client)
    assert client.pause(run.id, "smoke in row 3").paused == "smoke in row 3"
    assert client.pause(run.id, "again").paused == "smoke in row 3", "twice is as once"
    assert set(states(client.run(run.id)).values()) == {StepState.PENDING}
    assert client.resume(run.id).paused == client.resume(run.id).paused == ""
    assert states(client.run(run.id))["boot-node-0"] is StepState.DONE


def test_a_busy_machine_is_a_conflict(application: FakeApplication, client: Client) -> None:
    run = started(application, client)
    with pytest.raises(ConflictError, match=run.id):
        client.apply(client.make_plan().digest)
    client.cancel(run.id)
    assert client.apply(client.make_plan().digest).state is RunState.RUNNING


def test_a_cancelled_run_is_over(application: FakeApplication, client: Client) -> None:
    application.plans = [replace(PLAN, steps=(replace(STEP, state=StepState.RUNNING),))]
    run = client.apply(client.make_plan().digest)
    cancelled = client.cancel(run.id)
    assert (cancelled.state, states(cancelled)) == (RunState.CANCELLED, {STEP.id: StepState.CANCELLED})
    assert client.run(run.id) == cancelled
    for steer in (
        lambda: client.cancel(run.id),
        lambda: client.pause(run.id, "late"),
        lambda: client.resume(run.id),
        lambda: client.set_aside(run.id, "node-0", "late"),
        lambda: client.retry(run.id, "node-0"),
    ):
        with pytest.raises(ConflictError, match="over"):
            steer()


def test_a_machine_set_aside_holds_up_nobody(application: FakeApplication, client: Client) -> None:
    run = started(application, client)
    assert client.set_aside(run.id, "node-1", "its fan is loud").set_aside == {"node-1": "its fan is loud"}
    ended = client.run(run.id)
    assert (ended.state, states(ended)["write-node-1"]) == (RunState.FAILED, StepState.PENDING)
    assert client.runs().runs[0].failed == 1


def test_retry(application: FakeApplication, client: Client) -> None:
    application.broken = frozenset({STEP.id})
    run = started(application, client)
    assert states(client.run(run.id)) == {
        STEP.id: StepState.FAILED,
        "boot-node-0": StepState.PENDING,
        "write-node-1": StepState.PENDING,
    }
    application.broken = frozenset()
    client.set_aside(run.id, "node-1", "its fan is loud")
    client.retry(run.id, "node-0")
    assert client.retry(run.id, "node-1").set_aside == {}
    client.release("node-1")
    assert client.run(run.id).state is RunState.DONE


def test_a_run_is_steered_by_names_that_it_knows(application: FakeApplication, client: Client) -> None:
    run = started(application, client)
    for steer in (lambda: client.retry(run.id, "node-9"), lambda: client.cancel("run-9"), lambda: client.run("a/b")):
        with pytest.raises(NotFoundError):
            steer()
    with pytest.raises(UsageError, match="machine name"):
        client.set_aside(run.id, "Node 1", "typo")
    for reason in ("", " ", "x" * 1001):
        with pytest.raises(UsageError, match="reason"):
            client.pause(run.id, reason)
        with pytest.raises(UsageError, match="reason"):
            client.set_aside(run.id, "node-1", reason)
    assert client.runs().runs[0].paused == ""


def test_doctor(application: FakeApplication, client: Client) -> None:
    found = Finding(
        check=Check.LINK,
        verdict=Verdict.FAILURE,
        cause="the boot NIC eth1 has no link",
        evidence="carrier: none",
        next_action="plug in its cable",
        command="ethtool eth1",
    )
    application.doctor_desk.finds = (found,)
    assert client.doctor() == DoctorView()
    begun = client.start_doctor(DoctorRequest(patient=True))
    assert begun.running
    assert begun.waiting == tuple(Check)
    assert application.doctor_desk.asked[0].patient
    view = client.doctor(seen=begun.version, wait=5)
    assert (view.running, view.findings, view.waiting) == (False, (found,), ())
    for query in ("seen=x", "wait=31", "wait=-1", "more=1"):
        with pytest.raises(UsageError):
            client._tell("GET", f"/v1/doctor?{query}")


def test_a_finding_stands_in_the_way_of_a_plan(
    application: FakeApplication, client: Client, socket_path: Path, server: Served
) -> None:
    application.doctor_desk.finds = (ROGUE_DHCP,)
    digest = client.make_plan().digest
    with pytest.raises(RefusedError, match=ROGUE_DHCP.cause) as caught:
        client.apply(digest)
    assert '"despite": ["other-dhcp"]' in caught.value.next_action
    body = f'{{"digest": "{digest}", "despite": ["other-dhcp"]}}'.encode()
    for said, status in ((body.replace(b"other-dhcp", b"link"), 409), (body.replace(b"other-dhcp", b"all"), 422)):
        with raw(socket_path, request("POST", f"/v1/plans/{digest}/apply", said, JSON)) as response:
            assert response.status == status
    assert not application.runs().runs
    with raw(socket_path, request("POST", f"/v1/plans/{digest}/apply", body, JSON)) as response:
        assert response.status == 202


def test_bmcs(application: FakeApplication, client: Client) -> None:
    desk = application.bmc_desk
    desk.known["https://10.0.1.9"] = BMC
    assert client.search_bmcs(BmcSearchRequest(targets=("10.0.1.9",))) == BmcsView(searching=True, bmcs=(BMC,))
    assert client.bmcs() == BmcsView(searching=False, bmcs=(BMC,))
    assert client.rotate_bmc(BMC.url) == replace(BMC, login=LoginState.WORKS, must_change=False)
    assert client.forgive_bmc(BMC.url) == client.forget_bmc(BMC.url) == desk.known[BMC.url]
    assert desk.forgiven == [BMC.url]
    with pytest.raises(NotFoundError):
        client.rotate_bmc("https://10.0.1.10")


def test_vault(application: FakeApplication, client: Client) -> None:
    entry = VaultEntryRequest(scope=VaultScope.MAKE, value="Dell & Co", user="ops/1", password="pa ss", priority=3)
    view = client.add_to_vault(entry)
    assert view == client.vault()
    assert view.entries == (VaultEntryView(scope=VaultScope.MAKE, value="Dell & Co", user="ops/1", priority=3),)
    assert application.bmc_desk.kept[VaultScope.MAKE, "Dell & Co", "ops/1"].password == Secret("pa ss")
    assert len(client.add_factory_defaults().entries) == 1 + len(factory_defaults())
    assert view.entries[0] not in client.remove_from_vault(VaultScope.MAKE, "Dell & Co", "ops/1").entries
    with pytest.raises(UsageError, match="fits no BMC") as caught:
        client.add_to_vault(replace(entry, scope=VaultScope.SITE))
    assert "pa ss" not in f"{caught.value}{caught.value.evidence}"


def test_images_networks_and_addresses(application: FakeApplication, client: Client) -> None:
    stores = application.stores
    stores.shelf = [IMAGE, replace(IMAGE, version="cd" * 32, served=False)]
    stores.network = NETWORKS
    stores.addresses = [replace(LEASE, address=f"10.77.0.{number}") for number in range(5)]
    stores.past = HistoryView(step=10.0, samples=(SampleView(time=1.0, http_bytes=5, tftp_bytes=6, used={"n": 7}),))
    assert client.images().images == tuple(stores.shelf)
    assert client.image("debian-13") == IMAGE
    assert client.image("cd" * 32) == stores.shelf[1]
    with pytest.raises(NotFoundError):
        client.image("windows")
    assert client.networks() == NETWORKS
    assert client.history() == stores.past
    assert client.leases().leases == tuple(stores.addresses)
    assert client.leases("10.78.0.0/24").leases == client.leases(state=AddressState.DECLINED).leases == ()
    pages = list(client.lease_pages("10.77.0.0/24", AddressState.BOUND, size=2))
    assert [len(page.leases) for page in pages] == [2, 2, 1]
    assert [one for page in pages for one in page.leases] == stores.addresses


def test_clusters(application: FakeApplication, client: Client) -> None:
    prod = client.cluster("prod")
    assert client.clusters() == ClustersView(clusters=(prod,))
    assert [(node.name, node.state) for node in prod.nodes][2] == ("node-2", Membership.JOINING)
    application.cluster_desk.held["lab-2"] = replace(prod, name="lab-2")
    pages = list(client.cluster_pages(size=1))
    assert [one.name for page in pages for one in page.clusters] == ["lab-2", "prod"]
    for name in ("nobody", "x" * 40, "../prod"):
        with pytest.raises(NotFoundError):
            client.cluster(name)


def test_a_kubeconfig(application: FakeApplication, client: Client, socket_path: Path) -> None:
    """As curl gets it: a file for kubectl, which nobody on the way keeps."""
    assert client.kubeconfig("prod").reveal() == application.cluster_desk.configs["prod"]
    assert "Config" not in repr(client.kubeconfig("prod"))
    argv = ["curl", "-si", "--unix-socket", str(socket_path), "http://x/v1/clusters/prod/kubeconfig"]
    head, _, body = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.partition("\n\n")
    assert body == application.cluster_desk.configs["prod"]
    assert "cache-control: no-store" in head.lower()
    assert "etag" not in head.lower()
    application.cluster_desk.configs.clear()
    with pytest.raises(ConflictError):
        client.kubeconfig("prod")


def test_artifact_sets(application: FakeApplication, client: Client) -> None:
    held = client.sets()
    assert [one.provenance for one in held.sets] == ["rebuilt"]
    begun = client.import_set("k3s").job
    assert begun is not None
    assert (begun.work, begun.state) == (SetWork.IMPORT, WorkState.RUNNING)
    with pytest.raises(ConflictError):
        client.check_set(held.sets[0].name)
    assert client.sets().sets == held.sets, "it is under way"
    assert {one.name for one in client.sets().sets} == {held.sets[0].name, "k3s"}
    client.remove_set("k3s")
    with pytest.raises(NotFoundError):
        client.check_set("k3s-v1.33.4+k3s1-amd64")


def test_sensors(application: FakeApplication, client: Client) -> None:
    fan = SensorView(name="Fan 1", kind=SensorKind.FAN, reading=5400.5, unit="{rev}/min", health=Health.OK)
    view = SensorsView(machine="node-0", read=5.0, sensors=(fan, replace(fan, reading=None)))
    application.bmc_desk.measured["node-0"] = view
    assert client.sensors("node-0") == view
    with pytest.raises(NotFoundError):
        client.sensors("node-9")


def test_the_screen_is_a_picture_that_can_do_nothing(
    application: FakeApplication, client: Client, socket_path: Path
) -> None:
    application.bmc_desk.screens["node-0"] = png()
    assert client.screen("node-0") == png()
    with pytest.raises(NotFoundError) as caught:
        client.screen("node-1")
    assert caught.value.next_action
    with raw(socket_path, request("GET", "/v1/machines/node-0/screen")) as answer:
        assert answer.getheader("content-type") == "image/png"
        assert answer.getheader("x-content-type-options") == "nosniff"
        assert answer.getheader("content-security-policy") == "default-src 'none'; sandbox"
        assert answer.getheader("cache-control") == "no-store"


def test_power_and_hold(application: FakeApplication, client: Client) -> None:
    assert client.power("node-0", PowerAction.FORCE_OFF).state is RunState.RUNNING
    assert application.powered == [("node-0", PowerAction.FORCE_OFF)]
    (held,) = client.hold("node-0", "disk swap").conditions
    assert (held.kind, held.by) == (ConditionKind.HOLD, "local:root")
    assert client.release("node-0").conditions == ()
    assert (client.take_over(), application.took_over) == (client.machines(), True)


def test_confirm(application: FakeApplication, client: Client) -> None:
    shown = IdentityView(rung="L0", why="names and numbers", code="402913", code_until=0.0)
    application.inventory["node-0"] = replace(application.inventory["node-0"], identity=shown)
    with pytest.raises(ConflictError, match="another code"):
        client.confirm("node-0", "402914")
    confirmed = client.confirm("node-0", "402913").identity
    assert confirmed is not None
    assert (confirmed.rung, confirmed.why) == ("L3", "local:root compared the code")


def test_snapshot(application: FakeApplication, client: Client) -> None:
    client.hold("node-0", "fan")
    snapshot = client.snapshot()
    assert (snapshot.site, snapshot.file) == ("lab", "/var/lib/innervate/backup/records.db")
    assert snapshot.records == client.events().last
    application.fails = MachineryError("the record log cannot be copied", next_action="free disk space")
    with pytest.raises(MachineryError, match="cannot be copied"):
        client.snapshot()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_every_error_survives_the_way(kind: type[InnervateError], application: FakeApplication, client: Client) -> None:
    application.fails = kind("it broke", evidence="a \x1b[31mcable\n", next_action="plug it in")
    with pytest.raises(InnervateError) as raised:
        client.machines()
    assert type(raised.value) is kind
    assert str(raised.value) == "it broke"
    assert raised.value.evidence == "a \x1b[31mcable\n"
    assert raised.value.next_action == "plug it in"


def test_an_unexpected_error_is_logged_and_tells_nothing(
    application: FakeApplication, socket_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    application.fails = ValueError("the password is hunter2")
    with served(application, socket_path):
        with pytest.raises(MachineryError, match="failed unexpectedly") as raised:
            Client(socket_path).health()
        assert "hunter2" not in str(raised.value) + raised.value.evidence
    assert "hunter2" in caplog.text


def test_unknown_and_impossible_names(client: Client) -> None:
    with pytest.raises(NotFoundError):
        client.machine("node-9")
    with pytest.raises(UsageError):
        client.machine("Node 0")
    with pytest.raises(UsageError):
        client.plan("not-a-digest")
    with pytest.raises(NotFoundError):
        client.run("run-9")


def test_events_wait_until_there_is_one(application: FakeApplication, server: Served, client: Client) -> None:
    answers = []
    waiter = threading.Thread(target=lambda: answers.append(client.events(after=0, machine="node-0", wait=30)))
    waiter.start()
    server.do(asyncio.wait_for(application.waiting.wait(), 10))
    server.do(application.tell("node-1", "not the one"))
    server.do(application.tell("node-0", "link up", nic="eth0"))
    waiter.join(10)
    assert [(e.seq, e.text, e.fields) for e in answers[0].events] == [(2, "link up", {"nic": "eth0"})]
    assert answers[0].last == 2


def test_events_are_paged(application: FakeApplication, server: Served, client: Client) -> None:
    for number in range(5):
        server.do(application.tell("node-0", f"event {number}"))
    first = client.events(limit=3)
    assert [event.seq for event in first.events] == [1, 2, 3]
    assert [event.seq for event in client.events(after=first.last).events] == [4, 5]
    assert client.events(after=5).events == ()


def test_the_latest_events_come_first(application: FakeApplication, server: Served, client: Client) -> None:
    for text in ("a", "b", "c", "d"):
        server.do(application.tell("node-0" if text < "c" else "node-1", text))
    latest = client.latest_events(limit=3)
    assert ([event.text for event in latest.events], latest.last) == (["d", "c", "b"], 4)
    rest = client.latest_events(before=latest.events[-1].seq)
    assert [event.text for event in rest.events] == ["a"]
    assert [event.text for event in client.latest_events(machine="node-0", limit=1).events] == ["b"]
    assert client.latest_events(kind="run-ended").events == ()


def test_two_clients_at_once(application: FakeApplication, server: Served, client: Client, socket_path: Path) -> None:
    waiter = threading.Thread(target=lambda: client.events(after=0, wait=30))
    waiter.start()
    server.do(asyncio.wait_for(application.waiting.wait(), 10))
    assert Client(socket_path, timeout=10).health().ready
    assert waiter.is_alive()
    server.do(application.tell("node-0", "done"))
    waiter.join(10)
    assert not waiter.is_alive()


@contextmanager
def raw(path: Path, request: bytes) -> Iterator[HTTPResponse]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        with suppress(BrokenPipeError):  # the server may answer, and close, before it has read all
            connection.sendall(request)
        with HTTPResponse(connection) as response:
            response.begin()
            yield response


def request(method: str, target: str, body: bytes = b"", *headers: str) -> bytes:
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


def frames(response: HTTPResponse, count: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    while len(found) < count:
        lines = []
        while line := response.readline().decode().rstrip("\r\n"):
            lines.append(line)
        found.append(dict(line.split(": ", 1) for line in lines))
    return found


@pytest.mark.parametrize(
    ("query", "header", "expected"),
    [("", (), ["1", "2", "3"]), ("?after=1", (), ["2", "3"]), ("?after=1", ("Last-Event-ID: 2",), ["3"])],
)
def test_stream_replays(
    application: FakeApplication,
    server: Served,
    socket_path: Path,
    query: str,
    header: tuple[str, ...],
    expected: list[str],
) -> None:
    server.do(application.tell("node-0", "one"))
    server.do(application.tell("node-0", "two\nlines"))
    with raw(socket_path, request("GET", f"/v1/events/stream{query}", b"", *header)) as response:
        assert response.getheader("content-type", "").startswith("text/event-stream")
        server.do(application.tell("node-0", "three"))
        found = frames(response, len(expected))
    assert [frame["id"] for frame in found] == expected
    assert json.loads(found[-1]["data"])["text"] == "three"


def test_stream_of_one_kind(application: FakeApplication, server: Served, socket_path: Path) -> None:
    server.do(application.tell("node-0", "one"))
    server.do(application.tell("node-0", "two", kind="run-ended"))
    with raw(socket_path, request("GET", "/v1/events/stream?kind=run-*")) as response:
        assert [json.loads(frame["data"])["text"] for frame in frames(response, 1)] == ["two"]
    with raw(socket_path, request("GET", "/v1/events/stream?kind=nothing")) as response:
        assert response.status == 422


def test_stream_of_an_unknown_machine_is_a_problem(server: Served, socket_path: Path) -> None:
    with raw(socket_path, request("GET", "/v1/events/stream?machine=node-9")) as response:
        assert response.status == 404


JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (request("GET", "/v1/nothing"), 404, "not-found"),
        (request("PATCH", "/v1/machines"), 405, "usage"),
        (request("GET", "/v1/events?after=-1"), 422, "usage"),
        (request("GET", "/v1/events?afther=1"), 422, "usage"),
        (request("GET", "/v1/events?wait=31"), 422, "usage"),
        (request("GET", "/v1/events?wait=nan"), 422, "usage"),
        (request("POST", "/v1/machines/node-0/power", b'{"action":"explode"}', JSON), 422, "usage"),
        (request("POST", "/v1/machines/node-0/power", b'{"action":"on","now":true}', JSON), 422, "usage"),
        (request("POST", "/v1/machines/node-0/power", b"{", JSON), 422, "usage"),
        (request("POST", "/v1/machines/node-0/power", b"[" * 100_000, JSON), 400, "usage"),
        (request("PUT", "/v1/machines/node-0/hold", b'{"reason":"' + b"x" * BODY_LIMIT + b'"}', JSON), 413, "usage"),
        (request("POST", f"/v1/plans/{'a' * 64}/apply", b'{"digest":"%s"}' % (b"b" * 64), JSON), 422, "usage"),
        (request("POST", "/v1/machines/node-0/plans", b'{"errand":"explode"}', JSON), 422, "usage"),
        (request("POST", "/v1/machines/node-0/plans", b'{"errand":"wipe","erase":true}', JSON), 422, "usage"),
        (request("POST", "/v1/machines/Node_0/plans", b'{"errand":"wipe"}', JSON), 422, "usage"),
        (request("POST", "/v1/runs/run-1/pause"), 422, "usage"),
        (request("GET", "/v1/events?order=newest&wait=3"), 422, "usage"),
        (request("GET", "/v1/events?before=3"), 422, "usage"),
        (request("POST", "/v1/runs/run-1/pause", b'{"reason":"x","until":1}', JSON), 422, "usage"),
        (request("POST", "/v1/runs/run-1/set-aside", b'{"machine":"node-0"}', JSON), 422, "usage"),
        (request("POST", "/v1/runs/run-1/retry", b'{"machine":"../node-0"}', JSON), 422, "usage"),
        (request("POST", "/v1/runs/run-1/resume"), 404, "not-found"),
        (request("GET", f"/v1/runs/{'r' * 65}"), 422, "usage"),
    ],
)
def test_refusals_are_problems(server: Served, socket_path: Path, sent: bytes, status: int, code: str) -> None:
    with raw(socket_path, sent) as response:
        document = json.loads(response.read())
    assert response.status == status
    assert response.getheader("content-type") == "application/problem+json"
    assert (document["status"], document["code"], document["type"]) == (status, code, f"/docs/errors/{code}")
    assert document["detail"]


def test_accepted_work_has_a_location(
    application: FakeApplication, client: Client, server: Served, socket_path: Path
) -> None:
    application.errands[Errand.WIPE] = [WIPE]
    with raw(socket_path, request("POST", "/v1/machines/node-0/plans", b'{"errand":"wipe"}', JSON)) as response:
        assert (response.status, response.getheader("location")) == (201, f"/v1/plans/{WIPE.digest}")
        assert response.read() == to_json(WIPE)
    with raw(socket_path, request("POST", "/v1/plans")) as response:
        assert (response.status, response.getheader("location")) == (201, f"/v1/plans/{'a' * 64}")
    with raw(socket_path, request("POST", f"/v1/plans/{'a' * 64}/apply", b'{"digest":"%s"}' % (b"a" * 64), JSON)) as r:
        assert (r.status, r.getheader("location")) == (202, "/v1/runs/run-1")


def test_the_bytes_are_the_codecs(client: Client, socket_path: Path) -> None:
    with raw(socket_path, request("GET", "/v1/machines/node-0")) as response:
        assert response.read() == to_json(NODE)


def send_all(send: Callable[[bytes], None], data: bytes) -> None:
    for at in range(0, len(data), 65536):
        send(data[at : at + 65536])


def test_tunnel_carries_bytes_both_ways(application: FakeApplication, client: Client, echo: int) -> None:
    application.shells["node-0"] = shell(echo)
    sent = bytes(range(256)) * 4096
    with client.tunnel("node-0") as channel:
        sender = threading.Thread(target=send_all, args=(channel.send, sent))
        sender.start()
        received = b""
        while len(received) < len(sent):
            message = channel.recv(timeout=10)
            assert isinstance(message, bytes)
            received += message
        sender.join(10)
    assert received == sent


def test_tunnel_closes_when_the_machine_hangs_up(application: FakeApplication, client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        application.shells["node-0"] = shell(listener.getsockname()[1])
        with client.tunnel("node-0") as channel:
            machine, _ = listener.accept()
            machine.sendall(b"SSH-2.0-bye\r\n")
            machine.close()
            assert b"".join(part for part in channel if isinstance(part, bytes)) == b"SSH-2.0-bye\r\n"


def test_machine_sees_the_caller_leave(application: FakeApplication, client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        application.shells["node-0"] = shell(listener.getsockname()[1])
        with client.tunnel("node-0"):
            machine, _ = listener.accept()
        with machine:
            machine.settimeout(10)
            assert machine.recv(1) == b""


def test_tunnel_refusals_are_problems(application: FakeApplication, client: Client) -> None:
    with pytest.raises(NotFoundError), client.tunnel("node-9"):
        pass
    with socket.create_server(("127.0.0.1", 0)) as listener:
        application.shells["node-0"] = shell(listener.getsockname()[1])
    with pytest.raises(ShellError, match="does not accept") as raised, client.tunnel("node-0"):
        pass
    assert "127.0.0.1" in raised.value.evidence


def test_socket_is_private_and_goes_away(application: FakeApplication, socket_path: Path) -> None:
    with served(application, socket_path):
        assert socket_path.stat().st_mode & 0o777 == 0o600
    assert not socket_path.exists()
