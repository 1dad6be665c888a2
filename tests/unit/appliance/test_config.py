"""The daemon's configuration: what it says, and what it refuses by name."""

from pathlib import Path

import pytest

from appliance.config import RamdiskVariant, load
from appliance.errors import UsageError

GOOD = """
state_dir = "/var/lib/innervate"
socket = "/run/innervate/api.sock"
site = "/etc/innervate/site.py"
images_dir = "/var/cache/innervate/images"
"""


HOOK = """
[[webhooks]]
name = "chat"
url = "https://hook.example/in"
secret_file = "/etc/innervate/chat.secret"
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "innervate.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path, GOOD))
    assert (settings.ramdisk, settings.ssh_key, settings.console) == (RamdiskVariant.GENERIC, None, "")
    assert settings.key == Path("/var/lib/innervate/ssh/id_ed25519")


def test_all_keys(tmp_path: Path) -> None:
    more = 'ramdisk = "cloud"\nssh_key = "/k"\nconsole = "ttyS0,115200"\n'
    settings = load(write(tmp_path, GOOD + more))
    assert (settings.ramdisk, settings.key, settings.console) == (RamdiskVariant.CLOUD, Path("/k"), "ttyS0,115200")


def test_urls(tmp_path: Path) -> None:
    more = 'https_port = 8443\nhttps_hosts = ["rack.example", "fd00::1"]\n'
    assert load(write(tmp_path, GOOD + more)).urls == ("https://rack.example:8443", "https://[fd00::1]:8443")
    assert load(write(tmp_path, GOOD)).urls == ()


def test_webhooks(tmp_path: Path) -> None:
    more = HOOK + 'kinds = ["run-*"]\n' + HOOK.replace("chat", "pager") + 'ca_file = "/ca.pem"\n'
    first, second = load(write(tmp_path, GOOD + more)).webhooks
    assert (first.name, first.kinds, first.ca_file) == ("chat", ("run-*",), None)
    assert (second.name, second.secret_file, second.ca_file) == (
        "pager",
        Path("/etc/innervate/pager.secret"),
        Path("/ca.pem"),
    )


SYSLOG = '[syslog]\nhost = "logs.example"\n'


def test_syslog(tmp_path: Path) -> None:
    assert load(write(tmp_path, GOOD)).syslog is None
    plain = load(write(tmp_path, GOOD + SYSLOG + 'transport = "udp"\n')).syslog
    assert (str(plain), plain.limit if plain else 0) == ("udp://logs.example:514", 2048)
    tls = load(write(tmp_path, GOOD + SYSLOG + 'transport = "tls"\nca_file = "/ca.pem"\n')).syslog
    assert (str(tls), tls.limit if tls else 0) == ("tls://logs.example:6514", 8192)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + SYSLOG, "syslog.transport: Field required"),
        (GOOD + SYSLOG + 'transport = "relp"\n', "syslog.transport: Input should be"),
        (GOOD + SYSLOG + 'transport = "tcp"\nport = 70000\n', "syslog: no port"),
        (GOOD + SYSLOG + 'transport = "tcp"\nca_file = "/x"\n', "only TLS shows a certificate"),
        (GOOD + SYSLOG.replace("logs", "a/") + 'transport = "tcp"\n', "syslog: no host"),
        (GOOD + HOOK + HOOK, "two webhooks have one name"),
        (GOOD + HOOK.replace("https", "http"), "webhook chat: http:// would show everything"),
        (GOOD + HOOK.replace('"chat"', '"../chat"'), "a webhook cannot be called"),
        (GOOD + HOOK + 'secret = "x"\n', "webhooks.0.secret: Unexpected keyword argument"),
        (GOOD + 'statedir = "/x"\n', "statedir: Unexpected keyword argument"),
        (GOOD.replace('"/run/innervate/api.sock"', "7"), "socket: Input is not a valid path"),
        (GOOD + 'ramdisk = "huge"\n', "ramdisk: Input should be 'generic' or 'cloud'"),
        (GOOD + "https_port = 8443\n", "https_port needs https_hosts"),
        (GOOD + "console = 1\n", "console: Input should be a valid string"),
        (GOOD.replace("site =", "#"), "site: Field required"),
        ("", "state_dir: Field required"),
        ("state_dir = [", "is not TOML"),
        (b"\xff\xfe\x00", "is not TOML"),
    ],
)
def test_refusals(text: str | bytes, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert caught.value.next_action


@pytest.mark.parametrize("missing", ["nothing.toml", "."])
def test_no_file(missing: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read") as caught:
        load(tmp_path / missing)
    assert caught.value.evidence
    assert "--config" in caught.value.next_action
