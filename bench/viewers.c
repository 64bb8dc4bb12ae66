/* viewers.c: very many viewers in one process, on WebSockets or event streams, cheaper than the server they watch.
 *
 * What it measures: frames, messages, gaps and repeats of each viewer's seq, hand-shake times, and
 * end-to-end latency from time stamps inside the messages. One raw epoll loop, one row per
 * descriptor. It looks at its sockets every tick instead of sleeping in epoll_wait, so the server
 * under test never pays for waking it (a viewer on another machine costs no wake-up either).
 *
 * Lines in, one JSON line out each:
 *   connect N INFLIGHT PATH [ROOMS]   upgrade; with ?room= in PATH a viewer counts once it has
 *                              `joined`; $room in PATH is its number modulo ROOMS; a PATH of
 *                              /sse?… is an event stream, each event a frame; a PATH of
 *                              @FILE takes the paths from the lines of that file, one each
 *   raw N                      plain TCP connections that receive frames without an upgrade
 *   deflate [0]                connections from now on offer permessage-deflate; 0: they do not
 *   greet TEXT                 the text frame each viewer sends once upgraded; \n in it is CR LF;
 *                              $room in it; who joins by it counts once it has `joined`
 *   greet_hex HEX              likewise a binary frame, of these bytes
 *   wait FIELD VALUE TIMEOUT_MS   until frames|messages|pongs|acks|closed|emitted >= VALUE
 *   emit KIND COUNT PER_SECOND [PAYLOAD]   masked text|ping|pong frames, round robin (0: at once)
 *   chat WINDOW MS PAYLOAD     every viewer keeps WINDOW sends unanswered; $room $ref $now in it
 *   count | reset | latency | stall N | unstall N | drop N | tick MICROSECONDS
 * Arguments: viewers PORT [SOURCE]; it dials from 127.0.0.2 + SOURCE and the next ones, so several
 * need not look for ports of the same. Ends when stdin closes, when its parent dies, or after
 * MAX_SECONDS.
 */
#define _GNU_SOURCE
#include "payload.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum {
    MAX_SECONDS = 900,
    MAX_FDS = 20000,
    EVENTS = 1024,
    SCRATCH = PAYLOAD_MAX,
    PER_SOURCE = 4096, /* connections per 127.0.0.x address before the next one is used */
    CONNECT_TIMEOUT_MS = 30000,
    EMIT_SLICE = 512,
    QUIET_TICKS = 100,
};

enum phase { FREE, UPGRADING, JOINING, OPEN, STALLED };

struct viewer {
    uint8_t phase;
    bool stream;   /* an event stream, not a WebSocket */
    uint32_t have; /* bytes of an unfinished frame kept in `partial` */
    char *partial;
    uint32_t number; /* which of its `connect` it is */
    uint32_t room;   /* what $room stands for */
    int unanswered;  /* sends of `chat` */
    uint64_t seq;
    int64_t born_ns;
};

static struct viewer table[MAX_FDS];
static bool deflate; /* whether connections offer permessage-deflate, as browsers do */
static int epoll_fd, server_port, first_source, tick_us = 1000, highest_fd;
static char scratch[2 * SCRATCH + 4];
static struct digest digests[DIGESTS];
static struct histogram latency, handshakes;
static struct { size_t bytes; unsigned char frame[1040]; char text[1024]; } greeting;

static struct {
    long long frames, bytes, messages, pings, pongs, acks, errors, closed, gaps, repeats, emitted;
} count;
static int open_viewers, close_code;
static char failure[160];

/* Pending work: at most one of each, advanced once a loop. */
static struct { int wanted, inflight, started, done, failed, rooms; bool raw, joins; int64_t wall, cpu;
                char path[1024], **paths; } plan;
static struct { const long long *field; long long value; int64_t deadline; } waiting;
static struct { int kind; long long left; double per_second; int64_t began; long long sent;
                int next_fd; size_t bytes; unsigned char frame[1024]; } emitter;
static struct { int window; int64_t until; char payload[512]; } talk;

static int64_t clock_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
static int64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
static int64_t cpu_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

static void watch(int fd, uint32_t events, int op) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    epoll_ctl(epoll_fd, op, fd, &e);
}

static void forget(int fd, const char *why) {
    struct viewer *v = &table[fd];
    if (v->phase == UPGRADING || v->phase == JOINING) {
        plan.failed++;
        snprintf(failure, sizeof failure, "%s", why);
    } else open_viewers--;
    count.closed++;
    free(v->partial);
    *v = (struct viewer){0};
    close(fd);
}

static void opened(struct viewer *v) {
    v->phase = OPEN;
    open_viewers++;
    plan.done++;
    histogram_add(&handshakes, now_ns() - v->born_ns);
}

/* ---- frames ---- */

static size_t make_frame(unsigned char *out, int opcode, const char *payload, size_t n) {
    static const unsigned char mask[4] = {0x5a, 0xc3, 0x1f, 0x77};
    size_t at = 2;
    out[0] = (unsigned char)(0x80 | opcode);
    if (n < 126) out[1] = (unsigned char)(0x80 | n);
    else out[1] = 0x80 | 126, out[2] = (unsigned char)(n >> 8), out[3] = (unsigned char)n, at = 4;
    memcpy(out + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < n; i++) out[at + i] = (unsigned char)payload[i] ^ mask[i & 3];
    return at + n;
}

/* `text` with $room (or $room+NUMBER, the sum), $ref and $now filled in; its length. `out` holds
 * twice 1024 bytes. */
static size_t fill_in(char *out, const char *text, const struct viewer *v) {
    size_t n = 0;
    while (*text && n < 2000) {
        if (!strncmp(text, "$room", 5)) {
            char *end = (char *)(text += 5);
            unsigned more = *text == '+' ? (unsigned)strtoul(text + 1, &end, 10) : 0;
            n += (size_t)sprintf(out + n, "%u", v->room + more), text = end;
        }
        else if (!strncmp(text, "$ref", 4))
            n += (size_t)sprintf(out + n, "%lld", count.emitted), text += 4;
        else if (!strncmp(text, "$now", 4))
            n += (size_t)sprintf(out + n, "%lld", (long long)now_ns()), text += 4;
        else out[n++] = *text++;
    }
    out[n] = 0;
    return n;
}

/* Say as much as the window of `chat` allows. */
static void keep_talking(int fd) {
    struct viewer *v = &table[fd];
    char payload[2048];
    unsigned char frame[2048 + 16];
    while (v->unanswered < talk.window && now_ns() < talk.until) {
        size_t n = make_frame(frame, 1, payload, fill_in(payload, talk.payload, v));
        if (send(fd, frame, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n) return;
        v->unanswered++, count.emitted++;
    }
}

static void on_text(struct viewer *v, char *text, size_t n, bool compressed) {
    const struct digest *d = digest_payload(digests, text, n, compressed);
    count.frames++;
    count.bytes += (long long)n;
    count.messages += d->messages;
    count.pongs += d->pongs;
    count.acks += d->acks;
    count.errors += d->errors;
    if (talk.window && (d->acks || d->errors)) {
        v->unanswered -= (int)(d->acks + d->errors);
        keep_talking((int)(v - table));
    }
    if (d->joined) {
        v->seq = d->last_seq;
        if (v->phase == JOINING) opened(v);
    } else if (d->first_seq) {
        count.gaps += d->gaps + (d->first_seq > v->seq + 1);
        count.repeats += d->repeats + (d->first_seq <= v->seq);
        v->seq = d->last_seq;
    }
    if (d->stamps) {
        int64_t now = now_ns();
        for (unsigned i = 0; i < d->stamps; i++) histogram_add(&latency, now - d->stamp[i]);
    }
}

/* False when the connection is over. */
static bool on_frame(int fd, int first, char *payload, size_t n) {
    unsigned char pong[160];
    int opcode = first & 15;
    if (opcode <= 2) on_text(&table[fd], payload, n, first & 0x40);
    else if (opcode == 9 && n < 126) {
        count.pings++;
        send(fd, pong, make_frame(pong, 10, payload, n), MSG_NOSIGNAL);
    } else if (opcode == 10) count.pongs++;
    else if (opcode == 8) {
        if (n >= 2) close_code = (unsigned char)payload[0] << 8 | (unsigned char)payload[1];
        forget(fd, "closed by the server before it joined");
        return false;
    }
    return true;
}

/* Bytes used up; -1 when the connection is over. */
static ssize_t read_frames(int fd, char *at, size_t n) {
    size_t used = 0;
    while (n - used >= 2) {
        const unsigned char *p = (const unsigned char *)at + used;
        size_t header = 2, size = p[1] & 127;
        if (size == 126) header = 4;
        else if (size == 127) header = 10;
        if (n - used < header) break;
        if (header == 4) size = (size_t)p[2] << 8 | p[3];
        if (header == 10)
            for (int i = 2; i < 10; i++) size = i == 2 ? p[i] : size << 8 | p[i];
        if (size > SCRATCH - 16) {
            forget(fd, "a frame larger than this client takes");
            return -1;
        }
        if (n - used < header + size) break;
        if (!on_frame(fd, p[0], at + used + header, size)) return -1;
        used += header + size;
    }
    return (ssize_t)used;
}

/* The events of a stream, each ended by an empty line; bytes used up. */
static ssize_t read_events(int fd, char *at, size_t n) {
    size_t used = 0;
    for (char *end; (end = memmem(at + used, n - used, "\n\n", 2)); used = (size_t)(end - at) + 2)
        if (at[used] == ':') count.pings++;
        else if (memcmp(at + used, "retry", 5))
            on_text(&table[fd], at + used, (size_t)(end - at) - used, false);
    return (ssize_t)used;
}

static void greet_from(int fd) {
    char text[2048];
    unsigned char frame[2048 + 16];
    if (!strchr(greeting.text, '$')) send(fd, greeting.frame, greeting.bytes, MSG_NOSIGNAL);
    else send(fd, frame, make_frame(frame, 1, text, fill_in(text, greeting.text, &table[fd])),
              MSG_NOSIGNAL);
}

/* The answer to the upgrade; bytes used up, 0 when it is not whole, -1 when refused. */
static ssize_t read_upgrade(int fd, const char *at, size_t n) {
    const char *end = memmem(at, n, "\r\n\r\n", 4);
    if (!end) return 0;
    if (n < 12 || memcmp(at, table[fd].stream ? "HTTP/1.1 200" : "HTTP/1.1 101", 12)) {
        char first[48];
        snprintf(first, sizeof first, "%.*s", (int)strcspn(at, "\r\n\""), at);
        forget(fd, first);
        return -1;
    }
    table[fd].phase = JOINING;
    if (greeting.bytes) greet_from(fd);
    if (!plan.joins) opened(&table[fd]);
    return end + 4 - at;
}

static void keep(struct viewer *v, const char *rest, size_t n) {
    free(v->partial);
    v->partial = NULL;
    v->have = (uint32_t)n;
    if (n && !(v->partial = malloc(n))) abort();
    if (n) memcpy(v->partial, rest, n);
}

static void readable(int fd) {
    struct viewer *v = &table[fd];
    size_t n = v->have, used = 0;
    if (n) memcpy(scratch, v->partial, n);
    ssize_t got = recv(fd, scratch + n, SCRATCH, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        forget(fd, got ? strerror(errno) : "end of stream before it joined");
        return;
    }
    n += (size_t)got;
    scratch[n] = 0;
    if (v->phase == UPGRADING) {
        ssize_t head = read_upgrade(fd, scratch, n);
        if (head < 0) return;
        used = (size_t)head;
    }
    if (v->phase != UPGRADING) {
        ssize_t more = v->stream ? read_events(fd, scratch + used, n - used)
                                 : read_frames(fd, scratch + used, n - used);
        if (more < 0) return;
        used += (size_t)more;
    }
    if (n - used || v->have) keep(v, scratch + used, n - used);
}

/* ---- connecting ---- */

static bool ask_upgrade(int fd) {
    struct viewer *v = &table[fd];
    char path[2048], request[4096];
    if (plan.paths) snprintf(path, sizeof path, "%s", plan.paths[v->number]);
    else fill_in(path, plan.path, v);
    v->stream = !strncmp(path, "/sse?", 5);
    if (v->stream) {
        int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
                         path, server_port);
        return send(fd, request, (size_t)n, MSG_NOSIGNAL) > 0;
    }
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Version: 13\r\n%s\r\n", path, server_port,
                     deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    return send(fd, request, (size_t)n, MSG_NOSIGNAL) > 0;
}

static void dial(int number) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
    if (fd < 0 || fd >= MAX_FDS) {
        plan.failed++;
        snprintf(failure, sizeof failure, "socket: %s", strerror(errno));
        if (fd >= 0) close(fd);
        return;
    }
    from.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)(first_source + fd / PER_SOURCE));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)server_port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    table[fd] = (struct viewer){.phase = UPGRADING, .born_ns = now_ns(),
                                .number = (uint32_t)number, .room = (uint32_t)(number % plan.rooms)};
    if (fd > highest_fd) highest_fd = fd;
    bool bound = !bind(fd, (struct sockaddr *)&from, sizeof from);
    if (!bound || (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)) {
        forget(fd, strerror(errno));
        return;
    }
    /* Over loopback the connection stands by now, so most never need the wait for EPOLLOUT. */
    bool asked = plan.raw || ask_upgrade(fd);
    watch(fd, asked ? EPOLLIN : EPOLLOUT, EPOLL_CTL_ADD);
    if (plan.raw) opened(&table[fd]);
}

static void writable(int fd) {
    if (!ask_upgrade(fd) && errno != EAGAIN) forget(fd, strerror(errno));
    else watch(fd, EPOLLIN, EPOLL_CTL_MOD);
}

/* The lines of a file, to be freed by the next call; NULL when there are fewer than `wanted`. */
static char **lines_of(const char *file, int wanted) {
    static char *text, **lines;
    size_t size = 0;
    int n = 0;
    FILE *in = fopen(file, "r");
    free(text), free(lines);
    text = NULL, lines = calloc((size_t)wanted, sizeof *lines);
    if (!in || !lines || getdelim(&text, &size, 0, in) < 0) text = NULL;
    if (in) fclose(in);
    for (char *at = text; at && n < wanted && (lines[n] = strsep(&at, "\n")) && *lines[n];) n++;
    return n == wanted ? lines : NULL;
}

static void begin_connect(int wanted, int inflight, const char *path, int rooms, bool raw) {
    memset(&plan, 0, sizeof plan);
    memset(&handshakes, 0, sizeof handshakes);
    failure[0] = 0;
    plan.inflight = inflight > 0 ? inflight : 1;
    plan.rooms = rooms > 0 ? rooms : 1;
    plan.raw = raw;
    snprintf(plan.path, sizeof plan.path, "%s", path);
    if (*path == '@' && !(plan.paths = lines_of(path + 1, wanted))) {
        printf("{\"error\":\"too few paths in the file\"}\n");
        return;
    }
    plan.joins = !raw && (strstr(plan.paths ? plan.paths[0] : path, "room=") ||
                          strstr(greeting.text, "\"t\":\"join\""));
    plan.wall = now_ns();
    plan.cpu = cpu_ns();
    plan.wanted = wanted;
}

static void advance_connect(void) {
    if (!plan.wanted) return;
    bool late = now_ns() - plan.wall > (int64_t)CONNECT_TIMEOUT_MS * 1000000;
    while (!late && plan.started < plan.wanted &&
           plan.started - plan.done - plan.failed < plan.inflight) {
        dial(plan.started++);
    }
    if (!late && plan.done + plan.failed < plan.wanted) return;
    printf("{\"ok\":%d,\"failed\":%d,\"wall_ns\":%lld,\"cpu_ns\":%lld,\"failure\":\"%s\",",
           plan.done, plan.wanted - plan.done, (long long)(now_ns() - plan.wall),
           (long long)(cpu_ns() - plan.cpu), late && !*failure ? "timed out" : failure);
    histogram_print(&handshakes);
    printf("}\n");
    plan.wanted = 0;
}

/* ---- what else a line may ask for ---- */

static void print_counts(const char *lead) {
    printf("{%s\"open\":%d,\"frames\":%lld,\"bytes\":%lld,\"messages\":%lld,\"pings\":%lld,"
           "\"pongs\":%lld,\"acks\":%lld,\"errors\":%lld,\"closed\":%lld,\"gaps\":%lld,"
           "\"repeats\":%lld,\"emitted\":%lld,\"close_code\":%d,\"cpu_ns\":%lld,\"now_ns\":%lld}\n",
           lead, open_viewers, count.frames, count.bytes, count.messages, count.pings, count.pongs,
           count.acks, count.errors, count.closed, count.gaps, count.repeats, count.emitted,
           close_code, (long long)cpu_ns(), (long long)now_ns());
}

static const long long *field_named(const char *name) {
    static const struct { const char *name; const long long *at; } fields[] = {
        {"frames", &count.frames}, {"messages", &count.messages}, {"pongs", &count.pongs},
        {"acks", &count.acks}, {"closed", &count.closed}, {"emitted", &count.emitted},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!strcmp(fields[i].name, name)) return fields[i].at;
    return NULL;
}

static void begin_wait(const char *name, long long value, int timeout_ms) {
    waiting.field = field_named(name);
    waiting.value = value;
    waiting.deadline = now_ns() + (int64_t)timeout_ms * 1000000;
    if (!waiting.field) printf("{\"error\":\"no such field\"}\n");
}

static void advance_wait(void) {
    if (!waiting.field) return;
    bool reached = *waiting.field >= waiting.value;
    if (!reached && now_ns() < waiting.deadline) return;
    waiting.field = NULL;
    print_counts(reached ? "\"reached\":true," : "\"reached\":false,");
}

static void begin_emit(const char *kind, long long n, double per_second, const char *payload) {
    int opcode = !strcmp(kind, "ping") ? 9 : !strcmp(kind, "pong") ? 10 : 1;
    emitter.bytes = make_frame(emitter.frame, opcode, payload, strnlen(payload, 1000));
    emitter.left = n;
    emitter.sent = 0;
    emitter.per_second = per_second;
    emitter.began = now_ns();
    printf("{\"emitting\":%lld}\n", n);
}

static void advance_emit(void) {
    if (!emitter.left || !open_viewers) return;
    long long slice = EMIT_SLICE;
    if (emitter.per_second > 0) {
        double due = (double)(now_ns() - emitter.began) / 1e9 * emitter.per_second;
        slice = (long long)due - emitter.sent;
    }
    for (int looked = 0; slice > 0 && emitter.left && looked < MAX_FDS; looked++) {
        int fd = emitter.next_fd = emitter.next_fd < highest_fd ? emitter.next_fd + 1 : 0;
        if (table[fd].phase != OPEN) continue;
        if (send(fd, emitter.frame, emitter.bytes, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) continue;
        looked = 0;
        slice--, emitter.left--, emitter.sent++, count.emitted++;
    }
}

static void begin_chat(int window, int ms, const char *payload) {
    talk.window = window;
    talk.until = now_ns() + (int64_t)ms * 1000000;
    snprintf(talk.payload, sizeof talk.payload, "%s", payload);
    for (int fd = 0; fd <= highest_fd; fd++)
        if (table[fd].phase == OPEN) keep_talking(fd);
    printf("{\"talking\":%d}\n", open_viewers);
}

static void drop(int n) {
    int done = 0;
    for (int fd = highest_fd; fd >= 0 && done < n; fd--)
        if (table[fd].phase == OPEN || table[fd].phase == STALLED) forget(fd, ""), done++;
    printf("{\"dropped\":%d}\n", done);
}

/* Stop reading of `n` viewers, or go on with it. What has read much has a window of megabytes by
 * then, which would take minutes to fill. */
static void stall(int n, bool on) {
    int done = 0, window = 1 << 16;
    for (int fd = highest_fd; fd >= 0 && done < n; fd--) {
        if (table[fd].phase != (on ? OPEN : STALLED)) continue;
        table[fd].phase = on ? STALLED : OPEN;
        watch(fd, EPOLLIN, on ? EPOLL_CTL_DEL : EPOLL_CTL_ADD);
        if (on) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
        done++;
    }
    printf("{\"%s\":%d}\n", on ? "stalled" : "unstalled", done);
}

/* The frame of `text`, its two-character \n made CR LF for protocols of lines inside frames. */
static void greet(char *text) {
    for (char *at = text; (at = strstr(at, "\\n")); at += 2) at[0] = '\r', at[1] = '\n';
    snprintf(greeting.text, sizeof greeting.text, "%s", text);
    greeting.bytes = make_frame(greeting.frame, 1, text, strnlen(text, 1000));
    printf("{\"greeting\":%zu}\n", greeting.bytes);
}

static void greet_hex(const char *hex) {
    char bytes[512];
    size_t n = 0;
    for (unsigned byte; n < sizeof bytes && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
        bytes[n] = (char)byte;
    greeting.text[0] = 0;
    greeting.bytes = make_frame(greeting.frame, 2, bytes, n);
    printf("{\"greeting\":%zu}\n", greeting.bytes);
}

static void reset(void) {
    memset(&count, 0, sizeof count);
    memset(&latency, 0, sizeof latency);
    printf("{\"reset\":true}\n");
}

static void command(const char *line) {
    char word[1024] = "", text[1024] = "";
    long long a = 0;
    int b = 0, c = 1;
    double rate = 0;
    if (sscanf(line, "connect %lld %d %1023s %d", &a, &b, word, &c) >= 3)
        begin_connect((int)a, b, word, c, false);
    else if (sscanf(line, "raw %lld", &a) == 1) begin_connect((int)a, 256, "", 1, true);
    else if (sscanf(line, "wait %1023s %lld %d", word, &a, &b) == 3) begin_wait(word, a, b);
    else if (sscanf(line, "emit %1023s %lld %lf %1023[^\n]", word, &a, &rate, text) >= 3)
        begin_emit(word, a, rate, text);
    else if (sscanf(line, "greet_hex %1023s", text) == 1) greet_hex(text);
    else if (sscanf(line, "greet %1023[^\n]", text) == 1) greet(text);
    else if (sscanf(line, "chat %lld %d %511[^\n]", &a, &b, text) == 3)
        begin_chat((int)a, b, text);
    else if (sscanf(line, "stall %lld", &a) == 1) stall((int)a, true);
    else if (sscanf(line, "unstall %lld", &a) == 1) stall((int)a, false);
    else if (sscanf(line, "drop %lld", &a) == 1) drop((int)a);
    else if (!strncmp(line, "deflate", 7)) {
        bool off = !strcmp(line, "deflate 0");
        deflate = !off && inflate_ready();
        printf(off ? "{\"deflate\":false}\n" : deflate ? "{\"deflate\":true}\n" : "{\"error\":\"there is no libz.so.1\"}\n");
    } else if (sscanf(line, "tick %d", &tick_us) == 1) printf("{\"tick\":%d}\n", tick_us);
    else if (!strncmp(line, "count", 5)) print_counts("");
    else if (!strncmp(line, "reset", 5)) reset();
    else if (!strncmp(line, "latency", 7)) {
        printf("{");
        histogram_print(&latency);
        printf("}\n");
    } else printf("{\"error\":\"unknown command\"}\n");
}

static void read_commands(void) {
    static char buffer[8192];
    static size_t have;
    ssize_t n = read(0, buffer + have, sizeof buffer - have - 1);
    if (n <= 0) exit(0);
    have += (size_t)n;
    buffer[have] = 0;
    char *line = buffer, *end;
    for (; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        command(line);
    }
    have = strlen(line);
    memmove(buffer, line, have + 1);
}

int main(int argc, char **argv) {
    struct epoll_event events[EVENTS];
    if (argc < 2 || argc > 3 || (server_port = atoi(argv[1])) <= 0) {
        fprintf(stderr, "usage: viewers PORT [SOURCE]\n");
        return 2;
    }
    first_source = argc == 3 ? atoi(argv[2]) : 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    alarm(MAX_SECONDS);
    setvbuf(stdout, NULL, _IOLBF, 0);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(0, EPOLLIN, EPOLL_CTL_ADD);
    printf("{\"ready\":true}\n");
    for (int quiet = 0;;) {
        /* Between bursts it sleeps like anyone else, so other clients get the core. */
        bool busy = waiting.field || emitter.left || quiet < QUIET_TICKS;
        int n = epoll_wait(epoll_fd, events, EVENTS, plan.wanted ? 1 : busy ? 0 : 50);
        quiet = n ? 0 : quiet + 1;
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == 0) read_commands();
            else if (table[fd].phase == FREE) continue; /* closed earlier in this turn */
            else if (events[i].events & EPOLLOUT) writable(fd);
            else readable(fd);
        }
        advance_connect();
        advance_wait();
        advance_emit();
        if (n < EVENTS && busy && !plan.wanted) usleep((useconds_t)tick_us);
    }
}
