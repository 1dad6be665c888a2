"""Every capability is a marked, checkable Protocol, and each of them can be told apart by its members."""

import inspect

import pytest

from appliance import capabilities
from appliance.capabilities import Capability

ALL = [
    value
    for _, value in inspect.getmembers(capabilities, inspect.isclass)
    if value.__module__ == capabilities.__name__ and value is not Capability
]


def members_of(capability: type) -> set[str]:
    return {name for name in vars(capability) if not name.startswith("_")}


def test_there_are_some() -> None:
    assert len(ALL) >= 9


@pytest.mark.parametrize("capability", ALL)
def test_marked_and_checkable(capability: type) -> None:
    assert Capability in capability.__bases__
    assert capability.__doc__
    assert not isinstance(object(), capability)


@pytest.mark.parametrize("capability", ALL)
def test_no_member_is_shared(capability: type) -> None:
    others = {name for other in ALL if other is not capability for name in members_of(other)}
    assert members_of(capability)
    assert not members_of(capability) & others
