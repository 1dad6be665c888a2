"""Linux's calls for many datagrams at once, by cffi in ABI mode: nothing is compiled.

The structures are those of socket(7), recvmmsg(2), sendmmsg(2) and ip(7). Whoever uses them needs a way without:
`load` says None where cffi, its parser or the calls are missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cffi import FFI

_DEFINITIONS = """
    typedef unsigned int socklen_t;
    struct in_addr { uint8_t octets[4]; };
    struct sockaddr_in { uint16_t sin_family; uint8_t sin_port[2]; struct in_addr sin_addr; uint8_t sin_zero[8]; };
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr {
        void *msg_name; socklen_t msg_namelen;
        struct iovec *msg_iov; size_t msg_iovlen;
        void *msg_control; size_t msg_controllen;
        int msg_flags;
    };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    struct cmsghdr { size_t cmsg_len; int cmsg_level; int cmsg_type; };
    struct in_pktinfo { int ipi_ifindex; struct in_addr ipi_spec_dst; struct in_addr ipi_addr; };
    int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, void *timeout);
    int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """Both calls return the number of messages done, or -1 with `ffi.errno` set. The interpreter's lock is released
    during a call: the memory that is handed over must be kept, and left alone, until it returns."""

    ffi: "FFI"
    recvmmsg: "Callable[[int, FFI.CData, int, int, FFI.CData], int]"
    sendmmsg: "Callable[[int, FFI.CData, int, int], int]"


@cache
def load() -> Native | None:
    """The same value each time: parsing the definitions takes some ten milliseconds."""
    try:
        from cffi import FFI

        ffi = FFI()
        ffi.cdef(_DEFINITIONS)
        lib = ffi.dlopen(None)
        return Native(ffi=ffi, recvmmsg=getattr(lib, "recvmmsg"), sendmmsg=getattr(lib, "sendmmsg"))  # noqa: B009
    except (ImportError, OSError, AttributeError):
        return None
