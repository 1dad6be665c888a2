"""The benches by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from tests.bench.case import Bench, Size
from tests.bench.cases.bmc import bmc
from tests.bench.cases.dhcp import dhcp, storm
from tests.bench.cases.dns import dns
from tests.bench.cases.http import http
from tests.bench.cases.image import image
from tests.bench.cases.journal import journal
from tests.bench.cases.tftp import tftp

CASES: Mapping[str, Callable[[Size], Bench]] = MappingProxyType(
    {
        "dhcp": dhcp,
        "storm": storm,
        "tftp": tftp,
        "http": http,
        "dns": dns,
        "bmc": bmc,
        "journal": journal,
        "image": image,
    }
)
