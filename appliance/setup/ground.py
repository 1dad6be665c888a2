"""The appliance's own computer: systemd-networkd, the data partition, sticks. What takes root, the helper does."""

import asyncio
import re
import sys
import termios
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from appliance.bmc.discovery import Found, Suspect
from appliance.bmc.finder import Finder
from appliance.bmc.vault import Entry, Vault
from appliance.doctor.looks import offers
from appliance.errors import MachineryError, RefusedError, UsageError
from appliance.files import write_whole
from appliance.model.bmc_views import VaultScope
from appliance.model.secret import Secret
from appliance.model.text import clean
from appliance.ports import Clock, Rng
from appliance.services.shells import ensure_key
from appliance.setup.answers import Answers, Nic
from appliance.setup.files import File
from appliance.setup.helper import Helper, Status, Verb
from appliance.setup.nics import nics
from appliance.setup.sealing import Disk, Protection, Sealing
from appliance.store.secrets import SecretFile
from images.processes import HostProcesses

DATA = Path("/data")
# systemd-cryptenroll(1): 64 modhex characters in groups of eight.
_RECOVERY_KEY = re.compile(r"[cbdefghijklnrtuv]{8}(-[cbdefghijklnrtuv]{8}){7}")


class Host:
    def __init__(
        self, processes: HostProcesses, clock: Clock, rng: Rng, data: Path = DATA, helper: Helper | None = None
    ) -> None:
        self._processes, self._clock, self._rng, self._data = processes, clock, rng, data
        self._helper = helper or Helper()

    def disk(self) -> Disk:
        (said,) = self._helper.done(Verb.STATE)[-1:] or ("",)
        try:
            return Disk(said)
        except ValueError as error:
            raise MachineryError("the data partition cannot be looked at", evidence=clean(said, 200)) from error

    def has_tpm(self) -> bool:
        return self._helper.done(Verb.TPM)[-1:] == ("yes",)

    def make(self, sealing: Sealing) -> Secret:
        said = self._helper.done(Verb.MAKE, sealing.protection.value, sealing.passphrase)
        if sealing.protection is Protection.NONE:
            return Secret("")
        keys = [line for line in said if _RECOVERY_KEY.fullmatch(line)]
        if len(keys) != 1:
            action = "look at it: journalctl -u 'innervate-*'; then: innervate appliance reset"
            raise MachineryError("the new data partition has no recovery key", next_action=action)
        return Secret(keys[0])

    def unlock(self, passphrase: Secret) -> None:
        answer = self._helper.ask(Verb.UNLOCK, secret=passphrase)
        if answer.status is Status.WRONG_PASSPHRASE:
            action = "try again; the recovery key was shown at the first boot"
            raise RefusedError("that opens nothing", next_action=action)
        if answer.status is not Status.DONE:
            action = "look at the disk: journalctl -u 'innervate-*'"
            raise MachineryError(
                "the data partition cannot be mounted", evidence="; ".join(answer.lines)[-500:], next_action=action
            )
        self._helper.done(Verb.NETWORK)

    def write_recovery(self, key: Secret) -> bool:
        return self._helper.ask(Verb.WRITE_RECOVERY, secret=Secret(f"{key.reveal()}\n")).status is Status.DONE

    def is_set_up(self) -> bool:
        return (self._data / "config" / File.CONFIGURATION.value).exists()

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
        answer = self._helper.ask(Verb.STICK)
        return "\n".join(answer.lines) if answer.status is Status.DONE else None

    def raise_network(self, text: str) -> None:
        _write(self._data / "config" / File.NETWORK.value, text)
        self._helper.done(Verb.NETWORK)

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
        except OSError as error:
            action = "look at the data partition: journalctl -u innervate-disk"
            raise MachineryError("the answers could not be kept", evidence=str(error), next_action=action) from error

    def start(self) -> None:
        self._helper.done(Verb.START)

    def _remember(self, state: Path, answers: Answers) -> None:
        file = SecretFile(state / "bmc.vault", self._rng)
        try:
            entry = Entry(scope=VaultScope.SITE, value="", user=answers.user, password=answers.password)
            Vault(file, self._clock).add(entry)
        finally:
            file.close()


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
