"""Pulling a cable, against a peer that speaks QMP as QEMU does."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import MachineryError, NotFoundError
from appliance.lab.cable import plug
from appliance.lab.spec import NodeSpec, RackSpec, nodes_of
from appliance.model.hardware import Firmware


@pytest.fixture
def node(tmp_path: Path) -> NodeSpec:
    (spec,) = nodes_of(RackSpec(nodes=1, nics=2, firmware=Firmware.BIOS, workdir=Path("/r")))
    return replace(spec, folder=tmp_path)


@pytest.fixture
def heard(node: NodeSpec) -> Iterator[list[object]]:
    """What was asked."""
    asked: list[object] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as requests:
            connection.sendall(b'{"QMP": {}}\n')
            for line in requests:
                asked.append(json.loads(line))
                connection.sendall(b'{"return": {}}\n')

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(node.hand_socket))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        thread.join(10)


def test_the_carrier_is_taken_away(node: NodeSpec, heard: list[object]) -> None:
    plug(node, "nic1", plugged=False)
    assert heard[-1] == {"execute": "set_link", "arguments": {"name": "nic1", "up": False}}


def test_a_machine_that_is_off_has_no_cable_to_pull(node: NodeSpec) -> None:
    with pytest.raises(MachineryError, match="node-0 is off"):
        plug(node, "nic1", plugged=False)
    with pytest.raises(NotFoundError, match="node-0 has no nic2") as caught:
        plug(node, "nic2", plugged=False)
    assert caught.value.evidence == "NICs: nic0, nic1"
