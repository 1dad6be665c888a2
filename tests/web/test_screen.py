"""The screen of a machine in a browser, behind the real gate: a picture that a viewer may see, or why there is none."""

from playwright.sync_api import Page, expect

from appliance.access.model import Role
from tests.pictures import png
from tests.web.conftest import serious
from tests.web.site import Site, log_in


def test_the_screen_of_a_machine(site: Site, visitor: Page) -> None:
    site.application.bmc_desk.screens["node-6"] = png(640, 400)
    site.add(Role.VIEWER)
    log_in(visitor, site, "viewer")
    visitor.goto(f"{site.url}/machines/node-6")
    visitor.get_by_role("link", name="Screen").click()
    picture = visitor.get_by_alt_text("What the screen of node-6 shows")
    expect(picture).to_have_js_property("naturalWidth", 640)
    assert not serious(visitor)
    visitor.goto(f"{site.url}/machines/node-7/screen")
    expect(visitor.get_by_text("no machine with a screen is called node-7")).to_be_visible()
    assert visitor.get_by_role("img").count() == 0
    own = visitor.get_by_role("link", name="The BMC's own page")
    assert (own.get_attribute("href"), own.get_attribute("rel")) == ("https://10.1.0.5/", "noreferrer noopener")
    assert site.ask("GET", "/v1/machines/node-6/screen")[0] == 401
