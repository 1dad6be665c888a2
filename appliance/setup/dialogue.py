"""The questions of the first boot, on any terminal: one line out, one line in."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from appliance.errors import InnervateError, UsageError
from appliance.model.secret import Secret
from appliance.setup.answers import DEFAULT_ADDRESS, Answers, Nic, address_of, device_of, suggested, targets_of

T = TypeVar("T")


class Terminal(Protocol):
    def say(self, line: str) -> None: ...

    def ask(self, question: str) -> str:
        """One line, without its end. Raises `UsageError` where nobody can answer any more."""
        ...

    def ask_secret(self, question: str) -> str:
        """The same, and nobody sees it."""
        ...


def asked(terminal: Terminal, look: Callable[[], Sequence[Nic]]) -> Answers:
    """At most five answers; each is asked again until it makes sense."""
    terminal.say("Innervate stands here for the first time. Five questions, then the rack is yours.")
    terminal.say("Looking at the network ...")
    nics = look()
    for number, nic in enumerate(nics, start=1):
        terminal.say(f"  {number}  {nic.name:<12} {nic.mac}  {_link(nic)}")
    likely = suggested(nics)
    first = f"1/5  Network of the rack (number){f' [{likely}]' if likely else ''}: "
    device = _until_right(terminal, first, lambda answer: device_of(answer, nics))
    address = _until_right(terminal, f"2/5  Address of the appliance there [{DEFAULT_ADDRESS}]: ", address_of)
    bmcs = _until_right(terminal, "3/5  BMCs (addresses, URLs or networks): ", _words)
    user = terminal.ask("4/5  User of the BMCs: ").strip()
    password = Secret(terminal.ask_secret("5/5  Password of the BMCs: ")) if user else Secret("")
    return Answers(device=device, address=address, bmcs=bmcs, user=user, password=password)


def _words(answer: str) -> tuple[str, ...]:
    words = tuple(answer.replace(",", " ").split())
    targets_of(words)
    return words


def _link(nic: Nic) -> str:
    if not nic.has_link:
        return "no link"
    link = f"link, {nic.speed} Mbit/s" if nic.speed else "link"
    return f"{link}, DHCP server {', '.join(nic.servers)}" if nic.servers else link


def _until_right(terminal: Terminal, question: str, read: Callable[[str], T]) -> T:
    while True:
        try:
            return read(terminal.ask(question))
        except UsageError as error:
            complain(terminal, error, margin="     ")


def complain(terminal: Terminal, error: InnervateError, margin: str = "") -> None:
    for line in (str(error), error.evidence, error.next_action):
        if line:
            terminal.say(f"{margin}{line}")
