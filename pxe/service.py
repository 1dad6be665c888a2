"""The boot services of one segment: DHCP, TFTP, HTTP and DNS, wired to one boot policy.

DHCP  gives addresses and names the network boot program, or only the latter beside another server (pxe.boot.answer)
TFTP  hands it out, and iPXE's first script       (pxe.routes.with_scripts)
HTTP  hands out boot scripts and artefacts        (pxe.routes.BootRoutes)
DNS   knows the rack's names
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol, TypeVar, assert_never

from pxe.boot import NBP_NAMES, BootAnswer, BootPolicy, Chain, Endpoints, Mode, answer
from pxe.client import Client, Mac
from pxe.content import ContentTable
from pxe.dhcp.address import Hardware, packed
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Kind
from pxe.dhcp.guards import ALONE, Guards
from pxe.dhcp.leases import Lease
from pxe.dhcp.proxy_server import ProxyEvent, ProxyObserved, ProxyServer
from pxe.dhcp.rivals import Active, Standing
from pxe.dhcp.server import DhcpServer, Observed
from pxe.dhcp.subnet import DhcpConfig
from pxe.dns.forward import Forwarding
from pxe.dns.responder import Zone, ZoneRecord
from pxe.dns.server import DnsServer
from pxe.errors import ConfigError
from pxe.http.server import TLS_PORT, HttpEvent, HttpServer, Tls
from pxe.ladder import ChainChanged, Ladder
from pxe.ports import Clock
from pxe.routes import Application, BootRoutes, ScriptEvent, with_scripts
from pxe.tftp.responder import Outcome
from pxe.tftp.server import SameForAll, TftpEvent, TftpServer
from pxe.tls import Credential, server_context

log = logging.getLogger(__name__)

PxeEvent = Observed | ProxyObserved | TftpEvent | HttpEvent | ScriptEvent | ChainChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """Boot HTTP over TLS as well; at most one credential of each kind of key."""

    credentials: tuple[Credential, ...]
    port: int = TLS_PORT

    def __post_init__(self) -> None:
        server_context(self.credentials)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """`programs` are the network boot programs under the names of `pxe.boot.PROGRAM_NAMES`, one of NBP_NAMES at least.

    `dhcp` and `journal` are what full mode needs; of `guards`, proxy mode takes the `limits` alone.

    `chains` states what machines are known to run, and `chain` what all others do; else it is found out (`pxe.ladder`).
    `forwarding`: whom the DNS server asks for names that are not ours; None for nobody.
    """

    device: str
    endpoints: Endpoints
    zone: Zone
    programs: ContentTable
    mode: Mode = Mode.FULL
    dhcp: DhcpConfig | None = None
    journal: Path | None = None
    guards: Guards = ALONE
    forwarding: Forwarding | None = None
    tls: TlsConfig | None = None
    chains: Mapping[Mac, Chain] = field(default_factory=dict)
    chain: Chain | None = None

    def __post_init__(self) -> None:
        if self.mode is Mode.FULL:
            self.full()
        networks = [] if self.dhcp is None else [subnet.network for subnet in self.dhcp.local]
        if networks and not any(self.endpoints.address in network for network in networks):
            raise ConfigError(
                "machines of the segment could not reach the boot server",
                evidence=f"{self.endpoints.address}, {', '.join(map(str, networks))}",
                next_action="serve from an address of the segment",
            )
        if not NBP_NAMES & set(self.programs):
            raise ConfigError(
                "no network boot program to hand out",
                evidence=", ".join(self.programs),
                next_action="provide at least one of " + ", ".join(sorted(NBP_NAMES)),
            )

    def full(self) -> tuple[DhcpConfig, Path]:
        """What a server that gives out addresses needs. ConfigError without it."""
        if self.dhcp is None or self.journal is None:
            raise ConfigError(
                "full DHCP without subnets or a journal of leases",
                evidence=f"mode {self.mode.value}",
                next_action="give both, or use proxy mode",
            )
        return self.dhcp, self.journal


class _Server(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


_S = TypeVar("_S", bound=_Server)


class BootServices:
    """`observe` is called from several threads, one per server, and must be quick. Start once, stop once."""

    def __init__(
        self,
        *,
        config: ServiceConfig,
        policy: BootPolicy,
        artifacts: ContentTable,
        application: Application,
        observe: Callable[[PxeEvent], None],
        clock: Clock,
    ) -> None:
        self._config = config
        self._clock = clock
        self._observe = observe
        self._zone, self._names = config.zone, tuple[ZoneRecord, ...]()
        self._programs = with_scripts(config.programs, config.endpoints)
        self._routes = BootRoutes(
            endpoints=config.endpoints,
            programs=self._programs,
            artifacts=artifacts,
            policy=policy,
            application=application,
            observe=self._notice,
        )
        self._ladder = Ladder(stated=config.chains, default=config.chain, available=config.programs, report=observe)
        self._dns: DnsServer | None = None
        self._http: HttpServer | None = None
        self._dhcp: DhcpServer | None = None
        self._proxy: ProxyServer | None = None
        self._running: list[_Server] = []

    def start(self) -> None:
        """All or nothing. DHCP comes last, so that no machine is sent to a port that does not answer yet.

        ServiceError names the port that cannot be had and what to do.
        """
        for missing in sorted(NBP_NAMES - set(self._config.programs)):
            log.warning("network boot program missing: machines that need it will not boot name=%s", missing)
        try:
            self._dns = self._run(self._dns_server())
            self._run(self._tftp_server())
            self._http = self._run(self._http_server())
            self._start_dhcp()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Transfers under way break off; a lease that was acknowledged is on disk. May be called twice."""
        self._dns = self._http = self._dhcp = self._proxy = None
        while self._running:
            self._running.pop().stop()

    def set_artifacts(self, artifacts: ContentTable) -> None:
        """From any thread; downloads under way end with what they began."""
        self._routes.artifacts = artifacts

    def set_zone(self, zone: Zone) -> None:
        """From any thread: the next query sees the new zone whole, with the names that were set beside it."""
        self._zone = zone
        if self._dns is not None:
            self._dns.set_zone(self._whole_zone)

    def set_names(self, names: tuple[ZoneRecord, ...]) -> None:
        """From any thread: records beside those of the zone, whatever zone is set."""
        self._names = names
        self.set_zone(self._zone)

    @property
    def _whole_zone(self) -> Zone:
        return replace(self._zone, records=(*self._zone.records, *self._names))

    def set_dhcp(self, dhcp: DhcpConfig) -> None:
        """From any thread: leases stay, answers follow the new subnets. ServiceError when our own address changes."""
        self._config = replace(self._config, dhcp=dhcp)
        if self._dhcp is not None:
            self._dhcp.reconfigure(dhcp)

    def settle(self) -> Standing:
        """See `DhcpServer.settle`; beside another server, in proxy mode, there is nothing to settle."""
        return Active() if self._dhcp is None else self._dhcp.settle()

    def take_over(self) -> None:
        """See `DhcpServer.take_over`."""
        if self._dhcp is not None:
            self._dhcp.take_over()

    def forget_lease(self, mac: Mac) -> None:
        """See `DhcpServer.forget`; beside another server there is nothing to forget."""
        if self._dhcp is not None:
            self._dhcp.forget(Hardware(bytes(mac)))

    def leases(self) -> tuple[Lease, ...]:
        return () if self._dhcp is None else self._dhcp.leases()

    def sent_bytes(self, client: IPv4Address) -> int:
        """HTTP body bytes that this address took since the start, downloads under way included."""
        return 0 if self._http is None else self._http.sent_bytes(client)

    def sent_in_all(self) -> int:
        """The same of all addresses together."""
        return 0 if self._http is None else self._http.sent_in_all()

    def _notice(self, event: Observed | ProxyObserved | TftpEvent | HttpEvent | ScriptEvent) -> None:
        if isinstance(event, DhcpEvent | TftpEvent | HttpEvent | ScriptEvent):
            self._ladder.observe(event)
        if self._proxy is not None:
            self._follow(self._proxy, event)
        self._observe(event)

    def _follow(
        self, proxy: ProxyServer, event: Observed | ProxyObserved | TftpEvent | HttpEvent | ScriptEvent
    ) -> None:
        """Beside another server we see no leases, but what machines ask for and fetch."""
        match event:
            case ProxyEvent():
                self._ladder.observe(_as_granted(event))
            case TftpEvent(outcome=Outcome.FINISHED) | HttpEvent(method="GET", status=HTTPStatus.OK):
                proxy.fetched(event.client)
            case _:
                return

    def _run(self, server: _S) -> _S:
        self._running.append(server)
        server.start()
        return server

    def _dns_server(self) -> DnsServer:
        address, forwarding = self._config.endpoints.address, self._config.forwarding
        return DnsServer(address=address, zone=self._whole_zone, clock=self._clock, forwarding=forwarding)

    def _tftp_server(self) -> TftpServer:
        return TftpServer(
            address=self._config.endpoints.address,
            lookup=SameForAll(self._programs),
            clock=self._clock,
            observe=self._notice,
        )

    def _http_server(self) -> HttpServer:
        tls = self._config.tls
        return HttpServer(
            address=self._config.endpoints.address,
            port=self._config.endpoints.http_port,
            routes=self._routes,
            clock=self._clock,
            observe=self._notice,
            tls=None if tls is None else Tls(context=server_context(tls.credentials), port=tls.port),
        )

    def _start_dhcp(self) -> None:
        match self._config.mode:
            case Mode.FULL:
                self._dhcp = self._run(self._dhcp_server())
            case Mode.PROXY:
                self._proxy = self._run(self._proxy_server())
            case _ as never:
                assert_never(never)

    def _dhcp_server(self) -> DhcpServer:
        dhcp, journal = self._config.full()
        return DhcpServer(
            device=self._config.device,
            config=dhcp,
            endpoints=self._config.endpoints,
            journal=journal,
            clock=self._clock,
            observe=self._notice,
            guards=self._config.guards,
            chain_of=self._ladder.chain_of,
        )

    def _proxy_server(self) -> ProxyServer:
        return ProxyServer(
            device=self._config.device,
            server=self._config.endpoints.address,
            answer=self._answer,
            clock=self._clock,
            observe=self._notice,
            limits=self._config.guards.limits,
        )

    def _answer(self, client: Client) -> BootAnswer | None:
        return answer(client, self._config.endpoints, self._ladder.chain_of(Hardware(bytes(client.mac))))


def _as_granted(event: ProxyEvent) -> DhcpEvent:
    """What the ladder would hear if we gave out the addresses: it learns which machine has which one from an ACK."""
    return DhcpEvent(
        kind=Kind.ACK,
        hardware=Hardware(bytes(event.mac)),
        stage=event.stage,
        arch=event.arch,
        given=None if event.address is None else packed(event.address),
    )
