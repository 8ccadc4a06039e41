// What an input holds, from its first bytes. Those of a zstd frame come out of its first block,
// which can be nearly as large as what can be peeked at; so the look goes further only as long as
// it is needed.
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "core/bytes.h"
#include "files/checkpoint_members.h"
#include "files/tokens_format.h"
#include "files/unpack.h"

#define HEAD_BYTES 16

static enum slt_file_kind kind_of(const unsigned char *head, size_t bytes)
{
    static const char config[] = SLT_MEMBER_CONFIG; // with the NUL that ends a name in tar
    if (bytes >= sizeof config && memcmp(head, config, sizeof config) == 0)
        return SLT_FILE_CHECKPOINT;
    if (bytes >= SLT_TOKENS_MAGIC_BYTES &&
        memcmp(head, SLT_TOKENS_MAGIC, SLT_TOKENS_MAGIC_BYTES) == 0)
        return SLT_FILE_TOKENS;
    return SLT_FILE_UNKNOWN;
}

// The first bytes of the frame at packed (bytes), of which there may be too few: then *got is 0.
static int unpack_head(unsigned char head[HEAD_BYTES], size_t *got, const void *packed,
                       size_t bytes, struct slt_error *err)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    if (stream == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a decompressor");
    ZSTD_inBuffer in = {packed, bytes, 0};
    ZSTD_outBuffer out = {head, HEAD_BYTES, 0};
    size_t result = 1;
    while (out.pos < out.size && in.pos < in.size && !ZSTD_isError(result))
        result = ZSTD_decompressStream(stream, &out, &in);
    ZSTD_freeDStream(stream);
    *got = ZSTD_isError(result) ? 0 : out.pos;
    return 0;
}

int slt_input_recognise(enum slt_file_kind *kind, struct slt_input *in, struct slt_error *err)
{
    unsigned char head[HEAD_BYTES], *packed = NULL;
    bool is_zstd = false;
    size_t got = 0, peeked = 0;
    int rc = slt_unpack_recognise(&is_zstd, in, err);
    if (rc != 0)
        return rc;
    if (!is_zstd) {
        rc = slt_input_peek(in, head, sizeof head, &got, err);
    } else {
        packed = malloc(SLT_PEEK_MAX);
        if (packed == NULL)
            return slt_error_errno(err, "cannot read '%s'", slt_input_name(in));
        for (size_t most = SLT_PEEK_MAX / 16; rc == 0 && got == 0 && most <= SLT_PEEK_MAX;
             most *= 2) {
            rc = slt_input_peek(in, packed, most, &peeked, err);
            if (rc == 0)
                rc = unpack_head(head, &got, packed, peeked, err);
        }
    }
    free(packed);
    if (rc == 0 && is_zstd && got == 0)
        rc = slt_error_set(err, SLT_ERR_FORMAT,
                           "'%s' is compressed, but nothing of it can be unpacked: it is cut short "
                           "or damaged",
                           slt_input_name(in));
    if (rc == 0)
        *kind = kind_of(head, got);
    return rc;
}
