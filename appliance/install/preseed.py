"""Answers for debian-installer. What all machines have in common stands in its ramdisk (`images/installer`). Pure.

A preseed file is read line by line (debconf-set-selections(1)), the commands in it by a shell: no value that a site
program gives comes into a command, and each has passed the grammar of what it is.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from appliance.errors import UsageError
from appliance.install.seed import require_names
from appliance.plan import DiskRef, RunInstaller
from templates import render

NAME = "preseed.cfg"
_TEMPLATE = "install/preseed.cfg.j2"
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}")
_HOST = re.compile(r"[0-9.]{7,15}(?::[0-9]{1,5})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DISK_NAME = re.compile(r"[ -~]{0,128}")


def words(url: str, do: RunInstaller) -> tuple[str, ...]:
    """Kernel arguments. Those behind `---` become those of the installed system, too. What is asked for before the
    answers can be fetched: the name, whether a network that leads nowhere else will do, and then who knows names."""
    leads_nowhere = ("netcfg/no_default_route=true", f"netcfg/get_nameservers={urlsplit(url).hostname}")
    network = ("interface=auto", *leads_nowhere, f"hostname={do.hostname}", f"domain={do.domain}")
    return ("auto=true", "priority=critical", "DEBIAN_FRONTEND=text", *network, f"url={url}", "---")


def files(do: RunInstaller, origin: str) -> Mapping[str, bytes]:
    """File name -> content. Raises `UsageError` for a value that has no place in them."""
    return {NAME: _preseed(do, origin), "disk": _disk(do.disk)}


def _preseed(do: RunInstaller, origin: str) -> bytes:
    require_names(do.hostname, do.domain)
    host, installer = urlsplit(origin).netloc, do.installer
    for pattern, text in ((_HOST, host), (_PACKAGE, installer.kernel_package), (_SHA256, installer.files_sha256)):
        if not pattern.fullmatch(text):
            raise UsageError("not fit for a preseed file", evidence=repr(text)[:120], next_action="build the installer")
    values = {
        "hostname": do.hostname,
        "domain": do.domain,
        "mirror_host": host,
        "mirror_directory": f"/artifact/{installer.files_sha256}",
        "kernel_package": installer.kernel_package,
    }
    return render(_TEMPLATE, values).encode()


def _disk(disk: DiskRef) -> bytes:
    """Serial number, WWN and size, a line each, as the installer's own script compares them."""
    if not (_DISK_NAME.fullmatch(disk.serial) and _DISK_NAME.fullmatch(disk.wwn)):
        raise UsageError("not the name of a disk", evidence=repr((disk.serial, disk.wwn))[:120])
    return f"{disk.serial}\n{disk.wwn}\n{disk.size_bytes}\n".encode()
