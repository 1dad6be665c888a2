"""A request body, read property by property; what is wrong with it becomes messages (DSP0266 section 7.9). Pure."""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from appliance.redfish.document import Json, JsonObject
from appliance.redfish.errors import refuse
from appliance.redfish.messages import Message, MessageId, say

T = TypeVar("T")
_HIDDEN = "******"
_MAX_URL = 2048


class Form:
    """Each look at a property marks it as known. `action` names the action whose parameters these are, else ""."""

    def __init__(self, body: JsonObject, *, action: str = "", prefix: str = "") -> None:
        self._body = body
        self._action = action
        self._prefix = prefix
        self._known: set[str] = set()
        self._nested: list[Form] = []
        self._messages: list[Message] = []

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(self._messages) + tuple(message for form in self._nested for message in form.messages)

    def has(self, name: str) -> bool:
        return name in self._body

    def text(self, name: str, *, secret: bool = False) -> str | None:
        value = self._look(name)
        if isinstance(value, str):
            return value
        self._complain_of_type(name, _HIDDEN if secret else value)
        return None

    def url(self, name: str) -> str | None:
        """An absolute http or https URL."""
        value = self.text(name)
        if value is None or _is_url(value):
            return value
        self.wrong_format(name, value)
        return None

    def texts(self, name: str) -> tuple[str, ...] | None:
        """An array of strings."""
        value = self._look(name)
        if isinstance(value, list):
            texts = tuple(each for each in value if isinstance(each, str))
            if len(texts) == len(value):
                return texts
        self._complain_of_type(name, value)
        return None

    def ignore(self, *names: str) -> None:
        """Properties that may be there and change nothing."""
        self._known.update(names)

    def flag(self, name: str) -> bool | None:
        value = self._look(name)
        if isinstance(value, bool):
            return value
        self._complain_of_type(name, value)
        return None

    def whole(self, name: str) -> int | None:
        value = self._look(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self._complain_of_type(name, value)
        return None

    def choice(self, name: str, choices: Mapping[str, T]) -> T | None:
        value = self.text(name)
        if value is None or value in choices:
            return None if value is None else choices[value]
        self._complain(name, MessageId.PROPERTY_NOT_IN_LIST, MessageId.ACTION_PARAMETER_NOT_IN_LIST, value)
        return None

    def nested(self, name: str) -> "Form | None":
        value = self._look(name)
        if isinstance(value, Mapping):
            form = Form(value, action=self._action, prefix=f"{self._prefix}{name}/")
            self._nested.append(form)
            return form
        self._complain_of_type(name, value)
        return None

    def wrong_format(self, name: str, value: str) -> None:
        self._complain(name, MessageId.PROPERTY_FORMAT, MessageId.ACTION_PARAMETER_FORMAT, value)

    def require(self, *names: str) -> None:
        for name in names:
            if name in self._body:
                continue
            if self._action:
                self._messages.append(say(MessageId.ACTION_PARAMETER_MISSING, self._action, name))
            else:
                self._messages.append(say(MessageId.PROPERTY_MISSING, name, about=self._prefix + name))

    def finish(self, current: JsonObject | None = None) -> None:
        """Complains of what nobody looked at: read-only where `current` has it, unknown where it has not."""
        for name in self._body:
            if name in self._known or _is_annotation(name):
                continue
            about = self._prefix + name
            if self._action:
                self._messages.append(say(MessageId.ACTION_PARAMETER_UNKNOWN, self._action, name))
            elif current is not None and name in current:
                self._messages.append(say(MessageId.PROPERTY_NOT_WRITABLE, name, about=about))
            else:
                self._messages.append(say(MessageId.PROPERTY_UNKNOWN, name, about=about))

    def close(self) -> None:
        """`finish` where all must be right. Raises `RequestError` (400)."""
        self.finish()
        self.refuse_if_wrong()

    def refuse_if_wrong(self) -> None:
        """Raises `RequestError` (400) with all messages."""
        if self.messages:
            raise refuse(400, *self.messages)

    def _look(self, name: str) -> Json:
        self._known.add(name)
        return self._body.get(name)

    def _complain_of_type(self, name: str, value: Json) -> None:
        if name in self._body:
            self._complain(name, MessageId.PROPERTY_TYPE, MessageId.ACTION_PARAMETER_TYPE, value)

    def _complain(self, name: str, of_property: MessageId, of_parameter: MessageId, value: Json) -> None:
        text = value if isinstance(value, str) else repr(value)
        if self._action:
            self._messages.append(say(of_parameter, text, name, self._action))
        else:
            self._messages.append(say(of_property, text, name, about=self._prefix + name))


def patch_form(body: JsonObject) -> Form:
    """Raises `RequestError` (400) where there is nothing to do: nothing, or OData annotations only."""
    if not body:
        raise refuse(400, say(MessageId.EMPTY_JSON))
    if all(map(_is_annotation, body)):
        raise refuse(400, say(MessageId.NO_OPERATION))
    return Form(body)


def _is_annotation(name: str) -> bool:
    return name.startswith("@odata.")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    fits = len(text) <= _MAX_URL and text.isascii() and text.isprintable() and " " not in text
    return fits and parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
