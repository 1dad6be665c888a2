"""The boot scripts, for iPXE and for GRUB, that carry out a boot intent.

A script never ends: whatever fails is tried again with back-off, up to 60 s, because a switch port in spanning tree,
or a server that is being restarted, is back within minutes.

* iPXE: 5 s more each time. The back-off lives in an iPXE setting, which survives from one script to the next;
  `chain --replace` keeps the stack flat.
* GRUB: its first configuration is the loop, and sources that of the machine in each round. A configuration that sourced
  the next one would nest for ever; one that ends comes back to the loop. GRUB cannot add, so the back-off is a list.

`exit 1` leaves iPXE on UEFI: EFI_SUCCESS makes the boot manager stop and show its menu (UEFI 2.10, 3.1.1;
edk2 BootBootOptions), an error makes it try the next boot option. BIOS has no next option: INT 13h drive 0x80.
GRUB 2.12 leaves with EFI_SUCCESS whatever it is told, so it starts the disk's own loader, and leaves only without one.
"""

import re
from typing import assert_never

from pxe.boot import BootIntent, Endpoints, LocalDisk, RunKernel, Wait
from pxe.client import Client
from pxe.errors import ConfigError
from templates import render

# "&&" alone would be iPXE's operator; every other word of the whitelist is literal to it.
_WORD = re.compile(r"(?!.*&&)[A-Za-z0-9._:/=,@+?&~-]{1,1024}")
_NOT_IN_REASON = re.compile(r"[^A-Za-z0-9._:/=,@+?~ -]")
_LONGEST_REASON = 200
_LONGEST_WAIT = 3600
_ETHERNET = "01"  # the ARP hardware type

# netX is the device that was opened last, the one that boots; a bare ${mac} would be net0's on every machine.
_SCRIPT_PATH = "/boot.ipxe?mac=${netX/mac:hexhyp}&uuid=${uuid}&serial=${serial:uristring}"
_CONFIG_PATH = "/boot.grub?mac="


def boot_script(intent: BootIntent, client: Client, endpoints: Endpoints) -> str:
    """For iPXE. Raises ConfigError when a value of the intent could be read by iPXE as anything but itself."""
    origin = endpoints.url("")
    script_url = origin + _SCRIPT_PATH
    match intent:
        case LocalDisk():
            return render("ipxe/local_disk.ipxe.j2", {"script_url": script_url})
        case RunKernel():
            kernel, initrd, *arguments = _words(intent, client)
            return render(
                "ipxe/run_kernel.ipxe.j2",
                {
                    "script_url": script_url,
                    "kernel_url": origin + kernel,
                    "initrd_url": origin + initrd,
                    "arguments": arguments,
                },
            )
        case Wait():
            return render("ipxe/wait.ipxe.j2", {"script_url": script_url, **_pause(intent)})
        case _:
            assert_never(intent)


def boot_config(intent: BootIntent, client: Client, endpoints: Endpoints) -> str:
    """For GRUB, which reads every word in single quotes as itself. Raises ConfigError as `boot_script` does."""
    match intent:
        case LocalDisk():
            return render("grub/local_disk.cfg.j2", {})
        case RunKernel():
            kernel, initrd, *arguments = _words(intent, client)
            return render(
                "grub/run_kernel.cfg.j2",
                {
                    "kernel_file": _grub_file(endpoints, kernel),
                    "initrd_file": _grub_file(endpoints, initrd),
                    "arguments": arguments,
                },
            )
        case Wait():
            return render("grub/wait.cfg.j2", _pause(intent))
        case _:
            assert_never(intent)


def autoexec_script(endpoints: Endpoints) -> str:
    """What TFTP serves as autoexec.ipxe. Asking for DHCP only saves iPXE's 18 s wait for IPv6 routers."""
    return render("ipxe/autoexec.ipxe.j2", {"script_url": endpoints.url(_SCRIPT_PATH)})


def start_config(endpoints: Endpoints) -> str:
    """What TFTP serves as grub/grub.cfg."""
    return render("grub/start.cfg.j2", {"config_file": _grub_file(endpoints, _CONFIG_PATH)})


def attempt_path(path: str, attempt: str, client: Client) -> str:
    """Where this client finds `path` while the attempt is the one that counts: /a/MAC[.UUID]/ATTEMPT/..."""
    uuid = "" if client.uuid is None else f".{client.uuid}"
    return f"/a/{client.mac.text.replace(':', '-')}{uuid}/{attempt}{path}"


def _words(intent: RunKernel, client: Client) -> tuple[str, ...]:
    """The paths of the kernel and of the initrd, then the arguments; the first says which NIC boots, as PXELINUX does:
    of several the system asks for an address on that one alone. (What is last may be what an installer passes on.)"""
    kernel, initrd = intent.kernel, intent.initrd
    for path in (kernel, initrd):
        if not path.startswith("/"):
            raise ConfigError("not an absolute path", evidence=path[:80], next_action="start it with a slash")
    own = attempt_path("", intent.attempt, client) if intent.attempt else ""
    boots = f"BOOTIF={_ETHERNET}-{client.mac.text.replace(':', '-')}"
    words = (own + kernel, own + initrd, boots, *intent.arguments)
    if not all(map(_WORD.fullmatch, words)):
        bad = next(word for word in words if not _WORD.fullmatch(word))
        raise ConfigError(
            "value not allowed in a boot script",
            evidence=repr(bad[:80]),
            next_action="use letters, digits and ._:/=,@+?&~- only",
        )
    return words


def _grub_file(endpoints: Endpoints, path: str) -> str:
    port = "" if endpoints.http_port == 80 else f":{endpoints.http_port}"
    return f"(http,{endpoints.address}{port}){path}"


def _pause(intent: Wait) -> dict[str, str | int]:
    if not 1 <= intent.seconds <= _LONGEST_WAIT:
        raise ConfigError("waiting time out of range", evidence=str(intent.seconds), next_action="use 1 to 3600 s")
    reason = _NOT_IN_REASON.sub("?", intent.reason[:_LONGEST_REASON]).strip() or "no reason given"
    return {"reason": reason, "seconds": intent.seconds}
