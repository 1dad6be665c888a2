import pytest

from appliance.bmc.quirks import Product, quirks_of
from appliance.bmc.redfish_codec import child, product_of
from appliance.simulator.bmc import ROOT
from appliance.simulator.personality import HABITS, Make, tree_of


@pytest.mark.parametrize("make", Make)
def test_tree_is_a_copy_of_its_own(make: Make) -> None:
    tree_of(make)[ROOT].clear()
    assert tree_of(make)[ROOT]["Vendor"]


@pytest.mark.parametrize("make", Make)
def test_links_of_a_tree_lead_somewhere(make: Make) -> None:
    tree = tree_of(make)
    links = [
        value["@odata.id"]
        for document in tree.values()
        for key, value in document.items()
        if isinstance(value, dict) and "@odata.id" in value
    ]
    assert links
    assert [link for link in links if link not in tree] == []


@pytest.mark.parametrize("make", Make)
def test_habits_are_for_resources_that_are_there(make: Make) -> None:
    tree, settings = tree_of(make), HABITS[make].settings
    (system,) = (path for path, document in tree.items() if "PowerState" in document)
    assert not settings or child(tree[f"{system}/{settings}"], "Boot")


def test_what_needs_a_rest_is_known_to_the_driver() -> None:
    """A habit that no row of quirks knows would be one that no real BMC was seen with."""
    for make, habits in HABITS.items():
        tree = tree_of(make)
        (system,) = (document for document in tree.values() if "PowerState" in document)
        (version,) = (str(document["FirmwareVersion"]) for document in tree.values() if "FirmwareVersion" in document)
        product = product_of(system)
        known = quirks_of(Product(manufacturer=product.manufacturer, model=product.model, firmware=version))
        assert known.gap == habits.gap
