"""Sizes and purity: what a linter has no rule for."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(p for name in ("appliance", "pxe", "images", "templates") for p in (ROOT / name).rglob("*.py"))
FUNCTION_LINES = 50
MODULE_LINES = 500

_KUBERNETES = (
    "cluster",
    "contents",
    "csr",
    "drain",
    "engine",
    "etcd",
    "flavour",
    "kubeadm",
    "kubeconfig",
    "life",
    "node",
    "objects",
    "protocol",
    "rancher",
    "rancher_life",
    "rancher_texts",
    "tokens",
    "version",
    "vip",
)
_TUI = (
    *(
        "acting",
        "asking",
        "choices",
        "doctor",
        "figures",
        "help",
        "keys",
        "log",
        "machine",
        "messages",
        "moving",
        "overview",
        "page",
        "rack",
    ),
    *("plan", "runs", "scene", "state", "steering", "terminal", "text", "update"),
)
# Rooms where bytes are parsed and decisions are made: values in, values out.
PURE = (
    "pxe/*/packet.py",
    "pxe/*/responder.py",
    "pxe/boot.py",
    "pxe/client.py",
    "pxe/script.py",
    "pxe/dhcp/alarm.py",
    "pxe/dhcp/conflict.py",
    "pxe/dhcp/exchange.py",
    "pxe/dhcp/flood.py",
    "pxe/dhcp/leases.py",
    "pxe/dhcp/policy.py",
    "pxe/dhcp/probe.py",
    "pxe/dhcp/proxy.py",
    "pxe/dhcp/rival_packet.py",
    "pxe/dhcp/rivals.py",
    "pxe/dhcp/subnet.py",
    "pxe/dhcp/watch.py",
    "pxe/dns/forward.py",
    "pxe/dns/limit.py",
    "pxe/dns/table.py",
    "pxe/http/admission.py",
    "appliance/access/chain.py",
    "appliance/access/model.py",
    "appliance/access/rules.py",
    "appliance/access/totp.py",
    "appliance/boot.py",
    "appliance/plan.py",
    "appliance/program.py",
    "appliance/capabilities.py",
    "appliance/bmc/codec/*.py",
    "appliance/bmc/evidence.py",
    "appliance/bmc/discovery.py",
    "appliance/bmc/pace.py",
    "appliance/bmc/quirks.py",
    "appliance/bmc/ipmi/chassis.py",
    "appliance/bmc/ipmi/device.py",
    "appliance/bmc/ipmi/packet.py",
    "appliance/bmc/ipmi/rakp.py",
    "appliance/bmc/ipmi/sel.py",
    "appliance/bmc/ipmi/sensors.py",
    "appliance/bmc/ipmi/session.py",
    "appliance/bmc/ipmi/sol.py",
    *(f"appliance/manual/{name}.py" for name in ("code", "finding", "help", "page")),
    *(
        f"appliance/doctor/{name}.py"
        for name in ("bmcs", "clusters", "facts", "host", "say", "segment", "serving", "sighting", "wire")
    ),
    "appliance/metrics/catalogue.py",
    "appliance/metrics/clusters.py",
    "appliance/metrics/machines.py",
    "appliance/metrics/model.py",
    "appliance/model/*.py",
    "appliance/scores/*.py",
    "appliance/roles/*.py",
    "appliance/identity/credential.py",
    "appliance/inventory/*.py",
    "appliance/install/*.py",
    *(f"appliance/kubernetes/{name}.py" for name in _KUBERNETES),
    "appliance/okd/*.py",
    "appliance/slurm/*.py",
    "appliance/conductor/slurm_membership.py",
    "appliance/conductor/hosting.py",
    *(f"appliance/hosting/{name}.py" for name in ("account", "engine", "units", "verdict", "words")),
    "appliance/nodes/bonding.py",
    "appliance/nodes/job.py",
    "appliance/switch/dialect.py",
    "appliance/switch/standing.py",
    "appliance/conductor/attesting.py",
    "appliance/conductor/membership.py",
    "appliance/conductor/decision.py",
    "appliance/conductor/explain.py",
    "appliance/conductor/handlers/*.py",
    "appliance/conductor/machine.py",
    "appliance/conductor/past.py",
    "appliance/conductor/goals.py",
    "appliance/conductor/position.py",
    "appliance/conductor/reflex.py",
    "appliance/conductor/rollout.py",
    "appliance/conductor/runs.py",
    "appliance/conductor/world.py",
    "appliance/frontend/*.py",
    *(f"appliance/netbox/{name}.py" for name in ("model", "pages", "rest", "site", "tables")),
    *(f"appliance/tui/{name}.py" for name in _TUI),
    "images/agent/keys.py",
    "images/agent/methods.py",
    "images/agent/tasks.py",
    *(f"images/agent/tpm_{name}.py" for name in ("packet", "structures", "words")),
    *(
        f"images/application/{name}.py"
        for name in ("compose", "contents", "description", "documents", "manifests", "quadlet", "signing", "table")
    ),
    "images/grubenv.py",
    "images/oci/document.py",
    "images/signature.py",
    *(f"appliance/upgrade/{name}.py" for name in ("boot", "decision", "fat", "health", "state", "writing")),
    *(f"appliance/balancer/{name}.py" for name in ("config", "state", "vip")),
    "appliance/timekeeping/config.py",
    *(f"appliance/registry/{name}.py" for name in ("config", "contents")),
    "appliance/supervision/decision.py",
    "images/oci/parts.py",
    "appliance/services/views.py",
    "appliance/bmc/redfish_codec.py",
)
EFFECTS = {"socket", "time", "random", "secrets", "subprocess", "logging", "os", "asyncio", "threading", "select"}


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=_id)
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines"


PURE_SOURCES = sorted({path for pattern in PURE for path in ROOT.glob(pattern)})


def test_pure_rooms_exist() -> None:
    assert all(any(ROOT.glob(pattern)) for pattern in PURE)


@pytest.mark.parametrize("path", PURE_SOURCES, ids=_id)
def test_pure_rooms_have_no_effects(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            imported.add(node.module.split(".")[0])
    assert not imported & EFFECTS
