"""Speaks with a switch: one shell by SSH, a command, its answer up to the prompt. Blocks."""

import logging
import re
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import paramiko

from appliance.errors import InnervateError, ShellError, UnreachableError
from appliance.model.switch import Switch
from appliance.model.text import clean
from appliance.switch.dialect import Dialect, dialect_of

_LOGGER = logging.getLogger(__name__)
_CONNECT, _ANSWER = 10.0, 20.0
_LIMIT = 1 << 20
_WIDTH, _HEIGHT = 500, 1000
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class SwitchCli:
    """`key` is the appliance's SSH key, for switches without a password."""

    def __init__(self, key: Path) -> None:
        self._key = key

    def ask(self, switch: Switch, commands: Sequence[str]) -> tuple[str, ...]:
        """What each of them printed, cleaned. In one shell, so that what one prepares the next one has; the first that
        is refused ends it. Raises `UnreachableError` and `ShellError`."""
        with self._shell(switch) as channel:
            dialect = dialect_of(switch.dialect)
            talk = _Talk(channel, dialect, switch.name)
            talk.hear()
            for command in dialect.quiet:
                talk.say(command)
            return tuple(talk.say(command) for command in commands)

    @contextmanager
    def _shell(self, switch: Switch) -> Iterator[paramiko.Channel]:
        with paramiko.SSHClient() as client:
            _pin(client, switch)
            try:
                client.connect(
                    str(switch.address),
                    username=switch.user,
                    timeout=_CONNECT,
                    banner_timeout=_CONNECT,
                    auth_timeout=_CONNECT,
                    allow_agent=False,
                    look_for_keys=False,
                    password=switch.password.reveal() or None,
                    key_filename=None if switch.password.reveal() else str(self._key),
                )
                yield client.invoke_shell(width=_WIDTH, height=_HEIGHT)
            except InnervateError:
                raise
            except paramiko.BadHostKeyException as error:
                raise _stranger(switch) from error
            except paramiko.AuthenticationException as error:
                raise ShellError(
                    f"the switch {switch.name} does not let the appliance in as {switch.user}",
                    evidence=clean(str(error), 120),
                    next_action="correct user and password in the site program, or give the switch the appliance's key",
                ) from error
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise UnreachableError(
                    f"the switch {switch.name} at {switch.address} does not answer",
                    evidence=clean(f"{type(error).__name__}: {error}", 200),
                    next_action="wait; then look at its management port",
                ) from error


class _Talk:
    def __init__(self, channel: paramiko.Channel, dialect: Dialect, name: str) -> None:
        self._channel, self._dialect, self._name = channel, dialect, name
        channel.settimeout(1.0)

    def say(self, command: str) -> str:
        """Raises `ShellError` where it is refused."""
        _LOGGER.debug("%s: %s", self._name, command)
        self._channel.sendall(f"{command}\n".encode())
        answer = self.hear()
        if found := self._dialect.refusal.search(answer):
            raise ShellError(
                f"the switch {self._name} refuses: {command}",
                evidence=clean(found[0], 200),
                next_action="enter the command by hand; another version of its system may have other words",
            )
        return "\n".join(answer.splitlines()[1:-1])

    def hear(self) -> str:
        """Up to the next prompt, with the echo and the prompt."""
        text, ends = "", time.monotonic() + _ANSWER
        while not self._dialect.prompt.search(text):
            if time.monotonic() > ends or len(text) > _LIMIT:
                raise UnreachableError(
                    f"the switch {self._name} does not come back to its prompt",
                    evidence=clean(text[-200:], 200),
                    next_action="enter it by hand: it may ask something, or speak another language than is stated",
                )
            text += self._more()
        return text

    def _more(self) -> str:
        try:
            piece = self._channel.recv(65536)
        except TimeoutError:
            return ""
        if not piece:
            raise UnreachableError(f"the switch {self._name} hung up", next_action="wait, and look at its log")
        return _CONTROL.sub("", piece.decode(errors="replace"))


def _pin(client: paramiko.SSHClient, switch: Switch) -> None:
    kind, data, *_ = switch.host_key.split()
    try:
        key = paramiko.PKey.from_type_string(kind, b64decode(data, validate=True))
    except (paramiko.SSHException, ValueError, IndexError) as error:
        raise ShellError(
            f"the host key of the switch {switch.name} is none",
            evidence=kind[:60],
            next_action="state it as ssh-keyscan prints it, without the address",
        ) from error
    client.get_host_keys().add(str(switch.address), key.get_name(), key)
    client.set_missing_host_key_policy(_Refuse(switch))


class _Refuse(paramiko.MissingHostKeyPolicy):
    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise _stranger(self._switch)


def _stranger(switch: Switch) -> ShellError:
    return ShellError(
        f"whoever answers at {switch.address} is not the switch {switch.name}",
        evidence="its host key is another than the site program states; nothing was told to it",
        next_action="find out who has that address; state the new key where the switch was replaced",
    )
