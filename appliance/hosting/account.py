"""What of an application is on a host, as the host itself remembers it: another appliance can go on from there.

A file beside the units says which version was put there last, and which images any version had fetched: of what the
appliance does not know any more, nothing is left unknown.
"""

import json
from dataclasses import dataclass

from appliance.errors import ClusterError
from appliance.model.application import APP_NAME, AppName


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`revision` is the SHA-256 of the set's description, `version` its version, for people. `units` are files,
    `images` as the host pulls them, of this version and of those before it that may be wanted back."""

    name: AppName
    revision: str
    version: str
    units: tuple[str, ...]
    images: tuple[str, ...]


def text(account: Account) -> str:
    """One line."""
    said = {
        "application": account.name,
        "revision": account.revision,
        "version": account.version,
        "units": sorted(account.units),
        "images": sorted(account.images),
    }
    return json.dumps(said, sort_keys=True) + "\n"


def read(line: str) -> Account:
    """Raises `ClusterError` for what we have not written."""
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _strange(line) from error
    match value:
        case {
            "application": str(name),
            "revision": str(revision),
            "version": str(version),
            "units": list(units),
            "images": list(images),
        } if APP_NAME.fullmatch(name) and all(isinstance(one, str) for one in (*units, *images)):
            return Account(
                name=AppName(name), revision=revision, version=version, units=tuple(units), images=tuple(images)
            )
        case _:
            raise _strange(line)


def _strange(line: str) -> ClusterError:
    return ClusterError(
        "the host's account of what was deployed cannot be read",
        evidence=line[:200],
        next_action="look below /var/lib/innervate/applications of the host; remove a strange file, and deploy again",
    )
