"""Finding out, a fact at a time. Whatever takes long runs in a thread; nothing here says what a fact means."""

import asyncio
import ctypes
import hashlib
import os
import select
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from appliance.doctor import timeservers
from appliance.doctor.facts import Claim, Download, Source, Stored, Volume
from appliance.doctor.sighting import Asked, Clock, Failed, Fetched, Mute, Offer, parse
from appliance.errors import MachineryError
from images.errors import ToolError
from images.ports import Listening
from pxe.dhcp.address import Address
from pxe.dhcp.prober import ArpProber
from pxe.dhcp.rivals import START_SECONDS
from pxe.errors import ServiceError

_ASK_SECONDS = START_SECONDS
_FETCH_SECONDS = 8.0
_STARTING_SECONDS = 5.0
_HTTP_SECONDS = 5.0
_TOOL_SECONDS = 3.0
_CLOCK_SECONDS = 10.0
_LOST = 3
_KNOWING = range(1, 16)
_CHUNK = 1 << 20
_DEVICES = Path("/sys/dev/block")
_ARP_TURNS = 2
_ARP_BATCH = 64
_ARP_PAUSE, _ARP_WAIT = 0.02, 0.3

_STA_UNSYNC = 0x40
_TIMEX_BYTES, _STATUS_AT = 208, 40


def program(name: str, *arguments: str) -> tuple[str, ...]:
    """argv of a program of `appliance.doctor.apart`."""
    return (sys.executable, "-m", f"appliance.doctor.apart.{name}", *arguments)


async def offers(processes: Listening, device: str) -> tuple[Offer, ...]:
    """Raises `MachineryError` where nobody could ask."""
    found, asked = list[Offer](), False
    argv = program("ask", device, str(_ASK_SECONDS))
    try:
        async with aclosing(processes.lines(argv, seconds=_ASK_SECONDS + _STARTING_SECONDS)) as lines:
            async for line in lines:
                match parse(line):
                    case Offer() as offer:
                        found.append(offer)
                    case Asked():
                        asked = True
                    case Failed(problem=problem):
                        raise MachineryError("nobody could ask for DHCP servers", evidence=problem)
                    case _:
                        continue
    except ToolError as error:
        raise MachineryError(str(error), evidence=error.evidence) from error
    if not asked and not found:
        raise MachineryError("nobody could ask for DHCP servers", evidence="the program that asks ended by itself")
    return tuple(dict.fromkeys(found))


async def by_tftp(processes: Listening, address: IPv4Address, name: str, expected: str, port: int) -> Download:
    download = Download(url=f"tftp://{address}/{name}", expected=expected)
    argv = program("fetch", str(address), str(port), name)
    try:
        async with aclosing(processes.lines(argv, seconds=_FETCH_SECONDS)) as lines:
            async for line in lines:
                match parse(line):
                    case Fetched(sha256=digest, size=size):
                        return replace(download, found=digest, size=size)
                    case Failed(problem=problem):
                        return replace(download, problem=problem)
                    case _:
                        continue
    except (ToolError, MachineryError) as error:
        return replace(download, problem=f"{error}; {error.evidence}")
    return replace(download, problem=f"it was not whole after {_FETCH_SECONDS:.0f} s")


async def time_servers(processes: Listening) -> tuple[str, ...]:
    """Those that this computer follows; none where nothing of it can be asked."""
    for argv, names in ((timeservers.CHRONY, timeservers.of_chrony), (timeservers.TIMESYNCD, timeservers.of_timesyncd)):
        if found := names(await _said(processes, argv)):
            return found
    return ()


async def _said(processes: Listening, argv: Sequence[str]) -> list[str]:
    try:
        async with aclosing(processes.lines(argv, seconds=_TOOL_SECONDS)) as lines:
            return [line.decode(errors="replace") async for line in lines]
    except ToolError:
        return []


async def clocks(processes: Listening, names: Sequence[str], port: int) -> tuple[Source, ...]:
    """What time servers say, by NTP. Raises `MachineryError` where nobody could ask."""
    if not names:
        return ()
    found, argv = list[Source](), program("clocks", str(port), *names)
    try:
        async with aclosing(processes.lines(argv, seconds=_CLOCK_SECONDS)) as lines:
            async for line in lines:
                match parse(line):
                    case Clock(name=name, offset=offset, delay=delay, stratum=stratum, leap=leap):
                        lost = leap == _LOST or stratum not in _KNOWING
                        problem = f"stratum {stratum}, leap {leap}: it does not know the time itself" if lost else ""
                        found.append(Source(name=name, ahead=offset, delay=delay, stratum=stratum, problem=problem))
                    case Mute(name=name, problem=problem):
                        found.append(Source(name=name, problem=problem))
                    case _:
                        continue
    except ToolError as error:
        raise MachineryError(str(error), evidence=error.evidence) from error
    unheard = (Source(name=name, problem="no answer") for name in names if name not in {one.name for one in found})
    return (*found, *unheard)


def by_http(address: IPv4Address, port: int, path: str, expected: str) -> Download:
    """`expected` "" where only an answer is: a HEAD is asked for, which no machine's timeline hears of."""
    download = Download(url=f"http://{address}:{port}{path}", expected=expected)
    connection, digest, size = HTTPConnection(str(address), port, timeout=_HTTP_SECONDS), hashlib.sha256(), 0
    try:
        connection.request("GET" if expected else "HEAD", quote(path, safe="/?=&:"))
        answer = connection.getresponse()
        if answer.status != 200:
            return replace(download, problem=f"status {answer.status}")
        while chunk := answer.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    except (OSError, HTTPException) as error:
        return replace(download, problem=f"{type(error).__name__}: {error}")
    finally:
        connection.close()
    return replace(download, found=digest.hexdigest() if expected else "", size=size)


def claimed(device: str, claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """Who answers for these addresses. Raises `MachineryError`."""
    try:
        prober = ArpProber(device)
    except ServiceError as error:
        raise MachineryError(str(error), evidence=error.evidence, next_action=error.next_action) from error
    try:
        found: dict[bytes, set[str]] = {}
        for _ in range(_ARP_TURNS):
            for batch in _batches(claims):
                prober.ask(Address(claim.address.packed) for claim in batch)
                _drain(prober, found, _ARP_PAUSE)
        _drain(prober, found, _ARP_WAIT)
    finally:
        prober.close()
    return tuple(replace(claim, macs=tuple(sorted(found.get(claim.address.packed, ())))) for claim in claims)


def _batches(claims: Iterable[Claim]) -> Iterator[tuple[Claim, ...]]:
    left = iter(claims)
    while batch := tuple(islice(left, _ARP_BATCH)):
        yield batch


def _drain(prober: ArpProber, found: dict[bytes, set[str]], seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([prober], [], [], left)[0]:
            for address, mac in prober.answers():
                found.setdefault(address, set()).add(mac.hex(":"))


def volume(name: str, path: Path, *, kept: bool) -> Volume:
    try:
        seen = os.statvfs(path)
    except OSError as error:
        return Volume(name=name, path=str(path), kept=kept, problem=str(error))
    return Volume(
        name=name,
        path=str(path),
        kept=kept,
        size=seen.f_blocks * seen.f_frsize,
        free=seen.f_bavail * seen.f_frsize,
        inodes=seen.f_files,
        free_inodes=seen.f_favail,
        read_only=bool(seen.f_flag & os.ST_RDONLY),
        encrypted=encrypted(path),
    )


def encrypted(path: Path, devices: Path = _DEVICES) -> bool | None:
    """Whether every disk below the file system is behind dm-crypt (sysfs: `dm/uuid`, `slaves`); None where there is no
    block device to ask."""
    try:
        number = path.stat().st_dev
        return _is_crypt((devices / f"{os.major(number)}:{os.minor(number)}").resolve(strict=True))
    except OSError:
        return None


def _is_crypt(device: Path) -> bool:
    uuid = device / "dm" / "uuid"
    if uuid.exists() and uuid.read_text().startswith("CRYPT-"):
        return True
    below = sorted((device / "slaves").glob("*"))
    return bool(below) and all(_is_crypt(one.resolve()) for one in below)


def stored(name: str, path: Path, expected: str) -> Stored:
    looked = Stored(name=name, path=str(path), expected=expected)
    try:
        with path.open("rb") as file:
            return replace(looked, found=hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        return replace(looked, problem=str(error))


def synchronised() -> bool | None:
    """adjtimex(2): whether somebody keeps the kernel's clock right."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
        return None
    return not int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], sys.byteorder) & _STA_UNSYNC


async def every(works: Iterable[tuple[Path, str, str]]) -> tuple[Stored, ...]:
    """Files are hashed two at a time: a disk has one head, and there are other things to do."""
    gate = asyncio.Semaphore(2)

    async def one(path: Path, name: str, expected: str) -> Stored:
        async with gate:
            return await asyncio.to_thread(stored, name, path, expected)

    return tuple(await asyncio.gather(*(one(*work) for work in works)))
