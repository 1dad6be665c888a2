"""The first boot as a dialogue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

import pytest

from appliance.bmc.discovery import Dialect, Found, Suspect
from appliance.errors import MachineryError, RefusedError
from appliance.model.secret import Secret
from appliance.setup.answers import Answers, Nic
from appliance.setup.files import File
from appliance.setup.sealing import Disk, Protection, Sealing
from appliance.setup.setup import set_up

RECOVERY = "-".join(["cbdefghi"] * 8)
WORDS = "four words are enough"
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
    data: Disk = Disk.OPEN
    tpm: bool = False
    tpm_works: bool = True
    opens: tuple[str, ...] = ()
    made: Sealing | None = None
    recovery_on_stick: bool = False
    started: int = 0

    def disk(self) -> Disk:
        return self.data

    def has_tpm(self) -> bool:
        return self.tpm

    def make(self, sealing: Sealing) -> Secret:
        assert self.data is Disk.BLANK
        if sealing.protection is Protection.TPM and not self.tpm_works:
            raise MachineryError("the appliance could not do this", evidence="TPM_RC_LOCKOUT")
        self.made, self.data = sealing, Disk.OPEN
        return Secret("" if sealing.protection is Protection.NONE else RECOVERY)

    def unlock(self, passphrase: Secret) -> None:
        if self.data is Disk.LOCKED and passphrase.reveal() not in self.opens:
            raise RefusedError("that opens nothing", next_action="try again")
        self.data = Disk.OPEN

    def write_recovery(self, key: Secret) -> bool:
        self.recovery_on_stick = key.reveal() == RECOVERY
        return True

    def is_set_up(self) -> bool:
        assert self.data is Disk.OPEN, "what is on a closed partition cannot be known"
        return File.CONFIGURATION in self.kept

    def start(self) -> None:
        assert self.is_set_up()
        self.started += 1

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
    assert person.seen[-2:] == ["Ready: https://10.77.0.1/", "Innervate starts ..."]
    assert bench.started == 1
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


FIVE = ["1", "", "10.77.1.3", "admin", "secret"]


def test_a_tpm_costs_no_question_but_the_recovery_key_is_waited_for() -> None:
    person, bench = Person(["", *FIVE]), Bench(["10.77.1.3"], data=Disk.BLANK, tpm=True)
    set_up(person, bench, ramdisk="generic")
    assert bench.made == Sealing(protection=Protection.TPM)
    assert sum(RECOVERY in line for line in person.seen) == 1


def test_without_a_tpm_a_passphrase_is_asked_for_twice() -> None:
    person = Person(["short", WORDS, "other words than that", WORDS, WORDS, "", *FIVE])
    bench = Bench(["10.77.1.3"], data=Disk.BLANK)
    set_up(person, bench, ramdisk="generic")
    assert bench.made == Sealing(protection=Protection.PASSPHRASE, passphrase=Secret(WORDS))
    told = "\n".join(person.seen)
    assert "the passphrase is too short" in told
    assert "the two differ" in told
    assert WORDS not in told


def test_a_tpm_that_fails_is_told_and_a_person_chooses() -> None:
    person = Person([WORDS, WORDS, "", *FIVE])
    bench = Bench(["10.77.1.3"], data=Disk.BLANK, tpm=True, tpm_works=False)
    set_up(person, bench, ramdisk="generic")
    assert bench.made == Sealing(protection=Protection.PASSPHRASE, passphrase=Secret(WORDS))
    assert any("TPM_RC_LOCKOUT" in line for line in person.seen)


def test_no_encryption_takes_a_word_and_says_so() -> None:
    person, bench = Person(["", "yes", "", "unencrypted", *FIVE]), Bench(["10.77.1.3"], data=Disk.BLANK)
    set_up(person, bench, ramdisk="generic")
    assert bench.made == Sealing(protection=Protection.NONE)
    assert any("NOT encrypted" in line for line in person.seen)
    assert not any(RECOVERY in line for line in person.seen)


@pytest.mark.parametrize("key", [WORDS, RECOVERY], ids=["passphrase", "recovery-key"])
def test_a_locked_disk_asks_until_it_opens_and_nothing_else(key: str) -> None:
    person, bench = Person(["wrong", key]), Bench([], data=Disk.LOCKED, opens=(WORDS, RECOVERY))
    bench.kept = {File.CONFIGURATION: ""}
    assert set_up(person, bench, ramdisk="generic") is None
    assert (person.questions, bench.started) == (2, 1)


def test_a_stick_protects_without_a_question_and_takes_the_recovery_key() -> None:
    text = f'bmcs = ["10.77.1.3"]\ndisk = "passphrase"\npassphrase = "{WORDS}"\n'
    person, bench = Person([]), Bench(["10.77.1.3"], on_stick=text, data=Disk.BLANK)
    set_up(person, bench, ramdisk="generic")
    assert bench.made == Sealing(protection=Protection.PASSPHRASE, passphrase=Secret(WORDS))
    assert bench.recovery_on_stick
    assert not any(RECOVERY in line or WORDS in line for line in person.seen)


@pytest.mark.parametrize(
    "text",
    ['disk = "luks"', 'disk = "passphrase"', 'disk = "tpm"\npassphrase = "four words are enough"'],
    ids=["unknown", "no-passphrase", "too-much"],
)
def test_a_stick_that_protects_by_halves_is_told_and_a_person_is_asked(text: str) -> None:
    person, bench = Person(["", "unencrypted"]), Bench([], on_stick=f'bmcs = ["10.77.1.3"]\n{text}\n', data=Disk.BLANK)
    set_up(person, bench, ramdisk="generic")
    assert bench.made == Sealing(protection=Protection.NONE)
    assert any(line.startswith(("disk: ", "passphrase: ")) for line in person.seen)


def test_what_is_not_ours_is_left_alone() -> None:
    bench = Bench([], data=Disk.FOREIGN)
    with pytest.raises(RefusedError, match="not ours"):
        set_up(Person([]), bench, ramdisk="generic")
    assert bench.made is None
