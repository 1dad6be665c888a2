"""Fetches the image of a virtual drive, as a BMC does."""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

from appliance.errors import MachineryError

MAX_IMAGE = 16 << 30
_SECONDS = 30.0
_CHUNK = 1 << 20


class FetchError(MachineryError):
    pass


def fetch(url: str, into: Path) -> None:
    """`into` is the whole image or what it was before. Raises `FetchError`; `url` is http or https."""
    draft = into.with_name(f"{into.name}.new")
    action = "check that the URL can be reached from the BMC's network"
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer, draft.open("wb") as file:  # noqa: S310  by Form.url
            if int(answer.headers.get("Content-Length") or 0) > MAX_IMAGE:
                raise FetchError("the image is too large", evidence=url, next_action=f"at most {MAX_IMAGE >> 30} GiB")
            shutil.copyfileobj(answer, file, _CHUNK)
        draft.replace(into)
    except (urllib.error.URLError, OSError, ValueError) as error:
        draft.unlink(missing_ok=True)
        raise FetchError(f"cannot fetch {url}", evidence=str(error), next_action=action) from error
