"""The agent's TPM codec against Debian's swtpm, and the appliance's credentials against it and against tpm2-tools."""

import hashlib
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from appliance.identity.credential import (
    Key,
    attestation_key,
    check_quote,
    endorsement_key,
    fingerprint,
    issuer_of,
    made_credential,
)
from images.agent import tpm_packet as packet
from images.agent.errors import TpmError
from images.agent.tpm_chip import Chip, Keys
from images.agent.tpm_device import Device
from images.agent.tpm_packet import Hierarchy, RefusalError
from images.agent.tpm_structures import Template, name_of
from tests.soft_tpm import Socket, SoftTpm, swtpm

pytestmark = pytest.mark.skipif(shutil.which("swtpm") is None, reason="NOT TESTED: the TPM codec, without swtpm")

SECRET = hashlib.sha256(b"secret").digest()
TOOLS = ("tpm2_createprimary", "tpm2_makecredential", "tpm2_activatecredential", "openssl")
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason="NOT TESTED: credentials against tpm2-tools, which is not installed"
)


@dataclass
class Bench:
    """A real TPM, and what is asked of it."""

    path: Path
    tpm: Socket

    def chip(self) -> Chip:
        return Chip(self.tpm.transact, time.sleep, os.urandom)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with swtpm(tmp_path) as path:
        tpm = Socket(path)
        yield Bench(path, tpm)
        tpm.close()


def rsa_only(tpm: Socket):  # type: ignore[no-untyped-def]
    """As a TPM that refuses elliptic curves for endorsement."""
    refused = packet.create_primary(Hierarchy.ENDORSEMENT, Template.EK_ECC.public())
    return lambda command: struct.pack(">HII", 0x8001, 10, 0x2E3) if command == refused else tpm.transact(command)


def sealed(key: Key, keys: Keys, secret: bytes = SECRET) -> tuple[bytes, bytes]:
    made = made_credential(key, name_of(keys.ak), secret, os.urandom)
    return made.blob, made.seed


def test_a_credential_opens_in_its_tpm_and_for_its_key_alone(bench: Bench) -> None:
    chip = bench.chip()
    keys = chip.keys()
    key = endorsement_key(keys.ek)
    assert isinstance(key, EllipticCurvePublicKey)
    assert chip.activate(*sealed(key, keys)) == SECRET
    assert chip.activate(*sealed(key, keys, b"short")) == b"short", "again, after another greeting"
    other = SoftTpm("other").keys()
    with pytest.raises(RefusalError, match="activate_credential"):
        chip.activate(*sealed(key, other))
    with pytest.raises(RefusalError, match="activate_credential"):
        chip.activate(*sealed(endorsement_key(other.ek), keys))
    blob, seed = sealed(key, keys)
    for _ in range(4):
        with pytest.raises(RefusalError):
            chip.activate(blob[:-1] + bytes([blob[-1] ^ 1]), seed)
    assert chip.activate(blob, seed) == SECRET, "a refused one leaves nothing behind"


def test_a_tpm_without_elliptic_curves_shows_its_rsa_key(bench: Bench) -> None:
    chip = Chip(rsa_only(bench.tpm), time.sleep, os.urandom)
    keys = chip.keys()
    key = endorsement_key(keys.ek)
    assert isinstance(key, RSAPublicKey)
    assert chip.activate(*sealed(key, keys)) == SECRET


def test_the_endorsement_key_is_the_tpm_s_own_for_good_and_the_attestation_key_is_of_this_boot(tmp_path: Path) -> None:
    seen: list[Keys] = []
    for _ in range(2):
        with swtpm(tmp_path) as path:
            tpm = Socket(path)
            seen.append(Chip(tpm.transact, time.sleep, os.urandom).keys())
            seen.append(seen[-1])
            tpm.close()
    first, _, second, _ = seen
    assert first.ek == second.ek
    assert first.ak != second.ak


def test_a_quote_is_over_what_was_measured_and_of_this_boot(bench: Bench) -> None:
    chip = bench.chip()
    keys = chip.keys()
    ak = attestation_key(keys.ak)
    extended = struct.pack(">HIIIIIHBHI", 0x8002, 65, 0x182, 7, 9, 0x40000009, 0, 0, 0, 1)
    answer = bench.tpm.transact(extended + struct.pack(">H", 0x000B) + SECRET)
    assert int.from_bytes(answer[6:10], "big") == 0, "Secure Boot, as the firmware would measure it"
    measured = chip.measured(b"q" * 32)
    assert measured is not None
    assert measured.pcrs[0] == bytes(32)
    assert measured.pcrs[7] == hashlib.sha256(bytes(32) + SECRET).digest()
    signed = {"quote": measured.quote, "signature": measured.signature}
    check_quote(ak, **signed, qualifying=b"q" * 32, pcrs=measured.pcrs)
    with pytest.raises(TpmError, match="another boot"):
        check_quote(ak, **signed, qualifying=b"r" * 32, pcrs=measured.pcrs)
    with pytest.raises(TpmError, match="other values"):
        check_quote(ak, **signed, qualifying=b"q" * 32, pcrs=(SECRET, *measured.pcrs[1:]))
    with pytest.raises(TpmError, match="did not sign"):
        check_quote(attestation_key(SoftTpm("x").keys().ak), **signed, qualifying=b"q" * 32, pcrs=measured.pcrs)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("swtpm_setup") is None, reason="NOT TESTED: EK certificates, without swtpm_setup")
def test_a_certificate_names_the_key_that_is_shown(tmp_path: Path) -> None:
    setup = ["swtpm_setup", "--tpm2", "--tpmstate", str(tmp_path), "--create-ek-cert", "--lock-nvram", "--overwrite"]
    config, here = tmp_path / "setup.conf", tmp_path / "ca"
    here.mkdir()
    (tmp_path / "localca.conf").write_text(
        f"statedir = {here}\nsigningkey = {here}/key.pem\nissuercert = {here}/issuer.pem\ncertserial = {here}/serial\n"
    )
    (tmp_path / "options").write_text("--platform-manufacturer Lab --platform-version 1 --platform-model x\n")
    config.write_text(
        f"create_certs_tool=/usr/bin/swtpm_localca\ncreate_certs_tool_config={tmp_path}/localca.conf\n"
        f"create_certs_tool_options={tmp_path}/options\nactive_pcr_banks = sha256\n"
    )
    done = subprocess.run([*setup, "--config", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with swtpm(tmp_path) as path:
        tpm = Socket(path)
        keys = Chip(tpm.transact, time.sleep, os.urandom).keys()
        tpm.close()
    key = endorsement_key(keys.ek)
    assert issuer_of(keys.certificate, key) == "CN=swtpm-localca"
    assert issuer_of(keys.certificate, endorsement_key(SoftTpm("other").keys().ek)) == "", "of another key"
    for at in range(0, len(keys.certificate), 7):
        broken = keys.certificate[:at] + bytes([keys.certificate[at] ^ 0x41]) + keys.certificate[at + 1 :]
        assert isinstance(issuer_of(broken, key), str)
        assert issuer_of(keys.certificate[:at], key) == ""


class Tools:
    """tpm2-tools on the same TPM, when nobody else is connected."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._env = {**os.environ, "TPM2TOOLS_TCTI": f"swtpm:path={path}"}
        self.folder = folder

    def run(self, *argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, env=self._env, cwd=self.folder, check=False)
        assert done.returncode == 0, (argv, done.stderr)
        return done.stdout

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)


@needs_tools
@pytest.mark.parametrize("kind", ["ecc", "rsa"])
def test_tpm2_tools_open_what_the_appliance_makes(tmp_path: Path, kind: str) -> None:
    with swtpm(tmp_path) as path:
        tools = Tools(path, tmp_path)
        tools.run("tpm2_createek", "-G", kind, "-c", "ek.ctx", "-u", "ek.pub")
        tools.run("tpm2_flushcontext", "-t")
        keys = ("-c", "ak.ctx", "-u", "ak.pub", "-n", "ak.name")
        tools.run("tpm2_createak", "-C", "ek.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa", *keys)
        tools.run("tpm2_flushcontext", "-t")
        ek, name = tools.read("ek.pub")[2:], tools.read("ak.name")
        made = made_credential(endorsement_key(ek), name, SECRET, os.urandom)
        head = struct.pack(">II", 0xBADCC0DE, 1)
        sizes = struct.pack(">H", len(made.blob)) + made.blob + struct.pack(">H", len(made.seed)) + made.seed
        tools.write("cred", head + sizes)
        tools.run("tpm2_startauthsession", "--policy-session", "-S", "session.ctx")
        tools.run("tpm2_policysecret", "-S", "session.ctx", "-c", "e")
        activate = ("-c", "ak.ctx", "-C", "ek.ctx", "-i", "cred", "-o", "secret", "-P", "session:session.ctx")
        tools.run("tpm2_activatecredential", *activate)
        assert tools.read("secret") == SECRET


@needs_tools
def test_the_agent_opens_what_tpm2_tools_make(bench: Bench, tmp_path: Path) -> None:
    chip = bench.chip()
    keys = chip.keys()
    tools = Tools(tmp_path / "none", tmp_path)
    tools.write("ek.pub", struct.pack(">H", len(keys.ek)) + keys.ek)
    tools.write("secret", SECRET)
    made = ("-u", "ek.pub", "-n", name_of(keys.ak).hex(), "-s", "secret", "-o", "cred")
    tools.run("tpm2_makecredential", "-T", "none", *made)
    data = tools.read("cred")[8:]
    size = int.from_bytes(data[:2], "big")
    assert chip.activate(data[2 : 2 + size], data[4 + size :]) == SECRET


@needs_tools
def test_a_hierarchy_with_somebody_else_s_password_says_so(tmp_path: Path) -> None:
    with swtpm(tmp_path) as path:
        Tools(path, tmp_path).run("tpm2_changeauth", "-c", "endorsement", "theirs")
        tpm = Socket(path)
        with pytest.raises(RefusalError, match="refuses create_primary"):
            Chip(tpm.transact, time.sleep, os.urandom).keys()
        tpm.close()


@needs_tools
def test_the_fingerprint_is_what_openssl_makes_of_the_key_that_tpm2_tools_show(tmp_path: Path) -> None:
    """So an operator can state it beforehand."""
    with swtpm(tmp_path) as path:
        tools = Tools(path, tmp_path)
        tools.run("tpm2_createek", "-G", "ecc", "-c", "ek.ctx", "-u", "ek.pem", "-f", "pem")
        tools.run("openssl", "pkey", "-pubin", "-in", "ek.pem", "-outform", "der", "-out", "ek.der")
        tools.run("tpm2_flushcontext", "-t")
        tpm = Socket(path)
        keys = Chip(tpm.transact, time.sleep, os.urandom).keys()
        tpm.close()
        assert fingerprint(endorsement_key(keys.ek)) == hashlib.sha256(tools.read("ek.der")).hexdigest()


def test_a_device_that_is_not_there_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(TpmError, match="no TPM, or its firmware hides it"):
        Device(tmp_path / "tpmrm0")
    (tmp_path / "tpm0").touch()
    with pytest.raises(TpmError, match=r"TPM 1\.2"):
        Device(tmp_path / "tpmrm0")
    with pytest.raises(TpmError, match="cannot be opened") as told:
        Device(tmp_path)
    assert "Is a directory" in told.value.evidence
