"""The first boot as a dialogue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from appliance.bmc.discovery import Dialect, Found, Suspect
from appliance.setup.answers import Answers, Nic
from appliance.setup.files import File
from appliance.setup.setup import set_up

NIC = Nic(name="enp1s0", mac="52:54:00:00:00:01", has_link=True, speed=1000)


@dataclass
class Person:
    """Somebody with a list of answers."""

    answers: list[str]
    seen: list[str] = field(default_factory=list)
    questions: int = 0

    def say(self, line: str) -> None:
        self.seen.append(line)

    def ask(self, question: str) -> str:
        self.questions += 1
        self.seen.append(question)
        return self.answers.pop(0)

    ask_secret = ask


@dataclass
class Bench:
    """A computer whose network has the given BMCs."""

    bmcs: Sequence[str]
    on_stick: str | None = None
    kept: dict[File, str] = field(default_factory=dict)
    answers: Answers | None = None
    network: str = ""
    found: Sequence[Nic] = (NIC,)

    def nics(self) -> Sequence[Nic]:
        return self.found

    def stick(self) -> str | None:
        return self.on_stick

    def raise_network(self, text: str) -> None:
        self.network = text

    def find(self, suspects: Sequence[Suspect]) -> Sequence[Found]:
        assert self.network, "nothing can be found before the network is up"
        asked = {str(suspect.address) for suspect in suspects}
        return [
            Found(address=IPv4Address(bmc), dialect=Dialect.REDFISH, port=443, fingerprint="ab" * 32)
            for bmc in self.bmcs
            if bmc in asked
        ]

    def own_key(self) -> str:
        return "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOwn innervate"

    def keep(self, files: Mapping[File, str], answers: Answers) -> None:
        self.kept, self.answers = dict(files), answers


def test_five_answers_are_enough() -> None:
    person, bench = Person(["1", "", "10.77.1.0/28", "admin", "secret"]), Bench(["10.77.1.3"])
    set_up(person, bench, ramdisk="generic")
    assert person.questions == 5
    assert person.seen[-1] == "Ready: https://10.77.0.1/"
    assert "https://10.77.1.3" in bench.kept[File.SITE]
    assert "Name=enp1s0" in bench.network
    assert not [line for line in person.seen if "secret" in line]


def test_who_else_serves_dhcp_is_shown_and_left_alone() -> None:
    person, bench = Person(["", "", "10.77.1.3", ""]), Bench(["10.77.1.3"])
    other = replace(NIC, name="enp2s0", servers=("192.168.1.1",))
    bench.found = (other, replace(NIC, servers=()))
    set_up(person, bench, ramdisk="generic")
    assert any("enp2s0" in line and line.endswith("link, 1000 Mbit/s, DHCP server 192.168.1.1") for line in person.seen)
    assert bench.answers is not None
    assert bench.answers.device == "enp1s0"


def test_a_wrong_answer_is_told_and_asked_again() -> None:
    person = Person(["7", "1", "10.0.0.1", "10.0.0.1/24", "", "10.0.0.9", "", ""])
    set_up(person, Bench([]), ramdisk="generic")
    told = "\n".join(person.seen)
    assert "there is no network interface '7'" in told
    assert "is no address for the provisioning network" in told
    assert "name the BMCs' addresses" in told
    assert "none answered: add servers to the site program later" in told


def test_without_a_user_nobody_asks_for_a_password() -> None:
    person, bench = Person(["", "", "10.77.1.3", ""]), Bench(["10.77.1.3"])
    set_up(person, bench, ramdisk="generic")
    assert person.questions == 4
    assert bench.answers is not None
    assert bench.answers.user == ""


def test_a_stick_asks_nothing() -> None:
    person, bench = Person([]), Bench(["10.77.1.3"], on_stick='bmcs = ["10.77.1.3"]\nrack = "r7"\n')
    set_up(person, bench, ramdisk="generic")
    assert (person.questions, bench.answers and bench.answers.rack) == (0, "r7")


def test_a_stick_that_says_nonsense_is_told_and_the_questions_come() -> None:
    person, bench = Person(["1", "", "10.77.1.3", ""]), Bench([], on_stick="bmcs = [")
    set_up(person, bench, ramdisk="generic")
    assert person.seen[0] == "the answers on the stick cannot be read"
    assert person.questions == 4
