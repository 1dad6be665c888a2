"""A site is left: BMCs on real sockets change hands, and the appliance's own passwords are dead."""

import asyncio
import base64
import io
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from appliance.backup.envelope import Opening
from appliance.bmc.dialler import Dialler
from appliance.bmc.discovery import Dialect, Found, Login
from appliance.bmc.rotation import rotate
from appliance.bmc.vault import Vault, endpoint_of
from appliance.errors import BmcLoginError
from appliance.lab.certificate import self_signed
from appliance.lab.topology import lab_rack
from appliance.model.leaving_views import Erasure, Fate, LeaveRequest, LeaveView
from appliance.model.secret import Secret
from appliance.services.bmcs import BmcDesk
from appliance.services.leaving import Eraser, LeavingDesk
from appliance.system import SystemClock, SystemRng
from tests.contract.ipmi_bmc import FakeIpmiBmc, listening
from tests.contract.test_bmc_discovery import (
    LOOPBACK,
    bound,
    entered,
    finder,
    port_of,
    redfish,
    site_wide,
    suspect,
    tls_of,
    vault_in,
)

PHRASE = "a phrase for the hand-over"
OURS, THEIRS = UUID(int=1), UUID(int=2)


@dataclass(kw_only=True)
class Site:
    """A vault, and the BMCs that answer."""

    vault: Vault
    dialler: Dialler

    async def found(self, *, port: int = 9, ipmi_port: int = 9) -> Found:
        (found,) = await finder().probe([suspect(port, ipmi_port=ipmi_port)])
        await entered(found, self.vault)
        return found

    async def rotated(self, found: Found) -> Login:
        """The password of the appliance's own that it has now."""
        await rotate(found, self.vault, self.dialler, SystemRng())
        login = self.vault.known(found)
        assert login is not None
        return login

    async def takes(self, found: Found, login: Login) -> bool:
        """Asked by a stranger, who shares nothing with the appliance."""
        stranger = Dialler(SystemClock(), SystemRng())
        try:
            await stranger.dial(endpoint_of(found, login)).identify()
        except BmcLoginError:
            return False
        finally:
            await stranger.close()
        return True

    async def left(self) -> LeaveView:
        clock, rng = SystemClock(), SystemRng()
        desk = BmcDesk(replace(lab_rack(), servers=()), finder(), self.vault, self.dialler, clock, rng)

        async def erase() -> None:
            raise AssertionError("nothing is erased by leaving")

        leaving = LeavingDesk(
            site="lab",
            hand_over=desk.hand_over,
            stranger=lambda: Dialler(clock, rng),
            keys=tuple,
            busy=str,
            eraser=Eraser(erases=Erasure.FOLDER, begin=erase),
            clock=clock,
            rng=rng,
            cost=10,
        )
        return await leaving.leave(LeaveRequest(site="lab", passphrase=PHRASE))


def opened(view: LeaveView) -> dict[str, Login]:
    """By URL, as its owner reads it."""
    source = Opening(io.BytesIO(base64.b64decode(view.hand_over)), Secret(PHRASE))
    text = b"".join(iter(source.read, b"")).decode()
    rows: Sequence[list[str]] = [line.split("  ") for line in text.splitlines()[2:]]
    return {row[0]: Login(user=row[1], password=Secret(row[2])) for row in rows}


def test_bmcs_change_hands_and_the_old_passwords_are_dead(tmp_path: Path) -> None:
    """One by Redfish and one by IPMI with passwords of the appliance's own, one with a person's, one that is gone."""

    async def play() -> None:
        ipmi, gone = FakeIpmiBmc(users={"root": "calvin-calvin"}), FakeIpmiBmc(users={"root": "calvin-calvin"})
        async with AsyncExitStack() as serving:
            held = serving.enter_context(ExitStack())
            listeners = [held.enter_context(bound()) for _ in range(2)]
            vault = held.enter_context(vault_in(tmp_path, site_wide("calvin-calvin")))
            for bmc in (ipmi, gone):
                held.enter_context(listening(bmc))
            for listener, uuid in zip(listeners, (OURS, THEIRS), strict=True):
                tls = tls_of(self_signed(f"bmc{uuid.int}", LOOPBACK), tmp_path)
                await serving.enter_async_context(redfish(listener, tls, "calvin-calvin", uuid))
            site = Site(vault=vault, dialler=Dialler(SystemClock(), SystemRng()))
            ours, theirs = [await site.found(port=port_of(listener)) for listener in listeners]
            one, lost = await site.found(ipmi_port=ipmi.port), await site.found(ipmi_port=gone.port)
            before = {found.url: await site.rotated(found) for found in (ours, one, lost)}
            await site.dialler.close()
            gone.deaf = True
            site = Site(vault=vault, dialler=Dialler(SystemClock(), SystemRng()))
            serving.push_async_callback(site.dialler.close)

            view = await site.left()

            assert {bmc.url: bmc.fate for bmc in view.bmcs} == {
                ours.url: Fate.HANDED_OVER,
                theirs.url: Fate.YOURS,
                one.url: Fate.HANDED_OVER,
                lost.url: Fate.NOT_REACHED,
            }
            after = opened(view)
            assert after.keys() == {ours.url, one.url, lost.url}
            assert after[lost.url] == before[lost.url]
            assert one.dialect is Dialect.IPMI
            for found in (ours, one):
                assert await site.takes(found, after[found.url])
                assert not await site.takes(found, before[found.url])
            assert await site.takes(theirs, Login(user="root", password=Secret("calvin-calvin")))
            for login in (*before.values(), *after.values()):
                assert login.password.reveal() not in repr(view)

    asyncio.run(asyncio.wait_for(play(), 60))


def test_an_answer_that_was_lost_is_had_by_asking_again(tmp_path: Path) -> None:
    async def play() -> None:
        bmc = FakeIpmiBmc(users={"root": "calvin-calvin"})
        with vault_in(tmp_path, site_wide("calvin-calvin")) as vault, listening(bmc):
            site = Site(vault=vault, dialler=Dialler(SystemClock(), SystemRng()))
            found = await site.found(ipmi_port=bmc.port)
            await site.rotated(found)
            await site.left()
            view = await site.left()
            assert bmc.users == {"root": opened(view)[found.url].password.reveal()}
            await site.dialler.close()

    asyncio.run(asyncio.wait_for(play(), 60))
