// Reading a token file as a stream.
//
// A stream does not say where its tokens end: index and end mark are recognised by the end of the
// input alone. But their size is known at every moment. If the tokens ended here, after d
// documents, then exactly 96 + 8 ceil(d / 256) bytes would follow. So a token is given out as soon
// as more bytes than that are there, counted from its first byte, and never before; and when the
// input ends, exactly that many must be left. What is held back grows by 8 bytes in 256 documents.
#include <stdlib.h>
#include <string.h>

#include "files/tokens_reader.h"

#define BUFFER_BYTES ((size_t)256 << 10)

// Reads on until more than wanted bytes wait in the buffer, or the input ends.
static int fill(struct slt_tokens *t, uint64_t wanted, struct slt_error *err)
{
    while (t->end - t->start <= wanted) {
        if (t->start > 0) {
            memmove(t->buffer, t->buffer + t->start, t->end - t->start);
            t->end -= t->start;
            t->start = 0;
        }
        // Twice what is held back, so that moving it costs little for each byte read.
        if (t->capacity < 2 * wanted + BUFFER_BYTES) {
            const size_t capacity = (size_t)(4 * wanted + BUFFER_BYTES);
            unsigned char *larger = realloc(t->buffer, capacity);
            if (larger == NULL)
                return slt_error_errno(err, "cannot read '%s'", t->name);
            t->buffer = larger;
            t->capacity = capacity;
        }
        size_t got = 0;
        int rc = slt_unpack_read(t->unpack, t->buffer + t->end, t->capacity - t->end, &got, err);
        if (rc != 0)
            return rc;
        if (got == 0)
            break;
        t->end += got;
    }
    return 0;
}

// The input has ended; what waits is index and end mark, or the file is not whole.
static int end_stream(struct slt_tokens *t, struct slt_error *err)
{
    unsigned char digest[SLT_SHA256_BYTES];
    const uint64_t tail = slt_tokens_tail_bytes(t, t->cursor.documents);
    if (t->end - t->start != tail)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is truncated: its end mark is missing",
                             t->name);
    const unsigned char *index = t->buffer + t->start;
    const unsigned char *end = index + tail - SLT_TOKENS_END_BYTES;
    int rc = slt_tokens_parse_end(t, end,
                                  SLT_TOKENS_HEADER_BYTES + t->cursor.tokens * t->header.width +
                                      tail - SLT_TOKENS_END_BYTES,
                                  err);
    if (rc == 0)
        rc = slt_tokens_check_cursor(t, &t->cursor, index, err);
    if (rc != 0)
        return rc;
    slt_sha256_update(t->digest, index, (size_t)tail - SLT_SHA256_BYTES);
    slt_sha256_finish(t->digest, digest);
    if (memcmp(digest, end + SLT_TOKENS_END_DIGEST, sizeof digest) != 0)
        return slt_tokens_damaged(t, "its digest does not match", err);
    return 0;
}

int slt_tokens_stream_read(struct slt_tokens *t, int32_t *ids, size_t count, size_t *got,
                           struct slt_error *err)
{
    const uint32_t width = t->header.width;
    size_t used = 0;
    int rc = 0;
    while (used < count && !t->finished) {
        const uint64_t tail = slt_tokens_tail_bytes(t, t->cursor.documents);
        if ((rc = fill(t, tail, err)) != 0)
            return rc;
        const uint64_t waiting = t->end - t->start;
        if (waiting <= tail) {
            if ((rc = end_stream(t, err)) != 0)
                return rc;
            break;
        }
        const uint64_t safe = (waiting - tail + width - 1) / width;
        const size_t n = safe < count - used ? (size_t)safe : count - used;
        size_t done = 0;
        rc = slt_tokens_decode(t, &t->cursor, ids + used, t->buffer + t->start, n, &done, err);
        if (rc != 0)
            return rc;
        slt_sha256_update(t->digest, t->buffer + t->start, done * width);
        t->start += done * width;
        used += done;
    }
    *got = used;
    return 0;
}

int slt_tokens_stream_open(struct slt_tokens *t, struct slt_error *err)
{
    unsigned char head[SLT_TOKENS_HEADER_BYTES];
    size_t got = 0;
    int rc = slt_sha256_create(&t->digest, err);
    if (rc != 0 || (rc = slt_unpack_open(&t->unpack, t->in, err)) != 0 ||
        (rc = slt_unpack_read(t->unpack, head, sizeof head, &got, err)) != 0 ||
        (rc = slt_tokens_parse_header(t, head, got, err)) != 0)
        return rc;
    slt_sha256_update(t->digest, head, sizeof head);
    return 0;
}
