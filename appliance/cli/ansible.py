"""Machines in the formats that Ansible reads: its script contract, YAML and INI. Pure.

What hardware says of itself may hold a template, which Ansible would carry out on the machine that runs it: no text
that we give has a brace. Names of groups are letters, digits and underscores, which no machine's name has.
"""

import json
import re
import shlex
from collections.abc import Iterator, Sequence

from appliance.model.standing import standing
from appliance.model.text import clean
from appliance.model.views import DiskView, MachineView

_TEXT = 200
_BRACES = str.maketrans("{}", "()")
_NO_NAME = re.compile(r"[^a-z0-9]+")

_Value = str | int | list[str] | list[dict[str, str | int]]
_Variables = dict[str, _Value]


def listing(machines: Sequence[MachineView]) -> str:
    """What `--list` answers; `_meta` spares Ansible a `--host` for each machine."""
    groups = _groups(machines)
    names = [machine.name for machine in machines]
    document = {
        "_meta": {"hostvars": {machine.name: _variables(machine) for machine in machines}},
        "all": {"children": sorted(groups), "hosts": names},
        **{name: {"hosts": members} for name, members in sorted(groups.items())},
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def host(machine: MachineView) -> str:
    """What `--host` answers."""
    return json.dumps(_variables(machine), indent=1, ensure_ascii=False) + "\n"


def as_yaml(machines: Sequence[MachineView]) -> str:
    """Values as JSON, which is YAML too (YAML 1.2 section 1.3)."""
    lines = ["all:", "  hosts:"]
    for machine in machines:
        values = ((name, json.dumps(value, ensure_ascii=False)) for name, value in _variables(machine).items())
        lines += [f"    {machine.name}:", *(f"      {name}: {value}" for name, value in values)]
    lines.append("  children:")
    for name, members in sorted(_groups(machines).items()):
        lines += [f"    {name}:", "      hosts:", *(f"        {member}: {{}}" for member in members)]
    return "\n".join(lines) + "\n"


def as_ini(machines: Sequence[MachineView]) -> str:
    """Ansible reads values as Python literals, so that a serial number of digits stays a text."""
    lines = []
    for machine in machines:
        values = (f"{name}={shlex.quote(repr(value))}" for name, value in _variables(machine).items())
        lines.append(" ".join((machine.name, *values)))
    for name, members in sorted(_groups(machines).items()):
        lines += ["", f"[{name}]", *members]
    return "\n".join(lines) + "\n"


def _groups(machines: Sequence[MachineView]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for machine in machines:
        for name in _groups_of(machine):
            groups.setdefault(name, []).append(machine.name)
    return groups


def _groups_of(machine: MachineView) -> Iterator[str]:
    kinds = {
        "role": machine.role,
        "spare": machine.spare_of,
        "state": standing(machine).value,
        "phase": machine.phase.value,
        "product": machine.product,
        "rack": machine.place.rack if machine.place else "",
    }
    for kind, value in kinds.items():
        if word := _NO_NAME.sub("_", _plain(value).casefold()).strip("_"):
            yield f"{kind}_{word}"


def _variables(machine: MachineView) -> _Variables:
    """What is not known is left out."""
    texts = {
        "ansible_host": machine.address,
        "innervate_state": standing(machine).value,
        "innervate_phase": machine.phase.value,
        "innervate_role": machine.role,
        "innervate_spare_of": machine.spare_of,
        "innervate_serial": machine.serial,
        "innervate_uuid": machine.uuid,
        "innervate_product": machine.product,
        "innervate_rack": machine.place.rack if machine.place else "",
        "innervate_bmc": machine.bmc,
    }
    variables: _Variables = {name: plain for name, text in texts.items() if (plain := _plain(text))}
    if machine.macs:
        variables["innervate_macs"] = [_plain(mac) for mac in machine.macs]
    if machine.cores is not None:
        variables["innervate_cores"] = machine.cores
    if machine.memory_bytes is not None:
        variables["innervate_memory_bytes"] = machine.memory_bytes
    if machine.disks:
        variables["innervate_disks"] = [_disk(disk) for disk in machine.disks]
    return variables


def _disk(disk: DiskView) -> dict[str, str | int]:
    texts = {"name": disk.name, "serial": disk.serial, "wwn": disk.wwn, "model": disk.model}
    kind = "hdd" if disk.rotational else "ssd"
    return {**{name: _plain(text) for name, text in texts.items()}, "size_bytes": disk.size_bytes, "kind": kind}


def _plain(text: str) -> str:
    return clean(text, _TEXT).translate(_BRACES).strip()
