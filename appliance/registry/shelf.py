"""The files of sets, as the appliance keeps them: one folder for each set. A file appears whole, with the right
content, or not at all. Blocks. Raises `MachineryError` where the disk does not do what it should."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from appliance.errors import MachineryError, UsageError
from appliance.files import sync
from images.artifact_set import SetFile
from images.set_folder import SetFolder, hash_of

_BLOCK = 1 << 20


class SetShelf:
    def __init__(self, root: Path) -> None:
        self._root = root

    def path_of(self, name: str, file: SetFile) -> Path:
        """`name` is that of the set."""
        return self._root / name / file.name

    def take(self, name: str, file: SetFile, source: SetFolder, told: Callable[[int], None]) -> None:
        """Copies it, unless it is there and whole. Raises `UsageError` for one that has changed meanwhile."""
        if not self.fault_of(name, file, told):
            return
        target = self.path_of(name, file)
        draft = target.with_name(f".{target.name}.new")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.file(file.name) as original, draft.open("wb") as copy:
                found = hashlib.sha256()
                while block := original.read(_BLOCK):
                    copy.write(block)
                    found.update(block)
                    told(len(block))
                copy.flush()
                os.fsync(copy.fileno())
            if found.hexdigest() != file.sha256:
                raise UsageError(
                    f"{file.name} changed while it was read", next_action="leave the folder alone meanwhile"
                )
            draft.chmod(0o444)
            draft.replace(target)
            sync(target.parent)
        except OSError as error:
            raise _failure(target, error) from error
        finally:
            draft.unlink(missing_ok=True)

    def fault_of(self, name: str, file: SetFile, told: Callable[[int], None] | None) -> str:
        """What is wrong with it, or "". It is read and hashed if there is somebody to be `told`."""
        path = self.path_of(name, file)
        try:
            if (size := path.stat().st_size) != file.size:
                return f"the file has {size} bytes where {file.size} belong"
            if told is None:
                return ""
            with path.open("rb") as content:
                found = hash_of(content, told)[1]
        except FileNotFoundError:
            return "the file is missing"
        except OSError as error:
            raise _failure(path, error) from error
        return "" if found == file.sha256 else f"the file was changed: it hashes to {found}"

    def drop(self, name: str) -> None:
        folder = self._root / name
        try:
            if folder.exists():
                shutil.rmtree(folder)
        except OSError as error:
            raise _failure(folder, error) from error


def _failure(path: Path, error: OSError) -> MachineryError:
    return MachineryError(
        f"{path} cannot be used", evidence=str(error)[:200], next_action="check the disk, its room and permissions"
    )
