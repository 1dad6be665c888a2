"""PATCH, DELETE, and POST to collections: from a body to changes."""

from dataclasses import replace

from appliance.access.passwords import MAX_PASSWORD
from appliance.model.bmc import AccountRole, BootOverride, Indicator
from appliance.redfish.accounts import MIN_PASSWORD, AccountChange
from appliance.redfish.auth import Principal
from appliance.redfish.backend import Backend
from appliance.redfish.desk import Desk
from appliance.redfish.document import Json, JsonObject
from appliance.redfish.errors import refuse
from appliance.redfish.form import Form, patch_form
from appliance.redfish.messages import Message, MessageId, say
from appliance.redfish.model import SystemView, is_id
from appliance.redfish.privileges import PRIVILEGES, Privilege
from appliance.redfish.router import Kind, Resource
from appliance.redfish.systems import INDICATORS, MODES, TARGETS, TERMS

MIN_TIMEOUT = 30
MAX_TIMEOUT = 86400
MAX_CONTEXT = 256
# What a subscription has and nobody can choose.
_EVENT_DESTINATION: JsonObject = {"Id": None, "Name": None, "Status": None}
_ROLES = {role.value: role for role in AccountRole}
_LEDS = {name: indicator for indicator, name in INDICATORS.items()}


class Writer:
    def __init__(self, backend: Backend, desk: Desk) -> None:
        self._backend = backend
        self._desk = desk
        self._gate = desk.gate

    async def patch(
        self, resource: Resource, body: JsonObject, current: JsonObject, principal: Principal
    ) -> tuple[Message, ...]:
        """Does what can be done and returns what could not. Raises `RequestError` where nothing could."""
        form = patch_form(body)
        match resource.kind:
            case Kind.SYSTEM:
                return await self._patch_system(resource, form, current)
            case Kind.CHASSIS:
                return await self._patch_chassis(resource, form, current)
            case Kind.SESSION_SERVICE:
                return self._patch_sessions(form, current)
            case _:
                return await self._patch_account(resource, form, current, principal)

    async def _patch_system(self, resource: Resource, form: Form, current: JsonObject) -> tuple[Message, ...]:
        view = await self._backend.system(resource.system)
        boot = form.nested("Boot") if form.has("Boot") else None
        override = _override(boot, view, current) if boot else None
        indicator = _indicator(form)
        form.finish(current)
        _refuse_unless(override is not None or indicator is not None, form)
        if override is not None:
            await self._backend.set_boot(resource.system, override)
        if indicator is not None:
            await self._backend.set_indicator(resource.system, indicator)
        return form.messages

    async def _patch_chassis(self, resource: Resource, form: Form, current: JsonObject) -> tuple[Message, ...]:
        indicator = _indicator(form)
        form.finish(current)
        _refuse_unless(indicator is not None, form)
        if indicator is not None:
            await self._backend.set_indicator(resource.system, indicator)
        return form.messages

    def _patch_sessions(self, form: Form, current: JsonObject) -> tuple[Message, ...]:
        timeout = form.whole("SessionTimeout")
        if timeout is not None and not MIN_TIMEOUT <= timeout <= MAX_TIMEOUT:
            form.wrong_format("SessionTimeout", str(timeout))
            timeout = None
        form.finish(current)
        _refuse_unless(timeout is not None, form)
        if timeout is not None:
            self._gate.sessions.timeout = timeout
        return form.messages

    async def _patch_account(
        self, resource: Resource, form: Form, current: JsonObject, principal: Principal
    ) -> tuple[Message, ...]:
        change = _account_change(form)
        form.finish(current)
        _refuse_unless(change != AccountChange(), form)
        if Privilege.CONFIGURE_USERS not in PRIVILEGES[principal.role] and change != AccountChange(
            password=change.password
        ):
            raise refuse(403, say(MessageId.INSUFFICIENT_PRIVILEGE))
        if change.enabled is False or change.role not in (None, AccountRole.ADMINISTRATOR):
            self._keep_an_administrator(resource)
        await self._gate.accounts.change(resource.item, change)
        if change.password is not None or change.enabled is False:
            self._gate.sessions.close_all_of(resource.item, but=principal.session)
        return form.messages

    def _keep_an_administrator(self, resource: Resource) -> None:
        """Without one nobody could ever make another."""
        accounts = self._gate.accounts
        others = (accounts.find(name) for name in accounts.names() if name != resource.item)
        if not any(each and each.enabled and each.role is AccountRole.ADMINISTRATOR for each in others):
            raise refuse(409, say(MessageId.RESOURCE_IN_USE))

    async def create_account(self, body: JsonObject) -> Resource:
        form = Form(body)
        form.require("UserName", "Password", "RoleId")
        name, role = form.text("UserName"), form.choice("RoleId", _ROLES)
        password, enabled = _password(form), form.flag("Enabled")
        if name is not None and (not is_id(name) or len(name) > 32):
            form.wrong_format("UserName", name)
        form.close()
        if name is None or role is None or password is None:
            raise refuse(400, say(MessageId.PROPERTY_MISSING, "UserName"))
        accounts = self._gate.accounts
        if accounts.find(name) is not None:
            raise refuse(400, say(MessageId.ALREADY_EXISTS, "ManagerAccount", "UserName", name))
        if accounts.full:
            raise refuse(400, say(MessageId.CREATE_LIMIT))
        await accounts.add(name, password, role, enabled=enabled is not False)
        return Resource(kind=Kind.ACCOUNT, item=name)

    async def create_session(self, body: JsonObject, path: str) -> tuple[Resource, str]:
        """The session and its token. Raises `RequestError`: 400 for the body, 401 for the password."""
        form = Form(body)
        form.require("UserName", "Password")
        name, password = form.text("UserName"), form.text("Password", secret=True)
        form.close()
        principal = await self._gate.log_in(name or "", password or "", path)
        session, token = self._gate.sessions.open(principal.name)
        return Resource(kind=Kind.SESSION, item=session.id), token

    def subscribe(self, body: JsonObject) -> Resource:
        form = Form(body)
        form.require("Destination", "Protocol")
        destination, context = form.url("Destination"), form.text("Context")
        form.choice("Protocol", {"Redfish": None})
        form.choice("SubscriptionType", {"RedfishEvent": None})
        form.choice("EventFormatType", {"Event": None})
        form.choice("DeliveryRetryPolicy", {"TerminateAfterRetries": None})
        form.finish(_EVENT_DESTINATION)
        form.refuse_if_wrong()
        made = self._desk.subscriptions.add(destination or "", (context or "")[:MAX_CONTEXT])
        return Resource(kind=Kind.SUBSCRIPTION, item=made.id)

    def delete(self, resource: Resource) -> None:
        match resource.kind:
            case Kind.SESSION:
                self._gate.sessions.close(resource.item)
            case Kind.SUBSCRIPTION:
                self._desk.subscriptions.remove(resource.item)
            case Kind.TASK | Kind.TASK_MONITOR:
                self._desk.tasks.remove(resource.item)
            case _:
                self._keep_an_administrator(resource)
                self._gate.accounts.remove(resource.item)
                self._gate.sessions.close_all_of(resource.item)


def _refuse_unless(anything: bool, form: Form) -> None:
    if anything:
        return
    form.refuse_if_wrong()
    raise refuse(400, say(MessageId.NO_OPERATION))


def _override(form: Form, view: SystemView, current: JsonObject) -> BootOverride | None:
    """None where any part of it is wrong: half an override boots from the wrong place."""
    targets = {name: target for target, name in TARGETS.items() if target in view.targets or name == "None"}
    target = form.choice("BootSourceOverrideTarget", targets)
    term = form.choice("BootSourceOverrideEnabled", {name: term for term, name in TERMS.items()})
    mode = form.choice("BootSourceOverrideMode", {name: mode for mode, name in MODES.items() if mode in view.modes})
    uri = form.url("HttpBootUri")
    form.finish(_object(current.get("Boot")))
    if form.messages or (target, term, mode, uri) == (None, None, None, None):
        return None
    boot = view.boot
    return replace(
        boot,
        target=boot.target if target is None else target,
        term=boot.term if term is None else term,
        mode=boot.mode if mode is None else mode,
        http_uri=boot.http_uri if uri is None else uri,
    )


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _indicator(form: Form) -> Indicator | None:
    led = form.choice("IndicatorLED", _LEDS)
    active = form.flag("LocationIndicatorActive")
    if led is not None or active is None:
        return led
    return Indicator.LIT if active else Indicator.OFF


def _account_change(form: Form) -> AccountChange:
    locked = form.flag("Locked")
    if locked:
        form.wrong_format("Locked", "true")
    return AccountChange(
        password=_password(form),
        role=form.choice("RoleId", _ROLES),
        enabled=form.flag("Enabled"),
        unlock=locked is False,
    )


def _password(form: Form) -> str | None:
    password = form.text("Password", secret=True)
    if password is None or MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return password
    form.wrong_format("Password", "******")
    return None
