// Keep-alive HTTP/1.1 requests for boot scripts: CONNECTIONS machines ask, each again as soon as it was answered.
//
//   requests SERVER PORT CONNECTIONS MACHINES FIRST_ADDRESS SECONDS      one JSON object on standard output
//
// Machine N of MACHINES asks with its MAC and UUID, as iPXE does. An answer counts if it is 200, has a body of
// Content-Length bytes and that body is an iPXE script.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1000, MOST_DONE = 4000000 };

struct connection {
    int sock, have;
    double asked;
    char in[16384];
};

static struct connection connections[MOST];
static float latencies[MOST_DONE];
static long done, bad, next;
static int machines, open_connections;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void ask(struct connection *c) {
    char request[600];
    int machine = next++ % machines;
    int length = snprintf(request, sizeof request,
                          "GET /boot.ipxe?mac=02-d0-00-00-%02x-%02x&uuid=4c4c4544-0031-1038-8034-b2c0%08x&serial=SN%06d "
                          "HTTP/1.1\r\nConnection: keep-alive\r\nUser-Agent: iPXE/1.21.1+\r\nHost: boot\r\n\r\n",
                          machine >> 8 & 255, machine & 255, machine, machine);
    c->asked = now();
    c->have = 0;
    if (send(c->sock, request, length, 0) != length) bad++;
}

// 1 when a whole, good answer is there; 0 when more has to come; -1 when it is a wrong one.
static int judge(struct connection *c) {
    c->in[c->have] = 0;
    char *body = memmem(c->in, c->have, "\r\n\r\n", 4), *field;
    if (!body) return c->have + 1 >= (int)sizeof c->in ? -1 : 0;
    body += 4;
    field = strcasestr(c->in, "\r\ncontent-length:");
    if (strncmp(c->in, "HTTP/1.1 200 ", 13) || !field || field > body) return -1;
    int length = atoi(field + 17);
    if (length < 7 || body - c->in + length + 1 >= (int)sizeof c->in) return -1;
    if (c->have < body - c->in + length) return 0;
    return c->have == body - c->in + length && !memcmp(body, "#!ipxe\n", 7) ? 1 : -1;
}

static void take(struct connection *c) {
    int length = recv(c->sock, c->in + c->have, sizeof c->in - 1 - c->have, 0);
    c->have += length > 0 ? length : 0;
    int verdict = length > 0 ? judge(c) : -1;
    if (verdict < 0) {
        if (!bad++) fprintf(stderr, "%.*s\n", 300, c->in);
        close(c->sock);
        open_connections--;
    } else if (verdict > 0) {
        if (done < MOST_DONE) latencies[done++] = now() - c->asked;
        ask(c);
    }
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    uint32_t first;
    if (argc != 7) return 2;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    int count = atoi(argv[3]), epoll = epoll_create1(0);
    double most = atof(argv[6]);
    machines = atoi(argv[4]);
    if (count < 1 || count > MOST || machines < 1) return 2;
    if (!inet_pton(AF_INET, argv[1], &server.sin_addr) || !inet_pton(AF_INET, argv[5], &first)) return 2;
    for (int i = 0; i < count; i++) {
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ntohl(first) + i)};
        struct epoll_event event = {EPOLLIN, {.u32 = i}};
        struct connection *c = connections + i;
        c->sock = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(c->sock, (void *)&own, sizeof own)) return perror("bind"), 1;
        if (connect(c->sock, (void *)&server, sizeof server)) return perror("connect"), 1;
        fcntl(c->sock, F_SETFL, O_NONBLOCK);
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->sock, &event);
        open_connections++;
    }
    double start = now();
    for (int i = 0; i < count; i++) ask(connections + i);
    while (open_connections && now() - start < most) {
        struct epoll_event events[64];
        int ready = epoll_wait(epoll, events, 64, 100);
        for (int j = 0; j < ready; j++) take(connections + events[j].data.u32);
    }
    double seconds = now() - start;
    qsort(latencies, done, sizeof *latencies, ascending);
    printf("{\"done\":%ld,\"seconds\":%.6f,\"bad\":%ld,\"p50\":%.6f,\"p99\":%.6f}\n", done, seconds, bad,
           done ? latencies[done / 2] : 0, done ? latencies[(long)(done * 0.99)] : 0);
    return 0;
}
