// Closed-loop DHCP clients behind one relay: WINDOW exchanges (DISCOVER, OFFER, REQUEST, ACK) outstanding, COUNT in all.
//
//   dora SERVER GIADDR WINDOW COUNT SECONDS      one JSON object on standard output
//
// perfdhcp tops out near 5,000 exchanges a second on one slow core, far below what is measured here.
// Each exchange is another machine: its own MAC, and its own UUID in options 61 and 97. Packets are those of EDK2's
// PXE driver. An answer counts only if it is a BOOTREPLY with our xid, MAC and giaddr; an ACK must keep the offered
// address, lie in the relay's /16 and name an address that no other machine has.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK };
enum { MOST_WINDOW = 4096, MOST_COUNT = 60000, BOOTP = 236, SHORTEST = 300 };

struct exchange {
    uint32_t number;  // of the machine, from 1; 0 when this slot has no more work
    uint32_t address, server;  // network order
    int requesting;
    double began, sent;
};

static int sock;
static uint32_t giaddr;
static struct exchange slots[MOST_WINDOW];
static double latencies[MOST_COUNT];
static uint8_t given[65536];
static long drops, naks, strays, duplicates, foreign;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static uint8_t *option(uint8_t *at, int code, int length, const void *value) {
    *at++ = code;
    *at++ = length;
    memcpy(at, value, length);
    return at + length;
}

static void make_mac(uint8_t mac[6], uint32_t number) {
    uint32_t n = htonl(number);
    mac[0] = 0x02;
    mac[1] = 0xd0;
    memcpy(mac + 2, &n, 4);
}

static void ask(int index) {
    static const uint8_t wanted[] = {1,  2,  3,  4,  5,  6,  12, 13, 15, 17, 18, 22,  23,  28,  40,  41,  42, 43,
                                     50, 51, 54, 58, 59, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135};
    uint8_t b[600] = {0}, *at = b + BOOTP, type, uuid[17] = {0};
    struct exchange *x = slots + index;
    uint32_t xid = htonl(x->number << 16 | (uint32_t)index), n = htonl(x->number * 2654435761u);
    b[0] = 1;  // BOOTREQUEST over Ethernet, one hop
    b[1] = 1;
    b[2] = 6;
    b[3] = 1;
    memcpy(b + 4, &xid, 4);
    memcpy(b + 24, &giaddr, 4);
    make_mac(b + 28, x->number);
    memcpy(uuid + 1, "\x4c\x4c\x45\x44\0\x31\x10\x38\x80\x34\xb2\xc0", 12);
    memcpy(uuid + 13, &n, 4);
    memcpy(at, "\x63\x82\x53\x63", 4);
    at += 4;
    type = x->requesting ? REQUEST : DISCOVER;
    at = option(at, 53, 1, &type);
    if (x->requesting) {
        at = option(at, 50, 4, &x->address);
        at = option(at, 54, 4, &x->server);
    }
    at = option(at, 57, 2, "\x05\xb8");
    at = option(at, 55, sizeof wanted, wanted);
    at = option(at, 97, 17, uuid);
    at = option(at, 61, 17, uuid);
    at = option(at, 94, 3, "\x01\x03\x10");
    at = option(at, 93, 2, "\x00\x07");
    at = option(at, 60, 32, "PXEClient:Arch:00007:UNDI:003016");
    *at++ = 255;
    int length = at - b < SHORTEST ? SHORTEST : (int)(at - b);
    send(sock, b, length, 0);
    x->sent = now();
}

static void begin(int index, uint32_t number) {
    slots[index] = (struct exchange){.number = number, .began = now()};
    ask(index);
}

static int note_address(uint32_t address) {
    uint32_t host = ntohl(address);
    if ((host ^ ntohl(giaddr)) >> 16) {
        foreign++;
        return 0;
    }
    if (given[host & 0xffff]++) duplicates++;
    return 1;
}

// The exchange this answers, or -1. Sets the message type and the server identifier.
static int match(const uint8_t *b, int length, int *type, uint32_t *server) {
    uint32_t xid;
    uint8_t mac[6];
    if (length < BOOTP + 4 || b[0] != 2 || memcmp(b + BOOTP, "\x63\x82\x53\x63", 4)) return -1;
    memcpy(&xid, b + 4, 4);
    xid = ntohl(xid);
    int index = xid & 0xffff;
    if (index >= MOST_WINDOW || !slots[index].number || xid >> 16 != (slots[index].number & 0xffff)) return -1;
    make_mac(mac, slots[index].number);
    if (memcmp(b + 28, mac, 6) || memcmp(b + 24, &giaddr, 4)) return -1;
    *type = 0;
    for (const uint8_t *p = b + BOOTP + 4, *end = b + length; p + 1 < end && *p != 255;) {
        if (*p == 0) {
            p++;
            continue;
        }
        if (p + 2 + p[1] > end) return -1;
        if (*p == 53 && p[1] == 1) *type = p[2];
        if (*p == 54 && p[1] == 4) memcpy(server, p + 2, 4);
        p += 2 + p[1];
    }
    return index;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(67)};
    int window = atoi(argv[3]), count = atoi(argv[4]), one = 1, buffer = 16 << 20;
    double most = atof(argv[5]);
    if (window < 1 || window > MOST_WINDOW || count < 1 || count > MOST_COUNT) return 2;
    if (!inet_pton(AF_INET, argv[2], &giaddr)) return 2;
    sock = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    at.sin_addr.s_addr = giaddr;
    if (bind(sock, (void *)&at, sizeof at)) return perror("bind"), 1;
    if (!inet_pton(AF_INET, argv[1], &at.sin_addr)) return 2;
    if (connect(sock, (void *)&at, sizeof at)) return perror("connect"), 1;

    int done = 0, next = 0;
    double start = now(), scanned = start, t = start;
    for (int i = 0; i < window && next < count; i++) begin(i, ++next);
    while (done < count && t - start < most) {
        uint8_t b[2048];
        int type = 0, length = recv(sock, b, sizeof b, MSG_DONTWAIT);
        uint32_t server = 0;
        if (length < 0) {
            struct pollfd wait = {sock, POLLIN, 0};
            poll(&wait, 1, 50);
        }
        t = now();
        if (length >= 0) {
            int index = match(b, length, &type, &server);
            struct exchange *x = slots + (index < 0 ? 0 : index);
            if (index >= 0 && type == OFFER && !x->requesting) {
                memcpy(&x->address, b + 16, 4);
                x->server = server;
                x->requesting = 1;
                ask(index);
            } else if (index >= 0 && type == ACK && x->requesting && !memcmp(b + 16, &x->address, 4)) {
                if (note_address(x->address)) latencies[done++] = t - x->began;
                x->number = 0;
                if (next < count) begin(index, ++next);
            } else if (index >= 0 && type == NAK && x->requesting) {
                naks++;
                x->requesting = 0;
                ask(index);
            } else {
                strays++;
            }
        }
        if (t - scanned > 0.1) {
            scanned = t;
            for (int i = 0; i < window; i++)
                if (slots[i].number && t - slots[i].sent > 1.0) {
                    drops++;
                    ask(i);
                }
        }
    }
    double seconds = now() - start;
    qsort(latencies, done, sizeof *latencies, ascending);
    printf("{\"done\":%d,\"seconds\":%.6f,\"drops\":%ld,\"naks\":%ld,\"strays\":%ld,\"duplicates\":%ld,\"foreign\":%ld,"
           "\"p50\":%.6f,\"p99\":%.6f,\"longest\":%.6f}\n",
           done, seconds, drops, naks, strays, duplicates, foreign, done ? latencies[done / 2] : 0,
           done ? latencies[(int)(done * 0.99)] : 0, done ? latencies[done - 1] : 0);
    return 0;
}
