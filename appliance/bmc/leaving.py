"""A BMC gets a password that its owner alone will know, and the one that the appliance had is proven dead."""

from contextlib import suppress

from appliance.bmc.discovery import Found, Login
from appliance.bmc.port import BmcDialler
from appliance.bmc.rotation import rotate
from appliance.bmc.vault import Vault, endpoint_of
from appliance.errors import BmcError, BmcLoginError, BmcPasswordChangeError, NotFoundError
from appliance.ports import Rng


async def renew(found: Found, vault: Vault, dialler: BmcDialler, stranger: BmcDialler, rng: Rng) -> tuple[Login, bool]:
    """After `Finder.login`. The new log-in, which works and is in the vault; and whether the old one is refused now.

    `stranger` has dialled nothing yet: the driver that changed a password goes on with the new one, whatever it was
    given.

    Raises `BmcError` where nothing is certain, `NotFoundError` where no log-in is known. Can be called again: what a
    call that was cut off has begun is where the next one goes on.
    """
    old = vault.known(found)
    if old is None:
        raise NotFoundError(f"no log-in of {found.url} is known", next_action="log in to it first")
    await rotate(found, vault, dialler, rng)
    new = vault.known(found)
    if new is None:
        raise NotFoundError(f"the new log-in of {found.url} is not in the vault", next_action="log in to it again")
    return new, await is_refused(found, old, stranger)


async def is_refused(found: Found, login: Login, dialler: BmcDialler) -> bool:
    """One try, by a session of its own. Raises `BmcError` where the BMC says neither yes nor no."""
    bmc = dialler.dial(endpoint_of(found, login))
    try:
        await bmc.identify()
    except BmcPasswordChangeError:
        return False
    except BmcLoginError:
        return True
    finally:
        with suppress(BmcError):
            await bmc.close()
    return False
