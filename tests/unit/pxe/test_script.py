from ipaddress import IPv4Address
from pathlib import Path

import jinja2
import pytest

from pxe.boot import BootIntent, Endpoints, LocalDisk, RunKernel, Wait
from pxe.errors import ConfigError
from pxe.script import autoexec_script, boot_script
from templates import render

GOLDEN = Path(__file__).parents[2] / "golden" / "ipxe"
ENDPOINTS = Endpoints(address=IPv4Address("10.20.0.1"), http_port=8080)

INTENTS: list[tuple[str, BootIntent]] = [
    ("local_disk", LocalDisk()),
    (
        "run_kernel",
        RunKernel(kernel="/ramdisk/vmlinuz", initrd="/ramdisk/initrd.zst", arguments=("console=ttyS0", "quiet")),
    ),
    ("wait", Wait(reason="rack 3: no plan approved yet", seconds=15)),
]


@pytest.mark.parametrize(("name", "intent"), INTENTS)
def test_script_is_the_golden_one(name: str, intent: BootIntent) -> None:
    assert boot_script(intent, ENDPOINTS) == (GOLDEN / f"{name}.ipxe").read_text()


def test_autoexec_is_the_golden_one() -> None:
    assert autoexec_script(ENDPOINTS) == (GOLDEN / "autoexec.ipxe").read_text()


@pytest.mark.parametrize(
    "script", [*(boot_script(intent, ENDPOINTS) for _, intent in INTENTS), autoexec_script(ENDPOINTS)]
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
        with pytest.raises(ConfigError):
            boot_script(intent, ENDPOINTS)


@pytest.mark.parametrize("path", ["", "vmlinuz", "http://elsewhere/vmlinuz"])
def test_relative_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        boot_script(RunKernel(kernel=path, initrd="/i"), ENDPOINTS)


@pytest.mark.parametrize("seconds", [0, -1, 3601])
def test_waiting_time_has_bounds(seconds: int) -> None:
    with pytest.raises(ConfigError):
        boot_script(Wait(reason="later", seconds=seconds), ENDPOINTS)


def test_reason_is_made_harmless() -> None:
    script = boot_script(Wait(reason="a && shell || ${x}\nshell\r\n\0", seconds=1), ENDPOINTS)
    assert script.splitlines()[1] == "echo innervate: waiting: a ?? shell ?? ??x??shell???"


def test_missing_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("ipxe/wait.ipxe.j2", {"reason": "x"})
