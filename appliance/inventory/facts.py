"""The agent's raw report -> HardwareFacts. Whoever sent it may be lying: everything is bounded, cleaned and checked."""

from appliance.errors import AgentError
from appliance.inventory.disks import parse_disks
from appliance.inventory.dmidecode import parse_dmidecode
from appliance.inventory.gpus import parse_gpus
from appliance.inventory.lldp import parse_frames, parse_heard
from appliance.inventory.nics import parse_nics
from appliance.model.hardware import Firmware, HardwareFacts, Neighbour, Nic
from appliance.model.text import clean
from images.agent.errors import ProtocolError
from images.agent.protocol import Facts
from images.agent.protocol import parse_facts as parse_raw


def parse_facts(data: bytes, *, firmware: Firmware) -> HardwareFacts:
    """`data` is the body of POST /agent/facts, `firmware` what the agent's hello said. Raises `AgentError`."""
    try:
        raw = parse_raw(data)
    except ProtocolError as error:
        raise AgentError(
            f"the agent's report cannot be read: {error}",
            evidence=clean(error.evidence, 200),
            next_action="boot the machine with the discovery system of this appliance's version",
        ) from error
    return hardware_facts(raw, firmware=firmware)


def hardware_facts(raw: Facts, *, firmware: Firmware) -> HardwareFacts:
    """What a tool failed to tell stays empty and is named in `gaps`. Raises `AgentError` for nonsense."""
    dmi = parse_dmidecode(raw.dmidecode)
    nics = parse_nics(raw.nics, raw.ip)
    return HardwareFacts(
        uuid=dmi.uuid,
        serial=dmi.serial,
        board_serial=dmi.board_serial,
        manufacturer=dmi.manufacturer,
        product=dmi.product,
        firmware=firmware,
        cpu_model=clean(raw.cpu.model, 200) or dmi.cpu_model,
        cores=raw.cpu.cores or dmi.cores,
        memory_bytes=raw.memory_bytes or dmi.memory_bytes,
        disks=parse_disks(raw.disks),
        nics=nics,
        neighbours=_neighbours(raw, nics),
        gaps=tuple(clean(f"{tool}: {why}", 200) for tool, why in sorted(raw.errors.items())),
        sockets=dmi.sockets,
        threads=raw.cpu.threads,
        gpus=parse_gpus(raw.lshw),
        firmware_version=dmi.firmware_version,
    )


def _neighbours(raw: Facts, nics: tuple[Nic, ...]) -> tuple[Neighbour, ...]:
    """Agents from before these said which NIC heard a frame: there it is certain only where a single one has a link."""
    if len(raw.lldp_nics) == len(raw.lldp):
        names = {nic.name for nic in nics}
        heard = ((nic if nic in names else "", a) for nic, a in parse_heard(raw.lldp, raw.lldp_nics))
    else:
        linked = [nic.name for nic in nics if nic.carrier]
        heard = ((linked[0] if len(linked) == 1 else "", a) for a in parse_frames(raw.lldp))
    return tuple(Neighbour(nic=nic, chassis=a.chassis, port=a.port, system=a.system) for nic, a in heard)
