"""The appliance's own computer: systemd-networkd, the data partition, sticks."""

import asyncio
import shutil
import sys
import termios
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from appliance.bmc.discovery import Found, Suspect
from appliance.bmc.finder import Finder
from appliance.bmc.vault import Entry, Vault
from appliance.doctor.looks import offers
from appliance.errors import MachineryError, UsageError
from appliance.files import write_whole
from appliance.model.bmc_views import VaultScope
from appliance.ports import Clock, Rng
from appliance.services.shells import ensure_key
from appliance.setup.answers import Answers, Nic
from appliance.setup.files import File
from appliance.setup.nics import nics
from appliance.store.secrets import SecretFile
from images.errors import ToolError
from images.processes import HostProcesses, check

DATA = Path("/data")
_USER = "innervate"
_RUNTIME_NETWORK = Path("/run/systemd/network")
_STICK = Path("/dev/disk/by-label/INNERVSETUP")
_STICK_FILE = "::innervate-setup.toml"


class Host:
    def __init__(self, processes: HostProcesses, clock: Clock, rng: Rng, data: Path = DATA) -> None:
        self._processes, self._clock, self._rng, self._data = processes, clock, rng, data

    def nics(self) -> Sequence[Nic]:
        return asyncio.run(self._asked(nics()))

    async def _asked(self, found: Sequence[Nic]) -> Sequence[Nic]:
        """With the DHCP servers that answer; all interfaces are asked at once."""
        return await asyncio.gather(*(self._with_servers(nic) for nic in found))

    async def _with_servers(self, nic: Nic) -> Nic:
        if not nic.has_link:
            return nic
        try:
            answered = await offers(self._processes, nic.name)
        except MachineryError:
            return nic
        return replace(nic, servers=tuple(sorted({str(offer.server) for offer in answered})))

    def stick(self) -> str | None:
        """Read by mtools: the kernel mounts nothing that a stranger formatted."""
        if not _STICK.exists():
            return None
        try:
            return check(self._processes, ["mtype", "-i", str(_STICK), _STICK_FILE]).decode("utf-8", "replace")
        except ToolError:
            return None

    def raise_network(self, text: str) -> None:
        _write(_RUNTIME_NETWORK / Path(File.NETWORK.value).name, text)
        self._run(["networkctl", "reload"])
        self._run(["networkctl", "reconfigure", *(nic.name for nic in nics())])

    def find(self, suspects: Sequence[Suspect]) -> Sequence[Found]:
        return asyncio.run(Finder(self._clock, self._rng).probe(suspects))

    def own_key(self) -> str:
        return ensure_key(self._data / "state" / "ssh" / "id_ed25519", self._processes)

    def keep(self, files: Mapping[File, str], answers: Answers) -> None:
        state = self._data / "state"
        try:
            if answers.user:
                self._remember(state, answers)
            for file, text in files.items():
                _write(self._data / "config" / file.value, text)
            for path in (state, *state.rglob("*")):
                shutil.chown(path, _USER, _USER)
        except OSError as error:
            action = "look at the data partition: journalctl -u innervate-disk"
            raise MachineryError("the answers could not be kept", evidence=str(error), next_action=action) from error

    def _remember(self, state: Path, answers: Answers) -> None:
        file = SecretFile(state / "bmc.vault", self._rng)
        try:
            entry = Entry(scope=VaultScope.SITE, value="", user=answers.user, password=answers.password)
            Vault(file, self._clock).add(entry)
        finally:
            file.close()

    def _run(self, argv: Sequence[str]) -> None:
        try:
            check(self._processes, argv)
        except ToolError as error:
            action = "look at it: journalctl -u systemd-networkd"
            raise MachineryError(
                "the network could not be set up", evidence=error.evidence, next_action=action
            ) from error


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode(), mode=0o644)


class Tty:
    """Standard input and output."""

    def say(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def ask(self, question: str) -> str:
        sys.stdout.write(question)
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            raise UsageError("nobody answers here any more", next_action="answer on another console")
        return line.rstrip("\r\n")

    def ask_secret(self, question: str) -> str:
        """Without echo, where this is a terminal (termios(3))."""
        if not sys.stdin.isatty():
            return self.ask(question)
        kept = termios.tcgetattr(sys.stdin)
        quiet = kept.copy()
        quiet[3] = kept[3] & ~termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, quiet)
        try:
            return self.ask(question)
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, kept)
            self.say("")
