"""Where the builder keeps the key that signs what it builds: beside the images, never in the repository."""

import os
import secrets
from pathlib import Path

from images.errors import SignatureError
from images.signature import RANDOMNESS, SecretKey, make_key, read_secret

DEFAULT = Path("~/.cache/innervate/keys/innervate.key")


def ensure_key(path: Path) -> SecretKey:
    """The key in the file, or a new one, mode 600, with its public half beside it (.pub). Raises SignatureError."""
    path = path.expanduser()
    try:
        return read_secret(path.read_text("ascii"))
    except FileNotFoundError:
        return _kept(make_key(secrets.token_bytes(RANDOMNESS)), path)
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error


def _kept(key: SecretKey, path: Path) -> SecretKey:
    """Whoever makes it first, at the same time or not, has made it for all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(key.reveal())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return read_secret(path.read_text("ascii"))
        finally:
            draft.unlink()
        path.with_suffix(".pub").write_text(key.public.text)
    except OSError as error:
        raise _unusable(path, error) from error
    return key


def _unusable(path: Path, error: Exception) -> SignatureError:
    action = "name a key with --key, or look at permissions and space"
    return SignatureError(f"the signing key {path} cannot be used", evidence=str(error), next_action=action)
