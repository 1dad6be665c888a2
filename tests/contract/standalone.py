"""`python -m pxe` as a process in a network namespace, and a configuration for it."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.contract.segment import DEADLINE

ROOT = Path(__file__).parents[2]


def example(folder: Path, **changes: str) -> Path:
    """The golden configuration with its folders; `changes` are lines by their key, in place of the first such one."""
    lines = (ROOT / "tests/golden/pxe.toml").read_text().splitlines()
    for key, line in changes.items():
        at = next(number for number, text in enumerate(lines) if text.startswith(f"{key} = "))
        lines[at] = line
    path = folder / "pxe.toml"
    path.write_text("\n".join(lines) + "\n")
    for name in ("programs/snponly.efi", "artifacts/installer/vmlinuz", "artifacts/installer/initrd.img"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 1000)
    return path


class Server:
    def __init__(self, namespace: str, config: Path) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        argv = ["ip", "netns", "exec", namespace, sys.executable, "-m", "pxe", str(config)]
        self._process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def await_line(self, *words: str) -> str:
        def found() -> str:
            return next((line for line in self._lines if all(word in line for word in words)), "")

        with self._changed:
            assert self._changed.wait_for(found, DEADLINE), (words, self._lines)
            return found()

    def tell(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Its exit status."""
        status = self._process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return status

    def close(self) -> None:
        if self._process.poll() is None:
            self.end(signal.SIGKILL)

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
