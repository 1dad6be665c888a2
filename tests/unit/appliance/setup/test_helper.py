"""The console's word with root's helper, over a real socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.errors import MachineryError, RefusedError
from appliance.model.secret import Secret
from appliance.setup.ground import Host
from appliance.setup.helper import Helper, Status, Verb
from appliance.setup.sealing import Disk, Protection, Sealing
from appliance.system import SystemClock, SystemRng
from images.processes import HostProcesses

KEY = "-".join(["cbdefghi"] * 8)


@contextmanager
def helper(folder: Path, *answers: str) -> Iterator[tuple[Helper, list[str]]]:
    """One that answers in this order; what it was asked is in the list."""
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "helper.sock"))
        listener.listen()

        def serve() -> None:
            for answer in answers:
                with listener.accept()[0] as connection:
                    heard.append("".join(iter(lambda: connection.recv(4096).decode(), "")))
                    connection.sendall(answer.encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Helper(folder / "helper.sock"), heard
        thread.join(10)


def host(helper: Helper, data: Path) -> Host:
    return Host(HostProcesses(), SystemClock(), SystemRng(), data, helper)


def test_a_passphrase_stands_behind_the_line_of_the_request(tmp_path: Path) -> None:
    with helper(tmp_path, f"warning\n{KEY}\n= 0\n", "locked\n= 0\n", "yes\n= 0\n") as (asked, heard):
        ground = host(asked, tmp_path)
        sealing = Sealing(protection=Protection.PASSPHRASE, passphrase=Secret("four words are enough"))
        assert ground.make(sealing).reveal() == KEY
        assert (ground.disk(), ground.has_tpm()) == (Disk.LOCKED, True)
    assert heard == ["make passphrase\nfour words are enough", "state\n", "tpm\n"]


def test_a_wrong_passphrase_is_no_failure_of_the_disk(tmp_path: Path) -> None:
    with helper(tmp_path, "No key available.\n= 3\n", "fsck\n= 1\n", "= 0\n", "= 0\n") as (asked, heard):
        ground = host(asked, tmp_path)
        with pytest.raises(RefusedError, match="opens nothing"):
            ground.unlock(Secret("wrong"))
        with pytest.raises(MachineryError, match="cannot be mounted") as failed:
            ground.unlock(Secret("right"))
        ground.unlock(Secret("right"))
    assert failed.value.evidence == "fsck"
    assert heard == ["unlock\nwrong", "unlock\nright", "unlock\nright", "network\n"]


@pytest.mark.parametrize("answer", ["", "blank\n", "= \n", "= x\n"])
def test_an_answer_without_a_status_is_none(tmp_path: Path, answer: str) -> None:
    with helper(tmp_path, answer) as (asked, _), pytest.raises(MachineryError, match="does not answer"):
        asked.ask(Verb.STATE)


def test_a_status_that_nobody_knows_is_a_failure(tmp_path: Path) -> None:
    with helper(tmp_path, "= 32\n") as (asked, _):
        assert asked.ask(Verb.STICK).status is Status.FAILED


def test_where_nobody_listens_it_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(MachineryError) as silent:
        Helper(tmp_path / "none.sock").ask(Verb.STATE)
    assert "innervate-helper.socket" in silent.value.next_action


def test_a_partition_without_a_recovery_key_is_no_success(tmp_path: Path) -> None:
    with helper(tmp_path, "= 0\n") as (asked, _), pytest.raises(MachineryError, match="no recovery key"):
        host(asked, tmp_path).make(Sealing(protection=Protection.TPM))
