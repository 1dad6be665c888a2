"""The first boot, from answers to a configured appliance."""

from appliance.errors import UsageError
from appliance.setup.answers import Answers, read_file, targets_of
from appliance.setup.dialogue import Terminal, asked, complain
from appliance.setup.files import files_of, network_of
from appliance.setup.ports import Ground


def set_up(terminal: Terminal, ground: Ground, *, ramdisk: str) -> Answers:
    """Raises `InnervateError`."""
    answers = _answers(terminal, ground)
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


def _answers(terminal: Terminal, ground: Ground) -> Answers:
    """A stick with answers asks no question; one that cannot be read is told, and the questions come."""
    text = ground.stick()
    if text is not None:
        try:
            return read_file(text, ground.nics())
        except UsageError as error:
            complain(terminal, error)
    return asked(terminal, ground.nics)
