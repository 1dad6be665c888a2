"""Ignition configs: what is written is what Debian's own validator takes; what is wrong is named by line or path."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.errors import SiteError
from appliance.model.ignition import (
    VERSIONS,
    Config,
    Directory,
    Dropin,
    File,
    Group,
    Header,
    Link,
    Merged,
    Owner,
    Passwd,
    Resource,
    Security,
    Storage,
    Systemd,
    Timeouts,
    Tls,
    Unit,
    User,
    Verification,
    inline,
    parse,
    sha512,
)

SECRET = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"
HASH = "sha512-" + "a" * 128
WHOLE = Config(
    ignition=Header(
        version="3.2.0",
        config=Merged(merge=(Resource(source="https://api-int.okd.test:22623/config/worker"),)),
        security=Security(tls=Tls(certificate_authorities=(inline("-----BEGIN CERTIFICATE-----\n"),))),
        timeouts=Timeouts(http_total=60),
    ),
    passwd=Passwd(
        users=(User(name="core", ssh_authorized_keys=("ssh-ed25519 AAAA",), groups=("sudo",), password_hash=SECRET),),
        groups=(Group(name="ops", gid=1200),),
    ),
    storage=Storage(
        directories=(Directory(path="/srv/data", mode=0o700, user=Owner(name="core")),),
        files=(
            File(path="/etc/motd", contents=inline("hello\n"), mode=0o644, overwrite=True),
            File(
                path="/etc/far",
                contents=Resource(source="http://10.77.0.1/far", verification=Verification(hash=HASH)),
                append=(inline("more"),),
            ),
        ),
        links=(Link(path="/etc/localtime", target="/usr/share/zoneinfo/UTC", overwrite=True),),
    ),
    systemd=Systemd(
        units=(
            Unit(
                name="marker.service",
                enabled=True,
                contents="[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
            ),
            Unit(name="getty@tty2.service", mask=True, dropins=(Dropin(name="10.conf", contents="[Service]\n"),)),
        )
    ),
)


def validated(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    if (program := shutil.which("ignition-validate")) is None:
        pytest.skip("NOT TESTED: ignition-validate (Debian's ignition) is not installed, see tests/packages.txt")
    file = folder / "config.ign"
    file.write_text(text)
    return subprocess.run([program, str(file)], capture_output=True, text=True, check=False, timeout=30)


def test_debians_own_validator_takes_it(tmp_path: Path) -> None:
    done = validated(WHOLE.text, tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("version", VERSIONS)
def test_it_reads_the_versions_that_we_say_it_reads(version: str, tmp_path: Path) -> None:
    assert validated(Config(ignition=Header(version=version)).text, tmp_path).returncode == 0


@pytest.mark.parametrize("version", ["2.2.0", "3.4.0", "3.5.0"])
def test_nor_does_it_read_those_that_we_refuse(version: str, tmp_path: Path) -> None:
    text = json.dumps({"ignition": {"version": version}})
    assert validated(text, tmp_path).returncode != 0
    with pytest.raises(SiteError, match="specification that this engine does not read") as caught:
        parse(text, "node.ign")
    assert version in caught.value.evidence
    assert caught.value.next_action


def test_what_is_written_is_read_again() -> None:
    assert parse(WHOLE.text, "whole.ign") == WHOLE
    assert json.loads(WHOLE.text)["storage"]["files"][0]["mode"] == 420


def test_nothing_that_may_be_secret_is_printed() -> None:
    for shown in (repr(WHOLE), WHOLE.summary):
        assert SECRET not in shown
        assert "10.77.0.1" not in shown
        assert "ExecStart" not in shown
    assert WHOLE.summary == (
        "files /etc/motd, /etc/far; links /etc/localtime; units marker.service, getty@tty2.service; users core; "
        "1 configs by reference"
    )


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"storage": {"files": [{"path": "/x", "mode": "0644"}]}}, "storage.files.0.mode: Input should be"),
        ({"storage": {"files": [{"path": "etc/x"}]}}, "storage.files.0.path: 'etc/x' is not absolute"),
        ({"storage": {"files": [{"path": "/x", "mode": 9999}]}}, "storage.files.0.mode: 9999 is not"),
        ({"storage": {"files": [{"path": "/x"}, {"path": "/x"}]}}, "storage: '/x' stands there twice"),
        ({"storage": {"links": [{"path": "/x"}]}}, "storage.links.0.target: a link needs one"),
        ({"storage": {"files": [{"path": "/x", "contents": {"source": "http://h/x"}}]}}, "hash: missing"),
        ({"storage": {"files": [{"path": "/x", "contents": {"source": "s3://h/x"}}]}}, "source: 's3' is none of"),
        (
            {"storage": {"files": [{"path": "/x", "contents": {"verification": {"hash": "sha512-ab"}}}]}},
            "storage.files.0.contents.verification.hash: not sha512-",
        ),
        ({"systemd": {"units": [{"name": "x"}]}}, "systemd.units.0.name: 'x' is not the name of a unit"),
        ({"systemd": {"units": [{"name": "x.service", "enable": True}]}}, "systemd.units.0.enable: Unexpected"),
        ({"passwd": {"users": [{"name": "a"}, {"name": "a"}]}}, "passwd.users: 'a' stands there twice"),
        ({"passwd": {"users": [{"name": "a", "passwordHash": 5}]}}, "passwd.users.0.passwordHash: Input should be"),
    ],
)
def test_wrong_places_are_named(said: dict[str, object], where: str) -> None:
    with pytest.raises(SiteError) as caught:
        parse(json.dumps({"ignition": {"version": "3.3.0"}, **said}), "node.ign")
    assert where in caught.value.evidence
    assert "node.ign" in str(caught.value)


def test_what_is_no_json_is_named_by_its_line() -> None:
    with pytest.raises(SiteError, match=r"node.ign is no JSON") as caught:
        parse('{"ignition":\n  {"version": 3.3.0}}', "node.ign")
    assert caught.value.evidence.startswith("line 2, column 18")


@pytest.mark.parametrize(
    "said",
    [
        {"storage": {"disks": [{"device": "/dev/sdb", "wipeTable": True}]}},
        {"storage": {"filesystems": [{"device": "/dev/sdb", "format": "ext4", "wipeFilesystem": True}]}},
        {"storage": {"luks": [{"name": "data", "device": "/dev/sdb"}]}},
        {"kernelArguments": {"shouldExist": ["quiet"]}},
    ],
)
def test_disks_that_no_plan_names_are_left_alone(said: dict[str, object]) -> None:
    with pytest.raises(SiteError, match="changes more than files"):
        parse(json.dumps({"ignition": {"version": "3.3.0"}, **said}), "node.ign")


def test_an_error_shows_no_secret() -> None:
    text = json.dumps({"ignition": {"version": "3.3.0"}, "passwd": {"users": [{"passwordHash": SECRET, "name": 5}]}})
    with pytest.raises(SiteError) as caught:
        parse(text, "node.ign")
    assert SECRET not in f"{caught.value} {caught.value.evidence} {caught.value.__cause__}"


def test_the_hash_is_as_ignition_writes_it() -> None:
    assert sha512(b"") == (
        "sha512-cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
        "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
    )
