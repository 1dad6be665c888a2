"""What each machine shall boot, and whose word counts: a snapshot of the world for the boot services' threads.

The snapshot is rebuilt whenever the world changed, then swapped in one assignment: the services read it without a
lock, and answering a packet changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar
from uuid import UUID

from appliance.conductor.world import MachineState
from appliance.inventory.bogus import real_uuid
from appliance.model.bmc import SystemIdentity
from appliance.model.ids import MachineName, Nonce
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


def intent_for(state: MachineState, ramdisk: Ramdisk) -> BootIntent:
    """A machine that was told to run from its disk does so until a step asks for the agent again."""
    if state.boots_disk:
        return LocalDisk()
    if state.boot_nonce is None:
        return Wait(reason=f"{state.name} is waiting for an approved plan", seconds=15)
    words = (f"innervate.server={ramdisk.server_url}", f"innervate.nonce={state.boot_nonce}")
    return RunKernel(
        kernel=ramdisk.kernel,
        initrd=ramdisk.initrd,
        arguments=(*words, *ramdisk.arguments),
        attempt=state.boot_nonce,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`agents` and `seeds` say which machine may speak with which nonce. None as a name: two machines claim it."""

    by_mac: Mapping[Mac, MachineName | None] = field(default_factory=dict)
    by_uuid: Mapping[UUID, MachineName | None] = field(default_factory=dict)
    intents: Mapping[MachineName, BootIntent] = field(default_factory=dict)
    identities: Mapping[MachineName, SystemIdentity] = field(default_factory=dict)
    agents: Mapping[Nonce, MachineName] = field(default_factory=dict)
    seeds: Mapping[Nonce, MachineName] = field(default_factory=dict)

    def machine_of(self, client: Client) -> MachineName | None:
        """None when nobody, or more than one, could be meant."""
        claims = {self.by_mac[client.mac]} if client.mac in self.by_mac else set()
        if client.uuid is not None and client.uuid in self.by_uuid:
            claims.add(self.by_uuid[client.uuid])
        return claims.pop() if len(claims) == 1 else None

    def intent_for(self, client: Client) -> BootIntent:
        known = client.mac in self.by_mac or client.uuid in self.by_uuid
        if (name := self.machine_of(client)) is None:
            return _DISPUTED if known else _UNKNOWN
        return self.intents.get(name, _UNKNOWN)


def snapshot(states: Iterable[MachineState], macs: Mapping[MachineName, Mac], ramdisk: Ramdisk) -> Snapshot:
    """`macs` are those that the site program states; BMCs tell the others."""
    machines = tuple(states)
    identities = {state.name: state.identity for state in machines if state.identity is not None}
    read = ((mac, name) for name, identity in identities.items() for mac in identity.macs)
    stated = ((mac, name) for name, mac in macs.items())
    # A vendor's placeholder is on every board of the kind: as a claim it would keep them all from booting.
    uuids = ((uuid, name) for name, identity in identities.items() if (uuid := real_uuid(identity.uuid)))
    return Snapshot(
        by_mac=MappingProxyType(_index((*stated, *read))),
        by_uuid=MappingProxyType(_index(uuids)),
        intents=MappingProxyType({state.name: intent_for(state, ramdisk) for state in machines}),
        identities=MappingProxyType(identities),
        agents=MappingProxyType({nonce: state.name for state in machines for nonce in _agent_nonces(state)}),
        seeds=MappingProxyType({state.seed_nonce: state.name for state in machines if state.seed_nonce}),
    )


def _index(pairs: Iterable[tuple[K, MachineName]]) -> dict[K, MachineName | None]:
    index: dict[K, MachineName | None] = {}
    for key, name in pairs:
        index[key] = name if index.get(key, name) == name else None
    return index


def _agent_nonces(state: MachineState) -> frozenset[Nonce]:
    """The agent that runs and the one that would boot now; whoever booted before either is refused."""
    running = state.hello.nonce if state.hello else None
    return frozenset(nonce for nonce in (running, state.boot_nonce) if nonce is not None)
