// Compressed inputs, one layer at a time.
//
// zstd is read as everywhere in slt; the others by their own libraries through one loop, since what
// has to be looked after is the same for all: that a stream's sums are compared, that it ends, and
// that nothing but further streams stands behind it. (libarchive compares no sums of gzip and takes
// what it does not know behind a stream of bzip2 or lz4 for the end.)
#include <bzlib.h>
#include <lz4frame.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/bytes.h"
#include "files/made_streams.h"
#include "files/peel.h"
#include "files/unpack.h"
#include "files/wait.h"

#define PACKED_BYTES    ((size_t)128 << 10)
#define STEP_BYTES      ((size_t)1 << 30) // given to a library at once, whose sizes may be ints
#define SKIPPABLE_MAGIC 0x184D2A50u // and the 15 behind it: a frame of zstd and lz4 for others

// ---- Codecs ----

// What is left of the packed bytes and of the room for unpacked ones.
struct span {
    const unsigned char *in;
    unsigned char *out;
    size_t in_bytes, out_bytes;
};

enum step_result { STEP_MORE, STEP_ENDED, STEP_DAMAGED, STEP_NO_MEMORY };

struct codec {
    const char *name;
    // Each stream is begun anew, in a state that begins as zeros.
    bool (*begin)(void *state);
    enum step_result (*step)(void *state, struct span *span, const char **why);
    void (*end)(void *state);
};

union state {
    z_stream gzip;
    bz_stream bzip2;
    lzma_stream xz;
    LZ4F_dctx *lz4;
};

static bool gzip_begin(void *state)
{
    z_stream *z = state;
    return z->state != NULL ? inflateReset(z) == Z_OK : inflateInit2(z, 15 + 16) == Z_OK;
}

static enum step_result gzip_step(void *state, struct span *s, const char **why)
{
    z_stream *z = state;
    z->next_in = (unsigned char *)s->in;
    z->avail_in = (uInt)s->in_bytes;
    z->next_out = s->out;
    z->avail_out = (uInt)s->out_bytes;
    const int result = inflate(z, Z_NO_FLUSH);
    *s = (struct span){z->next_in, z->next_out, z->avail_in, z->avail_out};
    *why = z->msg;
    return result == Z_STREAM_END                    ? STEP_ENDED
           : result == Z_OK || result == Z_BUF_ERROR ? STEP_MORE
           : result == Z_MEM_ERROR                   ? STEP_NO_MEMORY
                                                     : STEP_DAMAGED;
}

static void gzip_end(void *state)
{
    inflateEnd(state);
}

static bool bzip2_begin(void *state)
{
    bz_stream *z = state;
    if (z->state != NULL)
        BZ2_bzDecompressEnd(z);
    memset(z, 0, sizeof *z);
    return BZ2_bzDecompressInit(z, 0, 0) == BZ_OK;
}

static enum step_result bzip2_step(void *state, struct span *s, const char **why)
{
    bz_stream *z = state;
    z->next_in = (char *)s->in;
    z->avail_in = (unsigned)s->in_bytes;
    z->next_out = (char *)s->out;
    z->avail_out = (unsigned)s->out_bytes;
    const int result = BZ2_bzDecompress(z);
    *s = (struct span){(unsigned char *)z->next_in, (unsigned char *)z->next_out, z->avail_in,
                       z->avail_out};
    return result == BZ_STREAM_END  ? STEP_ENDED
           : result == BZ_OK        ? STEP_MORE
           : result == BZ_MEM_ERROR ? STEP_NO_MEMORY
                                    : STEP_DAMAGED;
}

static void bzip2_end(void *state)
{
    BZ2_bzDecompressEnd(state);
}

static bool xz_begin(void *state)
{
    return lzma_stream_decoder(state, UINT64_MAX, LZMA_TELL_UNSUPPORTED_CHECK) == LZMA_OK;
}

static enum step_result xz_step(void *state, struct span *s, const char **why)
{
    lzma_stream *z = state;
    z->next_in = s->in;
    z->avail_in = s->in_bytes;
    z->next_out = s->out;
    z->avail_out = s->out_bytes;
    const lzma_ret result = lzma_code(z, LZMA_RUN);
    *s = (struct span){z->next_in, z->next_out, z->avail_in, z->avail_out};
    *why = result == LZMA_UNSUPPORTED_CHECK ? "its check is of a kind that is not known" : NULL;
    return result == LZMA_STREAM_END                       ? STEP_ENDED
           : result == LZMA_OK || result == LZMA_BUF_ERROR ? STEP_MORE
           : result == LZMA_MEM_ERROR                      ? STEP_NO_MEMORY
                                                           : STEP_DAMAGED;
}

static void xz_end(void *state)
{
    lzma_end(state);
}

static bool lz4_begin(void *state)
{
    LZ4F_dctx **z = state;
    if (*z == NULL)
        return !LZ4F_isError(LZ4F_createDecompressionContext(z, LZ4F_VERSION));
    LZ4F_resetDecompressionContext(*z);
    return true;
}

static enum step_result lz4_step(void *state, struct span *s, const char **why)
{
    size_t in = s->in_bytes, out = s->out_bytes;
    const size_t result = LZ4F_decompress(*(LZ4F_dctx **)state, s->out, &out, s->in, &in, NULL);
    *s = (struct span){s->in + in, s->out + out, s->in_bytes - in, s->out_bytes - out};
    if (LZ4F_isError(result))
        *why = LZ4F_getErrorName(result);
    return LZ4F_isError(result) ? STEP_DAMAGED : result == 0 ? STEP_ENDED : STEP_MORE;
}

static void lz4_end(void *state)
{
    LZ4F_freeDecompressionContext(*(LZ4F_dctx **)state);
}

static const struct codec gzip_codec = {"gzip", gzip_begin, gzip_step, gzip_end},
                          bzip2_codec = {"bzip2", bzip2_begin, bzip2_step, bzip2_end},
                          xz_codec = {"xz", xz_begin, xz_step, xz_end},
                          lz4_codec = {"lz4", lz4_begin, lz4_step, lz4_end};

// ---- One layer of them ----

struct layer {
    struct slt_input *in;
    const struct codec *codec;
    union state state;
    unsigned char magic;   // first byte of a stream
    unsigned char *packed; // (PACKED_BYTES)
    struct span span;      // its in is what is left of packed
    bool in_stream;        // a stream has begun that has not ended
    bool at_end;           // of the input
};

static void layer_close(void *user)
{
    struct layer *l = user;
    l->codec->end(&l->state);
    slt_input_close(l->in);
    free(l->packed);
    free(l);
}

static int no_memory(const struct slt_input *in, struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate memory to unpack '%s'",
                         slt_input_name(in));
}

// More packed bytes, unless some are left or the input has ended.
static int fill(struct layer *l, struct slt_error *err)
{
    size_t got = 0;
    if (l->span.in_bytes > 0 || l->at_end)
        return 0;
    const int rc = slt_input_read(l->in, l->packed, PACKED_BYTES, &got, err);
    l->span.in = l->packed;
    l->span.in_bytes = got;
    l->at_end = rc == 0 && got == 0;
    return rc;
}

// Between two streams, or behind the last one: zeros, which tapes and block devices leave, are
// nothing; another stream begins as the first one did.
static int next_stream(struct layer *l, struct slt_error *err)
{
    int rc;
    while ((rc = fill(l, err)) == 0 && l->span.in_bytes > 0 && *l->span.in == 0) {
        l->span.in++;
        l->span.in_bytes--;
    }
    if (rc != 0 || l->span.in_bytes == 0)
        return rc;
    const bool for_others = l->codec == &lz4_codec && (*l->span.in & 0xf0) == 0x50;
    if (*l->span.in != l->magic && !for_others)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is damaged: there is something else behind its %s data",
                             slt_input_name(l->in), l->codec->name);
    if (!l->codec->begin(&l->state))
        return no_memory(l->in, err);
    l->in_stream = true;
    return 0;
}

static int step(struct layer *l, struct slt_error *err)
{
    const char *why = NULL;
    const size_t in_bytes = l->span.in_bytes, out_bytes = l->span.out_bytes;
    switch (l->codec->step(&l->state, &l->span, &why)) {
    case STEP_ENDED:
        l->in_stream = false;
        return 0;
    case STEP_MORE:
        if (l->at_end && l->span.in_bytes == in_bytes && l->span.out_bytes == out_bytes)
            return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is truncated: its %s data ends early",
                                 slt_input_name(l->in), l->codec->name);
        return 0;
    case STEP_NO_MEMORY:
        return no_memory(l->in, err);
    default:
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is damaged: its %s data is not valid%s%s",
                             slt_input_name(l->in), l->codec->name, why != NULL ? ": " : "",
                             why != NULL ? why : "");
    }
}

static int layer_read(void *user, void *data, size_t bytes, size_t *got, struct slt_error *err)
{
    struct layer *l = user;
    const size_t most = bytes < STEP_BYTES ? bytes : STEP_BYTES;
    int rc = 0;
    l->span.out = data;
    l->span.out_bytes = most;
    while (rc == 0 && l->span.out_bytes == most) {
        if (!l->in_stream && ((rc = next_stream(l, err)) != 0 || !l->in_stream))
            break;
        if ((rc = fill(l, err)) == 0)
            rc = step(l, err);
    }
    *got = most - l->span.out_bytes;
    return rc;
}

// ---- zstd ----

struct zstd_layer {
    struct slt_input *in;
    struct slt_unpack *unpack;
};

static int zstd_read(void *user, void *data, size_t bytes, size_t *got, struct slt_error *err)
{
    return slt_unpack_read(((struct zstd_layer *)user)->unpack, data, bytes, got, err);
}

static void zstd_close(void *user)
{
    struct zstd_layer *l = user;
    slt_unpack_close(l->unpack);
    slt_input_close(l->in);
    free(l);
}

// ---- Which layer it is ----

static const struct packing {
    const char *magic;
    size_t bytes;
    const struct codec *codec; // NULL: zstd
} packings[] = {
    {"\x1f\x8b\x08", 3, &gzip_codec},    {"\x28\xb5\x2f\xfd", 4, NULL},
    {"\xfd\x37zXZ\0", 6, &xz_codec},     {"BZh", 3, &bzip2_codec},
    {"\x04\x22\x4d\x18", 4, &lz4_codec},
};
#define HEAD_BYTES 10

// What stands behind "BZh" and the size of its blocks: the first block's mark, or the end's.
static bool is_bzip2(const unsigned char *head, size_t bytes)
{
    return bytes >= 10 && head[3] >= '1' && head[3] <= '9' &&
           (memcmp(head + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
            memcmp(head + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

static const struct packing *find_packing(const unsigned char *head, size_t bytes)
{
    for (size_t i = 0; i < sizeof packings / sizeof *packings; i++) {
        const struct packing *p = &packings[i];
        if (bytes >= p->bytes && memcmp(head, p->magic, p->bytes) == 0 &&
            (p->codec != &bzip2_codec || is_bzip2(head, bytes)))
            return p;
    }
    return NULL;
}

// Frames that decompressors pass over, which pzstd puts before those with data.
static int skip_frames(struct slt_input *in, struct slt_error *err)
{
    unsigned char head[8], rest[4096];
    size_t got = 0;
    int rc;
    while ((rc = slt_input_peek(in, head, sizeof head, &got, err)) == 0 && got == sizeof head &&
           (slt_load_u32(head) & ~15u) == SKIPPABLE_MAGIC) {
        uint64_t left = 8 + (uint64_t)slt_load_u32(head + 4);
        while (rc == 0 && left > 0) {
            rc = slt_input_read(in, rest, left < sizeof rest ? (size_t)left : sizeof rest, &got,
                                err);
            if (rc == 0 && got == 0)
                return slt_error_set(err, SLT_ERR_FORMAT,
                                     "'%s' is truncated: a frame of zstd or lz4 ends early",
                                     slt_input_name(in));
            left -= got;
        }
    }
    return rc;
}

// The layer in the place of *in; it owns what was there, also on failure.
static int put_zstd(struct slt_input **in, struct slt_error *err)
{
    struct slt_input *inner = *in;
    struct zstd_layer *l = calloc(1, sizeof *l);
    int rc = l == NULL ? no_memory(inner, err) : slt_unpack_open(&l->unpack, inner, err);
    if (rc != 0) {
        free(l);
        return rc;
    }
    l->in = inner;
    *in = NULL;
    return slt_input_made(in, slt_input_name(inner), zstd_read, zstd_close, l,
                          slt_input_stop_flag(inner), err);
}

static int put_layer(struct slt_input **in, const struct packing *p, struct slt_error *err)
{
    struct slt_input *inner = *in;
    struct layer *l = calloc(1, sizeof *l);
    if (l == NULL || (l->packed = malloc(PACKED_BYTES)) == NULL) {
        free(l);
        return no_memory(inner, err);
    }
    l->in = inner;
    l->codec = p->codec;
    l->magic = (unsigned char)p->magic[0];
    *in = NULL;
    return slt_input_made(in, slt_input_name(inner), layer_read, layer_close, l,
                          slt_input_stop_flag(inner), err);
}

int slt_peel(struct slt_input **in, struct slt_error *err)
{
    for (int layer = 0;; layer++) {
        unsigned char head[HEAD_BYTES];
        size_t got = 0;
        int rc = skip_frames(*in, err);
        if (rc != 0 || (rc = slt_input_peek(*in, head, sizeof head, &got, err)) != 0)
            return rc;
        const struct packing *p = find_packing(head, got);
        if (p == NULL)
            return 0;
        if (layer == SLT_PEEL_MOST)
            return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is compressed more than %d times",
                                 slt_input_name(*in), SLT_PEEL_MOST);
        rc = p->codec != NULL ? put_layer(in, p, err) : put_zstd(in, err);
        if (rc != 0)
            return rc;
    }
}
