"""Whatever the values, a boot script has its own commands and no others."""

import re
import shlex
from ipaddress import IPv4Address

from hypothesis import example, given
from hypothesis import strategies as st

from pxe.boot import Endpoints, RunKernel, Wait
from pxe.client import Client, Mac, Stage
from pxe.errors import ConfigError
from pxe.script import boot_config, boot_script

ENDPOINTS = Endpoints(address=IPv4Address("10.20.0.1"))
CLIENT = Client(mac=Mac("52:54:00:00:00:01"), stage=Stage.IPXE)
BOOTS = "BOOTIF=01-52-54-00-00-00-01"
RETRY = [":retry", "imgfree", "isset", "iseq", "echo", "sleep", "chain"]
values = st.text() | st.text(alphabet="ab/=.-&| \n\r${}#;:?@+~") | st.sampled_from(["&&", "||", "a\nshell", "-x"])


def commands(script: str) -> list[str]:
    return [line.split()[0] for line in re.split(r"[\r\n]+", script) if line]


def operators(script: str) -> int:
    return sum(word in {"&&", "||"} for word in script.split())


@example("", "", ["0", "---"])
@given(values, values, st.lists(values, max_size=4))
def test_run_kernel_has_its_own_commands_only(kernel: str, initrd: str, arguments: list[str]) -> None:
    intent = RunKernel(kernel="/" + kernel, initrd="/" + initrd, arguments=tuple(arguments))
    try:
        script = boot_script(intent, CLIENT, ENDPOINTS)
    except ConfigError:
        return
    assert commands(script) == ["#!ipxe", "echo", "kernel", "initrd", "boot", *RETRY]
    assert operators(script) == 6
    assert "${" not in script.split(":retry")[0]
    line = script.splitlines()[2].split()
    words = [f"http://10.20.0.1/{kernel}", "initrd=initrd", BOOTS, *arguments]
    assert line == ["kernel", *words, "||", "goto", "retry"]


@given(values, st.integers())
def test_wait_has_its_own_commands_only(reason: str, seconds: int) -> None:
    try:
        script = boot_script(Wait(reason=reason, seconds=seconds), CLIENT, ENDPOINTS)
    except ConfigError:
        assert not 1 <= seconds <= 3600
        return
    assert commands(script) == ["#!ipxe", "echo", "set", "sleep", "chain", *RETRY]
    assert operators(script) == 4
    assert script.isascii()


@example("", "", ["0", "---"])
@given(values, values, st.lists(values, max_size=4))
def test_grub_reads_every_value_in_quotes_as_itself(kernel: str, initrd: str, arguments: list[str]) -> None:
    """shlex quotes as GRUB does: nothing is special between single quotes, and nothing but they ends them."""
    intent = RunKernel(kernel="/" + kernel, initrd="/" + initrd, arguments=tuple(arguments))
    try:
        config = boot_config(intent, CLIENT, ENDPOINTS)
    except ConfigError:
        return
    _, linux, initrd_line, end = config.splitlines()
    assert shlex.split(linux) == ["if", "linux", *_last_ends([f"(http,10.20.0.1)/{kernel}", BOOTS, *arguments]), "then"]
    assert shlex.split(initrd_line) == ["if", "initrd", f"(http,10.20.0.1)/{initrd};", "then", "boot;", "fi"]
    assert end == "fi"


def _last_ends(words: list[str]) -> list[str]:
    return [*words[:-1], f"{words[-1]};"]
