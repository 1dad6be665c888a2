"""SSH into installed machines, with the host key that the machine itself reported and nothing else."""

import io
import shlex
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

import paramiko
from paramiko.pkey import UnknownKeyType

from appliance.errors import MachineryError, ShellError, UnreachableError
from appliance.model.secret import Secret
from appliance.model.text import clean
from appliance.ports import Sink, Source
from images.errors import ImagesError
from images.ports import Processes
from images.processes import check

_CONNECT = 15.0
_COMMAND = 60.0
_OUTPUT = 64 << 10
_PIECE = 256 << 10


def ensure_key(path: Path, processes: Processes) -> str:
    """The public line of the appliance's own key, made at first use. Raises `MachineryError`."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make_key(path, processes)
        return path.with_name(f"{path.name}.pub").read_text().strip()
    except OSError as error:
        raise MachineryError(
            f"the SSH key {path} cannot be used",
            evidence=str(error)[:300],
            next_action="check the folder's permissions, and that the public key lies beside the private one",
        ) from error


def _make_key(path: Path, processes: Processes) -> None:
    try:
        check(processes, ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "innervate", "-f", str(path)))
    except ImagesError as error:
        raise MachineryError(
            f"no SSH key could be made at {path}",
            evidence=error.evidence or str(error),
            next_action="check that the folder can be written and that openssh-client is installed",
        ) from error


class SshShells:
    def __init__(self, key: Path) -> None:
        self._key = key

    def run(self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...]) -> str:
        return clean(self.feed(address, user, host_keys, argv, Secret("")), _OUTPUT)

    def feed(
        self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...], fed: Secret
    ) -> str:
        """The same, with `fed` on the command's standard input; its output as it came, which is hostile text."""
        return self._run(address, user, host_keys, argv, io.BytesIO(fed.reveal().encode()), _text)

    def pull(
        self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...], out: Sink
    ) -> None:
        """Whatever the command prints, piece by piece."""

        def take(output: paramiko.ChannelFile) -> str:
            while piece := output.read(_PIECE):
                out.write(piece)
            return "what it printed was taken away"

        self._run(address, user, host_keys, argv, io.BytesIO(), take)

    def push(
        self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...], source: Source
    ) -> None:
        """All of `source` is the command's standard input."""
        self._run(address, user, host_keys, argv, source, _text)

    def _run(
        self,
        address: IPv4Address,
        user: str,
        host_keys: tuple[str, ...],
        argv: tuple[str, ...],
        source: Source,
        take: Callable[[paramiko.ChannelFile], str],
    ) -> str:
        with paramiko.SSHClient() as client:
            self._connect(client, address, user, host_keys)
            try:
                given, output, _ = client.exec_command(shlex.join(argv), timeout=_COMMAND)
                while piece := source.read(_PIECE):
                    given.channel.sendall(piece)
                given.channel.shutdown_write()
                text = take(output)
                status = _status(output.channel, argv)
            except (paramiko.SSHException, OSError) as error:
                raise _unreachable(address, error) from error
        if status != 0:
            raise _refused(argv, status, text)
        return text

    def _connect(self, client: paramiko.SSHClient, address: IPv4Address, user: str, host_keys: tuple[str, ...]) -> None:
        for key in _usable(host_keys):
            client.get_host_keys().add(str(address), key.get_name(), key)
        client.set_missing_host_key_policy(_Refuse())
        try:
            client.connect(
                str(address),
                username=user,
                key_filename=str(self._key),
                timeout=_CONNECT,
                banner_timeout=_CONNECT,
                auth_timeout=_CONNECT,
                allow_agent=False,
                look_for_keys=False,
            )
        except paramiko.BadHostKeyException as error:
            raise _stranger(str(address), str(error)) from error
        except paramiko.AuthenticationException as error:
            raise ShellError(
                f"{address} does not accept the appliance's key for {user}",
                evidence=f"{clean(str(error), 200)}; key {self._key}.pub",
                next_action="put the appliance's public key into the site program's ShellAccess and install again",
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise _unreachable(address, error) from error


class _Refuse(paramiko.MissingHostKeyPolicy):
    """A key of a type that the machine never reported is another key, not a host that is still to come up."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise _stranger(hostname, f"{key.get_name()} {key.fingerprint}")


def _text(output: paramiko.ChannelFile) -> str:
    return output.read(_OUTPUT).decode(errors="replace").strip()


def _status(channel: paramiko.Channel, argv: tuple[str, ...]) -> int:
    """recv_exit_status has no timeout, and a host that never tells would keep this thread for good."""
    if not channel.status_event.wait(_COMMAND):
        raise TimeoutError(f"{shlex.join(argv)} did not end within {_COMMAND:.0f} s")
    return channel.recv_exit_status()


def _refused(argv: tuple[str, ...], status: int, text: str) -> ShellError:
    return ShellError(
        f"{shlex.join(argv)} ended with status {status}",
        evidence=clean(text, 300),
        next_action="enter the machine with innervate ssh and run it by hand",
    )


def _stranger(address: str, evidence: str) -> ShellError:
    return ShellError(
        f"{address} shows another host key than the machine reported at its first boot",
        evidence=clean(evidence, 300),
        next_action="another machine answers at this address: find it before you go on",
    )


def _usable(lines: tuple[str, ...]) -> Iterator[paramiko.PKey]:
    """The machine reports what it has; what we do not understand cannot be compared with, so it is left out."""
    for line in lines:
        kind, data = line.split()[:2]
        with suppress(paramiko.SSHException, UnknownKeyType, ValueError, IndexError):
            yield paramiko.PKey.from_type_string(kind, b64decode(data))


def _unreachable(address: IPv4Address, error: Exception) -> UnreachableError:
    return UnreachableError(
        f"{address} does not answer yet",
        evidence=clean(f"{type(error).__name__}: {error}", 200),
        next_action="wait; then read the serial console",
    )
