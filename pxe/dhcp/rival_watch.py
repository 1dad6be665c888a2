"""The packet socket of `rivals`: what servers and appliances say on the segment, and our own questions and claims.

A DHCP server cannot use its UDP socket for this: other servers' messages go to port 68.
"""

import contextlib
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Protocol, assert_never

from pxe.dhcp.frame import ETH_P_IP
from pxe.dhcp.packet_socket import PacketSocket
from pxe.dhcp.rival_packet import VENDOR_CLASS, pack_claim, pack_question, parse_heard
from pxe.dhcp.rivals import Action, Answer, Ask, RivalEvent, RivalGone, Rivals, RivalSeen, Standing, Stands
from pxe.errors import PacketError
from pxe.ports import Clock

_GROUP = 512

# UDP, unfragmented, and either from port 67 to 68, or to port 67 with a vendor class that begins as ours does: it is
# the first option of a question, so its text is 8 + 240 + 2 bytes behind the IP header.
_FILTER = (
    (0x30, 0, 0, 23),  # IP protocol
    (0x15, 0, 11, 17),
    (0x28, 0, 0, 20),  # fragment
    (0x45, 9, 0, 0x3FFF),
    (0xB1, 0, 0, 14),  # X = length of the IP header
    (0x48, 0, 0, 14),  # source port
    (0x15, 0, 2, 67),
    (0x48, 0, 0, 16),  # destination port
    (0x15, 5, 0, 68),
    (0x48, 0, 0, 16),
    (0x15, 0, 2, 67),
    (0x40, 0, 0, 14 + 8 + 240 + 2),
    (0x15, 1, 0, int.from_bytes(VENDOR_CLASS[:4])),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFF),
)


class Frames(Protocol):
    """See `PacketSocket`."""

    mac: bytes

    def fileno(self) -> int: ...

    def send(self, frame: bytes) -> None: ...

    def drain(self, most: int) -> Iterator[bytes]: ...

    def close(self) -> None: ...


def frames_of(device: str) -> Frames:
    """ServiceError when the packet socket refuses."""
    return PacketSocket(device, ETH_P_IP, _FILTER)


class RivalWatch:
    """Used by one thread. `observe` is told of each event, after `standing` has changed."""

    def __init__(
        self,
        *,
        frames: Frames,
        server: IPv4Address,
        identity: bytes,
        chaddr: bytes,
        clock: Clock,
        observe: Callable[[RivalEvent], None],
        resumes: bool = False,
    ) -> None:
        """`frames` are closed with it. `identity`: 16 random bytes, the same for the life of the appliance. `chaddr`: a
        random locally administered address, the same for the life of the process, so that we hold one OFFER of a
        foreign server and not many. `resumes` as in `Rivals`.
        """
        self._socket = frames
        self._server = server
        self._chaddr = chaddr
        self._clock = clock
        self._observe = observe
        self._xid = int.from_bytes(chaddr[2:])
        mac, own = self._socket.mac, frozenset((server,))
        self._rivals = Rivals(identity=identity, mac=mac, own=own, now=clock.monotonic(), resumes=resumes)

    @property
    def standing(self) -> Standing:
        return self._rivals.standing

    def fileno(self) -> int:
        return self._socket.fileno()

    def serve(self) -> None:
        """Whenever `fileno` is readable, and about ten times a second while starting, else once a second."""
        now = self._clock.monotonic()
        for frame in self._socket.drain(_GROUP):
            with contextlib.suppress(PacketError):
                heard = parse_heard(frame)
                if heard is not None:
                    self._act(self._rivals.hear(heard, now))
        self._act(self._rivals.tick(now))

    def named(self, server: IPv4Address) -> None:
        """A machine on the segment, not behind a relay, sent a REQUEST with another server's identifier."""
        self._rivals.named(server, self._clock.monotonic())

    def take_over(self) -> None:
        """The operator's word. We start again, and stay passive if the other one still serves."""
        self._act(self._rivals.take_over(self._clock.monotonic()))

    def close(self) -> None:
        self._socket.close()

    def _act(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case Ask():
                    self._xid = (self._xid + 1) & 0xFFFFFFFF
                    mac, chaddr = self._socket.mac, self._chaddr
                    self._socket.send(pack_question(action.notice, mac=mac, chaddr=chaddr, xid=self._xid))
                case Answer():
                    mac, server = self._socket.mac, self._server
                    self._socket.send(pack_claim(action.notice, action.question, mac=mac, server=server))
                case Stands() | RivalSeen() | RivalGone():
                    self._observe(action)
                case _:
                    assert_never(action)
