"""The iPXE scripts that carry out a boot intent.

A script never ends: whatever fails is tried again with back-off (5 s more each time, up to 60 s), because a
switch port in spanning tree, or a server that is being restarted, is back within minutes. The back-off lives
in an iPXE setting, which survives from one script to the next; `chain --replace` keeps the stack flat.

`exit 1` leaves iPXE on UEFI: EFI_SUCCESS makes the boot manager stop and show its menu (UEFI 2.10, 3.1.1;
edk2 BootBootOptions), an error makes it try the next boot option. BIOS has no next option: INT 13h drive 0x80.
"""

import re
from typing import assert_never

from pxe.boot import BootIntent, Endpoints, LocalDisk, RunKernel, Wait
from pxe.errors import ConfigError
from templates import render

_WORD = re.compile(r"[A-Za-z0-9._:/=,@+?&~-]+")
_NOT_IN_REASON = re.compile(r"[^A-Za-z0-9._:/=,@+?~ -]")
_LONGEST_WORD = 1024
_LONGEST_REASON = 200
_LONGEST_WAIT = 3600

# netX is the device that was opened last, the one that boots; a bare ${mac} would be net0's on every machine.
_SCRIPT_PATH = "/boot.ipxe?mac=${netX/mac:hexhyp}&uuid=${uuid}&serial=${serial:uristring}"


def boot_script(intent: BootIntent, endpoints: Endpoints) -> str:
    """Raises ConfigError when a value of the intent could be read by iPXE as anything but itself."""
    script_url = endpoints.url(_SCRIPT_PATH)
    match intent:
        case LocalDisk():
            return render("ipxe/local_disk.ipxe.j2", {"script_url": script_url})
        case RunKernel():
            return _run_kernel(intent, endpoints, script_url)
        case Wait():
            return _wait(intent, script_url)
        case _:
            assert_never(intent)


def autoexec_script(endpoints: Endpoints) -> str:
    """What TFTP serves as autoexec.ipxe. Asking for DHCP only saves iPXE's 18 s wait for IPv6 routers."""
    return render("ipxe/autoexec.ipxe.j2", {"script_url": endpoints.url(_SCRIPT_PATH)})


def _run_kernel(intent: RunKernel, endpoints: Endpoints, script_url: str) -> str:
    return render(
        "ipxe/run_kernel.ipxe.j2",
        {
            "script_url": script_url,
            "kernel_url": endpoints.url(_path(intent.kernel)),
            "initrd_url": endpoints.url(_path(intent.initrd)),
            "arguments": [_word(argument) for argument in intent.arguments],
        },
    )


def _wait(intent: Wait, script_url: str) -> str:
    if not 1 <= intent.seconds <= _LONGEST_WAIT:
        raise ConfigError("waiting time out of range", evidence=str(intent.seconds), next_action="use 1 to 3600 s")
    reason = _NOT_IN_REASON.sub("?", intent.reason[:_LONGEST_REASON]).strip() or "no reason given"
    return render("ipxe/wait.ipxe.j2", {"script_url": script_url, "reason": reason, "seconds": intent.seconds})


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise ConfigError("not an absolute path", evidence=text[:80], next_action="start it with a slash")
    return _word(text)


def _word(text: str) -> str:
    # "&&" alone would be iPXE's operator; every other word of the whitelist is literal to it.
    if len(text) > _LONGEST_WORD or not _WORD.fullmatch(text) or "&&" in text:
        raise ConfigError(
            "value not allowed in a boot script",
            evidence=repr(text[:80]),
            next_action="use letters, digits and ._:/=,@+?&~- only",
        )
    return text
