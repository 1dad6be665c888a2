import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from pxe.boot import BootIntent, LocalDisk, RunKernel, Wait
from pxe.client import Client, Mac, Stage
from pxe.config import Standalone, load
from pxe.content import FileContent
from pxe.errors import ConfigError
from pxe.tls import issue, make_authority

EXAMPLE = Path(__file__).parents[2] / "golden" / "pxe.toml"
ADDRESS = IPv4Address("10.9.0.1")
Editor = Callable[[str, str], Standalone]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(EXAMPLE, tmp_path)
    for name in ("programs/snponly.efi", "artifacts/installer/vmlinuz", "artifacts/installer/initrd.img"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.fixture
def edited(folder: Path) -> Editor:
    """Loads the example with one text of it replaced."""

    def edit(old: str, new: str) -> Standalone:
        text = EXAMPLE.read_text()
        assert old in text
        (folder / "pxe.toml").write_text(text.replace(old, new, 1))
        return load(folder / "pxe.toml")

    return edit


def test_example(folder: Path) -> None:
    found = load(folder / "pxe.toml")
    service = found.service
    assert (service.device, service.endpoints.url("/"), service.tls) == ("eth1", "http://10.9.0.1/", None)
    assert service.journal == folder / "leases.journal"
    (local,) = service.dhcp.local
    assert [local.network, *(link[0].network for link in service.dhcp.relayed)] == [
        IPv4Network("10.9.0.0/24"),
        IPv4Network("10.9.1.0/24"),
    ]
    assert {str(mac): (r.hostname, str(r.address)) for mac, r in local.reservations.items()} == {
        "52:54:00:00:00:01": ("node-1", "10.9.0.11"),
        "52:54:00:00:00:02": ("node-2", "10.9.0.12"),
    }
    assert dict(service.zone.hosts) == {
        "switch": IPv4Address("10.9.0.254"),
        "node-1": IPv4Address("10.9.0.11"),
        "node-2": IPv4Address("10.9.0.12"),
    }


def test_files_become_content(folder: Path) -> None:
    (folder / "artifacts" / "disk.ISO").write_bytes(b"x")
    found = load(folder / "pxe.toml")
    program = found.service.programs.content("snponly.efi")
    assert isinstance(program, FileContent)
    assert (program.path, program.size, program.media_type) == (
        folder / "programs/snponly.efi",
        20,
        "application/efi",
    )
    assert sorted(found.artifacts) == ["disk.ISO", "installer/initrd.img", "installer/vmlinuz"]
    disk = found.artifacts.content("disk.ISO")
    assert disk is not None
    assert (disk.media_type, bool(disk.digest)) == ("application/vnd.efi-iso", True)


@pytest.mark.parametrize(
    ("mac", "intent"),
    [
        (
            "52:54:00:00:00:01",
            RunKernel(
                kernel="/artifact/installer/vmlinuz",
                initrd="/artifact/installer/initrd.img",
                arguments=("console=ttyS0,115200", "auto=true"),
            ),
        ),
        ("52:54:00:00:00:02", LocalDisk()),
        ("52:54:00:00:00:03", Wait(reason="this machine is not in the configuration", seconds=30)),
    ],
)
def test_policy(folder: Path, mac: str, intent: BootIntent) -> None:
    policy = load(folder / "pxe.toml").policy
    assert policy.intent_for(Client(mac=Mac(mac), stage=Stage.IPXE)) == intent


def test_machine_without_an_intent_boots_the_default(edited: Editor) -> None:
    policy = edited('boot = "disk"', "").policy
    assert isinstance(policy.intent_for(Client(mac=Mac("52:54:00:00:00:02"), stage=Stage.IPXE)), Wait)


def test_tls_from_files_and_from_texts(folder: Path, edited: Editor) -> None:
    now = datetime.now(UTC)
    credential = issue(make_authority(name="rack", now=now), addresses=[ADDRESS], now=now)
    certificate, key = credential.certificate.decode(), credential.key.reveal().decode()
    texts = f"[tls]\nport = 8443\ncertificate = '''{certificate}'''\nkey = '''{key}'''\n\n[[subnet]]"
    tls = edited("[[subnet]]", texts).service.tls
    assert tls is not None
    assert (tls.port, tls.credentials) == (8443, (credential,))
    (folder / "server.pem").write_text(certificate)
    (folder / "server.key").write_text(key)
    tls = edited("[[subnet]]", '[tls]\ncertificate = "server.pem"\nkey = "server.key"\n\n[[subnet]]').service.tls
    assert tls is not None
    assert (tls.port, tls.credentials) == (443, (credential,))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('device = "eth1"', "", "^device: missing$"),
        ('device = "eth1"', "device = 1", "^device: not of type str$"),
        ('device = "eth1"', 'device = "eth1"\ndevise = 1', "^devise: unknown key$"),
        ('device = "eth1"', "device = ", r"^.*pxe\.toml is not TOML$"),
        ("http_port = 80", "http_port = true", "^http_port: not of type int$"),
        ('address = "10.9.0.1"', 'address = "10.9.0.1.1"', "^address: Expected 4 octets"),
        ('address = "10.9.0.1"', 'address = "10.8.0.1"', "^subnet: none contains our own address$"),
        ('programs = "programs"', 'programs = "elsewhere"', "^programs: no such folder$"),
        ('programs = "programs"', 'programs = "artifacts"', "^no network boot program"),
        ('network = "10.9.0.0/24"', 'network = "10.9.0.1/24"', r"^subnet\[0\]\.network: .* host bits set$"),
        ('network = "10.9.1.0/24"', 'network = "10.9.0.0/16"', "outside|overlap|bits"),
        ('pool_last = "10.9.1.199"', 'pool_last = "10.9.1.99"', r"^subnet\[1\]: pool must have"),
        ('domain = "rack.test"\n\n[zone.hosts]', 'domain = "rack_test"\n\n[zone.hosts]', "^zone: not a DNS"),
        ('action = "local-disk"', 'action = "disk"', r"^intent\.disk\.action: unknown action$"),
        ('action = "local-disk"', 'action = "local-disk"\nseconds = 1', r"^intent\.disk\.seconds: unknown key$"),
        ('"installer/vmlinuz"', '"vmlinuz"', r"^intent\.installer\.kernel: no such file"),
        ('"auto=true"', '"auto=${true}"', r"^intent\.installer: value not allowed"),
        ('"auto=true"', "1", r"^intent\.installer\.arguments: not a list of texts$"),
        ("seconds = 30", "seconds = 0", r"^intent\.unknown: waiting time out of range$"),
        ('boot = "installer"', 'boot = "install"', "^machine 52:54:00:00:00:01: boot: no such intent$"),
        ('default = "unknown"', 'default = "x"', "^default: no such intent$"),
        ('mac = "52:54:00:00:00:02"', 'mac = "52:54"', r"^machine\[1\]\.mac: not a MAC address$"),
        ('mac = "52:54:00:00:00:02"', 'mac = "52:54:00:00:00:01"', "^machine 52:54:00:00:00:01: listed twice$"),
        ('address = "10.9.0.12"', 'address = "10.7.0.12"', "^machine 52:54:00:00:00:02: address: in no subnet$"),
        ('address = "10.9.0.12"', 'address = "10.9.0.11"', r"^subnet\[0\]: address reserved twice$"),
        ("[[subnet]]", '[tls]\ncertificate = "a"\nkey = "b"\n[[subnet]]', "^tls: cannot read the TLS"),
        ("[zone.hosts]", "[zone.host]", r"^zone\.host: unknown key$"),
    ],
)
def test_error_names_its_key_and_says_what_to_do(edited: Editor, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        edited(old, new)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert caught.value.next_action


def test_missing_file() -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load(Path("/nonexistent/pxe.toml"))
