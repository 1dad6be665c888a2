"""The daemon's configuration: one TOML file, parsed once.

state_dir  = "/var/lib/innervate"          records, leases, facts, logs
socket     = "/run/innervate/api.sock"     the control API
site       = "/etc/innervate/site.py"      the site program
images_dir = "/var/cache/innervate/images" the artefact store
sets_dir   = "/srv/innervate/sets"         optional; where folders of artifact sets are put to be imported
ramdisk    = "generic"                     discovery ramdisk: "generic", or "cloud" for virtual machines
ssh_key    = "/var/lib/innervate/ssh/key"  optional; made in state_dir when left out
console    = "ttyS0,115200"                optional; serial console of the ramdisk's kernel
console_port = 2222                        optional; SSH to the serial consoles: ssh MACHINE@appliance -p 2222
https_port = 8443                          optional; the control API for browsers and other computers
https_hosts = ["rack.example", "10.0.0.5"] the names and addresses by which it is called; needed with https_port
redfish_port = 443                         optional; one Redfish service for all machines, at the boot network's address

[syslog]                                   optional; a collector of events and audit entries: docs/guide/syslog.md
host      = "logs.example"
transport = "tls"                          "udp", "tcp" or "tls"
port      = 6514                           optional; 514, or 6514 for TLS
ca_file   = "/etc/innervate/ca.pem"        optional; who has signed its certificate

[[webhooks]]                               optional, any number; docs/guide/webhooks.md
name        = "chat"                       names its place in state_dir
url         = "https://chat.example/hook"
secret_file = "/etc/innervate/chat.secret" what its receiver knows, too; readable by the appliance alone
kinds       = ["run-*", "machine-silent"]  optional; all kinds of events when left out
ca_file     = "/etc/innervate/ca.pem"      optional; whose certificates it shows
give_up_hours = 72                         optional; how old an event may be that is not taken
"""

import tomllib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from appliance.errors import UsageError
from appliance.model.syslog import Collector
from appliance.model.webhook import Webhook


class RamdiskVariant(Enum):
    GENERIC = "generic"
    CLOUD = "cloud"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    __pydantic_config__ = ConfigDict(extra="forbid")

    state_dir: Path
    socket: Path
    site: Path
    images_dir: Path
    sets_dir: Path | None = None
    ramdisk: RamdiskVariant = RamdiskVariant.GENERIC
    ssh_key: Path | None = None
    console: str = ""
    console_port: int = 0
    redfish_port: int = 0
    https_port: int = 0
    https_hosts: tuple[str, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    syslog: Collector | None = None

    def __post_init__(self) -> None:
        if self.https_port and not self.https_hosts:
            raise ValueError("https_port needs https_hosts: the names and addresses by which it is called")
        names = [hook.name for hook in self.webhooks]
        if len(set(names)) < len(names):
            action = "give each a name of its own"
            raise UsageError("two webhooks have one name", evidence=", ".join(names), next_action=action)

    @property
    def urls(self) -> tuple[str, ...]:
        """Of the pages and the API, where they are served by TCP; an IPv6 address stands in brackets (RFC 3986)."""
        hosts = (f"[{host}]" if ":" in host else host for host in self.https_hosts)
        return tuple(f"https://{host}:{self.https_port}" for host in hosts) if self.https_port else ()

    @property
    def key(self) -> Path:
        return self.ssh_key or self.state_dir / "ssh" / "id_ed25519"


_ADAPTER = TypeAdapter(Settings)


def load(path: Path) -> Settings:
    """Raises `UsageError` that names the key and what is wrong with it."""
    try:
        return _ADAPTER.validate_python(tomllib.loads(path.read_text()))
    except OSError as error:
        raise UsageError(
            f"the configuration {path} cannot be read",
            evidence=str(error),
            next_action="give the daemon an existing file: innervate daemon --config FILE",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} is not TOML", evidence=str(error), next_action="correct the line that it names"
        ) from error
    except UsageError as error:  # values that say themselves what they are not
        raise UsageError(f"{path}: {error}", evidence=error.evidence, next_action=error.next_action) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        raise UsageError(
            f"{path}: {key}: {first['msg']}", next_action="see appliance/config.py for the keys"
        ) from error
