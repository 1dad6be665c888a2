"""Twelve ways to be taken for another machine, over real sockets: nobody but the machine gets its secrets.

Each script is played beside a machine that wants to be installed with a secret in its seed. What is sent over the boot
network is looked through for the secret, and so is whatever the attacker could open.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import ConflictError, RefusedError
from appliance.identity.drive import Drives
from appliance.model.identity import Rung
from appliance.store.identity_records import CodeRefused, IdentityConfirmed
from appliance.system import SystemRng
from images.agent.bond import KEY_HEADER, PROOF_HEADER, SALT_HEADER, SEAL_HEADER, SIZE, Bond, agree, public_of
from images.agent.errors import LinkError, ProtocolError
from images.agent.medium import Medium
from images.agent.ports import Reply
from tests.contract.identity_site import CANARY, NODE, Agent, Running, played

Script = Callable[[Running], Awaitable[None]]
ALARM_SECONDS = 2.0


def thread(work: Callable[..., object], *arguments: object) -> Awaitable[object]:
    return asyncio.to_thread(work, *arguments)


async def held(site: Running) -> None:
    """Both are held, soon, and a person is told what to do."""
    began = time.monotonic()
    await site.until(lambda: site.state.hold is not None, "the machine held")
    assert time.monotonic() - began < ALARM_SECONDS
    assert "identity-disputed" in site.events
    assert "innervate release" in site.state.hold.next_action


async def spoofed(site: Running, query: str) -> None:
    """Somebody asks for the machine's script, and says and does all that its agent would."""
    await site.booting()
    thief = Agent(site, await asyncio.to_thread(site.nonce, query), "thief")
    assert thief.tap.nonce != "none"
    await site.provision(thief)
    assert site.state.bound is None or site.state.bound.rung is Rung.L0
    assert site.is_waiting
    assert not thief.has_secret


async def mac_spoof(site: Running) -> None:
    await spoofed(site, "mac=52-54-00-77-00-01")


async def uuid_spoof(site: Running) -> None:
    await spoofed(site, "mac=02-00-00-00-00-09&uuid=00000077-0000-4000-8000-000000000001")


async def lookup_before_the_machine(site: Running) -> None:
    await site.booting()
    thief = await asyncio.to_thread(site.attacker)
    victim = await asyncio.to_thread(site.victim)  # before the next step of the run gives another nonce
    assert await thread(thief.hello) == 200
    await site.provision(victim)
    assert await thread(thief.poll) == 401
    assert not thief.has_secret
    assert victim.has_secret, "the machine itself has proven which it is"


async def lookup_after_the_machine(site: Running) -> None:
    await site.booting()
    victim = await asyncio.to_thread(site.victim)
    assert await thread(victim.hello) == 200
    thief = await asyncio.to_thread(site.attacker)
    assert await thread(thief.hello) == 403
    assert await thread(victim.poll) == 403
    await held(site)
    await thread(thief.hello)
    assert not thief.has_secret


async def token_redeemed_twice(site: Running) -> None:
    """Whoever has read the token, too, has it too late; that there is such a one is an alarm."""
    await site.booting()
    medium = await asyncio.to_thread(site.medium)
    victim, thief = await asyncio.to_thread(site.victim), await asyncio.to_thread(site.attacker, "thief", medium)
    assert await thread(victim.hello) == 200
    assert await thread(thief.hello) == 403
    await held(site)
    assert await thread(victim.poll) == 403
    assert not thief.has_secret


async def hello_replayed(site: Running) -> None:
    await site.booting()
    victim = await asyncio.to_thread(site.victim)
    await thread(victim.hello)
    thief = Agent(site, victim.tap.nonce, "thief")
    path, body, headers = victim.tap.said[0]
    assert PROOF_HEADER in headers
    again = await asyncio.to_thread(thief.tap.post, path, body, headers)
    assert again.status == 200, "it proves nothing to whoever has no key"
    assert (await asyncio.to_thread(thief.tap.post, "/agent/poll", b"{}", {SEAL_HEADER: f"1:{'0' * 64}"})).status == 401
    await site.provision(victim)
    assert victim.has_secret, "the machine has said hello again"
    assert not thief.has_secret


async def requests_replayed(site: Running) -> None:
    await site.booting()
    victim = await asyncio.to_thread(site.victim)
    await site.provision(victim)
    assert victim.has_secret
    thief = Agent(site, victim.tap.nonce, "thief")
    statuses = set()
    for path, body, headers in victim.tap.said[1:-1]:
        statuses.add((await asyncio.to_thread(thief.tap.post, path, body, headers)).status)
    assert statuses == {401}
    seeds = [piece for piece in site.wire.seen if b"/artifact/seed/" in piece]
    assert seeds, "the thief has heard where the seed lies"


async def token_guessed(site: Running) -> None:
    await site.booting()
    statuses = []
    for number in range(20):
        guess = Medium(token=hashlib.sha256(str(number).encode()).digest(), appliance=site.key.public)
        thief = await asyncio.to_thread(site.attacker, f"thief {number}", guess)
        statuses.append(await thread(thief.hello))
    assert statuses[-14:] == [403] * 14
    assert b"too many tokens" in site.wire.seen[-1]
    await site.until(lambda: site.state.bound is not None, "somebody without a token")
    assert site.state.bound.rung is Rung.L0
    victim = await asyncio.to_thread(site.victim)
    await site.provision(victim)
    assert victim.has_secret, "guesses keep nobody out who has it"


async def token_fetched_from_the_boot_network(site: Running) -> None:
    await site.booting()
    (slot,) = site.bmc.drives.values()
    path = "/" + slot.image.partition("://")[2].partition("/")[2]
    assert await asyncio.to_thread(site.get, path) == b"", "it is on the BMCs' network alone"
    shut = Drives(
        closed=site.rack.boot_network.networks,
        port=0,
        clock=site.clock,
        rng=SystemRng(),
        facing=lambda _: site.rack.boot_network.address,
    )
    with pytest.raises(RefusedError, match="boot network"):
        shut.offer("10.77.0.9", b"token")
    await spoofed_after_boot(site)


async def spoofed_after_boot(site: Running) -> None:
    thief = await asyncio.to_thread(site.attacker)
    await site.provision(thief)
    assert not thief.has_secret


async def hello_of_an_active_machine(site: Running) -> None:
    """Whoever asked for its script while it was installed has a nonce that no agent ever used."""
    await site.booting()
    victim = await asyncio.to_thread(site.victim)
    await site.provision(victim)
    thief = await asyncio.to_thread(site.attacker)
    assert thief.tap.nonce not in ("none", victim.tap.nonce)
    await active(site, victim)
    assert await thread(thief.hello) == 403
    await held(site)
    assert not thief.has_secret


async def script_of_an_active_machine_from_elsewhere(site: Running) -> None:
    await site.booting()
    await active(site, await asyncio.to_thread(site.victim))
    await site.leased()
    await asyncio.to_thread(site.script)
    await site.until(lambda: site.state.returns != (), "the machine itself, from its own address")
    assert site.state.hold is None
    await site.leased("127.0.0.9")
    await asyncio.to_thread(site.script)
    await held(site)


async def seed_guessed_and_sniffed(site: Running) -> None:
    await site.booting()
    victim = await asyncio.to_thread(site.victim)
    await site.provision(victim)
    assert victim.has_secret
    for guess in ("", "0" * 64, hashlib.sha256(CANARY.encode()).hexdigest(), "../", "..%2f..%2fapp.token"):
        assert await asyncio.to_thread(site.get, f"/artifact/seed/{NODE}/{guess}") == b""
    (name,) = (name for name in site.routes.artifacts if name.startswith("seed/"))
    data = await asyncio.to_thread(site.get, f"/artifact/{name}")
    assert data, "anybody can have it who has heard its name, and nobody can open it"
    thief = await asyncio.to_thread(site.attacker, "thief", await asyncio.to_thread(site.medium))
    await thread(thief.hello)
    for salt in {piece.decode("ascii", "replace") for piece in salts(site)}:
        with pytest.raises(ProtocolError, match=r"sealed for another|not a usable"):
            thief.channel.unsealed(salt, data)


def salts(site: Running) -> list[bytes]:
    replies = [json.loads(piece) for piece in site.wire.seen if piece.startswith(b'{"task":{')]
    return [reply["task"]["seed"]["salt"].encode() for reply in replies if "seed" in reply["task"]]


async def nonce_of_an_older_boot(site: Running) -> None:
    await site.booting()
    old = await asyncio.to_thread(site.attacker)
    victim = await asyncio.to_thread(site.victim)
    await active(site, victim)
    await site.reinstalled()
    assert await asyncio.to_thread(site.nonce) != old.tap.nonce
    assert await thread(old.hello) == 403
    assert not old.has_secret


async def rogue_appliance(site: Running) -> None:
    """Somebody else answers: the agent believes the key on its medium, and hands out nothing that helps."""
    await site.booting()
    victim = await asyncio.to_thread(site.victim)
    rogue = os.urandom(SIZE)

    def answered(reply: Reply) -> Reply:
        _, _, headers = victim.tap.said[-1]
        if KEY_HEADER not in headers:
            return reply
        key, salt = bytes.fromhex(headers[KEY_HEADER]), os.urandom(SIZE)
        shared = agree(rogue, key)
        bond = Bond(nonce=victim.tap.nonce, agent=key, appliance=public_of(rogue), salt=salt, shared=shared)
        seal = bond.welcome(headers["Innervate-Commit"], reply.body)
        names = (KEY_HEADER, SALT_HEADER, SEAL_HEADER)
        values = (public_of(rogue).hex(), salt.hex(), seal)
        return replace(reply, headers=dict(zip(map(str.lower, names), values, strict=True)))

    victim.tap.change = answered
    with pytest.raises(LinkError, match="another appliance"):
        await thread(victim.hello)
    token = (await asyncio.to_thread(site.medium) or Medium(token=b"?", appliance=b"?")).token
    assert not any(token in piece or token.hex().encode() in piece for piece in site.wire.seen)
    assert victim.tasks == []


async def manifest_swapped(site: Running) -> None:
    """Whoever stands in between changes which image is to be written, or which seed: the agent does neither."""
    await site.booting()
    victim = await asyncio.to_thread(site.victim)
    await thread(victim.hello)
    await thread(victim.facts)
    await site.installing()
    victim.tap.change = lambda reply: replace(reply, body=reply.body.replace(b"a1a1", b"c3c3"))
    seen: list[str] = []

    def until() -> bool:
        return "write_image" in victim.tasks

    end = time.monotonic() + 5
    while not seen and time.monotonic() < end:
        try:
            await thread(victim.poll)
        except LinkError as error:
            seen.append(str(error))
    assert seen == ["an answer that is not from the appliance"]
    assert not until()


async def active(site: Running, agent: Agent) -> None:
    """Installed, booted, and proven by SSH."""
    if not agent.tasks:
        await site.provision(agent)
    assert agent.has_secret
    await asyncio.to_thread(agent.work, lambda: "boot_disk" in agent.tasks)
    report = {
        "nonce": site.state.seed_nonce,
        "boot_id": "system",
        "hostname": NODE,
        "serial": "SN0001",
        "ssh_host_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Wq3f0m2zHj9m0Pp0t1oH8l4b7n2yQ9c3u5v6w7x8y"],
    }
    await asyncio.to_thread(agent.tap.post, "/report", json.dumps(report).encode(), {})
    await site.until(lambda: site.state.phase.value == "active", "active")


SCRIPTS: tuple[Script, ...] = (
    mac_spoof,
    uuid_spoof,
    lookup_before_the_machine,
    lookup_after_the_machine,
    token_redeemed_twice,
    hello_replayed,
    requests_replayed,
    token_guessed,
    token_fetched_from_the_boot_network,
    hello_of_an_active_machine,
    script_of_an_active_machine_from_elsewhere,
    seed_guessed_and_sniffed,
    nonce_of_an_older_boot,
    rogue_appliance,
    manifest_swapped,
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_no_secret_is_released(script: Script, tmp_path: Path) -> None:
    async def scene(site: Running) -> None:
        await script(site)
        assert not site.wire.leaks

    played(tmp_path, scene)


def test_a_machine_that_read_its_token_gets_what_is_its_own(tmp_path: Path) -> None:
    async def scene(site: Running) -> None:
        await site.booting()
        victim = await asyncio.to_thread(site.victim)
        await site.provision(victim)
        assert victim.has_secret
        assert site.state.bound.rung is Rung.L1
        await site.until(lambda: not any(slot.inserted for slot in site.bmc.drives.values()), "the drive empty again")
        assert not site.wire.leaks

    played(tmp_path, scene)


def test_a_machine_without_a_drive_waits_until_somebody_compares_its_code(tmp_path: Path) -> None:
    async def scene(site: Running) -> None:
        await site.booting()
        victim = await asyncio.to_thread(site.victim)
        await site.provision(victim)
        shown = site.application.machine(NODE).identity
        assert shown is not None
        assert (site.is_waiting, victim.has_secret, shown.rung, shown.secrets) == (True, False, "L0", False)
        assert shown.code == victim.code
        wrong = f"{(int(victim.code) + 1) % 10**6:06d}"
        with pytest.raises(ConflictError, match="another code"):
            await site.application.confirm(NODE, wrong)
        assert not victim.has_secret
        await site.application.confirm(NODE, victim.code)
        await asyncio.to_thread(victim.work, lambda: "write_seed" in victim.tasks)
        assert victim.has_secret
        assert site.application.machine(NODE).identity.rung == "L3"  # type: ignore[union-attr]
        assert [kind for kind in site.events if kind in ("code-refused", "identity-confirmed")] == [
            CodeRefused.__dataclass_fields__["record"].default,
            IdentityConfirmed.__dataclass_fields__["record"].default,
        ]

    played(tmp_path, scene, has_drive=False)


def test_whoever_stands_in_between_has_another_code(tmp_path: Path) -> None:
    """The machine's console shows one, the appliance another: a person who compares them sees it."""

    async def scene(site: Running) -> None:
        await site.booting()
        victim, middle = await asyncio.to_thread(site.victim), await asyncio.to_thread(site.attacker)
        await thread(middle.hello)
        rogue = os.urandom(SIZE)
        key = hashlib.sha256(b"victim").digest()
        bond = Bond(
            nonce=victim.tap.nonce,
            agent=public_of(key),
            appliance=public_of(rogue),
            salt=os.urandom(SIZE),
            shared=agree(rogue, public_of(key)),
        )
        shown = site.bonds.code(NODE)
        assert shown is not None
        assert shown.digits == middle.code
        assert bond.code(os.urandom(SIZE)) != middle.code

    played(tmp_path, scene, has_drive=False)


def test_three_wrong_codes_and_it_has_to_show_another(tmp_path: Path) -> None:
    async def scene(site: Running) -> None:
        await site.booting()
        victim = await asyncio.to_thread(site.victim)
        await site.provision(victim)
        first = victim.code
        for step in range(1, 4):
            with pytest.raises(ConflictError):
                await site.application.confirm(NODE, f"{(int(first) + step) % 10**6:06d}")
        with pytest.raises(ConflictError, match="no code"):
            await site.application.confirm(NODE, first)
        await asyncio.to_thread(victim.work, lambda: victim.code != first)
        await site.until(lambda: site.bonds.code(NODE) is not None, "another code")
        await site.application.confirm(NODE, victim.code)

    played(tmp_path, scene, has_drive=False)
