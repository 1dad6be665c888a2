"""What monitoring learns of a whole provisioning, and of packets; read by a reader that is not ours."""

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from appliance.metrics.history import KEPT, STEP
from appliance.metrics.model import exposition
from appliance.model.phase import Phase
from appliance.model.views import PowerAction
from appliance.services.meter import Meter, Surroundings
from appliance.store.records import HoldPlaced
from pxe.client import Mac, Stage
from pxe.dhcp.address import Hardware, packed
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Kind
from pxe.dhcp.flood import FloodAlarm
from pxe.dhcp.leases import Lease, LeaseState
from pxe.http.server import HttpEvent
from pxe.service import PxeEvent
from pxe.tftp.responder import Outcome
from pxe.tftp.server import TftpEvent
from pxe.tls import issue, make_authority
from tests.openmetrics import Read, read
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.virtual import run
from tests.unit.appliance.store.samples import NODE

MAC = Hardware(bytes(Mac("52:54:00:00:00:01")))
CLIENT = IPv4Address("10.77.0.51")
EVENTS: tuple[PxeEvent, ...] = (
    DhcpEvent(kind=Kind.OFFER, hardware=MAC, stage=Stage.FIRMWARE),
    DhcpEvent(kind=Kind.ACK, hardware=MAC, stage=Stage.FIRMWARE),
    DhcpEvent(kind=Kind.ACK, hardware=MAC, stage=Stage.IPXE),
    FloodAlarm(reason="packets of one machine", sender="x", refused=40),
    TftpEvent(client=CLIENT, name="snponly.efi", outcome=Outcome.FINISHED, sent=1000, retransmits=2),
    TftpEvent(client=CLIENT, name="../\n", outcome=Outcome.REFUSED),
    HttpEvent(client=CLIENT, method="GET", path="/\n", status=200, sent=500, total=500, seconds=0.1),
    HttpEvent(client=CLIENT, method="GET", path="/x", status=404, sent=9, total=9, seconds=0.1),
)


def meter(rack: FakeRack, net: Net, *leases: Lease) -> Meter:
    around = Surroundings(
        disks={"state": rack.folder, "images": rack.folder / "none"},
        certificates={"redfish": rack.folder / "server.crt"},
        leases=lambda: leases,
    )
    return Meter(rack.site.topology, net.memory, net.hands.clock, around)


def families(meter: Meter) -> dict[str, Read]:
    return read(exposition(meter.families()))


def test_a_provisioning_leaves_its_times(tmp_path: Path) -> None:
    async def scene() -> None:
        rack = FakeRack(tmp_path)
        net = Net(rack)
        measured = meter(rack, net)
        net.log.time_commits(measured.committed)
        await net.finish()
        found = families(measured)
        steps = found["innervate_step_duration_seconds"]
        assert steps.of("_count", step="write-image", result="done") == 1
        assert steps.of("_sum", step="boot-disk", result="done") > 0
        stays = found["innervate_node_time_in_state_seconds"]
        assert {dict(labels)["phase"] for _, labels in stays.samples} >= {"enrolling", "inspecting", "deploying"}
        history = net.memory.world.machine(NODE).phases
        began = dict(history)
        assert stays.of("_sum", phase="deploying") == began[Phase.BOOTING] - began[Phase.DEPLOYING]
        assert found["innervate_bmc_requests"].of("_total", proto="redfish", result="ok") >= 2
        assert found["innervate_records"].of("_total") == net.memory.world.last_seq
        assert found["innervate_event_lag_seconds"].of("_count") == net.memory.world.last_seq
        assert found["innervate_db_commit_seconds"].of("_count") > 0
        await rack.close()

    run(scene())


def test_what_failed_is_counted_apart(tmp_path: Path) -> None:
    async def scene() -> None:
        rack = FakeRack(tmp_path)
        net = Net(rack)
        measured = meter(rack, net)
        rack.first.bmc.deaf = True
        rack.first.bmc.on_command = lambda _command: None
        await net.application.power(NODE, PowerAction.ON)
        await net.ended()
        steps = families(measured)["innervate_step_duration_seconds"]
        assert steps.of("_count", step="set-power", result="failed") == 1
        await rack.close()

    run(scene())


def test_packets_files_and_pools(tmp_path: Path) -> None:
    async def scene() -> None:
        rack = FakeRack(tmp_path)
        net = Net(rack)
        now, first = net.hands.clock.now(), rack.site.topology.boot_network.first
        leases = (
            Lease(packed(first), MAC, LeaseState.BOUND, now + 60),
            Lease(packed(first + 1), MAC, LeaseState.DECLINED, now + 60),
            Lease(packed(first + 2), MAC, LeaseState.BOUND, now - 60),
        )
        measured = meter(rack, net, *leases)
        threads = [threading.Thread(target=lambda: list(map(measured.observe, EVENTS))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        made = make_authority(name="x", now=datetime.fromtimestamp(now, UTC))
        (tmp_path / "server.crt").write_bytes(
            issue(made, addresses=(CLIENT,), names=(), now=datetime.fromtimestamp(now, UTC)).certificate
        )
        found = families(measured)
        assert found["innervate_dhcp_packets"].of("_total", type="ack") == 8
        assert found["innervate_dhcp_dropped"].of("_total", reason="packets of one machine") == 160
        assert found["innervate_tftp_transfers"].of("_total", result="refused") == 4
        assert (found["innervate_tftp_retransmits"].of("_total"), found["innervate_tftp_sent_bytes"].of("_total")) == (
            8,
            4000,
        )
        assert found["innervate_http_responses"].of("_total", code="404") == 4
        assert found["innervate_http_sent_bytes"].of("_total") == 2036
        assert found["innervate_dhcp_leases"].of(state="bound") == 1
        network = rack.site.topology.boot_network
        size = int(network.last) - int(network.first) + 1
        assert found["innervate_dhcp_pool_free_ratio"].of(pool=str(network.network)) == 1 - 2 / size
        assert found["innervate_disk_free_bytes"].of(path="state") > 0
        assert {dict(labels)["path"] for _, labels in found["innervate_disk_free_bytes"].samples} == {"state"}
        assert found["innervate_cert_expiry_timestamp_seconds"].of(name="redfish") > now
        await rack.close()

    run(scene())


def test_what_nobody_knows_is_not_there(tmp_path: Path) -> None:
    async def scene() -> None:
        rack = FakeRack(tmp_path)
        net = Net(rack)
        found = families(meter(rack, net))
        assert not {name for name in found if "tftp" in name or "http" in name or "bmc" in name or "cert" in name}
        await rack.close()

    run(scene())


def test_the_application_says_how_machines_stand(tmp_path: Path) -> None:
    async def scene() -> None:
        rack = FakeRack(tmp_path, machines=3)
        net = Net(rack)
        await net.memory.remember(HoldPlaced(machine=NODE, reason="fan"))
        found = read(exposition(net.application.metrics()))
        assert (found["innervate_nodes"].of(state="held"), found["innervate_nodes"].of(state="unknown")) == (1, 2)
        assert found["innervate_nodes"].of(state="failed") == 0
        assert found["innervate_nodes_above_sla"].of(phase="deploying") == 0
        assert found["innervate_runs"].of(state="running") == 0
        assert found["innervate_resident_memory_bytes"].of() > 0
        await rack.close()

    run(scene())


def test_late_machines_are_counted_by_phase() -> None:
    from appliance.metrics.machines import machine_families
    from appliance.model.phase import Condition, ConditionKind
    from appliance.model.views import MachineView

    late = Condition(kind=ConditionKind.STUCK, since=1.0, reason="r")
    one = MachineView(name="a", phase=Phase.DEPLOYING, since=1.0, conditions=(late,))
    found = read(exposition(machine_families((one, replace(one, name="b", phase=Phase.BOOTING, conditions=())))))
    assert found["innervate_nodes_above_sla"].of(phase="deploying") == 1
    assert found["innervate_nodes_above_sla"].of(phase="booting") == 0
    assert "active" not in {dict(labels)["phase"] for _, labels in found["innervate_nodes_above_sla"].samples}


def test_the_last_hours_are_sampled_and_no_more(tmp_path: Path) -> None:
    async def scene() -> None:
        rack = FakeRack(tmp_path)
        net = Net(rack)
        clock, network = net.hands.clock, rack.site.topology.boot_network
        sent = [0]
        around = Surroundings(
            disks={},
            certificates={},
            leases=lambda: (Lease(packed(network.first), MAC, LeaseState.BOUND, clock.now() + 60),),
            sent=lambda: sent[0],
        )
        measured = Meter(rack.site.topology, net.memory, clock, around)
        running = asyncio.create_task(measured.run())
        await clock.sleep(STEP / 2)
        sent[0] = 5000
        measured.observe(TftpEvent(client=CLIENT, name="snponly.efi", outcome=Outcome.FINISHED, sent=1000))
        await clock.sleep(STEP)
        first, second = measured.history().samples
        assert (first.http_bytes, first.tftp_bytes, first.used) == (0, 0, {str(network.network): 1})
        assert (second.http_bytes, second.tftp_bytes, second.time - first.time) == (5000, 1000, STEP)
        await clock.sleep(STEP * (KEPT + 10))
        samples = measured.history().samples
        assert len(samples) == KEPT
        assert samples[-1].time - samples[0].time == STEP * (KEPT - 1)
        running.cancel()
        await rack.close()

    run(scene())
