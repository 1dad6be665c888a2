"""The cables of a machine of the rack, which a person may pull and plug in again while it runs."""

import socket

from appliance.errors import MachineryError, NotFoundError
from appliance.lab.qmp import Qmp
from appliance.lab.spec import NodeSpec


def plug(node: NodeSpec, nic: str, *, plugged: bool) -> None:
    """`nic` is its id: nic0, nic1, .. . The machine sees its carrier come or go. Raises `NotFoundError` for a NIC that
    is not there, `MachineryError` where the machine is off."""
    if nic not in {one.id for one in node.nics}:
        ids = ", ".join(one.id for one in node.nics)
        raise NotFoundError(f"{node.name} has no {nic[:40]}", evidence=f"NICs: {ids}", next_action="name one of these")
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(node.hand_socket))
    except OSError as error:
        connection.close()
        raise MachineryError(f"{node.name} is off", evidence=str(error), next_action="power it on first") from error
    hand = Qmp(connection, _unheard)
    try:
        hand.execute("set_link", {"name": nic, "up": plugged})
    finally:
        hand.close()


def _unheard(_event: str) -> None:
    pass
