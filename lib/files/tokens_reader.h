// An open token file: what its readers, mapped and as a stream, share.
#ifndef SLT_FILES_TOKENS_READER_H
#define SLT_FILES_TOKENS_READER_H

#include "files/tokens_format.h"
#include "files/unpack.h"

// How far a sequential reader has come.
struct slt_tokens_cursor {
    uint64_t tokens, documents;
    bool in_document;   // the last token was no EOS
    uint32_t index_crc; // of the index entries that belong to what was read
};

struct slt_tokens {
    struct slt_input *in;
    const char *name;
    struct slt_tokens_header header;
    bool has_eos;
    bool finished;                   // the end mark was read
    struct slt_tokens_totals totals; // known from the end mark
    struct slt_tokens_cursor cursor;
    struct slt_error failure; // of a stream: there is no way on after it
    // A mapped file.
    const unsigned char *map;
    uint64_t map_bytes;
    unsigned char content[SLT_SHA256_BYTES]; // what slt_tokens_digest gives
    // The files that were joined to this one (slt_tokens_join), in their order, and where each
    // starts.
    struct slt_joined_tokens {
        struct slt_tokens *file;
        struct slt_tokens_totals before;
    } * joined;
    size_t joined_count;
    // A stream: buffer[start, end) was not given out yet.
    struct slt_unpack *unpack;
    struct slt_sha256 *digest;
    unsigned char *buffer;
    size_t start, end, capacity;
};

// ---- What must hold (tokens_check.c) ----

// SLT_ERR_FORMAT: the file is damaged, and in what.
int slt_tokens_damaged(const struct slt_tokens *t, const char *what, struct slt_error *err);
int slt_tokens_bad_id(const struct slt_tokens *t, uint64_t position, uint32_t id,
                      struct slt_error *err);
// Sets header and has_eos from the first bytes of a file, of which there may be too few.
int slt_tokens_parse_header(struct slt_tokens *t, const unsigned char *head, size_t bytes,
                            struct slt_error *err) SLT_CHECK_RESULT;
// The bytes of index and end mark behind so many documents.
uint64_t slt_tokens_tail_bytes(const struct slt_tokens *t, uint64_t documents);
// Checks the end mark, which begins at byte offset of the file, and sets the totals.
int slt_tokens_parse_end(struct slt_tokens *t, const unsigned char *end, uint64_t offset,
                         struct slt_error *err) SLT_CHECK_RESULT;
// What was read sequentially to the end must be what the end mark and the index say.
int slt_tokens_check_cursor(const struct slt_tokens *t, const struct slt_tokens_cursor *c,
                            const unsigned char *index, struct slt_error *err) SLT_CHECK_RESULT;
// Decodes up to count tokens at data, moving the cursor. Stops behind an EOS that makes the index
// longer, because then a stream must hold more bytes back. *done is the number decoded.
int slt_tokens_decode(const struct slt_tokens *t, struct slt_tokens_cursor *c, int32_t *ids,
                      const unsigned char *data, size_t count, size_t *done,
                      struct slt_error *err) SLT_CHECK_RESULT;

// ---- Streams (tokens_stream.c) ----

int slt_tokens_stream_open(struct slt_tokens *t, struct slt_error *err) SLT_CHECK_RESULT;
// As slt_tokens_read.
int slt_tokens_stream_read(struct slt_tokens *t, int32_t *ids, size_t count, size_t *got,
                           struct slt_error *err) SLT_CHECK_RESULT;

#endif
