import shutil
import subprocess
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import jinja2
import pytest

from pxe.boot import BootIntent, Endpoints, LocalDisk, RunKernel, Wait
from pxe.client import Client, Mac, Stage
from pxe.errors import ConfigError
from pxe.script import autoexec_script, boot_config, boot_script, start_config
from templates import render

GOLDEN = Path(__file__).parents[2] / "golden"
CLIENT = Client(mac=Mac("52:54:00:00:00:01"), stage=Stage.IPXE, uuid=UUID("4c4c4544-0051-3310-8052-b4c04f4e5431"))
ENDPOINTS = Endpoints(address=IPv4Address("10.20.0.1"), http_port=8080)

INTENTS: list[tuple[str, BootIntent]] = [
    ("local_disk", LocalDisk()),
    (
        "run_kernel",
        RunKernel(kernel="/ramdisk/vmlinuz", initrd="/ramdisk/initrd.zst", arguments=("console=ttyS0", "quiet")),
    ),
    ("attempt", RunKernel(kernel="/artifact/vmlinuz", initrd="/artifact/initrd", attempt="0f1e2d")),
    ("wait", Wait(reason="rack 3: no plan approved yet", seconds=15)),
]


@pytest.mark.parametrize(("name", "intent"), INTENTS)
def test_script_is_the_golden_one(name: str, intent: BootIntent) -> None:
    assert boot_script(intent, CLIENT, ENDPOINTS) == (GOLDEN / "ipxe" / f"{name}.ipxe").read_text()


@pytest.mark.parametrize(("name", "intent"), INTENTS)
def test_config_is_the_golden_one(name: str, intent: BootIntent) -> None:
    assert boot_config(intent, CLIENT, ENDPOINTS) == (GOLDEN / "grub" / f"{name}.cfg").read_text()


def test_start_config_is_the_golden_one() -> None:
    assert start_config(ENDPOINTS) == (GOLDEN / "grub" / "start.cfg").read_text()


@pytest.mark.skipif(shutil.which("grub-script-check") is None, reason="NOT TESTED: no grub-script-check here")
@pytest.mark.parametrize(
    "config", [*(boot_config(intent, CLIENT, ENDPOINTS) for _, intent in INTENTS), start_config(ENDPOINTS)]
)
def test_grub_itself_can_parse_it(config: str) -> None:
    done = subprocess.run(["grub-script-check"], input=config, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_start_config_never_ends() -> None:
    lines = start_config(ENDPOINTS).splitlines()
    assert lines[lines.index("while true; do") :][-1] == "done"
    assert not {"configfile", "exit", "return", "break"} & set(" ".join(lines).split())


def test_port_80_is_not_written() -> None:
    endpoints = Endpoints(address=IPv4Address("10.20.0.1"))
    assert "'(http,10.20.0.1)/boot.grub?mac='" in start_config(endpoints)


def test_autoexec_is_the_golden_one() -> None:
    assert autoexec_script(ENDPOINTS) == (GOLDEN / "ipxe" / "autoexec.ipxe").read_text()


@pytest.mark.parametrize(
    "script", [*(boot_script(intent, CLIENT, ENDPOINTS) for _, intent in INTENTS), autoexec_script(ENDPOINTS)]
)
def test_no_command_that_can_fail_is_left_without_a_way_out(script: str) -> None:
    lines = script.splitlines()
    assert lines[0] == "#!ipxe"
    fallible = [line for line in lines if line.split()[0] in {"kernel", "initrd", "boot", "chain", "ifconf", "sanboot"}]
    assert fallible
    assert all(line.endswith(" || goto retry") for line in fallible)
    assert ":retry" in lines


HOSTILE = ["", "a b", "a\nshell", "a\r", "${mac}", "a;b", "a|b", "&&", "x&&y", "||", "#", "a\0", "é", "x" * 1025]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_value_is_refused(value: str) -> None:
    for intent in (
        RunKernel(kernel=f"/{value}", initrd="/i"),
        RunKernel(kernel="/k", initrd=f"/{value}"),
        RunKernel(kernel="/k", initrd="/i", arguments=(value,)),
    ):
        if intent.kernel == "/" or intent.initrd == "/":
            continue
        for write in (boot_script, boot_config):
            with pytest.raises(ConfigError):
                write(intent, CLIENT, ENDPOINTS)


@pytest.mark.parametrize("path", ["", "vmlinuz", "http://elsewhere/vmlinuz"])
def test_relative_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        boot_script(RunKernel(kernel=path, initrd="/i"), CLIENT, ENDPOINTS)


@pytest.mark.parametrize("seconds", [0, -1, 3601])
def test_waiting_time_has_bounds(seconds: int) -> None:
    with pytest.raises(ConfigError):
        boot_script(Wait(reason="later", seconds=seconds), CLIENT, ENDPOINTS)


def test_reason_is_made_harmless() -> None:
    script = boot_script(Wait(reason="a && shell || ${x}\nshell\r\n\0", seconds=1), CLIENT, ENDPOINTS)
    assert script.splitlines()[1] == "echo innervate: waiting: a ?? shell ?? ??x??shell???"


def test_reason_cannot_leave_its_quotes() -> None:
    config = boot_config(Wait(reason="it's; reboot\n\"${x}\\", seconds=1), CLIENT, ENDPOINTS)
    assert config.splitlines()[0] == "echo 'innervate: waiting: it?s? reboot????x??'"


def test_attempt_is_a_word_too() -> None:
    with pytest.raises(ConfigError):
        boot_script(RunKernel(kernel="/k", initrd="/i", attempt="a b"), CLIENT, ENDPOINTS)


def test_missing_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("ipxe/wait.ipxe.j2", {"reason": "x"})
