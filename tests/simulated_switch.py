"""A switch to speak with: an SSH server with the grammar of EOS, as far as port channels need it, and its timers.

What is configured acts on what `act` does: on Linux bridges and bonds (`tests/guest/ports.py`), or on nothing. What is
not in the grammar is refused as the genuine system refuses it.
"""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field

import paramiko

from appliance.model.secret import Secret
from appliance.model.switch import Switch

USER, PASSWORD = "appliance", "kanarie-switch"
_INVALID = "% Invalid input\r\n"
_IDLE = 60.0


@dataclass(slots=True)
class Port:
    vlan: int = 1
    channel: int = 0

    def lines(self) -> list[str]:
        joined = [f"   channel-group {self.channel} mode active"] if self.channel else []
        return [f"   switchport access vlan {self.vlan}", *joined]


@dataclass(slots=True)
class Configuration:
    """`channels` are VLANs of port channels, by number."""

    ports: dict[str, Port] = field(default_factory=dict)
    channels: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Pending:
    name: str
    before: Configuration
    timer: threading.Timer


class SimulatedSwitch:
    """`act` is told of each configuration that takes effect. `said` are the commands that it heard."""

    def __init__(
        self, name: str, ports: dict[str, int], act: Callable[[Configuration], None] = lambda _configuration: None
    ) -> None:
        self.name, self.said = name, list[str]()
        self.key = paramiko.ECDSAKey.generate()
        self.running = Configuration(ports={port: Port(vlan=vlan) for port, vlan in ports.items()})
        self.pending: Pending | None = None
        self.act, self._lock = act, threading.RLock()
        self.act(self.running)

    @property
    def host_key(self) -> str:
        return f"{self.key.get_name()} {self.key.get_base64()}"

    def stated(self, address: str) -> Switch:
        from ipaddress import IPv4Address

        password = Secret(PASSWORD)
        return Switch(
            name=self.name, address=IPv4Address(address), user=USER, host_key=self.host_key, password=password
        )

    def commit(self, configuration: Configuration, name: str, seconds: float | None) -> str:
        with self._lock:
            if self.pending is not None:
                return "% Another session is pending commit timer\r\n"
            before, self.running = self.running, configuration
            self.act(configuration)
            if seconds is not None:
                timer = threading.Timer(seconds, self._ran_out)
                timer.daemon = True
                self.pending = Pending(name=name, before=before, timer=timer)
                timer.start()
            return ""

    def confirm(self, name: str) -> str:
        with self._lock:
            if self.pending is None or self.pending.name != name:
                return f"% No session {name} is pending commit timer\r\n"
            self.pending.timer.cancel()
            self.pending = None
            return ""

    def abort(self, name: str) -> str:
        with self._lock:
            if self.pending is not None and self.pending.name == name:
                self.pending.timer.cancel()
                self._back()
            return ""

    def _ran_out(self) -> None:
        with self._lock:
            if self.pending is not None:
                self._back()

    def _back(self) -> None:
        assert self.pending is not None
        self.running, self.pending = self.pending.before, None
        self.act(self.running)

    @contextmanager
    def serving(self, address: str) -> Iterator[None]:
        """On port 22 of that address."""
        listening = socket.create_server((address, 22))
        over = threading.Event()
        listening.settimeout(0.2)

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            listening.close()

    def _serve(self, connection: socket.socket) -> None:
        transport = paramiko.Transport(connection)
        transport.add_server_key(self.key)
        try:
            transport.start_server(server=_Door())
            if (channel := transport.accept(_IDLE)) is not None:
                _Shell(self, channel).run()
        except (paramiko.SSHException, EOFError, OSError):
            pass
        finally:
            transport.close()


class _Door(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        right = (username, password) == (USER, PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_pty_request(self, *args: object) -> bool:
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        return True


class _Shell:
    """One person's: modes are exec (`>`), enabled (`#`), a session, and an interface in it."""

    def __init__(self, switch: SimulatedSwitch, channel: paramiko.Channel) -> None:
        self._switch, self._channel = switch, channel
        self._enabled, self._session, self._draft = False, "", Configuration()
        self._port, self._group = "", 0

    def run(self) -> None:
        self._channel.settimeout(_IDLE)
        self._channel.sendall(self._prompt().encode())
        text = ""
        while piece := self._channel.recv(4096):
            text += piece.decode()
            while "\n" in text:
                line, _, text = text.partition("\n")
                line = line.strip()
                self._switch.said.append(line)
                self._channel.sendall(f"{line}\r\n{self._answer(line)}{self._prompt()}".encode())

    def _prompt(self) -> str:
        inside = f"(config-s-{self._session[:6]}{'-if' if self._port or self._group else ''})" if self._session else ""
        return f"{self._switch.name}{inside}{'#' if self._enabled else '>'}"

    def _answer(self, line: str) -> str:
        if line == "enable":
            self._enabled = True
            return ""
        if line.startswith("terminal "):
            return ""
        if not self._enabled:
            return _INVALID
        return self._in_session(line) if self._session else self._outside(line)

    def _outside(self, line: str) -> str:
        switch = self._switch
        if found := re.fullmatch(r"show running-config interfaces (\S+)", line):
            port = switch.running.ports.get(found[1])
            return _INVALID if port is None else "\r\n".join([f"interface {found[1]}", *port.lines(), ""])
        if line == "show configuration sessions":
            head = "Maximum number of completed sessions: 1\r\n\r\n  Name           State              User\r\n"
            if (pending := switch.pending) is None:
                return head
            return f"{head}  {pending.name}      pendingCommitTimer {USER}\r\n"
        if found := re.fullmatch(r"configure session (\w+)( commit| abort)?", line):
            match found[2]:
                case " commit":
                    return switch.confirm(found[1])
                case " abort":
                    return switch.abort(found[1])
            self._session, self._draft = found[1], deepcopy(switch.running)
            return ""
        return _INVALID

    def _in_session(self, line: str) -> str:
        draft = self._draft
        if found := re.fullmatch(r"commit(?: timer (\d\d):(\d\d):(\d\d))?", line):
            seconds = None
            if found[1] is not None:
                hours, minutes, rest = map(int, found.groups())
                seconds = hours * 3600.0 + minutes * 60 + rest
            name, self._session, self._port, self._group = self._session, "", "", 0
            return self._switch.commit(draft, name, seconds)
        if line == "exit" and (self._port or self._group):
            self._port, self._group = "", 0
            return ""
        if found := re.fullmatch(r"(no )?interface Port-Channel(\d+)", line):
            number = int(found[2])
            if found[1]:
                draft.channels.pop(number, None)
            else:
                self._port, self._group = "", number
                draft.channels.setdefault(number, 1)
            return ""
        if found := re.fullmatch(r"interface (\S+)", line):
            self._port, self._group = found[1], 0
            return "" if found[1] in draft.ports else _INVALID
        return self._of_interface(line)

    def _of_interface(self, line: str) -> str:
        port = self._draft.ports.get(self._port)
        if line in {"switchport mode access", "port-channel lacp fallback individual"}:
            return ""
        if re.fullmatch(r"port-channel lacp fallback timeout \d+", line) and self._group:
            return ""
        if found := re.fullmatch(r"switchport access vlan (\d+)", line):
            if self._group:
                self._draft.channels[self._group] = int(found[1])
            elif port is not None:
                port.vlan = int(found[1])
            return ""
        if port is not None and line == "no channel-group":
            port.channel = 0
            return ""
        if port is not None and (found := re.fullmatch(r"channel-group (\d+) mode active", line)):
            port.channel = int(found[1])
            return ""
        return _INVALID
