"""A backup of a daemon that works meanwhile, the same world in another folder, and nothing taken of a damaged one."""

import io
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.backup.archive import About, Source, pack, unpack
from appliance.backup.envelope import Opening, Sealing, checked
from appliance.client import Client
from appliance.errors import InnervateError, UsageError
from appliance.model.codec import to_json
from appliance.model.secret import Secret
from appliance.model.views import PowerAction
from appliance.store.log import Log
from appliance.system import SystemClock, SystemRng
from tests.contract.mortal_api import Moment
from tests.contract.test_once import ROOT, daemon

PHRASE = Secret("correct horse battery")
ABOUT = About(version="0.1.0", site="lab", created=1_800_000_000.0, records=3, images={"debian-13": "manifest aa"})


def configured(folder: Path) -> Path:
    """Of the daemon that `mortal_api` plays: its state folder holds the socket, too."""
    state, etc = folder / "state", folder / "etc"
    state.mkdir(mode=0o700)
    etc.mkdir()
    (etc / "site.py").write_text(
        "from appliance.lab.topology import lab_rack\nfrom appliance.scores.discover import Discover\n"
        "from appliance.site import Site\nsite = Site(name='lab', topology=lab_rack(), scores=[Discover()])\n"
    )
    (etc / "chat.secret").write_text("s3cret\n")
    (folder / "phrase").write_text(PHRASE.reveal() + "\n")
    config = etc / "innervate.toml"
    config.write_text(
        f'state_dir = "{state}"\nsocket = "{state}/api.sock"\nsite = "{etc}/site.py"\nimages_dir = "{folder}/images"\n'
        f'[[webhooks]]\nname = "chat"\nurl = "https://x.example/"\nsecret_file = "{etc}/chat.secret"\n'
    )
    return config


def innervate(*argv: str | Path, phrase: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance.main", "backup", *map(str, argv), "--passphrase-file", str(phrase)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


class Busy:
    """Someone who goes on working: holds and releases, until told to stop."""

    def __init__(self, socket: Path) -> None:
        self.client, self.stop, self.done = Client(socket), threading.Event(), 0
        self.thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        while not self.stop.is_set():
            self.client.hold("node-1", f"round {self.done}")
            self.client.release("node-1")
            self.done += 1

    def __enter__(self) -> "Busy":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def views(client: Client, last: int) -> tuple[bytes, ...]:
    """All that a front-end sees, as far as entry `last` made it so; when a run will be done moves on with the time."""
    events = [event for event in client.events(limit=1000).events if event.seq <= last]
    (run,) = client.runs().runs
    return (
        *(to_json(event) for event in events),
        to_json(replace(client.run(run.id), outlook=None)),
        to_json(client.machine("node-0")),
        to_json(client.users()),
        to_json(client.plan(run.plan)),
    )


def test_a_daemon_that_works_is_backed_up_and_comes_back(tmp_path: Path) -> None:
    config, file, phrase = configured(tmp_path), tmp_path / "rack.backup", tmp_path / "phrase"
    state, other = tmp_path / "state", tmp_path / "elsewhere" / "state"
    with daemon(state, Moment.NEVER):
        client = Client(state / "api.sock")
        client.power("node-0", PowerAction.ON)
        with Busy(state / "api.sock") as busy:
            while busy.done < 3:
                client.health()
            made = innervate("create", file, "--config", config, phrase=phrase)
            assert made.returncode == 0, made.stderr
            after = busy.done
            while busy.done < after + 2:
                client.health()
        assert file.stat().st_mode & 0o777 == 0o600
        assert not list((state / "backup").iterdir())
        last = int(made.stdout.split("record log up to ")[1].split()[0])
        assert 4 < last < client.events(limit=1000).last
        seen = views(client, last)
        refused = innervate("restore", file, state, "--replace", phrase=phrase)
        assert (refused.returncode, "a daemon works on" in refused.stderr) == (5, True)
    assert innervate("verify", file, phrase=phrase).stdout == made.stdout
    done = innervate("restore", file, other, phrase=phrase)
    assert done.returncode == 0, done.stderr
    assert f"{other}/restored/1-site.py: stood at {tmp_path}/etc/site.py" in done.stdout
    assert (other / "restored" / "2-chat.secret").read_text() == "s3cret\n"
    assert other.stat().st_mode & 0o777 == 0o700
    with daemon(other, Moment.NEVER):
        client = Client(other / "api.sock")
        assert client.events(limit=1000).last == last
        assert views(client, last) == seen
        assert client.verify_audit().broken is None
        client.hold("node-0", "it goes on")
        assert client.events(limit=1000).last == last + 1
    again = innervate("restore", file, other, phrase=phrase)
    assert (again.returncode, "is not empty" in again.stderr) == (2, True)
    replaced = innervate("restore", file, other, "--replace", phrase=phrase)
    assert replaced.returncode == 0, replaced.stderr
    assert entries(other / "records.db") == last
    assert entries(other.with_name("state.before") / "records.db") == last + 1


def entries(path: Path) -> int:
    log = Log(path, SystemClock())
    found = log.open()
    log.close()
    return found[-1].seq


def test_a_daemon_that_does_not_run_is_backed_up_too(tmp_path: Path) -> None:
    config, phrase = configured(tmp_path), tmp_path / "phrase"
    nothing = innervate("create", tmp_path / "a", "--config", config, phrase=phrase)
    assert (nothing.returncode, "holds no record log" in nothing.stderr) == (2, True)
    with daemon(tmp_path / "state", Moment.NEVER):
        Client(tmp_path / "state" / "api.sock").hold("node-0", "x")
    made = innervate("create", tmp_path / "a", "--config", config, phrase=phrase)
    assert made.returncode == 0, made.stderr
    assert "site lab" in made.stdout
    twice = innervate("create", tmp_path / "a", "--config", config, phrase=phrase)
    assert (twice.returncode, "is there already" in twice.stderr) == (2, True)
    other = tmp_path / "phrase2"
    other.write_text("another passphrase\n")
    wrong = innervate("restore", tmp_path / "a", tmp_path / "new", phrase=other)
    assert (wrong.returncode, "the passphrase is another one" in wrong.stderr) == (2, True)
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*"))


def packed(folder: Path) -> bytes:
    (folder / "a").write_bytes(os.urandom(1_500_000))
    (folder / "b").write_text("x" * 100)
    sources = [Source(path="state/a", file=folder / "a"), Source(path="state/d/b", file=folder / "b")]
    out = io.BytesIO()
    pack(sources, ABOUT, out, PHRASE, SystemRng(), cost=4)
    return out.getvalue()


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return packed(tmp_path_factory.mktemp("backup"))


def test_what_is_packed_comes_out(tmp_path: Path) -> None:
    data = packed(tmp_path)
    manifest = unpack(io.BytesIO(data), PHRASE, tmp_path / "out")
    assert [member.path for member in manifest.members] == ["state/a", "state/d/b"]
    assert (manifest.site, manifest.records, manifest.images) == ("lab", 3, {"debian-13": "manifest aa"})
    assert (tmp_path / "out/state/a").read_bytes() == (tmp_path / "a").read_bytes()
    assert (tmp_path / "out/state/d/b").read_text() == "x" * 100
    assert b"x" * 20 not in data


@settings(max_examples=60, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused(at: float, bit: int, backup: bytes) -> None:
    damaged = bytearray(backup)
    damaged[int(at * len(damaged))] ^= 1 << bit
    with pytest.raises(InnervateError):
        unpack(io.BytesIO(bytes(damaged)), PHRASE, None)


def test_a_flipped_bit_in_the_head_is_refused(backup: bytes) -> None:
    for at in range(backup.index(b"\n", 30) + 1):
        for bit in range(8):
            damaged = bytearray(backup)
            damaged[at] ^= 1 << bit
            with pytest.raises(InnervateError):
                unpack(io.BytesIO(bytes(damaged)), PHRASE, None)


@settings(max_examples=60, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True))
def test_what_was_cut_is_refused(at: float, backup: bytes) -> None:
    with pytest.raises(InnervateError):
        unpack(io.BytesIO(backup[: int(at * len(backup))]), PHRASE, None)


def test_frames_keep_their_order(backup: bytes) -> None:
    start = backup.index(b"\n", 30) + 1
    size = (1 << 20) + 16
    first, second = backup[start : start + size], backup[start + size :]
    for other in (second + first, first + first + second, first, second):
        with pytest.raises(UsageError):
            unpack(io.BytesIO(backup[:start] + other), PHRASE, None)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "state/../../x"])
def test_a_path_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    """Only who knows the passphrase could have made it; still, nothing is written outside."""
    (tmp_path / "a").write_text("x")
    out = io.BytesIO()
    pack([Source(path=name, file=tmp_path / "a")], ABOUT, out, PHRASE, SystemRng(), cost=4)
    with pytest.raises(UsageError, match="damaged"):
        unpack(io.BytesIO(out.getvalue()), PHRASE, tmp_path / "deep" / "out")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 2 << 20])
def test_streams_of_every_length(size: int) -> None:
    out, data = io.BytesIO(), os.urandom(size)
    sealing = Sealing(out, PHRASE, SystemRng(), cost=4)
    sealing.write(data)
    sealing.finish()
    opening, got = Opening(io.BytesIO(out.getvalue()), PHRASE), b""
    while part := opening.read(300_000):
        got += part
    assert got == data


@pytest.mark.parametrize(
    "head", [b"", b"x", b"innervate backup 1\n", b"innervate backup 1\n" + json.dumps({"cost": 40}).encode() + b"\n"]
)
def test_what_is_no_backup(head: bytes) -> None:
    with pytest.raises(UsageError):
        unpack(io.BytesIO(head), PHRASE, None)


def test_a_cost_that_would_take_all_memory_is_refused() -> None:
    line = json.dumps({"cost": 30, "salt": "00" * 16, "nonce": "00" * 7}).encode() + b"\n"
    with pytest.raises(UsageError, match="head of the backup is damaged"):
        unpack(io.BytesIO(b"innervate backup 1\n" + line), PHRASE, None)


def test_short_passphrases() -> None:
    with pytest.raises(UsageError, match="too short"):
        checked("hunter2")


def test_a_copy_of_the_log_while_it_is_written(tmp_path: Path) -> None:
    """Whoever appends meanwhile is acknowledged as ever, and the copy is a prefix of the log."""
    from appliance.store.records import Noted
    from tests.unit.appliance.store.samples import NODE

    log = Log(tmp_path / "records.db", SystemClock())
    log.open()
    appended = [log.append(Noted(machine=NODE, kind="k", text=str(number))) for number in range(500)]
    copies = [log.copy(tmp_path / f"copy{number}.db") for number in range(3)]
    appended += [log.append(Noted(machine=NODE, kind="k", text=str(number))) for number in range(500, 1000)]
    ends = [copy.result(20) for copy in copies]
    assert all(future.result(20) for future in appended)
    log.close()
    for number, end in enumerate(ends):
        assert end >= 500
        assert entries(tmp_path / f"copy{number}.db") == end
        assert (tmp_path / f"copy{number}.db").stat().st_mode & 0o777 == 0o600


def test_a_copy_that_cannot_be_made_hurts_nobody(tmp_path: Path) -> None:
    from appliance.store.records import Noted
    from tests.unit.appliance.store.samples import NODE

    log = Log(tmp_path / "records.db", SystemClock())
    log.open()
    with pytest.raises(InnervateError, match="cannot be copied"):
        log.copy(tmp_path / "none" / "copy.db").result(20)
    log.append(Noted(machine=NODE, kind="k", text="x")).result(20)
    log.close()
