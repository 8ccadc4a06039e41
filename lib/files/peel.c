// Compressed inputs, one layer at a time. gzip is read with zlib, which compares the sum and the
// length at its end (libarchive does not), zstd as everywhere in slt, and the rest with libarchive.
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "files/made_streams.h"
#include "files/peel.h"
#include "files/unpack.h"
#include "files/wait.h"

#define PACKED_BYTES ((size_t)128 << 10)

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

static void *zstd_open(struct slt_input *in, struct slt_error *err)
{
    struct zstd_layer *l = calloc(1, sizeof *l);
    if (l == NULL || slt_unpack_open(&l->unpack, in, err) != 0) {
        free(l);
        return NULL;
    }
    l->in = in;
    return l;
}

// ---- gzip ----

struct gzip_layer {
    struct slt_input *in;
    z_stream z;
    unsigned char *packed; // (PACKED_BYTES)
    bool in_stream;        // a stream has begun that has not ended
    bool at_end;           // of the input
    uint64_t bytes;        // given out, for sentences
};

static void *gzip_open(struct slt_input *in, struct slt_error *err)
{
    struct gzip_layer *l = calloc(1, sizeof *l);
    if (l == NULL || (l->packed = malloc(PACKED_BYTES)) == NULL ||
        inflateInit2(&l->z, 15 + 16) != Z_OK) {
        if (l != NULL)
            free(l->packed);
        free(l);
        return NULL;
    }
    l->in = in;
    l->in_stream = true;
    return l;
}

// More packed bytes, unless some are left or the input has ended.
static int gzip_fill(struct gzip_layer *l, struct slt_error *err)
{
    size_t got = 0;
    if (l->z.avail_in > 0 || l->at_end)
        return 0;
    const int rc = slt_input_read(l->in, l->packed, PACKED_BYTES, &got, err);
    l->z.next_in = l->packed;
    l->z.avail_in = (uInt)got;
    l->at_end = rc == 0 && got == 0;
    return rc;
}

// Between two streams, or behind the last one: zeros, which tapes and block devices leave, are
// nothing; another stream begins as the first one did.
static int gzip_next_stream(struct gzip_layer *l, struct slt_error *err)
{
    int rc;
    while ((rc = gzip_fill(l, err)) == 0 && l->z.avail_in > 0 && *l->z.next_in == 0) {
        l->z.next_in++;
        l->z.avail_in--;
    }
    if (rc != 0 || l->z.avail_in == 0)
        return rc;
    if (*l->z.next_in != 0x1f)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is damaged: there is something else behind its gzip data",
                             slt_input_name(l->in));
    l->in_stream = inflateReset(&l->z) == Z_OK;
    return 0;
}

static int gzip_inflate(struct gzip_layer *l, struct slt_error *err)
{
    const int result = inflate(&l->z, Z_NO_FLUSH);
    if (result == Z_STREAM_END)
        l->in_stream = false;
    if (result == Z_STREAM_END || result == Z_OK || (result == Z_BUF_ERROR && !l->at_end))
        return 0;
    if (result == Z_MEM_ERROR)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate memory to unpack '%s'",
                             slt_input_name(l->in));
    if (result == Z_BUF_ERROR)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is truncated: its gzip data ends early, after %llu bytes",
                             slt_input_name(l->in), (unsigned long long)l->bytes);
    return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is damaged: gzip after %llu bytes: %s",
                         slt_input_name(l->in), (unsigned long long)l->bytes,
                         l->z.msg != NULL ? l->z.msg : "no valid data");
}

static int gzip_read(void *user, void *data, size_t bytes, size_t *got, struct slt_error *err)
{
    struct gzip_layer *l = user;
    const uInt most = bytes < ((size_t)1 << 30) ? (uInt)bytes : (uInt)1 << 30;
    int rc = 0;
    l->z.next_out = data;
    l->z.avail_out = most;
    while (rc == 0 && l->z.avail_out == most) {
        if (!l->in_stream) {
            if ((rc = gzip_next_stream(l, err)) != 0 || !l->in_stream)
                break;
        }
        if ((rc = gzip_fill(l, err)) == 0)
            rc = gzip_inflate(l, err);
    }
    *got = most - l->z.avail_out;
    l->bytes += *got;
    return rc;
}

static void gzip_close(void *user)
{
    struct gzip_layer *l = user;
    inflateEnd(&l->z);
    slt_input_close(l->in);
    free(l->packed);
    free(l);
}

// ---- xz, bzip2 and lz4 ----

struct archive_layer {
    struct slt_input *in;
    struct archive *archive;
    unsigned char *packed;     // (PACKED_BYTES)
    struct slt_error in_error; // of a read inside libarchive
    bool opened;               // its one member
    uint64_t bytes;            // given out, for sentences
};

static void *archive_open(struct slt_input *in, struct slt_error *err)
{
    struct archive_layer *l = calloc(1, sizeof *l);
    if (l == NULL || (l->packed = malloc(PACKED_BYTES)) == NULL ||
        (l->archive = archive_read_new()) == NULL) {
        if (l != NULL)
            free(l->packed);
        free(l);
        return NULL;
    }
    l->in = in;
    archive_read_support_filter_xz(l->archive);
    archive_read_support_filter_bzip2(l->archive);
    archive_read_support_filter_lz4(l->archive);
    archive_read_support_format_raw(l->archive);
    archive_read_support_format_empty(l->archive);
    return l;
}

static la_ssize_t archive_block(struct archive *archive, void *user, const void **data)
{
    struct archive_layer *l = user;
    size_t got;
    *data = l->packed;
    if (slt_input_read(l->in, l->packed, PACKED_BYTES, &got, &l->in_error) == 0)
        return (la_ssize_t)got;
    archive_set_error(archive, -1, "%s", l->in_error.message);
    return -1;
}

static int archive_failed(const struct archive_layer *l, struct slt_error *err)
{
    if (l->in_error.code != 0)
        return slt_error_copy(err, &l->in_error);
    const char *why = archive_error_string(l->archive);
    return slt_error_set(err, archive_errno(l->archive) == ENOMEM ? SLT_ERR_MEMORY : SLT_ERR_FORMAT,
                         "'%s' is damaged or truncated: after %llu bytes: %s",
                         slt_input_name(l->in), (unsigned long long)l->bytes,
                         why != NULL ? why : "no valid data");
}

static int archive_layer_read(void *user, void *data, size_t bytes, size_t *got,
                              struct slt_error *err)
{
    struct archive_layer *l = user;
    struct archive_entry *entry;
    *got = 0;
    if (!l->opened) {
        l->opened = true;
        if (archive_read_open(l->archive, l, NULL, archive_block, NULL) != ARCHIVE_OK)
            return archive_failed(l, err);
        const int rc = archive_read_next_header(l->archive, &entry);
        if (rc == ARCHIVE_EOF) // an empty file was packed
            return 0;
        if (rc != ARCHIVE_OK)
            return archive_failed(l, err);
    }
    const la_ssize_t n = archive_read_data(l->archive, data, bytes);
    if (n < 0)
        return archive_failed(l, err);
    *got = (size_t)n;
    l->bytes += *got;
    return 0;
}

static void archive_close(void *user)
{
    struct archive_layer *l = user;
    archive_read_free(l->archive);
    slt_input_close(l->in);
    free(l->packed);
    free(l);
}

// ---- Which layer it is ----

struct packing {
    const char *magic;
    size_t bytes;
    void *(*open)(struct slt_input *in, struct slt_error *err); // NULL: no memory
    slt_input_make *read;
    void (*close)(void *user);
};

static const struct packing packings[] = {
    {"\x1f\x8b\x08", 3, gzip_open, gzip_read, gzip_close},
    {"\x28\xb5\x2f\xfd", 4, zstd_open, zstd_read, zstd_close},
    {"\xfd\x37zXZ\0", 6, archive_open, archive_layer_read, archive_close},
    {"BZh", 3, archive_open, archive_layer_read, archive_close},
    {"\x04\x22\x4d\x18", 4, archive_open, archive_layer_read, archive_close},
    {"\x02\x21\x4c\x18", 4, archive_open, archive_layer_read, archive_close}, // lz4's older frame
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
            (p->magic[0] != 'B' || is_bzip2(head, bytes)))
            return p;
    }
    return NULL;
}

int slt_peel(struct slt_input **in, struct slt_error *err)
{
    for (int layer = 0;; layer++) {
        unsigned char head[HEAD_BYTES];
        size_t got = 0;
        int rc = slt_input_peek(*in, head, sizeof head, &got, err);
        if (rc != 0)
            return rc;
        const struct packing *p = find_packing(head, got);
        if (p == NULL)
            return 0;
        if (layer == SLT_PEEL_MOST)
            return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is compressed more than %d times",
                                 slt_input_name(*in), SLT_PEEL_MOST);
        void *user = p->open(*in, err);
        if (user == NULL)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate memory to unpack '%s'",
                                 slt_input_name(*in));
        struct slt_input *inner = *in;
        rc = slt_input_made(in, slt_input_name(inner), p->read, p->close, user,
                            slt_input_stop_flag(inner), err);
        if (rc != 0) {
            *in = NULL;
            return rc;
        }
    }
}
