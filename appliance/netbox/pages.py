"""Lists of NetBox as they come: a page at a time, each with the address of the next. Pure."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.errors import MachineryError, UsageError
from appliance.model.secret import Secret
from appliance.model.text import clean
from appliance.netbox.rest import DeviceDocument, DeviceType, Interface, IpAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePage:
    results: tuple[DeviceDocument, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TypePage:
    results: tuple[DeviceType, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfacePage:
    results: tuple[Interface, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPage:
    results: tuple[IpAddress, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`url` is where NetBox is, such as https://netbox.example or https://example/netbox. Raises `UsageError`."""

    url: str
    token: Secret

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if not parts.hostname or parts.query or parts.fragment or parts.username is not None:
            raise UsageError("this is no URL of NetBox", next_action="write https://HOST, or https://HOST/PATH")
        if parts.scheme != "https" and not (parts.scheme == "http" and here):
            action = "write https://; http:// is for localhost only"
            raise UsageError("the token would be shown on the way", evidence=clean(self.url, 100), next_action=action)

    def at(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/api/{path}"

    def following(self, said: str | None) -> str:
        """Where the next page is, "" after the last. The token goes to nobody but NetBox. Raises `MachineryError`."""
        if not said:
            return ""
        ours, theirs = urlsplit(self.at("")), urlsplit(said)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc) or not theirs.path.startswith(ours.path):
            raise MachineryError(
                "NetBox sends us elsewhere for the next page",
                evidence=clean(said, 200),
                next_action="name NetBox by the URL that it knows itself by",
            )
        return said
