"""The state as it is before a switch, kept beside it: plain files, for the version that wrote them."""

import os
import shutil
from pathlib import Path

from appliance.backup.state import sources
from appliance.client import Client
from appliance.config import load
from appliance.errors import MachineryError
from appliance.files import sync

BEFORE = "before"


def keep_state(config: Path, kept: Path) -> None:
    """As `kept`/before, whole or as it was there. Raises `InnervateError`."""
    settings = load(config)
    snapshot = Client(settings.socket, timeout=600).snapshot()
    draft, target = kept / f".{BEFORE}.new", kept / BEFORE
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        for source in sources(settings, config, Path(snapshot.file)):
            _copy(source.file, draft / source.path)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
        sync(kept)
    except OSError as error:
        action = "free disk space on the data partition"
        raise MachineryError("the state could not be kept", evidence=str(error), next_action=action) from error
    finally:
        Path(snapshot.file).unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy2(source, target)
    found = source.stat()
    os.chown(target, found.st_uid, found.st_gid)
    sync(target)
