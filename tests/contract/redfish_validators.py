"""DMTF's validators before a Redfish service: what they complain of."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.foreign import environment

PROTOCOL = ("redfish_protocol_validator==1.3.2",)
SERVICE = ("redfish_service_validator==3.1.8",)
SCHEMAS = "INNERVATE_REDFISH_SCHEMAS"
"""A folder with DSP8010's CSDL files (*_v1.xml), which no package repository has."""

Run = Callable[[Sequence[str], Mapping[str, str]], str]
"""Runs a program that may fail; what it said."""


def protocol_failures(run: Run, url: str, user: str, password: str, authority: Path, folder: Path) -> list[str]:
    """DSP0266, rule by rule. `folder` takes the reports."""
    tool = environment(*PROTOCOL) / "rf_protocol_validator"
    login = ("-u", user, "-p", password, "-r", url)
    said = run((str(tool), *login, "--report-dir", str(folder), "--avoid-http-redirect"), _trusting(authority))
    (report,) = folder.glob("*.tsv")
    passed = re.search(r"PASS: (\d+), WARN: (\d+), FAIL: (\d+)", said)
    assert passed, said[-2000:]
    assert int(passed[1]) > 300, said[-500:]
    return [line for line in report.read_text().splitlines() if "\tFAIL\t" in line or "\tWARN\t" in line]


def service_failures(run: Run, url: str, user: str, password: str, authority: Path, folder: Path) -> list[str]:
    """Every document against its schema; warnings of deprecated properties, which old clients read, are no failures."""
    schemas = os.environ.get(SCHEMAS)
    if not schemas:
        pytest.skip(f"NOT TESTED: set {SCHEMAS} to a folder with the CSDL files of DSP8010")
    tool = environment(*SERVICE) / "rf_service_validator"
    login = ("-u", user, "-p", password, "-r", url)
    said = run((str(tool), *login, "--logdir", str(folder), "--schema_directory", schemas), _trusting(authority))
    counts = re.search(r"\|\s+(\d+)\s+\|\s+(\d+)\s+\|\s+(\d+)\s+\|\s+(\d+)\s+\|", said)
    assert counts, said[-2000:]
    assert int(counts[1]) > 1000, said[-500:]
    (log,) = folder.glob("**/*Debug*.log")
    return [line for line in log.read_text().splitlines() if "FAIL - " in line]


def _trusting(authority: Path) -> dict[str, str]:
    return {**os.environ, "REQUESTS_CA_BUNDLE": str(authority), "SSL_CERT_FILE": str(authority)}
