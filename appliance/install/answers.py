"""What an installer is told of its machine, in the form that it reads. Pure.

kernel words  ->  where its answers are
files         ->  answers, and what it puts into the installed system; each below /install/NONCE/
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import assert_never

from appliance.errors import UsageError
from appliance.install import ignition, preseed
from appliance.install.seed import seed_files
from appliance.model.ids import Nonce
from appliance.model.ignition import Config
from appliance.model.site import BootNetwork
from appliance.okd import ignition as scos
from appliance.okd.boot import live_words
from appliance.plan import AnswerKind, RunInstaller, WriteSeed

_OF_THE_SYSTEM = ("authorized_keys", "report.url", "report.json")


def answers_path(kind: AnswerKind, nonce: Nonce) -> str:
    """Bound to one boot: with another nonce it is gone."""
    return f"/install/{nonce}/{answers_name(kind)}"


def answers_name(kind: AnswerKind) -> str:
    match kind:
        case AnswerKind.PRESEED:
            return preseed.NAME
        case AnswerKind.IGNITION:
            return ignition.NAME
        case AnswerKind.SCOS:
            return scos.NODE
        case _:
            assert_never(kind)


def kernel_words(do: RunInstaller, nonce: Nonce, origin: str) -> tuple[str, ...]:
    """`origin` is the boot HTTP server: `http://ADDRESS[:PORT]`."""
    url = origin + answers_path(do.installer.answers, nonce)
    match do.installer.answers:
        case AnswerKind.PRESEED:
            return preseed.words(url, do)
        case AnswerKind.IGNITION:
            return ignition.words(url, do)
        case AnswerKind.SCOS:
            return _scos_words(url, do, origin)
        case _:
            assert_never(do.installer.answers)


def answer_files(
    do: RunInstaller,
    nonce: Nonce,
    origin: str,
    network: BootNetwork,
    configs: Mapping[str, Config] = MappingProxyType({}),
) -> Mapping[str, bytes]:
    """File name -> content. `configs` are Ignition's, by their SHA-256. Raises `UsageError` for a value that has no
    place in them."""
    seed = WriteSeed(disk=do.disk, hostname=do.hostname, domain=do.domain, authorized_keys=do.authorized_keys)
    files = seed_files(seed, nonce=nonce, report_url=f"{origin}/report", network=network)
    match do.installer.answers:
        case AnswerKind.PRESEED:
            own = preseed.files(do, origin)
        case AnswerKind.IGNITION:
            return ignition.files(do, origin + answers_path(do.installer.answers, nonce), files, configs)
        case AnswerKind.SCOS:
            raise UsageError("Ignition of a cluster is made with it", next_action="report this: it is asked elsewhere")
        case _:
            assert_never(do.installer.answers)
    return {**{name: files[name] for name in _OF_THE_SYSTEM}, **own}


def _scos_words(url: str, do: RunInstaller, origin: str) -> tuple[str, ...]:
    if do.okd is None:
        raise UsageError("SCOS is installed for a cluster", evidence=do.hostname, next_action="plan again")
    host = next(one for one in do.okd.hosts if one.name == do.hostname)
    rootfs = f"{origin}/artifact/{do.installer.files_sha256}"
    return live_words(do.okd, host, rootfs, url.rpartition("/")[0])
