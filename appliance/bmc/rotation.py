"""Gives a BMC a password of its own in the place of the one that we know, without ever losing access.

The new one is on disk, beside the old, before the BMC hears of it; the old one is dropped when a log-in has proven the
new. Whatever is cut off in between, `Finder.login` tries both, and the next rotation goes on with the same new one.
"""

from collections.abc import Iterator
from contextlib import suppress

from appliance.bmc.discovery import Found, Login
from appliance.bmc.port import BmcDialler
from appliance.bmc.vault import Vault, endpoint_of
from appliance.errors import BmcError, BmcLoginError, MachineryError, NotFoundError
from appliance.model.bmc import BmcEndpoint
from appliance.model.secret import Secret
from appliance.ports import Rng

PASSWORD_BYTES = 16
"""IPMI 1.5 keeps no more, and some BMCs cut the rest off without a word."""

_CLASSES = ("ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnopqrstuvwxyz", "23456789", "-_.")
"""Without what people take for one another. Three special characters that no maker forbids; policies ask for one."""

_ALPHABET = "".join(_CLASSES)
_DRAWS = 64


def new_password(rng: Rng) -> Secret:
    """Of 16 ASCII characters (some 90 bits): each class is in it, none three times on end, a letter at both ends.

    Raises `MachineryError` where `rng` is not random.
    """
    for _ in range(_DRAWS):
        text = "".join(_characters(rng.token(4 * PASSWORD_BYTES)))[:PASSWORD_BYTES]
        if _is_good(text):
            return Secret(text)
    raise MachineryError("no password comes of the random numbers", next_action="check the machine's random generator")


def _characters(token: str) -> Iterator[str]:
    """What would make the first characters likelier than the others is thrown away."""
    fair = 256 - 256 % len(_ALPHABET)
    return (_ALPHABET[byte % len(_ALPHABET)] for byte in bytes.fromhex(token) if byte < fair)


def _is_good(text: str) -> bool:
    runs = zip(text, text[1:], text[2:], strict=False)
    return (
        len(text) == PASSWORD_BYTES
        and all(set(text) & set(letters) for letters in _CLASSES)
        and text[0].isalpha()
        and text[-1].isalpha()
        and not any(one == two == three for one, two, three in runs)
    )


async def rotate(found: Found, vault: Vault, dialler: BmcDialler, rng: Rng) -> BmcEndpoint:
    """After `Finder.login`. Returns the endpoint with the new password.

    Raises `BmcError`: log in again to see which one counts; `NotFoundError` where no log-in is known.
    """
    old = vault.known(found)
    if old is None:
        raise NotFoundError(f"no log-in of {found.url} is known", next_action="log in to it first")
    new = vault.begin(found, new_password(rng))
    try:
        endpoint = await _change(found, old, new, dialler)
    except BmcLoginError:
        vault.was_refused(found, new)
        raise
    vault.worked(found, new)
    return endpoint


async def _change(found: Found, old: Login, new: Login, dialler: BmcDialler) -> BmcEndpoint:
    """The proof is a log-in of its own: the session that changed the password shows nothing."""
    before, after = dialler.dial(endpoint_of(found, old)), dialler.dial(endpoint_of(found, new))
    await before.change_password(new.password)
    with suppress(BmcError):
        await before.close()
    await after.identify()
    return endpoint_of(found, new)
