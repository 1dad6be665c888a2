"""Sentences that every front-end says in the same way."""

import pytest

from appliance.frontend.words import link_text
from appliance.model.views import LinkView

MAC = "b8:ce:f6:00:00:01"


@pytest.mark.parametrize(
    ("link", "text"),
    [
        (LinkView(nic="eno1", mac=MAC, speed_mbps=25000), f"eno1 {MAC}, 25000 Mb/s"),
        (LinkView(nic="eno1", mac=MAC, up=False), f"eno1 {MAC}, no link"),
        (LinkView(nic="eno1", mac=MAC, switch="leaf-1", port="swp7"), f"eno1 {MAC}, switch leaf-1 port swp7"),
        (LinkView(nic="", switch="leaf\x1b[1m-1", port="swp8"), "one of its NICs, switch leaf-1 port swp8"),
    ],
)
def test_links(link: LinkView, text: str) -> None:
    assert link_text(link) == text
