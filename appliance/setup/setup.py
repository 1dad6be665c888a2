"""From power-on to a configured appliance: the data partition, then, at the first boot, the answers."""

from appliance.errors import UsageError
from appliance.setup.answers import Answers, read_file, sealing_in, targets_of
from appliance.setup.dialogue import Terminal, asked, complain
from appliance.setup.disk import ensure_open
from appliance.setup.files import files_of, network_of
from appliance.setup.ports import Ground
from appliance.setup.sealing import Sealing


def set_up(terminal: Terminal, ground: Ground, *, ramdisk: str) -> Answers | None:
    """None where the first boot was over already. Raises `InnervateError`."""
    text = ground.stick()
    ensure_open(terminal, ground, _sealing(terminal, text))
    answers = None if ground.is_set_up() else _first_boot(terminal, ground, text, ramdisk)
    terminal.say("Innervate starts ...")
    ground.start()
    return answers


def _first_boot(terminal: Terminal, ground: Ground, text: str | None, ramdisk: str) -> Answers:
    answers = _answers(terminal, ground, text)
    ground.raise_network(network_of(answers))
    terminal.say(f"Looking for BMCs at {', '.join(answers.bmcs)} ...")
    found = ground.find(targets_of(answers.bmcs))
    for bmc in found:
        terminal.say(f"  {bmc.url}  {bmc.traits.make}  {bmc.fingerprint[:16]}")
    if not found:
        terminal.say("  none answered: add servers to the site program later, and look again: innervate bmc find")
    ground.keep(files_of(answers, found, ramdisk=ramdisk, own_key=ground.own_key()), answers)
    terminal.say(f"Ready: https://{answers.address.ip}/")
    return answers


def _sealing(terminal: Terminal, text: str | None) -> Sealing | None:
    """As a stick has it; None leaves it to the TPM, or to a person."""
    try:
        return None if text is None else sealing_in(text)
    except UsageError as error:
        complain(terminal, error)
        return None


def _answers(terminal: Terminal, ground: Ground, text: str | None) -> Answers:
    """A stick with answers asks no question; one that cannot be read is told, and the questions come."""
    if text is not None:
        try:
            return read_file(text, ground.nics())
        except UsageError as error:
            complain(terminal, error)
    return asked(terminal, ground.nics)
