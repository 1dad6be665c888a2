"""What each machine shall boot, and whose word counts: a snapshot of the world for the boot services' threads.

The snapshot is rebuilt whenever the world changed, then swapped in one assignment: the services read it without a
lock, and answering a packet changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar
from uuid import UUID

from appliance.conductor.installing import Installing
from appliance.conductor.machine import MachineState
from appliance.install.answers import kernel_words
from appliance.inventory.bogus import real_uuid
from appliance.inventory.identity import Identities
from appliance.model.bmc import SystemIdentity
from appliance.model.identity import Standing
from appliance.model.ids import MachineName, Nonce
from appliance.model.phase import Phase
from pxe.boot import BootIntent, LocalDisk, RunKernel, Wait
from pxe.client import Client, Mac

K = TypeVar("K")

_UNKNOWN = Wait(reason="this machine is not named in the site program", seconds=30)
_DISPUTED = Wait(reason="two machines claim this identity, see innervate status", seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramdisk:
    """Paths on the boot HTTP server; `arguments` are common to all machines."""

    kernel: str
    initrd: str
    server_url: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """An installer that may speak for a machine. Only while its step is `at_work` it is told anything or let at a
    disk."""

    machine: MachineName
    installing: Installing
    at_work: bool


def intent_for(state: MachineState, ramdisk: Ramdisk) -> BootIntent:
    """A machine that was told to run from its disk does so until a step asks for the agent again."""
    if state.phase is Phase.RETIRED:
        return Wait(reason=f"{state.name} was taken out of service", seconds=300)
    if state.boots_disk:
        return LocalDisk()
    if state.boot_nonce is None:
        return Wait(reason=f"{state.name} is waiting for an approved plan", seconds=15)
    if state.installer is not None:
        return _installer(state, state.installer, ramdisk)
    words = (f"innervate.server={ramdisk.server_url}", f"innervate.nonce={state.boot_nonce}", *_expected(state))
    return RunKernel(
        kernel=ramdisk.kernel,
        initrd=ramdisk.initrd,
        arguments=(*words, *ramdisk.arguments),
        attempt=state.boot_nonce,
    )


def _installer(state: MachineState, installer: Installing, ramdisk: Ramdisk) -> BootIntent:
    """A machine that restarts after its step has ended, for better or worse, does not install again."""
    if not _is_at_work(state, installer):
        return Wait(reason=f"{state.name} was being installed, and that has ended; see innervate status", seconds=30)
    told = installer.do.installer
    return RunKernel(
        kernel=f"/artifact/{told.kernel_sha256}",
        initrd=f"/artifact/{told.initrd_sha256}",
        arguments=(*kernel_words(installer.do, installer.nonce, ramdisk.server_url), *ramdisk.arguments),
        attempt=installer.nonce,
    )


def _is_at_work(state: MachineState, installer: Installing) -> bool:
    return state.attempt is not None and state.attempt.nonce == installer.nonce and not installer.failed


def _expected(state: MachineState) -> tuple[str, ...]:
    """So that the agent looks for a drive that comes up late."""
    expected = state.placed is not None and state.bound is None
    return ("innervate.token=drive",) if expected else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`agents` and `seeds` say which machine may speak with which nonce. None as a name: two machines claim it.

    `stated` are the MACs that the site program states; BMCs tell the others. `greeted`: whose hello is on record.
    `unread`: machines of which nothing is known yet, so that a UUID may turn out to be theirs as well.
    """

    stated: Mapping[MachineName, Mac] = field(default_factory=dict)
    by_mac: Mapping[Mac, MachineName | None] = field(default_factory=dict)
    by_uuid: Mapping[UUID, MachineName | None] = field(default_factory=dict)
    intents: Mapping[MachineName, BootIntent] = field(default_factory=dict)
    identities: Mapping[MachineName, SystemIdentity] = field(default_factory=dict)
    known: Identities = field(default_factory=Identities)
    agents: Mapping[Nonce, MachineName] = field(default_factory=dict)
    seeds: Mapping[Nonce, MachineName] = field(default_factory=dict)
    nonces: Mapping[MachineName, frozenset[Nonce]] = field(default_factory=dict)
    guests: Mapping[Nonce, Guest] = field(default_factory=dict)
    greeted: Mapping[MachineName, Nonce] = field(default_factory=dict)
    standings: Mapping[MachineName, Standing] = field(default_factory=dict)
    unread: frozenset[MachineName] = frozenset()

    @classmethod
    def of(
        cls,
        states: Iterable[MachineState],
        known: Identities,
        stated: Mapping[MachineName, Mac],
        ramdisk: Ramdisk,
    ) -> "Snapshot":
        empty = cls(stated=MappingProxyType(dict(stated)), by_mac=_index((mac, name) for name, mac in stated.items()))
        return empty.after(states, known, ramdisk)

    def after(self, changed: Iterable[MachineState], known: Identities, ramdisk: Ramdisk) -> "Snapshot":
        """The next snapshot, when these machines are not as they were."""
        states = tuple(changed)
        identities = {**self.identities, **{s.name: s.identity for s in states if s.identity is not None}}
        moved = any(self.identities.get(s.name) is not identities.get(s.name) for s in states)
        intents, nonces = dict(self.intents), dict(self.nonces)
        standings = {**self.standings, **{state.name: state.standing for state in states}}
        agents, seeds, greeted = dict(self.agents), dict(self.seeds), dict(self.greeted)
        guests = dict(self.guests)
        for state in states:
            for nonce in nonces.get(state.name, ()):
                agents.pop(nonce, None)
                seeds.pop(nonce, None)
                guests.pop(nonce, None)
            running, installed = _agent_nonces(state), _seed_nonces(state)
            intents[state.name], nonces[state.name] = intent_for(state, ramdisk), running | installed
            agents.update(dict.fromkeys(running, state.name))
            seeds.update(dict.fromkeys(installed, state.name))
            if (guest := _guest(state)) is not None:
                guests[guest.installing.nonce] = guest
            if state.hello is not None:
                greeted[state.name] = state.hello.nonce
            else:
                greeted.pop(state.name, None)
        unread = frozenset(state.name for state in states if self._is_unread(state))
        return Snapshot(
            stated=self.stated,
            by_mac=_by_mac(self.stated, identities) if moved else self.by_mac,
            by_uuid=_by_uuid(identities) if moved else self.by_uuid,
            intents=MappingProxyType(intents),
            identities=MappingProxyType(identities),
            known=known,
            agents=MappingProxyType(agents),
            seeds=MappingProxyType(seeds),
            guests=MappingProxyType(guests),
            nonces=MappingProxyType(nonces),
            greeted=MappingProxyType(greeted),
            standings=MappingProxyType(standings),
            unread=self.unread.difference(state.name for state in states) | unread,
        )

    def _is_unread(self, state: MachineState) -> bool:
        return state.identity is None and state.name not in self.stated and state.phase is not Phase.RETIRED

    def standing_of(self, machine: MachineName) -> Standing:
        return self.standings.get(machine, Standing())

    def machine_of(self, client: Client) -> MachineName | None:
        """None when nobody, or more than one, could be meant."""
        claims = {self.by_mac[client.mac]} if client.mac in self.by_mac else set()
        if client.uuid is not None and client.uuid in self.by_uuid:
            claims.add(self.by_uuid[client.uuid])
        return claims.pop() if len(claims) == 1 and not self._may_be_unread(client) else None

    def _may_be_unread(self, client: Client) -> bool:
        """Only its UUID speaks, its MAC does not: a server with a NIC that its BMC hides, or another with this UUID."""
        name = self.by_uuid.get(client.uuid) if client.uuid is not None and client.mac not in self.by_mac else None
        return bool(self.unread) and name is not None and bool(self.identities[name].macs)

    def intent_for(self, client: Client) -> BootIntent:
        if (name := self.machine_of(client)) is not None:
            return self.intents.get(name, _UNKNOWN)
        if self._may_be_unread(client):
            return Wait(reason=f"this may be {min(self.unread)}, whose BMC has not been read yet", seconds=10)
        return _DISPUTED if client.mac in self.by_mac or client.uuid in self.by_uuid else _UNKNOWN


def _by_mac(
    stated: Mapping[MachineName, Mac], identities: Mapping[MachineName, SystemIdentity]
) -> Mapping[Mac, MachineName | None]:
    read = ((mac, name) for name, identity in identities.items() for mac in identity.macs)
    return _index((*((mac, name) for name, mac in stated.items()), *read))


def _by_uuid(identities: Mapping[MachineName, SystemIdentity]) -> Mapping[UUID, MachineName | None]:
    """A vendor's placeholder is on every board of the kind: as a claim it would keep them all from booting."""
    return _index((uuid, name) for name, identity in identities.items() if (uuid := real_uuid(identity.uuid)))


def _index(pairs: Iterable[tuple[K, MachineName]]) -> Mapping[K, MachineName | None]:
    index: dict[K, MachineName | None] = {}
    for key, name in pairs:
        index[key] = name if index.get(key, name) == name else None
    return MappingProxyType(index)


def _agent_nonces(state: MachineState) -> frozenset[Nonce]:
    """The agent that runs and the one that would boot now; whoever booted before either is refused."""
    running = state.hello.nonce if state.hello else None
    coming = state.boot_nonce if state.installer is None else None
    return frozenset(nonce for nonce in (running, coming) if nonce is not None)


def _seed_nonces(state: MachineState) -> frozenset[Nonce]:
    return frozenset({state.seed_nonce}) if state.seed_nonce is not None else frozenset()


def _guest(state: MachineState) -> Guest | None:
    installer = state.installer
    if installer is None:
        return None
    return Guest(machine=state.name, installing=installer, at_work=_is_at_work(state, installer))
