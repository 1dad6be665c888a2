"""TAB, in the shells' own words; bash itself runs what we print for it."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, Served
from appliance.model.phase import Phase
from appliance.model.views import MachineView

# A prompt waits one second and then offers nothing: whoever shares the machine would be what is measured.
pytestmark = pytest.mark.alone

Run = Callable[..., tuple[int, str, str]]
Offered = Callable[[str], list[str]]


@pytest.fixture
def offered(server: Served, socket_path: Path) -> Offered:
    return lambda line: asked(line, socket_path)


def asked(line: str, socket_path: Path) -> list[str]:
    """What the bash function gets for the last word of this line."""
    environment = {
        "COMP_WORDS": f"innervate {line}",
        "COMP_CWORD": str(len(line.split()) if not line.endswith(" ") else len(line.split()) + 1),
        "_INNERVATE_COMPLETE": "complete_bash",
        "INNERVATE_SOCKET": str(socket_path),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path(__file__).parents[4]),
    }
    argv = [sys.executable, "-m", "appliance.main"]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_verbs(offered: Offered) -> None:
    assert offered("sta") == ["status"]
    assert offered("completion z") == ["zsh"]


def test_machines(offered: Offered, application: FakeApplication) -> None:
    application.inventory["rack-2-a"] = MachineView(name="rack-2-a", phase=Phase.ACTIVE, since=1.0)
    assert offered("power nod") == ["node-0", "node-1", "node-2"]
    assert offered("hold rack") == ["rack-2-a"]
    assert offered("events --machine node-1") == ["node-1"]
    assert offered('explain "no*de:') == []


def test_clusters(offered: Offered) -> None:
    assert offered("cluster show p") == offered("cluster kubeconfig pro") == ["prod"]


def test_filters(offered: Offered) -> None:
    assert offered("status s") == ["state:", "spare:", "serial:"]
    assert offered("machines nod") == ["node-0", "node-1", "node-2"]


def test_without_a_daemon_nothing_is_offered_and_nothing_said(tmp_path: Path) -> None:
    assert asked("power nod", tmp_path / "none.sock") == []
    assert asked("cluster show p", tmp_path / "none.sock") == []
    assert asked("status sta", tmp_path / "none.sock") == ["state:"]


def test_the_socket_of_the_line_is_asked(server: Served, socket_path: Path, tmp_path: Path) -> None:
    assert asked(f"--socket {socket_path} power nod", tmp_path / "none.sock") == ["node-0", "node-1", "node-2"]


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o default"), ("zsh", "#compdef innervate"), ("fish", "complete --command")]
)
def test_scripts(run: Run, shell: str, word: str) -> None:
    status, out, err = run("completion", shell)
    assert (status, err) == (0, "")
    assert word in out
    assert run("completion", "tcsh")[0] == 2


def test_bash_runs_it(run: Run, tmp_path: Path, server: Served, socket_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script, command = tmp_path / "completion.bash", tmp_path / "innervate"
    script.write_text(run("completion", "bash")[1])
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m appliance.main "$@"\n')
    command.chmod(0o755)
    lines = (
        f"source {script}",
        "COMP_WORDS=(innervate hold node-)",
        "COMP_CWORD=2",
        "_innervate_completion innervate",
        'printf "%s\\n" "${COMPREPLY[@]}"',
    )
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "INNERVATE_SOCKET": str(socket_path),
        "PYTHONPATH": str(Path(__file__).parents[4]),
    }
    done = subprocess.run([bash, "-c", "\n".join(lines)], capture_output=True, text=True, env=environment)
    assert (done.stdout.split(), done.stderr) == (["node-0", "node-1", "node-2"], "")
