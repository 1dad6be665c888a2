"""Which consoles a site program may name."""

import pytest

from appliance.errors import SiteError
from appliance.model.bmc import BmcEndpoint
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.model.site import Server, SolConsole


def server(url: str) -> Server:
    bmc = BmcEndpoint(url=url, user="admin", password=Secret("secret"), fingerprint="")
    return Server(name=MachineName("node-0"), bmc=bmc, console=SolConsole())


def test_serial_over_lan_needs_a_bmc_that_speaks_ipmi() -> None:
    assert server("ipmi://10.0.0.1").console == SolConsole()
    with pytest.raises(SiteError, match="node-0: serial over LAN") as caught:
        server("https://10.0.0.1")
    assert "https://10.0.0.1" in caught.value.evidence
    assert "ipmi://" in caught.value.next_action
