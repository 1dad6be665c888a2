"""The appliance itself: clock, disks, store, and what it hands out. Pure."""

from collections.abc import Iterator, Sequence
from statistics import median

from appliance.doctor.facts import Download, Shelf, Source, Stored, Time, Volume
from appliance.doctor.say import failure, good, unknown, warning
from appliance.frontend import units
from appliance.model.doctor import Check, Finding

_EARLIEST = 1_767_225_600  # 2026: before this software
_LATEST = 4_102_444_800  # 2100
_APART_SECONDS = 120.0
_SERVER_APART_SECONDS = 1.0

_FULL_BYTES, _LOW_BYTES = 256 << 20, 2 << 30
_FULL_SHARE, _LOW_SHARE = 0.01, 0.05


def clock(time: Time) -> tuple[Finding, ...]:
    now = units.moment(time.now)
    if not _EARLIEST <= time.now < _LATEST:
        cause = "the appliance's clock is wrong by years: certificates will not be valid, and records lie"
        return (failure(Check.CLOCK, cause, now, "set it", "timedatectl set-time 'YYYY-MM-DD HH:MM:SS'"),)
    found = tuple(_off(time))
    if not found and time.synchronised is None:
        return (unknown(Check.CLOCK, "the kernel does not say whether its clock is synchronised", now),)
    return found or (good(Check.CLOCK, "the clock is synchronised", _heard(time)),)


def _off(time: Time) -> Iterator[Finding]:
    yield from _bmcs_apart(time)
    for source in time.sources:
        yield from _of_source(source)
    if time.synchronised is False:
        action = "name a time server (NTP) that answers, and look whether it does"
        cause = "the appliance's clock is synchronised with nobody"
        yield warning(Check.CLOCK, cause, f"adjtimex: unsynchronised; {units.moment(time.now)}", action, "timedatectl")


def _bmcs_apart(time: Time) -> Iterator[Finding]:
    """Where most of them say something else than we do, it may be our clock."""
    offsets = tuple(time.others.values())
    middle = median(offsets) if len(offsets) > 1 else 0.0
    if abs(middle) > _APART_SECONDS:
        who = ", ".join(f"{name} {offset:+.0f} s" for name, offset in sorted(time.others.items())[:8])
        cause = f"the clocks of the BMCs are {_apart(middle)} this one"
        yield warning(Check.CLOCK, cause, who, "find out which of them is wrong", "timedatectl status")
        return
    for name, offset in sorted(time.others.items()):
        if abs(offset) > _APART_SECONDS:
            cause = f"the clock of the BMC of {name} is {_apart(offset)} this one: its event log and certificate say so"
            action = "set it, or name it a time server (NTP), in the BMC's own pages"
            command = f"innervate events --machine {name}"
            yield warning(Check.CLOCK, cause, f"{offset:+.0f} s", action, command, machine=name)


def _apart(offset: float) -> str:
    return f"{abs(offset):.{0 if abs(offset) >= 10 else 1}f} s {'ahead of' if offset > 0 else 'behind'}"


def _of_source(source: Source) -> Iterator[Finding]:
    if source.problem:
        cause = f"the time server {source.name} gives no time"
        action = "look whether it runs and UDP port 123 gets through, or name another one"
        yield warning(Check.CLOCK, cause, source.problem, action, "timedatectl timesync-status || chronyc sources")
    elif abs(source.ahead) - source.delay > _SERVER_APART_SECONDS:
        cause = f"the time server {source.name} is {_apart(source.ahead)} this clock"
        seen = f"{source.ahead:+.3f} s, stratum {source.stratum}, its answer took {source.delay:.3f} s"
        action = "find out which of them is wrong; certificates and logs go by this one"
        yield warning(Check.CLOCK, cause, seen, action, "timedatectl timesync-status || chronyc tracking")


def _heard(time: Time) -> str:
    said = (f"{one.name} {one.ahead:+.3f} s (stratum {one.stratum})" for one in time.sources)
    bmcs = (f"{len(time.others)} BMCs at most {max(map(abs, time.others.values())):.0f} s off",) if time.others else ()
    return "; ".join((units.moment(time.now), *said, *bmcs))


def space(volumes: Sequence[Volume]) -> tuple[Finding, ...]:
    found = tuple(one for volume in volumes for one in _scarce(volume))
    left = ", ".join(f"{volume.name}: {units.size(volume.free)} free" for volume in volumes)
    return found or (good(Check.SPACE, "there is room on the disks", left),)


def _scarce(volume: Volume) -> Iterator[Finding]:
    where = f"the disk of the {volume.name} ({volume.path})"
    if volume.problem:
        yield failure(Check.SPACE, f"{where} cannot be read", volume.problem, "mount it", f"findmnt -T {volume.path}")
        return
    if volume.read_only and not volume.kept:
        return
    if volume.read_only:
        action = "look for disk errors in the kernel's log, then mount it for writing"
        yield failure(Check.SPACE, f"{where} is read-only", "mount option ro", action, f"findmnt -T {volume.path}")
    seen = f"{units.size(volume.free)} of {units.size(volume.size)} free"
    action, command = "remove what is not needed, or make it larger", f"du -xh -d 2 {volume.path} | sort -h | tail"
    if _under(volume.free, volume.size, _FULL_SHARE, _FULL_BYTES):
        cause = f"{where} is full: what machines report cannot be kept"
        yield failure(Check.SPACE, cause, seen, action, command)
    elif _under(volume.free, volume.size, _LOW_SHARE, _LOW_BYTES):
        yield warning(Check.SPACE, f"{where} is almost full", seen, action, command)
    if volume.inodes and volume.free_inodes < _FULL_SHARE * volume.inodes:
        seen = f"{volume.free_inodes} of {volume.inodes} inodes free"
        cause = f"{where} has no room for another file, although it has bytes"
        yield failure(Check.SPACE, cause, seen, action, f"df -i {volume.path}")


def encryption(volumes: Sequence[Volume]) -> tuple[Finding, ...]:
    """Of the folders that the daemon writes: passwords are in them."""
    return tuple(_open_to_thieves(volume) for volume in volumes if volume.kept)


def _open_to_thieves(volume: Volume) -> Finding:
    command = f"lsblk -s -o NAME,TYPE,MOUNTPOINTS $(findmnt -n -o SOURCE -T {volume.path})"
    seen = f"{volume.name}: {volume.path}"
    match volume.encrypted:
        case True:
            return good(Check.ENCRYPTION, "what the appliance keeps is encrypted on its disk", seen)
        case False:
            cause = "what the appliance keeps is not encrypted: whoever has its disk has the passwords of the BMCs"
            return warning(Check.ENCRYPTION, cause, seen, "put it on an encrypted disk (LUKS)", command)
        case None:
            return unknown(Check.ENCRYPTION, "whether the appliance's disk is encrypted cannot be seen from here", seen)


def _under(free: int, size: int, share: float, floor: int) -> bool:
    """Small disks are judged by their share, large ones by bytes."""
    return free < min(floor, share * size)


def images(shelf: Shelf) -> tuple[Finding, ...]:
    missing = tuple(_missing(name, shelf) for name in sorted(shelf.wanted - shelf.offered))
    damaged = tuple(_damaged(file) for file in shelf.files if file.found != file.expected)
    looked = f"{len(shelf.files)} files have the hash that they are called by"
    return missing + damaged or (good(Check.IMAGES, "the images are whole", looked),)


def _missing(name: str, shelf: Shelf) -> Finding:
    seen = "in the store: " + (", ".join(sorted(shelf.offered)) or "none")
    cause = f"the site program names the image {name}, and the store has none"
    return failure(Check.IMAGES, cause, seen, "build it, or name one that there is", "./run image")


def _damaged(file: Stored) -> Finding:
    command = f"sha256sum {file.path}"
    if not file.found:
        cause = f"{file.name} cannot be read from the image store"
        return failure(Check.IMAGES, cause, file.problem, "build the image again", command)
    seen = f"sha256 expected {file.expected[:16]}, got {file.found[:16]}: {file.path}"
    cause = f"{file.name} is damaged in the image store: machines would refuse it"
    action = "look at the disk's health, then remove the file and build the image again"
    return failure(Check.IMAGES, cause, seen, action, command)


def downloads(found: Sequence[Download]) -> tuple[Finding, ...]:
    bad = tuple(_bad_download(one) for one in found if one.problem or one.found != one.expected)
    if not found:
        return (unknown(Check.DOWNLOAD, "there is nothing that could be downloaded"),)
    size = sum(one.size for one in found)
    return bad or (
        good(Check.DOWNLOAD, "boot files come as they are on the disk", f"{len(found)} files, {size} bytes"),
    )


def _bad_download(one: Download) -> Finding:
    if one.problem:
        cause = f"the appliance cannot download {one.url} from itself: machines cannot either"
        action = "look for another program on that port and at the firewall, then restart the appliance"
        return failure(Check.DOWNLOAD, cause, one.problem, action, "ss -lnptu")
    seen = f"sha256 expected {one.expected[:16]}, got {one.found[:16]}, {one.size} bytes"
    cause = f"{one.url} comes otherwise than it is on the disk"
    return failure(Check.DOWNLOAD, cause, seen, "look for another server at this address", "ss -lnptu")
