"""What a job's script does on a machine, by the machine's own shell; and what a look at it is read as."""

import subprocess
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from appliance.model.secret import Secret
from appliance.nodes.job import Act, Download, Job, Sight, State, TextFile, begin, look, read, script

HOSTILE = 'it\'s $(touch /tmp/x) `id` \\ "quoted"\nEND\n\tand é more'


def test_a_look_is_read_whatever_it_says() -> None:
    text = "mark=abc\nstate=activating\nword=joining\x1b[31m\nlog=one two=three \n"
    assert read(text) == Sight(mark="abc", state=State.AT_WORK, word="joining", log="one two=three ")
    assert read("") == Sight(mark="", state=State.NONE)
    assert read("nonsense\nstate\n=\n") == Sight(mark="", state=State.NONE)
    assert read("state=failed\nword=" + "x" * 10_000).state is State.FAILED


@pytest.mark.parametrize("state", ["active", "activating", "deactivating", "reloading"])
def test_a_unit_that_is_not_at_rest_is_at_work(state: str) -> None:
    assert read(f"state={state}\n").state is State.AT_WORK


def test_the_script_is_a_secret_and_its_commands_hold_no_more_than_the_name() -> None:
    job = Job(name="join", mark="m", files=(TextFile(path="/etc/token", text=Secret("s3cret")),))
    assert "s3cret" not in repr(script(job, "http://10.77.0.1/f"))
    assert begin(job)[-2] == "join"
    assert look(job)[-3] == "join"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        pass


def done(job: Job, folder: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The script, in a mount namespace where the folders of the machine are this test's own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Quiet(*args, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        text = script(job, f"http://127.0.0.1:{server.server_port}/").reveal()
        for name in ("run", "lib", "etc"):
            (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / "script").write_text(text)
        mounts = ("run:/run", "lib:/var/lib", "etc:/mnt")
        bind = " && ".join(f"mount --bind {tmp_path}/{a} {b}" for a, _, b in (one.partition(":") for one in mounts))
        inner = f"{bind} && mkdir -p /run/innervate/jobs/{job.name} && exec sh {tmp_path}/script"
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", inner]
        finished = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        server.shutdown()
    return finished


def test_files_come_by_their_hash_and_commands_get_their_words(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    content = b"a program"
    digest = sha256(content).hexdigest()
    (folder / digest).write_bytes(content)
    job = Job(
        name="prepare",
        mark="abc123",
        downloads=(Download(sha256=digest, path="/mnt/bin/program", mode="0755"),),
        files=(TextFile(path="/mnt/x/file", text=HOSTILE, mode="0640"), TextFile(path="/mnt/empty", text="")),
        acts=(Act(argv=("sh", "-c", 'printf "%s" "$1" >/mnt/argument', "sh", HOSTILE), says="it's written"),),
    )
    finished = done(job, folder, tmp_path)
    assert finished.returncode == 0, finished.stderr
    etc, run, lib = tmp_path / "etc", tmp_path / "run", tmp_path / "lib"
    assert (etc / "bin/program").read_bytes() == content
    assert (etc / "bin/program").stat().st_mode & 0o777 == 0o755
    assert (etc / "x/file").read_text() == HOSTILE
    assert (etc / "x/file").stat().st_mode & 0o777 == 0o640
    assert (etc / "empty").read_text() == ""
    assert (etc / "argument").read_text() == HOSTILE
    assert (run / "innervate/jobs/prepare/word").read_text() == "it's written\n"
    assert (lib / "innervate/jobs/prepare").read_text() == "abc123\n"
    assert "it's written" in finished.stdout


def test_what_is_there_already_is_not_fetched_again(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/program").write_bytes(b"here")
    job = Job(name="prepare", mark="m", downloads=(Download(sha256=sha256(b"here").hexdigest(), path="/mnt/program"),))
    assert done(job, folder, tmp_path).returncode == 0


def test_a_file_that_is_another_stops_the_job_before_anything_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    digest = sha256(b"wanted").hexdigest()
    (folder / digest).write_bytes(b"other")
    job = Job(
        name="prepare",
        mark="m",
        downloads=(Download(sha256=digest, path="/mnt/program"),),
        acts=(Act(argv=("touch", "/mnt/acted"), says="acting"),),
    )
    finished = done(job, folder, tmp_path)
    assert finished.returncode != 0
    assert "not what it should be" in finished.stdout
    assert not (tmp_path / "etc/program").exists()
    assert not (tmp_path / "etc/acted").exists()
    assert not (tmp_path / "lib/innervate/jobs/prepare").exists()


def test_a_command_that_fails_leaves_its_word_and_no_mark(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    acts = (
        Act(argv=("sh", "-c", "echo because >&2; exit 3"), says="trying"),
        Act(argv=("touch", "/mnt/after"), says="after"),
    )
    finished = done(Job(name="join", mark="m", acts=acts), folder, tmp_path)
    assert finished.returncode == 3
    assert (tmp_path / "run/innervate/jobs/join/word").read_text() == "trying\n"
    assert not (tmp_path / "etc/after").exists()
    assert not (tmp_path / "lib/innervate/jobs/join").exists()
