"""The appliance's data at rest, on emulated machines with a TPM of their own (swtpm): what a thief of the disk gets."""

import json
import mmap
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.lab.qemu import EMULATED
from tests.image import balloon
from tests.image.serial_line import SerialLine

pytestmark = [
    pytest.mark.rack,
    pytest.mark.long,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(shutil.which("swtpm") is None, reason="NOT TESTED: the sealed disk, without swtpm"),
]
ASKED, READY = 900.0, 900.0
ADDRESS = "10.77.0.2"
SETUP = r"SHA-256\s+[0-9a-f]{64}\s+.*the setup code (\S+) makes"
CANARY = "kanarie-0451-geheim"
CONFIGURATION = 'state_dir = "/data/state"'
"""In the clear on the data partition; what the image itself says of it is compressed."""
PASSPHRASE = "four words are enough"
RECOVERY = r"shown this once:\s+((?:[cbdefghijklnrtuv]{8}-){7}[cbdefghijklnrtuv]{8})"
DISK_GIB = 6
MEMORY_MIB = "1024"
IDLE_BYTES, IDLE_SECONDS = 512_000_000, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Computer:
    """`folder` is the computer itself: its TPM stays there, its disk may go elsewhere."""

    folder: Path
    disk: Path
    tpm: bool = True
    port: int = 0
    """Where the appliance's port 443 is on this machine."""

    @property
    def control(self) -> Path:
        return self.folder / "qmp.sock"

    @contextmanager
    def on(self) -> Iterator[SerialLine]:
        self.folder.mkdir(exist_ok=True)
        with self._tpm() as options:
            console = _vacant(self.folder / "console.sock")
            control = balloon.options(_vacant(self.control))
            argv = (
                *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", EMULATED, "-m", MEMORY_MIB, "-smp", "1"),
                *("-no-user-config", "-nodefaults", "-display", "none", "-machine", "q35,graphics=off"),
                *("-chardev", f"socket,id=c,path={console},server=on,wait=off,logfile={self.folder}/console.log"),
                *("-serial", "chardev:c", "-nic", self._nic()),
                *("-object", "rng-random,filename=/dev/urandom,id=r", "-device", "virtio-rng-pci,rng=r"),
                *("-drive", f"if=virtio,format=raw,cache=unsafe,discard=unmap,file={self.disk}"),
                *options,
                *control,
            )
            with subprocess.Popen(argv) as machine:
                try:
                    with closing(_line(console)) as line:
                        yield line
                finally:
                    machine.kill()

    def _nic(self) -> str:
        wire = "user,model=virtio-net-pci,restrict=on,net=10.77.0.0/24,host=10.77.0.1"
        return f"{wire},hostfwd=tcp:127.0.0.1:{self.port}-{ADDRESS}:443" if self.port else wire

    def asked(self, path: str, body: Mapping[str, str], *, csrf: str = "") -> Any:
        """By curl, as a program that has logged in."""
        jar, url = str(self.folder / "cookies"), f"https://{ADDRESS}{path}"
        argv = ["curl", "-sSkf", "--max-time", "300", "-b", jar, "-c", jar, "-H", "Content-Type: application/json"]
        argv += ["--connect-to", f"{ADDRESS}:443:127.0.0.1:{self.port}", "-H", f"X-CSRF-Token: {csrf}"]
        argv += ["-H", f"Origin: https://{ADDRESS}", "-d", json.dumps(body), url]
        return json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)

    @contextmanager
    def _tpm(self) -> Iterator[tuple[str, ...]]:
        if not self.tpm:
            yield ()
            return
        state, path = self.folder / "tpm", _vacant(self.folder / "tpm.sock")
        state.mkdir(exist_ok=True)
        argv = ("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl", f"type=unixio,path={path}")
        with subprocess.Popen(argv) as chip:
            try:
                _until_there(path)
                chardev = f"socket,id=t,path={path}"
                yield ("-chardev", chardev, "-tpmdev", "emulator,id=tpm0,chardev=t", "-device", "tpm-crb,tpmdev=tpm0")
            finally:
                chip.kill()


def _vacant(path: Path) -> Path:
    """Without the socket of a program that was killed, which would be taken for the new one's."""
    path.unlink(missing_ok=True)
    return path


def _line(path: Path) -> SerialLine:
    _until_there(path)
    return SerialLine(path)


def _until_there(path: Path) -> None:
    subprocess.run(["timeout", "30", "sh", "-c", f'until [ -S "{path}" ]; do :; done'], check=True)


@pytest.fixture
def disk(image: Path, tmp_path: Path) -> Path:
    disk = tmp_path / "disk.raw"
    subprocess.run(["cp", "--sparse=always", str(image), str(disk)], check=True)
    os.truncate(disk, DISK_GIB << 30)
    return disk


def answered(line: SerialLine) -> None:
    for question, answer in (
        (r"1/5 .*: ", "1"),
        (r"2/5 .*\]: ", f"{ADDRESS}/24"),
        (r"3/5 .*\): ", "10.77.0.9"),
        (r"4/5 .*: ", "admin"),
        (r"5/5 .*: ", CANARY),
    ):
        line.expect(question, ASKED)
        line.type(answer)
    line.expect(rf"Ready: https://{ADDRESS}/", READY)
    line.expect(r"SHA-256\s+[0-9a-f]{64}", READY)


def holds(disk: Path, secret: str) -> bool:
    """Anywhere on the disk, as it is and in UTF-16."""
    with disk.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(word) >= 0 for word in (secret.encode(), secret.encode("utf-16-le")))


def test_a_disk_opens_on_its_own_computer_and_on_no_other(disk: Path, tmp_path: Path) -> None:
    ours = Computer(folder=tmp_path / "ours", disk=disk)
    with ours.on() as line:
        key = line.expect(RECOVERY, ASKED)[1]
        line.type("")
        answered(line)
    assert not holds(disk, CANARY)
    assert not holds(disk, CONFIGURATION)
    with ours.on() as line:
        line.expect(r"SHA-256\s+[0-9a-f]{64}", READY)
        assert "recovery key" not in line.text
    with Computer(folder=tmp_path / "thief", disk=disk).on() as line:
        line.expect("Passphrase or recovery key: ", ASKED)
        line.type(PASSPHRASE)
        refused = line.expect("that opens nothing", ASKED)
        line.expect("Passphrase or recovery key: ", ASKED, after=refused.end())
        line.type(key)
        line.expect(r"SHA-256\s+[0-9a-f]{64}", READY)


def test_without_a_tpm_the_passphrase_opens(disk: Path, tmp_path: Path) -> None:
    ours = Computer(folder=tmp_path / "ours", disk=disk, tpm=False)
    with ours.on() as line:
        for question in ("Passphrase, asked at each boot", "The same again"):
            line.expect(question, ASKED)
            line.type(PASSPHRASE)
        line.expect(RECOVERY, ASKED)
        line.type("")
        answered(line)
        assert PASSPHRASE not in line.text
        assert CANARY not in line.text
    assert not [secret for secret in (CANARY, PASSPHRASE, CONFIGURATION) if holds(disk, secret)]
    with ours.on() as line:
        line.expect("Passphrase or recovery key: ", ASKED)
        line.type(PASSPHRASE)
        line.expect(r"SHA-256\s+[0-9a-f]{64}", READY)


def test_without_either_the_screen_says_so_and_the_disk_tells(disk: Path, tmp_path: Path) -> None:
    """Also the proof that looking into the disk would find what is not encrypted, and that little memory is enough."""
    ours = Computer(folder=tmp_path / "ours", disk=disk, tpm=False)
    with ours.on() as line:
        line.expect("Passphrase, asked at each boot", ASKED)
        line.type("")
        line.expect("Type unencrypted to go on: ", ASKED)
        line.type("unencrypted")
        line.expect("NOT encrypted", ASKED)
        answered(line)
        used = balloon.used(ours.control, IDLE_BYTES, IDLE_SECONDS)
        assert used <= IDLE_BYTES, f"{used >> 20} MiB are in use"
    assert holds(disk, CONFIGURATION)


def test_a_reset_ends_every_key_and_asks_anew(disk: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    ours = Computer(folder=tmp_path / "ours", disk=disk, port=port)
    with ours.on() as line:
        key = line.expect(RECOVERY, ASKED)[1]
        line.type("")
        answered(line)
        code = line.expect(SETUP, READY)
        ours.asked("/v1/setup", {"name": "ann", "code": code[1], "password": PASSPHRASE})
        csrf = ours.asked("/v1/login", {"name": "ann", "password": PASSPHRASE})["csrf"]
        assert ours.asked("/v1/appliance/reset", {"site": "rack"}, csrf=csrf) == {"erases": "disk"}
        again = line.expect(RECOVERY, READY, after=code.end())
        assert again[1] != key
        line.type("")
        line.expect(r"1/5 .*: ", ASKED, after=again.end())
