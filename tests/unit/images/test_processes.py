import sys
from pathlib import Path

import pytest

from images.errors import ToolError
from images.processes import HostProcesses, check


def _python(code: str) -> list[str]:
    return [str(Path(sys.executable).absolute()), "-c", code]


def test_output_status_and_input(tmp_path: Path) -> None:
    code = "import os,sys; print(os.getcwd(), sys.stdin.read()); print('e', file=sys.stderr); sys.exit(3)"
    lines = list[str]()
    finished = HostProcesses().run(_python(code), timeout=20, stdin=b"in", cwd=tmp_path, watch=lines.append)
    assert (finished.status, finished.output.decode(), finished.errors) == (3, f"{tmp_path} in\n", b"e\n")
    assert lines == ["e"]


def test_failure_carries_the_tools_last_words() -> None:
    with pytest.raises(ToolError) as caught:
        check(HostProcesses(), _python("import sys; sys.exit('no space')"), timeout=20)
    assert "no space" in caught.value.evidence


def test_missing_tool_names_the_packages() -> None:
    with pytest.raises(ToolError) as caught:
        HostProcesses().run(["no-such-tool-here"], timeout=1)
    assert "packages.txt" in caught.value.next_action


def test_overrun_ends_the_whole_group() -> None:
    # The grandchild holds standard error open: only its death ends the reading.
    code = "import subprocess,sys; subprocess.run([sys.executable, '-c', 'import signal; signal.pause()'])"
    with pytest.raises(ToolError, match="longer"):
        HostProcesses().run(_python(code), timeout=0.5)
