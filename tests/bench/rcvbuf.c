// LD_PRELOAD: every datagram socket gets an 8 MiB receive buffer. To the process this is the same as raising
// net.core.rmem_default, and it touches no setting of the machine.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>

int socket(int domain, int type, int protocol) {
    static int (*real)(int, int, int);
    int size = 8 << 20;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "socket");
    int sock = real(domain, type, protocol);
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (sock >= 0 && (kind == SOCK_DGRAM || kind == SOCK_RAW))
        setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    return sock;
}
