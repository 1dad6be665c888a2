"""Secrets at rest: one file, encrypted (AES-256-GCM) under a key in a file of its own beside it.

The key keeps copies of the data file (backups, bug reports) shut; it does not keep out whoever reads both files.
Both have mode 0600 and appear whole or not at all, a power cut included. Who has opened them keeps others out.
"""

import contextlib
import fcntl
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.errors import MachineryError
from appliance.files import sync
from appliance.ports import Rng

_MAGIC = b"innervate secrets 1\n"
_KEY_BYTES, _NONCE_BYTES = 32, 12
_RESTORE = "restore both files from the same backup"


class SecretFile:
    """`path` holds the data, `path` with ".key" added the key. Raises `MachineryError`."""

    def __init__(self, path: Path, rng: Rng) -> None:
        self._path, self._rng = path, rng
        self._key_path = path.with_name(f"{path.name}.key")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self._open_key()
        except OSError as error:
            raise _failure(self._key_path, error) from error
        try:
            self._cipher = AESGCM(self._read_key())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets others in."""
        os.close(self._lock)

    def load(self) -> bytes | None:
        """None where nothing was ever saved."""
        try:
            sealed = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failure(self._path, error) from error
        head, nonce = sealed[: len(_MAGIC)], sealed[len(_MAGIC) :][:_NONCE_BYTES]
        try:
            return self._cipher.decrypt(nonce, sealed[len(head) + len(nonce) :], head)
        except (InvalidTag, ValueError) as error:
            seen = "it is damaged, or sealed under another key"
            raise MachineryError(f"{self._path} cannot be opened", evidence=seen, next_action=_RESTORE) from error

    def save(self, data: bytes) -> None:
        """On disk when this returns; where it raises, the file is what it was or what it was to be."""
        nonce = bytes.fromhex(self._rng.token(_NONCE_BYTES))
        try:
            _write(self._path, _MAGIC + nonce + self._cipher.encrypt(nonce, data, _MAGIC), self._rng)
        except OSError as error:
            raise _failure(self._path, error) from error

    def _open_key(self) -> int:
        if not self._key_path.exists():
            self._make_key()
        opened = os.open(self._key_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(opened)
            raise
        return opened

    def _make_key(self) -> None:
        if self._path.exists():  # a new key could not open it, and would hide that the old one is lost
            raise MachineryError(f"the key of {self._path} is gone", next_action=_RESTORE)
        _write(self._key_path, bytes.fromhex(self._rng.token(_KEY_BYTES)), self._rng, replace=False)

    def _read_key(self) -> bytes:
        mode, key = os.fstat(self._lock).st_mode, os.pread(self._lock, _KEY_BYTES + 1, 0)
        if mode & 0o077:
            action = f"find out who has read it, then chmod 600 {self._key_path}"
            raise MachineryError(f"others may read {self._key_path}", evidence=f"mode {mode:o}", next_action=action)
        if len(key) != _KEY_BYTES:
            seen = f"{len(key)} bytes"
            raise MachineryError(f"{self._key_path} holds no key", evidence=seen, next_action=_RESTORE)
        return key


def _write(path: Path, data: bytes, rng: Rng, *, replace: bool = True) -> None:
    """Nobody sees a part of it, or another mode, at any time. Without `replace` what was there first stays."""
    fresh = path.with_name(f".{path.name}.{rng.token(8)}")
    opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(opened, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            fresh.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(fresh)
    finally:
        fresh.unlink(missing_ok=True)
    sync(path.parent)


def _failure(path: Path, error: OSError) -> MachineryError:
    if isinstance(error, BlockingIOError):
        return MachineryError(f"{path} is in use", next_action="stop the other daemon, or give this one its own folder")
    return MachineryError(
        f"{path} cannot be used", evidence=str(error)[:200], next_action="check the disk and its permissions"
    )
