/* floor.c: what the kernel itself charges for one delivery.
 *
 * What is measured: CPU time of this process per send() of one ready-made frame to each of N
 * accepted loopback sockets, in a plain C loop. No epoll, no parsing, no queue: whatever a server
 * does, it cannot deliver one frame per connection with plain sends for less. `accept` measures
 * the same floor for taking a connection in, `drain` for reading N frames of BYTES each (epoll and
 * a recv per readable socket), `answer` for sending the ready-made frame back for each as well.
 * `beat` is the floor for heartbeats: each second a ping to one in PERIOD_S connections, and a recv
 * of each answer; `relay` the one for a chat: a recv, and a send to each of the room's MEMBERS.
 * Times are CLOCK_PROCESS_CPUTIME_ID around the loop.
 *
 * Lines in, one JSON line out each:
 *   frame PAYLOAD_BYTES | accept N | flush TIMES PACE_US | drain N BYTES | answer N BYTES
 *   beat SECONDS PERIOD_S | relay MEMBERS BYTES | drop
 * Ends when stdin closes, when its parent dies, or after MAX_SECONDS.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SECONDS = 900, MAX_FDS = 20000, MAX_FRAME = 65535, ACCEPT_TIMEOUT_MS = 30000,
       EVENTS = 1024, READ_TIMEOUT_MS = 10000, RELAY_IDLE_MS = 1000 };

static int fds[MAX_FDS];
static int open_fds;
static unsigned char frame[MAX_FRAME];
static size_t frame_bytes;

static int64_t clock_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_until(int64_t ns) {
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

/* A real unmasked WebSocket text frame of `payload` bytes, so the reader does its usual work. */
static void make_frame(size_t payload) {
    if (payload > MAX_FRAME - 4) payload = MAX_FRAME - 4;
    size_t header = payload < 126 ? 2 : 4;
    frame_bytes = header + payload;
    memset(frame, 'x', frame_bytes);
    frame[0] = 0x81;
    frame[1] = header == 2 ? (unsigned char)payload : 126;
    if (header == 4) frame[2] = (unsigned char)(payload >> 8), frame[3] = (unsigned char)payload;
}

static int listen_anywhere(int *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) || listen(fd, 4096)) return -1;
    getsockname(fd, (struct sockaddr *)&at, &size);
    *port = ntohs(at.sin_port);
    return fd;
}

static void accept_many(int listener, int wanted) {
    int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), wall = clock_ns(CLOCK_MONOTONIC);
    int64_t deadline = wall + (int64_t)ACCEPT_TIMEOUT_MS * 1000000;
    int taken = 0, on = 1;
    while (taken < wanted && open_fds < MAX_FDS && clock_ns(CLOCK_MONOTONIC) < deadline) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            struct pollfd ready = {.fd = listener, .events = POLLIN};
            if (errno == EMFILE) break;
            poll(&ready, 1, 100);
            continue;
        }
        /* Without it Nagle would hold a frame back until the last one is acknowledged. */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        fds[open_fds++] = fd;
        taken++;
    }
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = clock_ns(CLOCK_MONOTONIC) - wall;
    printf("{\"accepted\":%d,\"cpu_ns\":%lld,\"wall_ns\":%lld}\n", taken, (long long)cpu,
           (long long)wall);
}

static void flush(int times, int64_t pace_ns) {
    long long sends = 0, refused = 0;
    int64_t spent = 0, wall = clock_ns(CLOCK_MONOTONIC), next = wall;
    for (int i = 0; i < times; i++) {
        if (pace_ns) sleep_until(next);
        next += pace_ns;
        int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        for (int k = 0; k < open_fds; k++) {
            ssize_t n = send(fds[k], frame, frame_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n == (ssize_t)frame_bytes) sends++;
            else refused++;
        }
        spent += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    }
    wall = clock_ns(CLOCK_MONOTONIC) - wall;
    printf("{\"sends\":%lld,\"refused\":%lld,\"cpu_ns\":%lld,\"wall_ns\":%lld}\n", sends, refused,
           (long long)spent, (long long)wall);
}

static int epoll_of_all(void) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int k = 0; k < open_fds; k++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)k};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fds[k], &e);
    }
    return epoll;
}

/* Read what comes until `end`; how many reads brought something. */
static long long read_until(int epoll, int64_t end) {
    static char scratch[256];
    struct epoll_event events[EVENTS];
    long long reads = 0;
    for (int64_t left; (left = end - clock_ns(CLOCK_MONOTONIC)) > 0;) {
        int ready = epoll_wait(epoll, events, EVENTS, (int)(left / 1000000) + 1);
        for (int i = 0; i < ready; i++) {
            int fd = fds[events[i].data.u32];
            if (recv(fd, scratch, sizeof scratch, MSG_DONTWAIT) > 0) reads++;
            else epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
        }
    }
    return reads;
}

static void beat(int seconds, int period_s) {
    static const unsigned char ping[2] = {0x89, 0};
    int epoll = epoll_of_all(), next = 0;
    long long pings = 0, pongs = 0;
    int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), wall = clock_ns(CLOCK_MONOTONIC);
    for (int s = 1; s <= seconds; s++) {
        int until = (int)((int64_t)open_fds * s / period_s);
        for (; next < until; next++, pings++)
            send(fds[next % open_fds], ping, sizeof ping, MSG_DONTWAIT | MSG_NOSIGNAL);
        pongs += read_until(epoll, wall + (int64_t)s * 1000000000);
    }
    for (int late = 0; pongs < pings && late < READ_TIMEOUT_MS / 1000; late++)
        pongs += read_until(epoll, clock_ns(CLOCK_MONOTONIC) + 1000000000);
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"pings\":%lld,\"pongs\":%lld,\"cpu_ns\":%lld}\n", pings, pongs, (long long)cpu);
    close(epoll);
}

static void answer(int k, long long frames) {
    while (frames-- > 0) send(fds[k], frame, frame_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Read `wanted` frames of `bytes` each. Half a frame counts with the read that completes it. */
static void drain(long long wanted, long long bytes, bool answers) {
    static char scratch[1 << 16];
    static long long got[MAX_FDS];
    struct epoll_event events[EVENTS];
    long long frames = 0, reads = 0;
    int epoll = epoll_of_all();
    memset(got, 0, sizeof got);
    printf("{\"draining\":%lld}\n", wanted);
    int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), wall = clock_ns(CLOCK_MONOTONIC);
    while (frames < wanted) {
        int ready = epoll_wait(epoll, events, EVENTS, READ_TIMEOUT_MS);
        if (ready <= 0) break;
        for (int i = 0; i < ready; i++) {
            int k = (int)events[i].data.u32;
            ssize_t n = recv(fds[k], scratch, sizeof scratch, MSG_DONTWAIT);
            if (n <= 0) {
                epoll_ctl(epoll, EPOLL_CTL_DEL, fds[k], NULL);
                continue;
            }
            long long whole = (got[k] + n) / bytes - got[k] / bytes;
            got[k] += n, reads++, frames += whole;
            if (answers) answer(k, whole);
        }
    }
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = clock_ns(CLOCK_MONOTONIC) - wall;
    printf("{\"frames\":%lld,\"reads\":%lld,\"cpu_ns\":%lld,\"wall_ns\":%lld}\n", frames, reads,
           (long long)cpu, (long long)wall);
    close(epoll);
}

/* What one connection sends goes to the `members` of its room, who came one after the other. Masked
 * frames of `bytes`, short ones, each whole in one read. Ends when nobody has sent for a while. */
static void relay(int members, int bytes) {
    static unsigned char in[1 << 16], out[256];
    struct epoll_event events[EVENTS];
    long long frames = 0, sends = 0, torn = 0;
    int epoll = epoll_of_all(), ready;
    printf("{\"relaying\":%d}\n", members);
    while ((ready = epoll_wait(epoll, events, EVENTS, RELAY_IDLE_MS)) > 0) {
        for (int i = 0; i < ready; i++) {
            int k = (int)events[i].data.u32, first = k - k % members, size = bytes - 6;
            ssize_t n = recv(fds[k], in, sizeof in, MSG_DONTWAIT);
            if (n <= 0) epoll_ctl(epoll, EPOLL_CTL_DEL, fds[k], NULL);
            else torn += n % bytes;
            for (unsigned char *at = in; at + bytes <= in + n; at += bytes, frames++) {
                out[0] = 0x81, out[1] = (unsigned char)size;
                for (int b = 0; b < size; b++) out[2 + b] = at[6 + b] ^ at[2 + (b & 3)];
                for (int m = first; m < first + members && m < open_fds; m++)
                    sends += send(fds[m], out, (size_t)size + 2, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
            }
        }
    }
    printf("{\"frames\":%lld,\"sends\":%lld,\"torn\":%lld}\n", frames, sends, torn);
    close(epoll);
}

static void drop_all(void) {
    for (int k = 0; k < open_fds; k++) close(fds[k]);
    printf("{\"dropped\":%d}\n", open_fds);
    open_fds = 0;
}

int main(void) {
    char line[256];
    int port = 0, a = 0, b = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    alarm(MAX_SECONDS);
    setvbuf(stdout, NULL, _IOLBF, 0);
    int listener = listen_anywhere(&port);
    if (listener < 0) {
        perror("floor: cannot listen on 127.0.0.1");
        return 1;
    }
    make_frame(128);
    printf("{\"port\":%d}\n", port);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "frame %d", &a) == 1) {
            make_frame((size_t)a);
            printf("{\"frame\":%zu}\n", frame_bytes);
        } else if (sscanf(line, "accept %d", &a) == 1) accept_many(listener, a);
        else if (sscanf(line, "flush %d %d", &a, &b) == 2) flush(a, (int64_t)b * 1000);
        else if (sscanf(line, "drain %d %d", &a, &b) == 2) drain(a, b, false);
        else if (sscanf(line, "answer %d %d", &a, &b) == 2) drain(a, b, true);
        else if (sscanf(line, "beat %d %d", &a, &b) == 2) beat(a, b);
        else if (sscanf(line, "relay %d %d", &a, &b) == 2 && a > 0 && b > 6 && b < 132) relay(a, b);
        else if (!strncmp(line, "drop", 4)) drop_all();
        else printf("{\"error\":\"unknown command\"}\n");
    }
    return 0;
}
