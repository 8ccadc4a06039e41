// The bytes of an input, decompressed if they are zstd frames. libzstd checks the frames'
// checksums, and we check that the last frame ends where the input ends.
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/bytes.h"
#include "files/unpack.h"

#define INPUT_BYTES ((size_t)128 << 10)
#define ZSTD_MAGIC  0xFD2FB528u

struct slt_unpack {
    struct slt_input *in;
    ZSTD_DStream *stream; // NULL if the input is not compressed
    unsigned char *packed;
    ZSTD_inBuffer pending;
    bool at_end;    // of the input
    bool in_frame;  // the last frame is not complete
    uint64_t bytes; // given out, for sentences
};

int slt_unpack_recognise(bool *is_zstd, struct slt_input *in, struct slt_error *err)
{
    unsigned char magic[4];
    size_t got = 0;
    int rc = slt_input_peek(in, magic, sizeof magic, &got, err);
    if (rc == 0)
        *is_zstd = got == sizeof magic && slt_load_u32(magic) == ZSTD_MAGIC;
    return rc;
}

int slt_unpack_open(struct slt_unpack **unpack, struct slt_input *in, struct slt_error *err)
{
    bool is_zstd = false;
    int rc = slt_unpack_recognise(&is_zstd, in, err);
    if (rc != 0)
        return rc;
    struct slt_unpack *u = calloc(1, sizeof *u);
    if (u == NULL)
        goto no_memory;
    u->in = in;
    if (is_zstd) {
        u->in_frame = true;
        u->stream = ZSTD_createDStream();
        u->packed = malloc(INPUT_BYTES);
        if (u->stream == NULL || u->packed == NULL)
            goto no_memory;
        u->pending.src = u->packed;
    }
    *unpack = u;
    return 0;
no_memory:
    slt_unpack_close(u);
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for '%s'",
                         slt_input_name(in));
}

static int zstd_error(const struct slt_unpack *u, size_t result, struct slt_error *err)
{
    const ZSTD_ErrorCode why = ZSTD_getErrorCode(result);
    const int code = why == ZSTD_error_memory_allocation ? SLT_ERR_MEMORY : SLT_ERR_FORMAT;
    if (why == ZSTD_error_frameParameter_windowTooLarge)
        return slt_error_hint(
            err,
            slt_error_set(err, SLT_ERR_FORMAT,
                          "'%s' looks back further than zstd does by default, 128 MiB, and would "
                          "take as much memory as that",
                          slt_input_name(u->in)),
            "'zstd -dc --long=31 FILE' unpacks it; '-' reads that from a pipe");
    return slt_error_set(err, code, "'%s' is damaged: zstd after %llu bytes: %s",
                         slt_input_name(u->in), (unsigned long long)u->bytes,
                         ZSTD_getErrorName(result));
}

// Decompresses at least one byte into out, unless the input ends.
static int inflate(struct slt_unpack *u, ZSTD_outBuffer *out, struct slt_error *err)
{
    const size_t before = out->pos;
    while (out->pos == before) {
        if (u->pending.pos == u->pending.size && !u->at_end) {
            size_t got = 0;
            int rc = slt_input_read(u->in, u->packed, INPUT_BYTES, &got, err);
            if (rc != 0)
                return rc;
            u->pending.pos = 0;
            u->pending.size = got;
            u->at_end = got == 0;
        }
        if (u->at_end && !u->in_frame)
            return 0;
        const size_t result = ZSTD_decompressStream(u->stream, out, &u->pending);
        if (ZSTD_isError(result))
            return zstd_error(u, result, err);
        u->in_frame = result != 0;
        if (u->at_end && u->in_frame && out->pos == before)
            return slt_error_set(err, SLT_ERR_FORMAT,
                                 "'%s' is truncated: its zstd frame ends early, after %llu bytes",
                                 slt_input_name(u->in), (unsigned long long)u->bytes);
    }
    return 0;
}

int slt_unpack_read(struct slt_unpack *unpack, void *data, size_t bytes, size_t *got,
                    struct slt_error *err)
{
    size_t used = 0;
    while (used < bytes) {
        const size_t before = used;
        int rc;
        if (unpack->stream != NULL) {
            ZSTD_outBuffer out = {data, bytes, used};
            rc = inflate(unpack, &out, err);
            used = out.pos;
        } else {
            size_t n = 0;
            rc = slt_input_read(unpack->in, (char *)data + used, bytes - used, &n, err);
            used += n;
        }
        if (rc != 0)
            return rc;
        unpack->bytes += used - before;
        if (used == before)
            break;
    }
    *got = used;
    return 0;
}

void slt_unpack_close(struct slt_unpack *unpack)
{
    if (unpack == NULL)
        return;
    ZSTD_freeDStream(unpack->stream);
    free(unpack->packed);
    free(unpack);
}
