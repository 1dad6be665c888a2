// Many TFTP clients at once, each from an address of its own; every byte is compared with a local copy of the file.
//
//   tftp SERVER NAME FILE CLIENTS FIRST_ADDRESS BLKSIZE WINDOWSIZE SECONDS      one JSON object on standard output
//
// A retransmit is anything that was sent twice: our acknowledgement after a gap or a second of silence, a block that
// the server repeats. What the server negotiates counts, not what was asked for.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

enum { OACK = 6, DATA = 3, ERROR = 5, MOST_CLIENTS = 1000, BATCH = 32, LARGEST = 2048 };

struct client {
    int sock, known, ended, block, window, in_window, gap;
    struct sockaddr_in peer;
    uint64_t expected;
    long bytes;
    double heard, finished;
};

static struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = 0};
static struct client clients[MOST_CLIENTS];
static char request[600];
static int request_length;
static const uint8_t *file;
static long file_size, retransmits, mismatches, errors;
static int ended, whole;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void word(const char *text) { request_length += sprintf(request + request_length, "%s", text) + 1; }

static void number(const char *name, int value) {
    word(name);
    request_length += sprintf(request + request_length, "%d", value) + 1;
}

static void make_request(const char *name, int block, int window) {
    request[1] = 1;
    request_length = 2;
    word(name);
    word("octet");
    if (block != 512) number("blksize", block);
    if (window > 1) number("windowsize", window);
    number("tsize", 0);
}

static void ask(struct client *c) {
    sendto(c->sock, request, request_length, 0, (void *)&server, sizeof server);
}

static void acknowledge(struct client *c) {
    uint16_t block = (uint16_t)(c->expected - 1);
    uint8_t b[4] = {0, 4, block >> 8, block & 255};
    sendto(c->sock, b, 4, 0, (void *)&c->peer, sizeof c->peer);
    c->in_window = 0;
}

static void end(struct client *c) {
    c->ended = 1;
    c->finished = now();
    ended++;
}

static void take_options(struct client *c, char *at, char *limit) {
    if (c->expected > 1) return;
    while (at < limit) {
        char *value = at + strnlen(at, limit - at) + 1;
        if (value >= limit) break;
        if (!strcasecmp(at, "blksize")) c->block = atoi(value);
        if (!strcasecmp(at, "windowsize")) c->window = atoi(value);
        at = value + strnlen(value, limit - value) + 1;
    }
    acknowledge(c);
}

static void take_data(struct client *c, uint16_t block, const uint8_t *data, int length) {
    if (block != (uint16_t)c->expected) {
        int repeated = (uint16_t)(block - c->expected) >= 0x8000;
        if (repeated) retransmits++;
        if (!repeated && !c->gap) {  // one answer to each gap (RFC 7440 section 4)
            c->gap = 1;
            retransmits++;
            acknowledge(c);
        } else if (repeated && block == (uint16_t)(c->expected - 1)) {
            acknowledge(c);
        }
        return;
    }
    long offset = (long)(c->expected - 1) * c->block;
    if (length > c->block || offset + length > file_size || memcmp(file + offset, data, length)) mismatches++;
    c->gap = 0;
    c->expected++;
    c->bytes += length;
    if (length < c->block) {
        acknowledge(c);
        whole += c->bytes == file_size;
        end(c);
    } else if (++c->in_window >= c->window) {
        acknowledge(c);
    }
}

static void take(struct client *c, uint8_t *b, int length, struct sockaddr_in from) {
    if (length < 4 || c->ended || (c->known && from.sin_port != c->peer.sin_port)) return;
    c->known = 1;
    c->peer = from;
    c->heard = now();
    if (b[1] == OACK) take_options(c, (char *)b + 2, (char *)b + length);
    if (b[1] == DATA) take_data(c, (uint16_t)(b[2] << 8 | b[3]), b + 4, length - 4);
    if (b[1] == ERROR) {
        if (!errors++) fprintf(stderr, "ERROR %d %.*s\n", b[3], length - 4, b + 4);
        end(c);
    }
}

// One call for what waits: the generator must stay cheaper than the server.
static void drain(struct client *c) {
    static uint8_t packets[BATCH][LARGEST];
    static struct sockaddr_in from[BATCH];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){packets[i], LARGEST};
        messages[i].msg_hdr.msg_iov = parts + i;
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = from + i;
        messages[i].msg_hdr.msg_namelen = sizeof *from;
    }
    int count = recvmmsg(c->sock, messages, BATCH, MSG_DONTWAIT, 0);
    for (int i = 0; i < count; i++) take(c, packets[i], messages[i].msg_len, from[i]);
}

static int open_client(int epoll, int index, uint32_t address) {
    struct client *c = clients + index;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    struct epoll_event event = {EPOLLIN, {.u32 = index}};
    int buffer = 1 << 20;
    *c = (struct client){.block = 512, .window = 1, .expected = 1, .heard = now()};
    c->sock = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    setsockopt(c->sock, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    if (bind(c->sock, (void *)&own, sizeof own)) return 0;
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->sock, &event);
    ask(c);
    return 1;
}

static void wake_silent(int count, double t) {
    for (int i = 0; i < count; i++) {
        struct client *c = clients + i;
        if (c->ended || t - c->heard < 1.0) continue;
        retransmits++;
        c->heard = t;
        if (c->known) acknowledge(c);
        else ask(c);
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    struct stat status;
    uint32_t first;
    if (argc != 9) return 2;
    int count = atoi(argv[4]), fd = open(argv[3], O_RDONLY), epoll = epoll_create1(0);
    double most = atof(argv[8]);
    if (count < 1 || count > MOST_CLIENTS || fd < 0 || fstat(fd, &status)) return 2;
    if (!inet_pton(AF_INET, argv[1], &server.sin_addr) || !inet_pton(AF_INET, argv[5], &first)) return 2;
    server.sin_port = htons(69);
    file_size = status.st_size;
    file = mmap(0, file_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (file == MAP_FAILED) return perror("mmap"), 1;
    make_request(argv[2], atoi(argv[6]), atoi(argv[7]));

    double start = now(), t = start, scanned = start;
    for (int i = 0; i < count; i++)
        if (!open_client(epoll, i, ntohl(first) + i)) return perror("bind"), 1;
    while (ended < count && t - start < most) {
        struct epoll_event events[64];
        int ready = epoll_wait(epoll, events, 64, 50);
        for (int j = 0; j < ready; j++) drain(clients + events[j].data.u32);
        t = now();
        if (t - scanned > 0.2) {
            scanned = t;
            wake_silent(count, t);
        }
    }
    double seconds = now() - start;
    static double latencies[MOST_CLIENTS];
    long bytes = 0;
    for (int i = 0, n = 0; i < count; i++) {
        bytes += clients[i].bytes;
        // A client that was cut off took at least this long.
        latencies[n++] = clients[i].ended ? clients[i].finished - start : seconds;
    }
    qsort(latencies, count, sizeof *latencies, ascending);
    printf("{\"bytes\":%ld,\"seconds\":%.6f,\"whole\":%d,\"ended\":%d,\"errors\":%ld,\"mismatches\":%ld,"
           "\"retransmits\":%ld,\"blksize\":%d,\"windowsize\":%d,\"p50\":%.6f,\"p99\":%.6f}\n",
           bytes, seconds, whole, ended, errors, mismatches, retransmits, clients[0].block, clients[0].window,
           latencies[count / 2], latencies[(int)(count * 0.99)]);
    return 0;
}
