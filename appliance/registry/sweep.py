"""What no set names any more leaves the registry: its manifests by the registry's own word, then blobs by its garbage
collector (distribution, docs/garbage-collection.md), which wants that nobody writes. Readers may go on. Blocks."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from appliance.errors import MachineryError
from appliance.registry.contents import Held
from appliance.registry.link import Registry
from images.errors import ToolError
from images.ports import Processes
from images.processes import check

_REPOSITORIES = Path("docker/registry/v2/repositories")
_REVISIONS = Path("_manifests/revisions/sha256")
_BLOBS = Path("docker/registry/v2/blobs/sha256")
_HEX = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_SECONDS = 3600.0


def held(store: Path) -> Held:
    """All manifests, tagged or not: only the store knows the latter (distribution, registry/storage/paths.go)."""
    root = store / _REPOSITORIES
    found = dict[str, frozenset[str]]()
    try:
        for revisions in sorted(root.rglob(str(_REVISIONS))):
            name = str(revisions.relative_to(root).parents[2])
            found[name] = frozenset(f"sha256:{one.name}" for one in revisions.iterdir() if _is_linked(one))
    except OSError as error:
        raise _failure(store, error) from error
    return found


def _is_linked(revision: Path) -> bool:
    return bool(_HEX.fullmatch(revision.name)) and (revision / "link").exists()


def discard(store: Path, digest: str) -> None:
    """A blob that is not what it is called: the registry keeps it for the right one as long as it is there."""
    if found := _DIGEST.fullmatch(digest):
        folder = store / _BLOBS / found[1][:2] / found[1]
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _failure(store, error) from error


def delete(writing: Registry, surplus: Held) -> int:
    """How many manifests there were."""
    for repository, digests in sorted(surplus.items()):
        for digest in sorted(digests):
            writing.delete_manifest(repository, digest)
    return sum(map(len, surplus.values()))


def collect(processes: Processes, program: Sequence[str], configuration: Path) -> None:
    try:
        check(processes, [*program, "garbage-collect", str(configuration)], timeout=_SECONDS)
    except ToolError as error:
        raise MachineryError(str(error), evidence=error.evidence[-400:], next_action=error.next_action) from error


def _failure(store: Path, error: OSError) -> MachineryError:
    return MachineryError(
        "the registry's store cannot be used", evidence=str(error)[:200], next_action=f"look at {store} and its disk"
    )
