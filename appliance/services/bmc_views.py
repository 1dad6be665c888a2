"""BMCs as they were found, beside what the site program says of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import assert_never

from appliance.bmc import discovery
from appliance.bmc.discovery import Dialect, Found
from appliance.bmc.finder import Opened
from appliance.errors import InnervateError, UsageError
from appliance.model.bmc import BmcEndpoint
from appliance.model.bmc_views import BmcView, LoginState
from appliance.topology import Rack


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`outcome` is None before a log-in, and the reason where none worked."""

    found: Found
    outcome: Opened | InnervateError | None = None


def view_of(finding: Finding, rack: Rack) -> BmcView:
    found, traits = finding.found, finding.found.traits
    view = BmcView(
        url=found.url,
        machine=next((server.name for server in rack.servers if is_same(server.bmc.url, found.url)), ""),
        make=traits.make,
        mac=str(traits.mac or ""),
        fingerprint=found.fingerprint,
        login=LoginState.UNTRIED,
        serial=traits.serial,
    )
    match finding.outcome:
        case None:
            return view
        case InnervateError() as error:
            failed = replace(view, login=LoginState.FAILED, problem=str(error))
            return replace(failed, evidence=error.evidence, next_action=error.next_action)
        case Opened(identity=identity) as opened:
            works = replace(view, login=LoginState.WORKS, user=opened.endpoint.user, must_change=opened.must_change)
            return replace(works, serial=identity.serial, product=identity.product) if identity else works
        case _:
            assert_never(finding.outcome)


def found_at(stated: BmcEndpoint) -> Found | None:
    """What the vault knows a BMC of the site program by; None where it is named by a host name."""
    try:
        suspect = discovery.at(stated.url)
    except UsageError:
        return None
    dialect = suspect.dialect or Dialect.REDFISH
    port = suspect.port if dialect is Dialect.REDFISH else suspect.ipmi_port
    return Found(address=suspect.address, dialect=dialect, port=port, fingerprint=stated.fingerprint.lower())


def is_same(stated: str, url: str) -> bool:
    try:
        return discovery.at(stated) == discovery.at(url)
    except UsageError:
        return False


def addresses(texts: Sequence[str]) -> tuple[IPv4Address, ...]:
    """Raises `UsageError`."""
    try:
        return tuple(map(IPv4Address, texts))
    except ValueError as error:
        action = "give the IPv4 address of an interface of ours"
        raise UsageError("no IPv4 address", evidence=str(error)[:80], next_action=action) from error
