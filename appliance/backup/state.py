"""What of an appliance goes into a backup, in which order, and how it comes back."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from appliance.backup.archive import Manifest, Source
from appliance.config import Settings
from appliance.errors import ConflictError, MachineryError, UsageError
from appliance.files import sync

RECORDS = "records.db"
SNAPSHOT = "backup"
"""The folder, in the state folder, of the record log's copy."""
BESIDE = "restored"
"""Where what did not stand in the state folder is put."""
CONTENT = "content"
"""The folder with what artifact sets hold: they can be imported again."""
_LEFT_OUT = frozenset({RECORDS, f"{RECORDS}-wal", f"{RECORDS}-shm", SNAPSHOT, "seeds", BESIDE, "upgrade", CONTENT})
_LOCKS = ("access/access.vault.key", "bmc.vault.key")


def sources(settings: Settings, config: Path, snapshot: Path) -> Iterator[Source]:
    """The log's copy is of before all others: whatever it names is there. The head of the audit log is read before the
    log itself, as a crash may leave it."""
    yield Source(path=f"state/{RECORDS}", file=snapshot)
    files = [
        file for file in _files(settings.state_dir) if file.relative_to(settings.state_dir).parts[0] not in _LEFT_OUT
    ]
    for file in sorted(files, key=lambda file: (file.suffix != ".head", file)):
        yield Source(path=f"state/{file.relative_to(settings.state_dir).as_posix()}", file=file)
    outside = [config, settings.site, *(hook.secret_file for hook in settings.webhooks)]
    outside += [hook.ca_file for hook in settings.webhooks if hook.ca_file is not None]
    if settings.ssh_key is not None:
        outside += [settings.ssh_key, settings.ssh_key.with_name(f"{settings.ssh_key.name}.pub")]
    for number, file in enumerate(dict.fromkeys(outside)):
        if file.is_file() and not file.is_relative_to(settings.state_dir):
            yield Source(path=f"{BESIDE}/{number}-{file.name}", file=file, origin=str(file.absolute()))


def is_running(state_dir: Path) -> bool:
    """Whether a daemon works on it: it holds the locks of its secrets."""
    return any(_is_locked(state_dir / name) for name in _LOCKS)


def placed(state_dir: Path, unpack: Callable[[Path], Manifest], *, replace: bool) -> Manifest:
    """Unpacks beside `state_dir`, looks at it, and puts it in its place whole. What stood there is moved aside. Raises
    `ConflictError` for a folder in use, `UsageError` for one that is not empty."""
    if is_running(state_dir):
        raise ConflictError(
            f"a daemon works on {state_dir}", next_action="stop it first, or restore into another folder"
        )
    occupied = state_dir.exists() and any(state_dir.iterdir())
    aside = state_dir.with_name(f"{state_dir.name}.before")
    if occupied and not replace:
        raise UsageError(
            f"{state_dir} is not empty", next_action="name a new folder, or say --replace to move it aside"
        )
    if occupied and aside.exists():
        raise UsageError(f"{aside} is in the way", next_action="move it away: the folder to be replaced is kept there")
    with _draft(state_dir) as draft:
        manifest = unpack(draft)
        _arrange(draft)
        _look_at(draft / "state" / RECORDS)
        if occupied:
            state_dir.rename(aside)
        elif state_dir.exists():
            state_dir.rmdir()
        (draft / "state").rename(state_dir)
        sync(state_dir.parent)
    return manifest


@contextmanager
def _draft(state_dir: Path) -> Iterator[Path]:
    draft = state_dir.with_name(f".{state_dir.name}.restoring")
    try:
        state_dir.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
    except FileExistsError as error:
        action = "remove it, if no other restore is under way"
        raise ConflictError(f"{draft} is there already", next_action=action) from error
    try:
        yield draft
    except OSError as error:
        action = "free disk space, check permissions; the folder may not be a mount point of its own"
        raise MachineryError(f"{state_dir} cannot be written", evidence=str(error), next_action=action) from error
    finally:
        _remove(draft)


def _arrange(draft: Path) -> None:
    """Into the state folder with what stood elsewhere; all of it on the disk."""
    if (draft / BESIDE).exists():
        (draft / BESIDE).rename(draft / "state" / BESIDE)
    for file in _files(draft):
        sync(file)
    for folder in [folder for folder in draft.rglob("*") if folder.is_dir()]:
        sync(folder)


def _look_at(records: Path) -> None:
    """Raises `UsageError`. SQLite leaves nothing beside the file: its journal mode is that of the copy."""
    try:
        with closing(sqlite3.connect(f"file:{records}?mode=ro&immutable=1", uri=True)) as opened:
            (said,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        raise UsageError("the record log in the backup is damaged", evidence=said, next_action="take another backup")


def _is_locked(file: Path) -> bool:
    with suppress(FileNotFoundError):
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(opened)
    return False


def _files(folder: Path) -> list[Path]:
    """Plain files alone; what another program is just writing (a draft) is not yet one."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path for path in found if not path.name.startswith(".") and path.suffix not in (".new", ".lock"))


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
