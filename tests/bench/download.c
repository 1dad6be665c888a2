// Parallel HTTP/1.1 range downloads, each from an address of its own.
//
//   download SERVER PORT PATH CONNECTIONS BYTES FIRST_ADDRESS SECONDS [FILE]      one JSON object on standard output
//
// Bodies are discarded inside the kernel (MSG_TRUNC), so that the receiver costs less than the sender. With FILE they
// are read and compared with it instead. The answer must be 206 with just the range that was asked for.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

enum { MOST = 1000, CHUNK = 1 << 20 };

struct download {
    int sock, in_body;
    long got;
};

static struct download downloads[MOST];
static char chunk[CHUNK];
static const char *file;
static long each, total, mismatches, bad_heads;
static int ended, whole, epoll;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void end(struct download *d) {
    whole += d->got == each;
    ended++;
    epoll_ctl(epoll, EPOLL_CTL_DEL, d->sock, 0);
}

static int good_head(char *head) {
    char range[80], length[80];
    snprintf(range, sizeof range, "\r\nContent-Range: bytes 0-%ld/", each - 1);
    snprintf(length, sizeof length, "\r\nContent-Length: %ld\r\n", each);
    return !strncmp(head, "HTTP/1.1 206 ", 13) && strcasestr(head, range) && strcasestr(head, length);
}

static void take_head(struct download *d) {
    int length = recv(d->sock, chunk, 8192, MSG_PEEK);
    char *limit = length > 0 ? memmem(chunk, length, "\r\n\r\n", 4) : 0;
    if (!limit) {
        if (length == 0) end(d);
        return;
    }
    recv(d->sock, chunk, limit + 4 - chunk, 0);
    limit[4] = 0;
    d->in_body = 1;
    if (!good_head(chunk)) {
        if (!bad_heads++) fprintf(stderr, "%s", chunk);
        end(d);
    }
}

static void take_body(struct download *d) {
    long length = recv(d->sock, chunk, CHUNK, file ? 0 : MSG_TRUNC);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
        end(d);
        return;
    }
    if (file && memcmp(file + d->got, chunk, length)) mismatches++;
    d->got += length;
    total += length;
    if (d->got >= each) end(d);
}

static int begin(int index, struct sockaddr_in *server, uint32_t address, const char *path) {
    struct download *d = downloads + index;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    struct epoll_event event = {EPOLLIN, {.u32 = index}};
    char request[400];
    d->sock = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(d->sock, (void *)&own, sizeof own) || connect(d->sock, (void *)server, sizeof *server)) return 0;
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: boot\r\nRange: bytes=0-%ld\r\n\r\n", path,
                          each - 1);
    if (send(d->sock, request, length, 0) != length) return 0;
    fcntl(d->sock, F_SETFL, O_NONBLOCK);
    return !epoll_ctl(epoll, EPOLL_CTL_ADD, d->sock, &event);
}

int main(int argc, char **argv) {
    uint32_t first;
    if (argc < 8) return 2;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    int count = atoi(argv[4]);
    double most = atof(argv[7]);
    each = atol(argv[5]);
    if (count < 1 || count > MOST || each < 1) return 2;
    if (!inet_pton(AF_INET, argv[1], &server.sin_addr) || !inet_pton(AF_INET, argv[6], &first)) return 2;
    if (argc > 8) {
        file = mmap(0, each, PROT_READ, MAP_SHARED, open(argv[8], O_RDONLY), 0);
        if (file == MAP_FAILED) return perror("mmap"), 1;
    }
    epoll = epoll_create1(0);
    double start = now();
    for (int i = 0; i < count; i++)
        if (!begin(i, &server, ntohl(first) + i, argv[3])) return perror("connect"), 1;
    while (ended < count && now() - start < most) {
        struct epoll_event events[64];
        int ready = epoll_wait(epoll, events, 64, 100);
        for (int j = 0; j < ready; j++) {
            struct download *d = downloads + events[j].data.u32;
            if (d->in_body) take_body(d);
            else take_head(d);
        }
    }
    double seconds = now() - start;
    printf("{\"bytes\":%ld,\"seconds\":%.6f,\"whole\":%d,\"bad_heads\":%ld,\"mismatches\":%ld}\n", total, seconds,
           whole, bad_heads, mismatches);
    return 0;
}
