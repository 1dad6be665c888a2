"""Who asks the BMCs of `bmc_farm`: `python -m tests.bench.bmc_clients CLIENT COUNT [PIN | IPMITOOL]`.

One JSON object: `seconds` on the wall, `cpu` (user and system, of this process or, with ipmitool, of its children)
and `rss_mib`. Importing is over when the clock starts: both are long-lived
programs. Whatever answers other than expected ends the program.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import redfish
import urllib3

from appliance.bmc.dialler import Dialler
from appliance.bmc.port import Bmc
from appliance.model.bmc import BmcEndpoint, BootTarget, PowerCommand, PowerState
from appliance.model.secret import Secret
from appliance.system import SystemClock, SystemRng
from pxe.memory import settle
from tests.bench.bmc_farm import PASSWORD, RESET, SYSTEM, USER, address
from tests.bench.errors import BenchError

_THREADS = 200
_PROCESSES = 64
_SERIAL = "SN0001"


def _own_redfish(count: int, pin: str) -> None:
    urls = [f"https://{address(number)}" for number in range(count)]
    asyncio.run(_each(urls, pin, _five_calls))


def _own_ipmi(count: int, _: str) -> None:
    asyncio.run(_each([f"ipmi://{address(number)}" for number in range(count)], "", _one_call))


async def _each(urls: list[str], pin: str, ask: Callable[[Bmc], Coroutine[None, None, None]]) -> None:
    dialler = Dialler(SystemClock(), SystemRng())
    endpoints = [BmcEndpoint(url=url, user=USER, password=Secret(PASSWORD), fingerprint=pin) for url in urls]
    try:
        await asyncio.gather(*(ask(dialler.dial(endpoint)) for endpoint in endpoints))
    finally:
        await dialler.close()


async def _five_calls(bmc: Bmc) -> None:
    _expect((await bmc.identify()).serial, _SERIAL)
    _expect(await bmc.power_state(), PowerState.OFF)
    _expect(await bmc.set_boot_once(BootTarget.NETWORK), BootTarget.NETWORK)
    await bmc.command(PowerCommand.ON)
    _expect(await bmc.power_state(), PowerState.ON)
    await bmc.close()


async def _one_call(bmc: Bmc) -> None:
    _expect(await bmc.power_state(), PowerState.ON)
    await bmc.close()


def _library(count: int, _: str) -> None:
    urllib3.disable_warnings()
    with ThreadPoolExecutor(_THREADS) as pool:
        for _done in pool.map(_five_requests, range(count)):
            pass


def _five_requests(number: int) -> None:
    """The five calls as the library's own examples would make them, with no request that it could do without."""
    client = redfish.redfish_client(
        base_url=f"https://{address(number)}", username=USER, password=PASSWORD, default_prefix="/redfish/v1/"
    )
    client.login(auth="session")
    (member,) = client.get(client.root.Systems["@odata.id"]).dict["Members"]
    system = client.get(member["@odata.id"]).dict
    _expect(system["SerialNumber"], _SERIAL)
    for interface in client.get(system["EthernetInterfaces"]["@odata.id"]).dict["Members"]:
        client.get(interface["@odata.id"])
    _expect(client.get(SYSTEM).dict["PowerState"], "Off")
    boot = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}
    _expect(client.patch(SYSTEM, body={"Boot": boot}).status, 204)
    _expect(client.get(SYSTEM).dict["Boot"]["BootSourceOverrideTarget"], "Pxe")
    _expect(client.post(RESET, body={"ResetType": "On"}).status, 204)
    _expect(client.get(SYSTEM).dict["PowerState"], "On")
    client.logout()


def _ipmitool(count: int, program: str) -> None:
    with ThreadPoolExecutor(_PROCESSES) as pool:
        for said in pool.map(lambda number: _one_process(program, number), range(count)):
            _expect(said, "Chassis Power is on")


def _one_process(program: str, number: int) -> str:
    # Suite 17, which is what ours takes; named, so that ipmitool does not ask for the list of them first.
    where = ("-I", "lanplus", "-C", "17", "-H", str(address(number)), "-U", USER, "-P", PASSWORD)
    argv = (program, *where, "chassis", "power", "status")
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout.strip()


def _expect(seen: object, wanted: object) -> None:
    if seen != wanted:
        raise BenchError(f"{wanted!r} expected, not {seen!r}")


_CLIENTS: dict[str, Callable[[int, str], None]] = {
    "innervate": _own_redfish,
    "innervate-ipmi": _own_ipmi,
    "redfish": _library,
    "ipmitool": _ipmitool,
}


def _main(name: str, count: str, extra: str = "") -> None:
    settle()
    whose = RUSAGE_CHILDREN if name == "ipmitool" else RUSAGE_SELF
    began, before = time.monotonic(), getrusage(whose)
    _CLIENTS[name](int(count), extra)
    seconds, after = time.monotonic() - began, getrusage(whose)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rss = getrusage(RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu": cpu, "rss_mib": rss}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
