import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from pxe.boot import BootIntent, Chain, LocalDisk, Mode, RunKernel, Wait
from pxe.client import Arch, Client, Mac, Stage
from pxe.config import Standalone, load
from pxe.content import FileContent
from pxe.dhcp.flood import Limits, Rate
from pxe.dhcp.guards import Guards
from pxe.dhcp.subnet import ClientClass
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
    assert service.dhcp is not None
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


def test_example_of_guards_classes_forwarding_and_chains(folder: Path) -> None:
    found = load(folder / "pxe.toml")
    service = found.service
    assert (service.mode, found.identity) == (Mode.FULL, folder / "identity")
    usual = Limits(machine_declines=Rate(burst=4, per_second=0.0167), port_declines=Rate(burst=16, per_second=0.0033))
    assert service.guards == Guards(limits=usual), "the identity is made by whoever starts the services"
    assert not (folder / "identity").exists()
    assert service.dhcp is not None
    assert service.dhcp.classes == (
        ClientClass(name="printers", mac_prefix=bytes.fromhex("008077"), ignore=True),
        ClientClass(
            name="arm",
            archs=frozenset({Arch.EFI_ARM64, Arch.HTTP_ARM64}),
            vendor_class=b"PXEClient",
            known_only=True,
            lease_seconds=600,
            boot_file="special.efi",
            next_server=IPv4Address("10.9.0.2"),
            options={42: bytes((10, 9, 0, 1)), 209: b"config.txt"},
        ),
    )
    assert service.forwarding is not None
    assert service.forwarding.upstreams == ((IPv4Address("192.0.2.53"), 53), (IPv4Address("192.0.2.54"), 53))
    assert service.forwarding.private_domains == ("corp.example",)
    assert (dict(service.chains), service.chain) == ({Mac("52:54:00:00:00:01"): Chain.SIGNED}, None)


def test_guards_can_be_left_out_and_switched_off(edited: Editor) -> None:
    text = EXAMPLE.read_text()
    start, end = text.index("[guards]"), text.index("[[subnet]]")
    guards = text[start:end]
    found = edited(guards, "")
    assert (found.service.guards, found.identity is None) == (Guards(), False)
    found = edited(guards, "[guards]\nalone = true\nprobe = false\nflood = false\n")
    assert (found.service.guards, found.identity) == (Guards(probe=False, limits=None), None)
    found = edited(guards, "[guards.limits]\nport = { burst = 5 }\n")
    assert found.service.guards == Guards(limits=Limits(port=Rate(burst=5, per_second=500)))


def test_proxy_mode_needs_no_addresses(edited: Editor) -> None:
    text = EXAMPLE.read_text()
    found = edited('mode = "full"', 'mode = "proxy"').service
    assert (found.mode, found.dhcp is None) == (Mode.PROXY, False)
    bare = text[: text.index("[[subnet]]")] + text[text.index("[dns]") :]
    bare = bare.replace('mode = "full"', 'mode = "proxy"').replace('leases = "leases.journal"\n', "")
    found = edited(text, bare).service
    assert (found.dhcp, found.journal) == (None, None)


def test_chain_of_all_machines(edited: Editor) -> None:
    assert edited('# chain = "ipxe"', 'chain = "drivers"').service.chain is Chain.DRIVERS


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
        ('mode = "full"', 'mode = "half"', "^mode: no such choice$"),
        ('chain = "signed"', 'chain = "sign"', r"^machine\[0\]\.chain: no such choice$"),
        ("probe = true", "probe = 1", r"^guards\.probe: not of type bool$"),
        ("alone = false", "alone = false\nlone = 1", r"^guards\.lone: unknown key$"),
        ("burst = 32,", "burst = 0,", r"^guards\.limits\.machine: such a rate lets nothing through$"),
        ("burst = 32,", "size = 1,", r"^guards\.limits\.machine\.size: unknown key$"),
        (
            "per_second = 0.0167",
            'per_second = "1"',
            r"^guards\.limits\.machine_declines\.per_second: not of type float$",
        ),
        ('"efi-arm64"', '"arm"', r"^class\[1\]\.archs: no such architecture, known: bios, efi-ia32"),
        ('mac_prefix = "00:80:77"', 'mac_prefix = "00:8z"', r"^class\[0\]\.mac_prefix: non-hexadecimal"),
        ("42 =", "router =", r"^class\[1\]\.options\.router: not the number of an option$"),
        ("42 =", "53 =", r"^class\[1\]: option cannot be configured$"),
        ("lease_seconds = 600", "lease_seconds = 6", r"^class\[1\]: lease time out of range$"),
        ("ignore = true", "ignore = true\nknown = true", r"^class\[0\]\.known: unknown key$"),
        ('"192.0.2.53"', '"dns.example"', r"^dns\.forward: Expected 4 octets"),
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
