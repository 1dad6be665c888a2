"""The data partition comes to be there: made at the first boot, unlocked by a person where no TPM does it."""

from typing import assert_never

from appliance.errors import MachineryError, RefusedError, UsageError
from appliance.model.secret import Secret
from appliance.setup.dialogue import Terminal, complain
from appliance.setup.ports import Ground
from appliance.setup.sealing import Disk, Protection, Sealing, passphrase_of

_UNENCRYPTED = "unencrypted"


def ensure_open(terminal: Terminal, ground: Ground, given: Sealing | None) -> None:
    """Returns when the partition is mounted. `given` is what a stick says of a new one. Raises `InnervateError`."""
    state = ground.disk()
    match state:
        case Disk.OPEN:
            return
        case Disk.READY:
            ground.unlock(Secret(""))
        case Disk.LOCKED:
            _unlock(terminal, ground)
        case Disk.BLANK:
            _make(terminal, ground, given)
        case Disk.FOREIGN:
            action = "look what it is: blkid; take another disk, or empty this one"
            raise RefusedError("the data partition holds something that is not ours", next_action=action)
        case _:
            assert_never(state)


def _unlock(terminal: Terminal, ground: Ground) -> None:
    terminal.say("The data of this appliance is locked.")
    while True:
        try:
            return ground.unlock(Secret(terminal.ask_secret("Passphrase or recovery key: ")))
        except RefusedError as error:
            complain(terminal, error, margin="     ")


def _make(terminal: Terminal, ground: Ground, given: Sealing | None) -> None:
    sealing, key = _made(terminal, ground, given or _likely(ground))
    if sealing.protection is Protection.NONE:
        return
    if given is not None and ground.write_recovery(key):
        terminal.say("The recovery key is on the stick, innervate-recovery-key.txt: take it away, and keep it apart.")
        return
    terminal.say(f"Recovery key, shown this once:  {key.reveal()}")
    terminal.ask("Write it down: it opens the data when nothing else does. Then press Enter: ")


def _made(terminal: Terminal, ground: Ground, sealing: Sealing | None) -> tuple[Sealing, Secret]:
    """What cannot be done is told, and a person chooses again: a TPM may be locked or worn out."""
    while True:
        if sealing is None:
            sealing = _chosen(terminal)
        terminal.say(_SAID[sealing.protection])
        try:
            return sealing, ground.make(sealing)
        except MachineryError as error:
            complain(terminal, error, margin="     ")
            sealing = None


def _likely(ground: Ground) -> Sealing | None:
    return Sealing(protection=Protection.TPM) if ground.has_tpm() else None


def _chosen(terminal: Terminal) -> Sealing:
    terminal.say("Without a TPM a passphrase protects the passwords that the appliance keeps.")
    while True:
        answer = terminal.ask_secret("Passphrase, asked at each boot (nothing: the data is not encrypted): ")
        try:
            if answer:
                return Sealing(protection=Protection.PASSPHRASE, passphrase=_repeated(terminal, passphrase_of(answer)))
            if terminal.ask(f"Whoever has the disk reads all of it. Type {_UNENCRYPTED} to go on: ") == _UNENCRYPTED:
                return Sealing(protection=Protection.NONE)
        except UsageError as error:
            complain(terminal, error, margin="     ")


def _repeated(terminal: Terminal, passphrase: Secret) -> Secret:
    if terminal.ask_secret("The same again: ") != passphrase.reveal():
        raise UsageError("the two differ", next_action="type it twice alike")
    return passphrase


_SAID = {
    Protection.TPM: "The data is encrypted now; the TPM of this computer will open it at each boot.",
    Protection.PASSPHRASE: "The data is encrypted now; the passphrase will open it at each boot.",
    Protection.NONE: "The data is NOT encrypted: whoever has the disk reads every password on it.",
}
