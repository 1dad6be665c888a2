"""Predefined roles, their privileges, and what each operation needs (DSP0266 section 13.4 and 13.8). Pure.

The map follows the Base privilege registry (DSP8011).
"""

from enum import Enum
from typing import assert_never

from appliance.model.bmc import AccountRole
from appliance.redfish.router import Action, Kind, Operation, Resource, Target, UnknownAction


class Privilege(Enum):
    LOGIN = "Login"
    CONFIGURE_MANAGER = "ConfigureManager"
    CONFIGURE_USERS = "ConfigureUsers"
    CONFIGURE_COMPONENTS = "ConfigureComponents"
    CONFIGURE_SELF = "ConfigureSelf"


PRIVILEGES = {
    AccountRole.ADMINISTRATOR: tuple(Privilege),
    AccountRole.OPERATOR: (Privilege.LOGIN, Privilege.CONFIGURE_COMPONENTS, Privilege.CONFIGURE_SELF),
    AccountRole.READ_ONLY: (Privilege.LOGIN, Privilege.CONFIGURE_SELF),
}

_OPEN = (Kind.VERSIONS, Kind.ROOT, Kind.ODATA, Kind.METADATA)
_READ = ("GET", "HEAD")
_USERS = (Kind.ACCOUNTS, Kind.ACCOUNT)


def is_open(target: Target | None, method: str) -> bool:
    """What needs no authentication (DSP0266 section 13.3.1): the ways in, and the creation of a session."""
    if not isinstance(target, Resource):
        return False
    if method == "POST":
        return target.kind in (Kind.SESSIONS, Kind.SESSIONS_MEMBERS)
    return method in _READ and target.kind in _OPEN


def allows(role: AccountRole, target: Target, method: str, *, own: bool) -> bool:
    """`own` where the target is the caller's own account or session: then ConfigureSelf is enough, of an account to
    read it and to change its password."""
    granted = PRIVILEGES[role]
    return _needed(target, method) in granted or (own and Privilege.CONFIGURE_SELF in granted)


def _needed(target: Target, method: str) -> Privilege:
    match target:
        case Operation(action=action):
            return _for_action(action)
        case UnknownAction():
            return Privilege.LOGIN
        case Resource(kind=kind) if method in _READ:
            return Privilege.CONFIGURE_USERS if kind in _USERS else Privilege.LOGIN
        case Resource(kind=kind):
            return _to_change(kind)
        case _:
            assert_never(target)


def _for_action(action: Action) -> Privilege:
    match action:
        case Action.RESET_SYSTEM | Action.SIMPLE_UPDATE:
            return Privilege.CONFIGURE_COMPONENTS
        case Action.CLEAR_LOG | Action.RESET_MANAGER | Action.INSERT_MEDIA | Action.EJECT_MEDIA:
            return Privilege.CONFIGURE_MANAGER
        case Action.SUBMIT_TEST_EVENT | Action.CAPTURE_SCREEN:
            return Privilege.CONFIGURE_MANAGER
        case _:
            assert_never(action)


def _to_change(kind: Kind) -> Privilege:
    if kind in (*_USERS, Kind.ACCOUNT_SERVICE, Kind.ROLES, Kind.ROLE):
        return Privilege.CONFIGURE_USERS
    if kind in (Kind.SYSTEM, Kind.CHASSIS, Kind.SUBSCRIPTIONS, Kind.SUBSCRIPTION):
        return Privilege.CONFIGURE_COMPONENTS
    return Privilege.CONFIGURE_MANAGER
