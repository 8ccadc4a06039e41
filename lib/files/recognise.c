// What an input holds, from its first bytes.
//
// A checkpoint is what the reader of archives says: its first member is config.json, whoever packed
// it. What stands before that, and the first block of a zstd frame, can be nearly as large as what
// can be peeked at; so the look goes further only as long as it is needed, and a pipe is not waited
// for without need.
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "files/archive.h"
#include "files/checkpoint_members.h"
#include "files/tokens_format.h"
#include "files/unpack.h"

#define FIRST_LOOK  ((size_t)16)  // enough for a token file
#define SECOND_LOOK ((size_t)512) // a header of tar
#define PACKED_LOOK (SLT_PEEK_MAX / 16)

// Whether these bytes, unpacked, begin an archive whose first member is config.json. There may be
// too few of them to say so.
static int begins_checkpoint(bool *begins, const unsigned char *head, size_t bytes,
                             struct slt_error *err)
{
    struct slt_input *in = NULL;
    struct slt_archive_in *archive = NULL;
    const char *member = NULL;
    uint64_t size;
    bool packed_twice = false;
    int rc = slt_input_memory(&in, "head", head, bytes, err);
    *begins = false;
    if (rc == 0 && (rc = slt_unpack_recognise(&packed_twice, in, err)) == 0 && !packed_twice &&
        (rc = slt_archive_in_open(&archive, in, err)) == 0 &&
        (rc = slt_archive_in_next(archive, &member, &size, err)) == 1)
        *begins = strcmp(member, SLT_MEMBER_CONFIG) == 0;
    slt_archive_in_close(archive);
    slt_input_close(in);
    return rc == SLT_ERR_MEMORY ? rc : 0;
}

static int kind_of(enum slt_file_kind *kind, const unsigned char *head, size_t bytes,
                   struct slt_error *err)
{
    bool begins = false;
    if (bytes >= SLT_TOKENS_MAGIC_BYTES &&
        memcmp(head, SLT_TOKENS_MAGIC, SLT_TOKENS_MAGIC_BYTES) == 0) {
        *kind = SLT_FILE_TOKENS;
        return 0;
    }
    const int rc = bytes < SECOND_LOOK ? 0 : begins_checkpoint(&begins, head, bytes, err);
    *kind = begins ? SLT_FILE_CHECKPOINT : SLT_FILE_UNKNOWN;
    return rc;
}

// The first bytes of the frame at packed (bytes): as many as can be unpacked and have room.
static int unpack_head(unsigned char head[SLT_PEEK_MAX], size_t *got, const void *packed,
                       size_t bytes, struct slt_error *err)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    if (stream == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a decompressor");
    ZSTD_inBuffer in = {packed, bytes, 0};
    ZSTD_outBuffer out = {head, SLT_PEEK_MAX, 0};
    size_t result = 1;
    while (out.pos < out.size && in.pos < in.size && !ZSTD_isError(result))
        result = ZSTD_decompressStream(stream, &out, &in);
    ZSTD_freeDStream(stream);
    *got = out.pos;
    return 0;
}

// The head of an input, unpacked, of which the first bytes up to window are looked at; *all: there
// are no more.
static int look(unsigned char head[SLT_PEEK_MAX], size_t *got, bool *all, unsigned char *packed,
                struct slt_input *in, size_t window, struct slt_error *err)
{
    size_t peeked = 0;
    int rc = slt_input_peek(in, packed != NULL ? packed : head, window, &peeked, err);
    *got = peeked;
    *all = peeked < window || window == SLT_PEEK_MAX;
    return rc == 0 && packed != NULL ? unpack_head(head, got, packed, peeked, err) : rc;
}

int slt_input_recognise(enum slt_file_kind *kind, struct slt_input *in, struct slt_error *err)
{
    unsigned char *head = malloc(SLT_PEEK_MAX), *packed = NULL;
    bool is_zstd = false, all = false;
    size_t got = 0;
    int rc = head == NULL ? slt_error_errno(err, "cannot read '%s'", slt_input_name(in))
                          : slt_unpack_recognise(&is_zstd, in, err);
    if (rc == 0 && is_zstd && (packed = malloc(SLT_PEEK_MAX)) == NULL)
        rc = slt_error_errno(err, "cannot read '%s'", slt_input_name(in));
    *kind = SLT_FILE_UNKNOWN;
    for (size_t window = is_zstd ? PACKED_LOOK : FIRST_LOOK;
         rc == 0 && *kind == SLT_FILE_UNKNOWN && !all;
         window = window < SECOND_LOOK ? SECOND_LOOK : 2 * window) {
        window = window < SLT_PEEK_MAX ? window : SLT_PEEK_MAX;
        if ((rc = look(head, &got, &all, packed, in, window, err)) == 0)
            rc = kind_of(kind, head, got, err);
    }
    if (rc == 0 && is_zstd && got == 0)
        rc = slt_error_set(err, SLT_ERR_FORMAT,
                           "'%s' is compressed, but nothing of it can be unpacked: it is cut short "
                           "or damaged",
                           slt_input_name(in));
    free(packed);
    free(head);
    return rc;
}
