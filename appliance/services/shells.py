"""SSH into installed machines, with the host key that the machine itself reported and nothing else."""

import shlex
from base64 import b64decode
from ipaddress import IPv4Address
from pathlib import Path

import paramiko

from appliance.errors import MachineryError, ShellError, UnreachableError
from appliance.model.text import clean
from appliance.ports import Processes

_CONNECT = 15.0
_COMMAND = 60.0
_OUTPUT = 64 << 10


def ensure_key(path: Path, processes: Processes) -> str:
    """The public line of the appliance's own key, made at first use. Raises `MachineryError`."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = processes.run(
            ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "innervate", "-f", str(path)), timeout=30
        )
        if made.status != 0:
            raise MachineryError(
                f"no SSH key could be made at {path}",
                evidence=made.errors.decode(errors="replace")[:300],
                next_action="check that the folder can be written and that openssh-client is installed",
            )
    return path.with_suffix(".pub").read_text().strip()


class SshShells:
    def __init__(self, key: Path) -> None:
        self._key = key

    def run(self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...]) -> str:
        with paramiko.SSHClient() as client:
            self._connect(client, address, user, host_keys)
            try:
                _, output, _ = client.exec_command(shlex.join(argv), timeout=_COMMAND)
                text = output.read(_OUTPUT).decode(errors="replace").strip()
                status = output.channel.recv_exit_status()
            except (paramiko.SSHException, OSError) as error:
                raise _unreachable(address, error) from error
        if status != 0:
            raise ShellError(
                f"{shlex.join(argv)} ended with status {status}",
                evidence=clean(text, 300),
                next_action="enter the machine with innervate ssh and run it by hand",
            )
        return clean(text, _OUTPUT)

    def _connect(self, client: paramiko.SSHClient, address: IPv4Address, user: str, host_keys: tuple[str, ...]) -> None:
        for line in host_keys:
            kind, data = line.split()[:2]
            client.get_host_keys().add(str(address), kind, paramiko.PKey.from_type_string(kind, b64decode(data)))
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
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
            raise ShellError(
                f"{address} shows another host key than the machine reported at its first boot",
                evidence=clean(str(error), 300),
                next_action="another machine answers at this address: find it before you go on",
            ) from error
        except paramiko.AuthenticationException as error:
            raise ShellError(
                f"{address} does not accept the appliance's key for {user}",
                evidence=f"{clean(str(error), 200)}; key {self._key}.pub",
                next_action="put the appliance's public key into the site program's ShellAccess and install again",
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise _unreachable(address, error) from error


def _unreachable(address: IPv4Address, error: Exception) -> UnreachableError:
    return UnreachableError(
        f"{address} does not answer yet",
        evidence=clean(f"{type(error).__name__}: {error}", 200),
        next_action="wait; then read the serial console",
    )
