"""`python run.py PROGRAM ARGS...`: runs a user-mode Linux on processors whose registers are more than it has room for.

Such a kernel (6.1) fails where the host gives it the extended state (ptrace(2), PTRACE_GETREGSET): a filter refuses
that, and it takes the state that it knows. Programs in it then have to do without AVX: GLIBC_TUNABLES of its command
line.
"""

import ctypes
import os
import struct
import sys

_PTRACE, _GETREGSET, _SETREGSET, _EINVAL = 101, 0x4204, 0x4205, 22
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
_ERRNO, _ALLOW = 0x00050000, 0x7FFF0000  # linux/seccomp.h
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2  # linux/prctl.h
_PROGRAM = (
    (_LOAD, 0, 0, 0),
    (_EQUAL, 0, 4, _PTRACE),
    (_LOAD, 0, 0, 16),
    (_EQUAL, 1, 0, _GETREGSET),
    (_EQUAL, 0, 1, _SETREGSET),
    (_RETURN, 0, 0, _ERRNO | _EINVAL),
    (_RETURN, 0, 0, _ALLOW),
)


class _Fprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def main() -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _PROGRAM))
    program = _Fprog(len(_PROGRAM), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp filter")
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606  it takes our place


if __name__ == "__main__":
    main()
