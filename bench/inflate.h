/* inflate.h: permessage-deflate's other end (RFC 7692, no contexts), by the zlib that is there.
 *
 * Rule: zlib is loaded by name when it is asked for, so that compiling needs no headers of its.
 * The structure below is zlib's public one, which has been the same since version 1.2.
 */
#ifndef BENCH_INFLATE_H
#define BENCH_INFLATE_H
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { WINDOW_BITS = -15, SYNC_FLUSH = 2 };

static struct zlib_stream {
    const unsigned char *next_in;
    unsigned avail_in;
    unsigned long total_in;
    unsigned char *next_out;
    unsigned avail_out;
    unsigned long total_out;
    const char *message;
    void *state, *alloc, *release, *opaque;
    int data_type;
    unsigned long adler, reserved;
} inflater;

static int (*zlib_inflate)(struct zlib_stream *, int);
static int (*zlib_reset)(struct zlib_stream *);

/* False when this machine has no zlib. */
static bool inflate_ready(void) {
    void *zlib = dlopen("libz.so.1", RTLD_NOW);
    int (*begin)(struct zlib_stream *, int, const char *, int);
    if (!zlib) return false;
    *(void **)&begin = dlsym(zlib, "inflateInit2_");
    *(void **)&zlib_inflate = dlsym(zlib, "inflate");
    *(void **)&zlib_reset = dlsym(zlib, "inflateReset");
    return begin && zlib_inflate && zlib_reset &&
           !begin(&inflater, WINDOW_BITS, "1.2", sizeof inflater);
}

/* One message's bytes; how many they are inflated, 0 when they are no such thing. `packed` has
 * room for four bytes more: the end of a sync flush, which is not sent (section 7.2.2). */
static size_t inflate_message(char *packed, size_t bytes, char *out, size_t room) {
    char kept[4];
    memcpy(kept, packed + bytes, 4);
    memcpy(packed + bytes, "\0\0\xff\xff", 4);
    zlib_reset(&inflater);
    inflater.next_in = (unsigned char *)packed, inflater.avail_in = (unsigned)bytes + 4;
    inflater.next_out = (unsigned char *)out, inflater.avail_out = (unsigned)room;
    int status = zlib_inflate(&inflater, SYNC_FLUSH);
    memcpy(packed + bytes, kept, 4);
    return status < 0 || inflater.avail_in ? 0 : room - inflater.avail_out;
}
#endif
