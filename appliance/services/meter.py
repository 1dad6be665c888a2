"""What monitoring learns: counted from what the boot services and the record log say, and looked up when asked.

Counts begin with the daemon. What no part of the appliance knows is not there.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import assert_never
from urllib.parse import urlsplit

from cryptography.x509 import load_pem_x509_certificate

from appliance.conductor.memory import Memory
from appliance.metrics import catalogue
from appliance.metrics.history import STEP, History
from appliance.metrics.model import Family, by_label
from appliance.metrics.tally import Tally
from appliance.model.ids import MachineName, RunId, StepId
from appliance.model.network_views import HistoryView, SampleView
from appliance.model.orders import ForgetOrder
from appliance.model.phase import Phase
from appliance.ports import Clock
from appliance.services.networks import used
from appliance.store.records import Entry, OrderAnswered, OrderSent, RunEnded, StepIntent, StepResult
from appliance.topology import Rack
from pxe.boot import Mode
from pxe.dhcp.alarm import PoolAlarm
from pxe.dhcp.conflict import AddressInUse
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.flood import FloodAlarm
from pxe.dhcp.leases import Lease, LeaseState
from pxe.dhcp.proxy_server import ProxyEvent
from pxe.dhcp.rivals import RivalGone, RivalSeen, Stands
from pxe.dhcp.watch import ProxyIgnored
from pxe.http.server import HttpEvent
from pxe.ladder import ChainChanged
from pxe.routes import ScriptEvent
from pxe.service import PxeEvent
from pxe.tftp.server import TftpEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is looked at when asked. A file that is not there has no metric."""

    disks: Mapping[str, Path]
    certificates: Mapping[str, Path]
    leases: Callable[[], Sequence[Lease]]
    sent: Callable[[], int] = int
    """HTTP bytes so far, transfers under way included."""


class Meter:
    def __init__(self, rack: Rack, memory: Memory, clock: Clock, surroundings: Surroundings) -> None:
        self.tally = Tally()
        self._rack, self._memory, self._clock, self._around = rack, memory, clock, surroundings
        self._stands = {name: _stand(memory, name) for name in rack.machines}
        self._begun: dict[tuple[RunId, StepId], float] = {}
        self._sent: dict[tuple[RunId, StepId, int], tuple[float, str]] = {}
        self._protocols = {server.name: _protocol(server.bmc.url) for server in rack.servers}
        self._history, self._tftp_bytes = History(), 0
        memory.on_entries(self._follow)

    # from the services' threads ------------------------------------------------------------------------------

    def observe(self, event: PxeEvent) -> None:
        add = self.tally.add
        match event:
            case DhcpEvent() | ProxyEvent():
                add(catalogue.DHCP_PACKETS, event.kind.value)
            case FloodAlarm():
                add(catalogue.DHCP_DROPPED, event.reason, by=event.refused)
            case TftpEvent():
                add(catalogue.TFTP, event.outcome.value)
                add(catalogue.TFTP_AGAIN, by=event.retransmits)
                add(catalogue.TFTP_BYTES, by=event.sent)
                self._tftp_bytes += event.sent  # by the thread of the TFTP server alone
            case HttpEvent():
                add(catalogue.HTTP, str(event.status))
                add(catalogue.HTTP_BYTES, by=event.sent)
            case ScriptEvent():
                add(catalogue.SCRIPTS)
            case Stands() | RivalSeen() | RivalGone() | PoolAlarm() | AddressInUse() | ChainChanged() | ProxyIgnored():
                return
            case _:
                assert_never(event)

    def committed(self, seconds: float) -> None:
        """From the record log's thread."""
        self.tally.observe(catalogue.COMMIT, seconds)

    # on the loop ---------------------------------------------------------------------------------------------

    def families(self) -> tuple[Family, ...]:
        records = Family(metric=catalogue.RECORDS, samples={(): self._memory.world.last_seq})
        return (*self.tally.families(), records, *self._disks(), *self._certificates(), *self._leases())

    def history(self) -> HistoryView:
        return self._history.view()

    def sample(self) -> None:
        now = self._clock.now()
        taken = used(self._rack, self._around.leases(), now)
        sample = SampleView(time=now, http_bytes=self._around.sent(), tftp_bytes=self._tftp_bytes, used=taken)
        self._history.put(sample)

    async def run(self) -> None:
        """Samples for ever."""
        while True:
            self.sample()
            await self._clock.sleep(STEP)

    def _follow(self, entries: Sequence[Entry]) -> None:
        """After they were folded."""
        now = self._clock.now()
        for entry in entries:
            self.tally.observe(catalogue.LAG, now - entry.time)
            self._take(entry)
            for name in self._memory.world.concerns(entry.record):
                self._walk(name)

    def _take(self, entry: Entry) -> None:
        match entry.record:
            case StepIntent() as intent:
                self._begun[intent.run, intent.step] = entry.time
            case StepResult() as result if (began := self._begun.pop((result.run, result.step), None)) is not None:
                self._step(result, entry.time - began)
            case OrderSent(order=order) as sent if not isinstance(order, ForgetOrder):
                protocol = self._protocols.get(sent.machine, "")
                self._sent[sent.run, sent.step, sent.number] = entry.time, protocol
            case OrderAnswered() as answered:
                self._answered(answered, entry.time)
            case RunEnded(run=run):
                self._begun = {key: at for key, at in self._begun.items() if key[0] != run}
                self._sent = {key: sent for key, sent in self._sent.items() if key[0] != run}
            case _:
                return

    def _step(self, result: StepResult, seconds: float) -> None:
        action = self._memory.world.runs[result.run].index.by_id[result.step].do.action
        again = "retried" if result.retry_after is not None else "failed"
        self.tally.observe(catalogue.STEPS, seconds, action, "done" if result.problem is None else again)

    def _answered(self, answered: OrderAnswered, now: float) -> None:
        if (sent := self._sent.pop((answered.run, answered.step, answered.number), None)) is None:
            return
        at, protocol = sent
        said = "ok" if answered.problem is None else "lost" if answered.lost else "refused"
        self.tally.add(catalogue.BMC, protocol, said)
        self.tally.observe(catalogue.BMC_TIME, now - at, protocol)

    def _walk(self, name: MachineName) -> None:
        """What the machine went through since it was last looked at."""
        history = self._memory.world.machine(name).phases
        before = self._stands.get(name)
        known = history.index(before) + 1 if before in history else 0
        for phase, since in history[known:]:
            if before is not None and before[1]:
                self.tally.observe(catalogue.STAYS, since - before[1], before[0].value)
            before = phase, since
        if before is not None:
            self._stands[name] = before

    def _disks(self) -> Iterator[Family]:
        free = {name: shutil.disk_usage(path).free for name, path in self._around.disks.items() if path.exists()}
        yield by_label(catalogue.DISK_FREE, free)

    def _certificates(self) -> Iterator[Family]:
        ends = {name: _end(path) for name, path in self._around.certificates.items() if path.exists()}
        yield by_label(catalogue.EXPIRY, ends)

    def _leases(self) -> Iterator[Family]:
        if self._rack.boot_network.mode is not Mode.FULL:
            return
        now = self._clock.now()
        living = [lease for lease in self._around.leases() if lease.expires > now]
        states = Counter(lease.state for lease in living)
        yield by_label(catalogue.DHCP_LEASES, {state.value: states[state] for state in LeaseState})
        taken = [IPv4Address(lease.address) for lease in living if lease.state is not LeaseState.RELEASED]
        pools = {str(pool): _free(first, last, taken) for pool, first, last in self._pools()}
        yield by_label(catalogue.POOL_FREE, pools)

    def _pools(self) -> Iterator[tuple[IPv4Network, IPv4Address, IPv4Address]]:
        here = self._rack.boot_network
        yield here.network, here.first, here.last
        yield from ((relayed.network, relayed.first, relayed.last) for relayed in here.relayed)


def _stand(memory: Memory, name: MachineName) -> tuple[Phase, float]:
    state = memory.world.machine(name)
    return state.phase, state.since


def _protocol(url: str) -> str:
    return "ipmi" if urlsplit(url).scheme == "ipmi" else "redfish"


def _free(first: IPv4Address, last: IPv4Address, taken: Sequence[IPv4Address]) -> float:
    size = int(last) - int(first) + 1
    return 1 - sum(first <= address <= last for address in taken) / size


def _end(certificate: Path) -> float:
    return load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()
