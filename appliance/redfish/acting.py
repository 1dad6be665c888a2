"""Actions: from parameters to commands to the backend."""

import base64
from typing import assert_never

from appliance.bmc.codec.screen import IMAGE
from appliance.ports import Clock
from appliance.redfish.backend import Backend, Picturing
from appliance.redfish.desk import Desk
from appliance.redfish.document import JsonObject
from appliance.redfish.enclosures import MANAGER_RESETS
from appliance.redfish.errors import AbsentResourceError, RefusedActionError, refuse
from appliance.redfish.events import EventRecord
from appliance.redfish.form import Form
from appliance.redfish.messages import MessageId, Severity, say
from appliance.redfish.resources import UPDATE_PROTOCOLS
from appliance.redfish.router import Action, Kind, Operation, Resource, route
from appliance.redfish.systems import RESET_TYPES
from appliance.redfish.tasks import Task

_MAX_TEXT = 1024


class Actor:
    def __init__(self, backend: Backend, desk: Desk, clock: Clock) -> None:
        self._backend = backend
        self._desk = desk
        self._clock = clock

    async def act(self, operation: Operation, body: JsonObject) -> Task | JsonObject | None:
        """The task where the work goes on, or what the action answers. Raises `RequestError` and what the backend
        raises."""
        form = Form(body, action=operation.action.value.rpartition("/")[2])
        match operation.action:
            case Action.RESET_SYSTEM:
                await self._reset(operation, form)
            case Action.RESET_MANAGER:
                await self._backend.system(operation.system)
                form.require("ResetType")
                form.choice("ResetType", {name: name for name in MANAGER_RESETS})
                form.close()
                await self._backend.reset_manager(operation.system)
            case Action.CAPTURE_SCREEN:
                form.close()
                return await self._capture(operation.system)
            case Action.CLEAR_LOG:
                await self._backend.system(operation.system)
                form.close()
                await self._backend.clear_log(operation.system)
            case Action.INSERT_MEDIA:
                await self._insert(operation, form)
            case Action.EJECT_MEDIA:
                await self._find_slot(operation)
                form.close()
                await self._backend.eject_media(operation.system, operation.item)
            case Action.SUBMIT_TEST_EVENT:
                self._test(form)
            case Action.SIMPLE_UPDATE:
                return await self._update(form)
            case _:
                assert_never(operation.action)
        return None

    async def _reset(self, operation: Operation, form: Form) -> None:
        view = await self._backend.system(operation.system)
        form.require("ResetType")
        types = {name: command for command, name in RESET_TYPES.items() if command in view.commands}
        command = form.choice("ResetType", types)
        form.close()
        if command is not None:
            await self._backend.reset(operation.system, command)

    async def _capture(self, system: str) -> JsonObject:
        view = await self._backend.system(system)
        if not (view.manager.has_screen and isinstance(self._backend, Picturing)):
            raise RefusedActionError("no picture of its screen can be had", next_action="ask another machine")
        picture = base64.b64encode(await self._backend.screen(system))
        return {"MediaType": "image/png", IMAGE: picture.decode("ascii")}

    async def _insert(self, operation: Operation, form: Form) -> None:
        """What the drive always does may be asked for; anything else may not."""
        await self._find_slot(operation)
        form.require("Image")
        image = form.url("Image")
        for name in ("Inserted", "WriteProtected"):
            if form.flag(name) is False:
                form.wrong_format(name, "false")
        form.choice("TransferMethod", {"Stream": None})
        form.choice("TransferProtocolType", {"HTTP": None, "HTTPS": None})
        form.close()
        await self._backend.insert_media(operation.system, operation.item, image or "")

    async def _find_slot(self, operation: Operation) -> None:
        if operation.item not in (slot.id for slot in await self._backend.media(operation.system)):
            raise AbsentResourceError(f"there is no drive {operation.item}", next_action="list the drives")

    def _test(self, form: Form) -> None:
        form.require("MessageId")
        message_id, message = form.text("MessageId"), form.text("Message")
        severity = form.choice("Severity", {severity.value: severity for severity in Severity})
        origin = form.text("OriginOfCondition")
        form.ignore("EventType", "EventId", "EventTimestamp", "EventGroupId", "MessageArgs", "MessageSeverity")
        form.close()
        self._desk.hub.publish(
            EventRecord(
                message_id=(message_id or "")[:_MAX_TEXT],
                message=(message or "")[:_MAX_TEXT],
                severity=severity or Severity.OK,
                origin=(origin or Resource(kind=Kind.EVENT_SERVICE).uri)[:_MAX_TEXT],
                time=self._clock.now(),
            )
        )

    async def _update(self, form: Form) -> Task:
        form.require("ImageURI")
        image, targets = form.url("ImageURI"), form.texts("Targets") or ()
        form.choice("TransferProtocol", {name: None for name in UPDATE_PROTOCOLS})
        form.close()
        system, items = await self._updated(targets)
        return self._desk.tasks.start(
            f"Firmware update of {system}",
            lambda progress: self._backend.update(system, image or "", items, progress),
        )

    async def _updated(self, targets: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """The machine and its items. One image goes to one machine; without targets there must be no other."""
        found = [await self._target(uri) for uri in targets]
        machines = {system for system, _ in found} or set(await self._backend.systems())
        if len(machines) != 1:
            raise refuse(400, say(MessageId.ACTION_PARAMETER_MISSING, "UpdateService.SimpleUpdate", "Targets"))
        return machines.pop(), tuple(item for _, item in found if item)

    async def _target(self, uri: str) -> tuple[str, str]:
        """A system or its manager as a whole ("" for the item), or one piece of its firmware."""
        target = route(uri)
        if isinstance(target, Resource) and target.kind in (Kind.SYSTEM, Kind.MANAGER):
            return (await self._backend.system(target.system)).id, ""
        if isinstance(target, Resource) and target.kind is Kind.FIRMWARE:
            for machine in await self._backend.systems():
                for item in await self._backend.firmware(machine):
                    if target.item == f"{machine}.{item.id}" and item.updateable:
                        return machine, item.id
        raise refuse(400, say(MessageId.ACTION_PARAMETER_FORMAT, uri, "Targets", "UpdateService.SimpleUpdate"))
