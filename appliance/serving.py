"""The daemon's part that serves clusters: what the site program states beside the boot services."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.api.common import Clusters
from appliance.api.port import Sets
from appliance.backup.state import CONTENT
from appliance.conductor.hands import Hands, Waiting
from appliance.conductor.memory import Memory
from appliance.config import Settings
from appliance.doctor.facts import Kept, Service
from appliance.errors import MachineryError
from appliance.model.cluster import ClusterName
from appliance.registry.secrets import kept_secrets
from appliance.registry.service import RegistryFiles, RegistryService
from appliance.registry.shelf import SetShelf
from appliance.registry.trust import keys_of
from appliance.services.app_looks import AppLooks
from appliance.services.balancer import BalancerDesk
from appliance.services.balancer_watch import BalancerWatch
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_looks import ClusterLooks
from appliance.services.cluster_views import ClusterViews, NoClusters
from appliance.services.clustering import Ground, clustering
from appliance.services.library import artifact_path
from appliance.services.names import NamesDesk
from appliance.services.okd import OkdSite
from appliance.services.okd_asks import SiteAsks
from appliance.services.okd_given import OkdGiven
from appliance.services.okd_keys import OkdKeys
from appliance.services.okd_programs import OkdPrograms
from appliance.services.segment import endpoints_of
from appliance.services.sets import NoRegistry, SetDesk
from appliance.services.shells import SshShells
from appliance.steady import balancing, timing
from appliance.store.cluster_backups import BACKUPS, BackupShelf
from appliance.store.secrets import SecretFile
from appliance.supervision.host import HostChildren
from appliance.supervision.keeper import Keeper
from appliance.switch.cli import SwitchCli
from appliance.system import SystemClock, SystemRng
from appliance.topology import ClusterRack, Rack
from images.processes import HostProcesses
from pxe.dns.responder import ZoneRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the appliance keeps of its clusters, and what it saw of them last."""

    memory: Memory
    keys: ClusterKeys
    looks: ClusterLooks
    apps: AppLooks[ClusterName]
    shelf: BackupShelf
    balancer: BalancerWatch | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterServices:
    """`held` are the sets, where there is a registry for them. `keepers` of the programs that run for them; `kept` are
    the artifact sets, for the doctor."""

    sets: Sets
    held: SetDesk | None = None
    keepers: tuple[Keeper, ...] = ()
    kept: Callable[[], tuple[Kept, ...]] = tuple
    balancer: BalancerDesk | None = None
    """None where the control planes have it."""
    watched: Watched | None = None
    made: OkdKeys | None = None

    @property
    def given(self) -> OkdGiven | None:
        """What machines of OKD clusters boot with."""
        return OkdGiven(self.made, SystemClock()) if self.made is not None else None

    def clusters(self, waiting: Waiting | None = None) -> Clusters:
        """As people see them; `waiting` for what each machine waits for."""
        if (one := self.watched) is None:
            return NoClusters()
        waits = (waiting or Waiting()).of
        return ClusterViews(
            one.memory,
            one.keys,
            one.looks,
            SystemClock(),
            shelf=one.shelf,
            apps=one.apps,
            balancer=one.balancer,
            waiting=waits,
        )

    def services(self) -> tuple[Service, ...]:
        """For the doctor."""
        balancers = self.balancer.keepers if self.balancer is not None else ()
        return tuple(
            Service(
                name=keeper.name,
                running_since=keeper.standing.running_since,
                ends=keeper.standing.ends,
                last=keeper.standing.last,
            )
            for keeper in (*self.keepers, *balancers)
        )


def serve_clusters(
    settings: Settings, site: str, rack: Rack, memory: Memory, closing: AsyncExitStack
) -> ClusterServices:
    """Raises `MachineryError` where what they have to keep cannot be kept."""
    timekeepers = timing(settings, rack)
    if not isinstance(rack, ClusterRack):
        _keep(timekeepers, closing)
        return ClusterServices(sets=NoRegistry(), keepers=timekeepers)
    registry = _registry(settings, site, rack, closing)
    keepers = (*timekeepers, *registry.keepers(HostChildren()))
    _keep(keepers, closing)
    desk = SetDesk(
        registry,
        SetShelf(settings.state_dir / CONTENT / "sets"),
        folder=settings.sets_dir,
        memory=memory,
        processes=HostProcesses(),
        clock=SystemClock(),
        trusted=keys_of(rack.registry.trusted_keys),
    )
    closing.push_async_callback(desk.close)
    closing.callback(asyncio.create_task(desk.run(), name="artifact sets").cancel)
    balancer = balancing(settings, rack, closing)
    watched = _watched(settings, memory, balancer, closing)
    return ClusterServices(
        sets=desk,
        held=desk,
        keepers=keepers,
        kept=desk.kept,
        balancer=balancer,
        watched=watched,
        made=_made(settings, closing),
    )


def with_clusters(
    settings: Settings,
    rack: Rack,
    hands: Hands,
    services: ClusterServices,
    lend: Callable[[Mapping[str, Path]], None],
    offer: Callable[[tuple[ZoneRecord, ...]], None],
    closing: AsyncExitStack,
) -> Hands:
    """Hands that can make clusters, too, where the site has what they are made from. `offer` gives the name service
    names beside those of machines."""
    if services.held is None or services.watched is None or services.made is None:
        return hands
    okd = OkdSite(
        made=services.made,
        programs=OkdPrograms(HostProcesses(), settings.state_dir / CONTENT / "okd"),
        names=NamesDesk(settings.state_dir / "names.json", offer),
        asks=SiteAsks(rack.boot_network.address),
    )
    ground = Ground(
        memory=hands.memory,
        sets=services.held,
        lend=lend,
        shells=SshShells(settings.key),
        files=endpoints_of(rack.boot_network).url(artifact_path("")),
        user=rack.shell.user,
        domain=rack.domain,
        balancer=services.balancer,
        backups=services.watched.shelf,
        okd=okd,
        switches={one.name: one for one in rack.switches} if isinstance(rack, ClusterRack) else {},
        switch_shells=SwitchCli(settings.key),
        clock=SystemClock(),
        rng=SystemRng(),
    )
    made = clustering(ground, services.watched.keys, services.watched.looks, services.watched.apps)
    closing.callback(asyncio.create_task(made.stand_by(), name="clusters").cancel)
    return replace(hands, clusters=made.desk)


def _watched(settings: Settings, memory: Memory, balancer: BalancerDesk | None, closing: AsyncExitStack) -> Watched:
    """Raises `MachineryError` where the clusters' keys cannot be read."""
    secrets = SecretFile(settings.state_dir / "clusters.vault", SystemRng())
    closing.callback(secrets.close)
    watch = BalancerWatch(balancer, SystemClock()) if balancer is not None else None
    if watch is not None:
        closing.callback(asyncio.create_task(watch.run(), name="balancer's backends").cancel)
    keys, shelf = ClusterKeys(secrets), BackupShelf(settings.state_dir / BACKUPS)
    looks, apps = ClusterLooks(), AppLooks[ClusterName]()
    return Watched(memory=memory, keys=keys, looks=looks, apps=apps, shelf=shelf, balancer=watch)


def _made(settings: Settings, closing: AsyncExitStack) -> OkdKeys:
    """Raises `MachineryError` where it cannot be read."""
    secrets = SecretFile(settings.state_dir / "okd.vault", SystemRng())
    closing.callback(secrets.close)
    return OkdKeys(secrets)


def _registry(settings: Settings, site: str, rack: ClusterRack, closing: AsyncExitStack) -> RegistryService:
    file = SecretFile(settings.state_dir / "registry.vault", SystemRng())
    closing.callback(file.close)
    service = RegistryService(
        RegistryFiles(folder=settings.state_dir / CONTENT / "registry"),
        kept_secrets(file, site, SystemClock(), SystemRng()),
        address=rack.boot_network.address,
        port=rack.registry.port,
        writing_port=rack.registry.writing_port,
        clock=SystemClock(),
        rng=SystemRng(),
    )
    try:
        service.lay_out()
    except OSError as error:
        raise MachineryError(
            "the container registry's files cannot be written",
            evidence=str(error)[:200],
            next_action="check the disk and its permissions",
        ) from error
    return service


def _keep(keepers: tuple[Keeper, ...], closing: AsyncExitStack) -> None:
    works = [asyncio.create_task(keeper.run(), name=keeper.name) for keeper in keepers]

    async def end() -> None:
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    closing.push_async_callback(end)
