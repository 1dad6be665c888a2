"""The real world behind `appliance.ports`."""

import asyncio
import secrets
import time
from io import BytesIO
from threading import Lock


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


_DRAWN = 4096


class SystemRng:
    """From the kernel, many bytes at a time: each call into it lets another thread have the interpreter, and then the
    event loop stands for as long as that one likes. No byte is given out twice.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._drawn = BytesIO()

    def token(self, size: int) -> str:
        with self._lock:
            taken = self._drawn.read(size)
            if len(taken) < size:
                self._drawn = BytesIO(secrets.token_bytes(max(size, _DRAWN)))
                taken = self._drawn.read(size)
        return taken.hex()
