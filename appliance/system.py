"""The real world behind `appliance.ports`."""

import asyncio
import secrets
import time


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SystemRng:
    def token(self, size: int) -> str:
        return secrets.token_hex(size)
