"""The first boot, from answers to a configured appliance."""

from appliance.errors import UsageError
from appliance.setup.answers import Answers, read_file, targets_of
from appliance.setup.dialogue import Terminal, asked
from appliance.setup.files import File, files_of
from appliance.setup.ports import Ground


def set_up(terminal: Terminal, ground: Ground, *, ramdisk: str) -> Answers:
    """Raises `InnervateError`."""
    answers = _answers(terminal, ground)
    key = ground.own_key()
    ground.raise_network(files_of(answers, (), ramdisk=ramdisk, own_key=key)[File.NETWORK])
    terminal.say(f"Looking for BMCs at {', '.join(answers.bmcs)} ...")
    found = ground.find(targets_of(answers.bmcs))
    for bmc in found:
        terminal.say(f"  {bmc.url}  {bmc.traits.make}  {bmc.fingerprint[:16]}")
    if not found:
        terminal.say("  none answered: add servers to the site program later, and look again: innervate bmc find")
    ground.keep(files_of(answers, found, ramdisk=ramdisk, own_key=key), answers)
    terminal.say(f"Ready: https://{answers.address.ip}/")
    return answers


def _answers(terminal: Terminal, ground: Ground) -> Answers:
    """A stick with answers asks no question; one that cannot be read is told, and the questions come."""
    text = ground.stick()
    if text is not None:
        try:
            return read_file(text, ground.nics())
        except UsageError as error:
            for line in (str(error), error.evidence, error.next_action):
                terminal.say(line)
    return asked(terminal, ground.nics)
