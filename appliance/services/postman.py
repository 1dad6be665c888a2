"""The only sockets of webhooks: one request at a time to one receiver, to an address that was looked at first."""

import ssl
from collections.abc import Mapping
from errno import EACCES
from ipaddress import ip_address
from socket import AddressFamily

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from appliance.errors import MachineryError
from appliance.model.text import clean
from appliance.model.webhook import Webhook, literal, refusal

_PATIENCE = ClientTimeout(total=15)


class Postman:
    """Follows no redirect, uses no proxy, keeps no cookie, reads no answer but its status."""

    def __init__(self, hook: Webhook, names: AbstractResolver | None = None) -> None:
        self._hook = hook
        self._tls = _trust(hook)
        self._names = _Checked(hook, names or ThreadedResolver())
        self._session: ClientSession | None = None

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Raises `MachineryError` unless the receiver said that it has taken it (2xx)."""
        try:
            status = await self._ask(body, headers)
        except (OSError, ClientError) as error:  # a TimeoutError is an OSError
            raise self._failed(f"{type(error).__name__}: {error}") from error
        if not 200 <= status < 300:
            moved = "; redirects are not followed" if 300 <= status < 400 else ""
            raise self._failed(f"status {status}{moved}")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(self, body: bytes, headers: Mapping[str, str]) -> int:
        if (address := literal(self._hook.host)) is not None and (why := refusal(address, self._hook)):
            raise PermissionError(EACCES, why)
        async with self._opened().post(
            self._hook.url, data=body, headers=headers, allow_redirects=False, timeout=_PATIENCE
        ) as response:
            return response.status

    def _opened(self) -> ClientSession:
        if self._session is None:
            connector = TCPConnector(resolver=self._names, ssl=self._tls, limit=1, use_dns_cache=False)
            self._session = ClientSession(
                connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False, trust_env=False
            )
        return self._session

    def _failed(self, seen: str) -> MachineryError:
        action = "look at the receiver; it is tried again, and nothing behind it is sent before"
        return MachineryError(
            f"the receiver of webhook {self._hook.name} did not take it", evidence=clean(seen, 300), next_action=action
        )


class _Checked(AbstractResolver):
    """What is connected to is what was looked at: nobody resolves the name a second time."""

    def __init__(self, hook: Webhook, inner: AbstractResolver) -> None:
        self._hook, self._inner = hook, inner

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        refused = [why for one in found if (why := refusal(ip_address(one["host"].partition("%")[0]), self._hook))]
        if refused:
            raise PermissionError(EACCES, f"{host} leads astray: {refused[0]}")
        return found

    async def close(self) -> None:
        await self._inner.close()


def _trust(hook: Webhook) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=hook.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise MachineryError(
            f"the certificates of webhook {hook.name} cannot be read",
            evidence=f"{hook.ca_file}: {error}",
            next_action="give a file of certificates in PEM as ca_file",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
