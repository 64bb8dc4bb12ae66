/* payload.h: what one frame's text says, found without a JSON parser.
 *
 * Rule: knows bytes, counters and time stamps; no sockets. A fan-out repeats the same bytes on
 * every connection, so distinct payloads are kept with what was found in them, and a repeat costs
 * one memcmp: the client must stay cheaper than the server it measures. Several are kept because
 * rooms mix, and because a viewer that is behind reads two frames before the next viewer does.
 * Danger: it relies on compact JSON with "t" first in each event, which is how the server writes.
 * A publisher marks a message for latency by a text that begins with @<CLOCK_MONOTONIC ns>.
 * Another server's protocol is three words, and a payload is what it has of them.
 */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H
#include "inflate.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAYLOAD_MAX = 1 << 18, STAMPS_MAX = 2048, OCTAVES = 40, STEPS = 128, DIGESTS = 64 };

/* Log-linear histogram of microseconds: 128 steps an octave, so any quantile is within 1 %. */
struct histogram {
    uint64_t total, max, slot[OCTAVES * STEPS];
};

static unsigned histogram_slot(uint64_t us) {
    if (us < STEPS) return (unsigned)us;
    unsigned octave = 63u - (unsigned)__builtin_clzll(us) - 6u; /* 128..255 is octave 1 */
    unsigned at = octave * STEPS + (unsigned)((us >> (octave - 1)) & (STEPS - 1));
    return at < OCTAVES * STEPS ? at : OCTAVES * STEPS - 1;
}

static uint64_t histogram_value(unsigned slot) {
    unsigned octave = slot / STEPS;
    return octave ? (uint64_t)(STEPS + slot % STEPS) << (octave - 1) : slot;
}

static void histogram_add(struct histogram *h, int64_t ns) {
    uint64_t us = ns < 0 ? 0 : (uint64_t)ns / 1000;
    h->slot[histogram_slot(us)]++;
    h->total++;
    if (us > h->max) h->max = us;
}

static uint64_t histogram_quantile(const struct histogram *h, double q) {
    uint64_t rank = (uint64_t)(q * (double)h->total), seen = 0;
    for (unsigned i = 0; i < OCTAVES * STEPS; i++)
        if ((seen += h->slot[i]) > rank) return histogram_value(i);
    return h->max;
}

static void histogram_print(const struct histogram *h) {
    printf("\"samples\":%llu,\"p50_us\":%llu,\"p90_us\":%llu,\"p99_us\":%llu,\"p999_us\":%llu,"
           "\"max_us\":%llu",
           (unsigned long long)h->total, (unsigned long long)histogram_quantile(h, 0.5),
           (unsigned long long)histogram_quantile(h, 0.9),
           (unsigned long long)histogram_quantile(h, 0.99),
           (unsigned long long)histogram_quantile(h, 0.999), (unsigned long long)h->max);
}

/* What another protocol says: you are in; what you sent is taken; here is a message, of which the
 * word's last byte may be the @ of a stamp. Without any, payloads are ours. */
struct words {
    char joined[32], ack[32], message[32];
};

/* What one distinct payload held. */
struct digest {
    size_t bytes;
    char *text;
    unsigned messages, pongs, acks, errors, joined, stamps;
    unsigned gaps, repeats;        /* jumps and repeats between the batches of this one payload */
    uint64_t first_seq, last_seq;  /* that its batches cover, or last_seq of its `joined` */
    int64_t stamp[STAMPS_MAX];
};

static const char *find(const char *from, const char *end, const char *what) {
    return memmem(from, (size_t)(end - from), what, strlen(what));
}

static uint64_t number_at(const char *p, const char *end) {
    uint64_t n = 0;
    while (p < end && *p >= '0' && *p <= '9') n = n * 10 + (uint64_t)(*p++ - '0');
    return n;
}

/* The next message of a batch: it begins with its seq or, where that is one more, with its uid. */
static const char *next_message(const char *from, const char *end) {
    for (; (from = find(from, end, "{\"")); from++)
        if (end - from > 6 && (!memcmp(from + 2, "uid\"", 4) || !memcmp(from + 2, "seq\"", 4)))
            return from;
    return NULL;
}

/* A batch covers `seq` to `to`: what of that it does not show is hidden, or shed, and no loss. */
static void digest_batch(struct digest *d, const char *event, const char *end) {
    const char *seq = find(event, end, "\"seq\":"), *message = find(event, end, "\"m\":["), *next;
    const char *to = find(event, end, "\"to\":");
    uint64_t n = seq ? number_at(seq + 6, end) : 0, shown = 0;
    if (!d->first_seq) d->first_seq = n;
    else if (n <= d->last_seq) d->repeats++;
    else if (n != d->last_seq + 1) d->gaps++;
    if (to) d->last_seq = number_at(to + 5, end);
    for (message = message ? next_message(message, end) : NULL; message; message = next, n++) {
        next = next_message(message + 2, end);
        const char *until = next ? next : end, *stamp = find(message, until, "\"text\":\"@");
        if (message[2] == 's') n = number_at(message + 7, end);
        if (n <= shown) d->repeats++;
        shown = n;
        d->messages++;
        if (stamp && d->stamps < STAMPS_MAX) d->stamp[d->stamps++] = (int64_t)number_at(stamp + 9, until);
    }
}

/* A message alone, as the data of a publication. */
static void digest_message(struct digest *d, const char *event, const char *end) {
    const char *seq = find(event, end, "\"seq\":");
    uint64_t n = seq ? number_at(seq + 6, end) : 0;
    if (!d->first_seq) d->first_seq = n;
    else if (n <= d->last_seq) d->repeats++;
    else if (n != d->last_seq + 1) d->gaps++;
    d->last_seq = n;
    d->messages++;
}

static void digest_events(struct digest *d, const char *text, const char *end) {
    const char *event = find(text, end, "{\"t\":\""), *next;
    for (; event; event = next) {
        const char *name = event + 6;
        next = find(name, end, "{\"t\":\"");
        const char *until = next ? next : end;
        if (until - name < 6) continue;
        if (!memcmp(name, "msgs\"", 5)) digest_batch(d, name, until);
        else if (!memcmp(name, "msg\"", 4)) digest_message(d, name, until);
        else if (!memcmp(name, "pong\"", 5)) d->pongs++;
        else if (!memcmp(name, "ack\"", 4)) d->acks++;
        else if (!memcmp(name, "error\"", 6)) d->errors++;
        else if (!memcmp(name, "joined", 6)) {
            const char *seq = find(name, until, "\"seq\":");
            d->joined = 1;
            d->last_seq = seq ? number_at(seq + 6, until) : 0;
            return; /* what follows is history inside this event, not live messages */
        }
    }
}

static void digest_words(struct digest *d, const struct words *w, const char *text,
                         const char *end) {
    d->joined = *w->joined && find(text, end, w->joined);
    for (const char *at = text; *w->ack && (at = find(at, end, w->ack)); at += strlen(w->ack))
        d->acks++;
    for (const char *at = text; *w->message && (at = find(at, end, w->message));) {
        at += strlen(w->message);
        d->messages++;
        if (at[-1] == '@' && d->stamps < STAMPS_MAX) d->stamp[d->stamps++] = (int64_t)number_at(at, end);
    }
}

/* Where a payload's digest is kept: by its size and its first words, which hold room and seq. */
static unsigned digest_slot(const char *text, size_t bytes) {
    uint64_t hash = bytes, word;
    for (size_t at = 0; at + 8 <= bytes && at < 64; at += 8) {
        memcpy(&word, text + at, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return (unsigned)(hash % DIGESTS);
}

/* What is in a payload, which has four bytes of room behind it. */
static const struct digest *digest_payload(struct digest *kept, const struct words *words,
                                           char *text, size_t bytes, bool compressed) {
    static char inflated[4 * PAYLOAD_MAX];
    struct digest *d = &kept[digest_slot(text, bytes)];
    if (!d->text && !(d->text = malloc(PAYLOAD_MAX))) abort();
    if (bytes == d->bytes && !memcmp(text, d->text, bytes)) return d;
    d->messages = d->pongs = d->acks = d->errors = d->joined = d->stamps = 0;
    d->gaps = d->repeats = 0;
    d->first_seq = d->last_seq = 0;
    d->bytes = bytes < PAYLOAD_MAX ? bytes : 0;
    memcpy(d->text, text, d->bytes);
    if (*words->joined || *words->ack || *words->message)
        digest_words(d, words, text, text + bytes);
    else if (!compressed) digest_events(d, text, text + bytes);
    else if ((bytes = inflate_message(text, bytes, inflated, sizeof inflated)))
        digest_events(d, inflated, inflated + bytes);
    return d;
}
#endif
