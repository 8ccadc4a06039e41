// Reading token files, mapped or as a stream.
//
// A stream does not say where its tokens end: index and end mark are recognised by the end of the
// input alone. But their size is known at every moment. If the tokens ended here, after d
// documents, then exactly 96 + 8 ceil(d / 256) bytes would follow. So a token is given out as soon
// as more bytes than that are there, counted from its first byte, and never before; and when the
// input ends, exactly that many must be left. What is held back grows by 8 bytes in 256 documents.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "files/tokens_format.h"
#include "files/unpack.h"

#define BUFFER_BYTES   ((size_t)256 << 10)
#define SCRATCH_TOKENS 8192

// How far a sequential reader has come.
struct cursor {
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
    struct cursor cursor;
    struct slt_error failure; // of a stream: there is no way on after it
    // A mapped file.
    const unsigned char *map;
    uint64_t map_bytes;
    unsigned char content[SLT_SHA256_BYTES]; // what slt_tokens_digest gives
    // The files that were joined to this one (slt_tokens_join), in their order, and where each
    // starts.
    struct joined {
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

static int damaged(const struct slt_tokens *t, const char *what, struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is damaged: %s", t->name, what);
}

// Index and end mark of so many documents.
static uint64_t tail_bytes(const struct slt_tokens *t, uint64_t documents)
{
    return SLT_TOKENS_END_BYTES +
           SLT_TOKENS_INDEX_BYTES * slt_tokens_index_entries(t->has_eos, documents);
}

// ---- Header and end mark ----

static int parse_header(struct slt_tokens *t, const unsigned char *head, size_t bytes,
                        struct slt_error *err)
{
    struct slt_tokens_header *h = &t->header;
    if (bytes == 0)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is empty", t->name);
    if (bytes < SLT_TOKENS_MAGIC_BYTES ||
        memcmp(head, SLT_TOKENS_MAGIC, SLT_TOKENS_MAGIC_BYTES) != 0)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is no token file", t->name);
    if (bytes < SLT_TOKENS_HEADER_BYTES)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is truncated: it ends inside its header",
                             t->name);
    h->version = slt_load_u32(head + SLT_TOKENS_AT_VERSION);
    h->width = slt_load_u32(head + SLT_TOKENS_AT_WIDTH);
    h->vocab_size = slt_load_u32(head + SLT_TOKENS_AT_VOCAB);
    h->eos = slt_load_u32(head + SLT_TOKENS_AT_EOS);
    h->pad = slt_load_u32(head + SLT_TOKENS_AT_PAD);
    memcpy(h->digest, head + SLT_TOKENS_AT_DIGEST, SLT_SHA256_BYTES);
    t->has_eos = h->eos != SLT_TOKEN_NONE;
    if (h->version != SLT_TOKENS_VERSION)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is a token file of version %u; only version %d is supported",
                             t->name, h->version, SLT_TOKENS_VERSION);
    if (h->vocab_size == 0 || h->width != slt_tokens_width(h->vocab_size))
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is damaged: tokens of %u bytes for a vocabulary of %u", t->name,
                             h->width, h->vocab_size);
    if ((t->has_eos && h->eos >= h->vocab_size) ||
        (h->pad != SLT_TOKEN_NONE && h->pad >= h->vocab_size) ||
        slt_load_u32(head + SLT_TOKENS_AT_RESERVED) != 0)
        return damaged(t, "its header has a token outside the vocabulary or a reserved field set",
                       err);
    return 0;
}

// Checks the end mark, which begins at byte offset of the file, and sets the totals.
static int parse_end(struct slt_tokens *t, const unsigned char *end, uint64_t offset,
                     struct slt_error *err)
{
    static const unsigned char zeros[SLT_TOKENS_END_DIGEST - SLT_TOKENS_END_RESERVED];
    if (memcmp(end, SLT_TOKENS_END_MAGIC, SLT_TOKENS_MAGIC_BYTES) != 0)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is truncated: its end mark is missing",
                             t->name);
    const struct slt_tokens_totals totals = {
        .tokens = slt_load_u64(end + SLT_TOKENS_END_TOKENS),
        .documents = slt_load_u64(end + SLT_TOKENS_END_DOCUMENTS),
        .text_bytes = slt_load_u64(end + SLT_TOKENS_END_TEXT_BYTES),
    };
    const uint64_t index = slt_load_u64(end + SLT_TOKENS_END_INDEX_OFFSET);
    const uint64_t entries = slt_load_u64(end + SLT_TOKENS_END_INDEX_ENTRIES);
    // Compared by subtraction and division, which cannot overflow.
    if (index < SLT_TOKENS_HEADER_BYTES || index > offset ||
        (index - SLT_TOKENS_HEADER_BYTES) % t->header.width != 0 ||
        (index - SLT_TOKENS_HEADER_BYTES) / t->header.width != totals.tokens ||
        (offset - index) % SLT_TOKENS_INDEX_BYTES != 0 ||
        (offset - index) / SLT_TOKENS_INDEX_BYTES != entries ||
        entries != slt_tokens_index_entries(t->has_eos, totals.documents))
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is damaged: its end mark (%llu tokens, %llu documents) does not "
                             "fit its size",
                             t->name, (unsigned long long)totals.tokens,
                             (unsigned long long)totals.documents);
    if ((t->has_eos &&
         (totals.documents > totals.tokens || (totals.documents == 0) != (totals.tokens == 0))) ||
        memcmp(end + SLT_TOKENS_END_RESERVED, zeros, sizeof zeros) != 0)
        return damaged(t, "its end mark contradicts itself", err);
    t->totals = totals;
    t->finished = true;
    return 0;
}

// What was read sequentially to the end must be what the end mark and the index say.
static int check_cursor(const struct slt_tokens *t, const struct cursor *c,
                        const unsigned char *index, struct slt_error *err)
{
    if (c->tokens != t->totals.tokens)
        return damaged(t, "its end mark has another number of tokens", err);
    if (!t->has_eos)
        return 0;
    if (c->in_document)
        return damaged(t, "its last document has no end", err);
    if (c->documents != t->totals.documents)
        return damaged(t, "its end mark has another number of documents", err);
    const uint64_t entries = slt_tokens_index_entries(t->has_eos, c->documents);
    if (slt_crc32(0, index, (size_t)(entries * SLT_TOKENS_INDEX_BYTES)) != c->index_crc)
        return damaged(t, "its index does not fit its documents", err);
    return 0;
}

// ---- Tokens ----

static int bad_token(const struct slt_tokens *t, uint64_t position, uint32_t id,
                     struct slt_error *err)
{
    return slt_error_set(
        err, SLT_ERR_FORMAT,
        "'%s' is damaged: token %u at position %llu is outside the vocabulary (%u)", t->name, id,
        (unsigned long long)position, t->header.vocab_size);
}

// A document begins at the cursor: its index entry, if it has one, goes into the checksum.
static void begin_document(struct cursor *c)
{
    unsigned char entry[SLT_TOKENS_INDEX_BYTES];
    c->in_document = true;
    if (c->documents % SLT_TOKENS_INDEX_STRIDE == 0) {
        slt_store_u64(entry, c->tokens);
        c->index_crc = slt_crc32(c->index_crc, entry, sizeof entry);
    }
}

// Decodes up to count tokens at data, moving the cursor. Stops behind an EOS that makes the index
// longer, because then more bytes must be held back. *done is the number decoded.
static int decode(const struct slt_tokens *t, struct cursor *c, int32_t *ids,
                  const unsigned char *data, size_t count, size_t *done, struct slt_error *err)
{
    const uint32_t vocab = t->header.vocab_size, eos = t->header.eos, width = t->header.width;
    size_t i = 0;
    bool longer = false;
    for (; i < count && !longer; i++) {
        const uint32_t id = slt_tokens_at(data, width, i);
        if (id >= vocab)
            return bad_token(t, c->tokens, id, err);
        if (t->has_eos && !c->in_document)
            begin_document(c);
        if (id == eos) {
            c->in_document = false;
            longer = c->documents++ % SLT_TOKENS_INDEX_STRIDE == 0;
        }
        c->tokens++;
        ids[i] = (int32_t)id;
    }
    *done = i;
    return 0;
}

// ---- Streams ----

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
    const uint64_t tail = tail_bytes(t, t->cursor.documents);
    if (t->end - t->start != tail)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is truncated: its end mark is missing",
                             t->name);
    const unsigned char *index = t->buffer + t->start;
    const unsigned char *end = index + tail - SLT_TOKENS_END_BYTES;
    int rc = parse_end(t, end,
                       SLT_TOKENS_HEADER_BYTES + t->cursor.tokens * t->header.width + tail -
                           SLT_TOKENS_END_BYTES,
                       err);
    if (rc == 0)
        rc = check_cursor(t, &t->cursor, index, err);
    if (rc != 0)
        return rc;
    slt_sha256_update(t->digest, index, (size_t)tail - SLT_SHA256_BYTES);
    slt_sha256_finish(t->digest, digest);
    if (memcmp(digest, end + SLT_TOKENS_END_DIGEST, sizeof digest) != 0)
        return damaged(t, "its digest does not match", err);
    return 0;
}

static int read_stream(struct slt_tokens *t, int32_t *ids, size_t count, size_t *got,
                       struct slt_error *err)
{
    const uint32_t width = t->header.width;
    size_t used = 0;
    int rc = 0;
    while (used < count && !t->finished) {
        const uint64_t tail = tail_bytes(t, t->cursor.documents);
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
        rc = decode(t, &t->cursor, ids + used, t->buffer + t->start, n, &done, err);
        if (rc != 0)
            return rc;
        slt_sha256_update(t->digest, t->buffer + t->start, done * width);
        t->start += done * width;
        used += done;
    }
    *got = used;
    return 0;
}

static int open_stream(struct slt_tokens *t, struct slt_error *err)
{
    unsigned char head[SLT_TOKENS_HEADER_BYTES];
    size_t got = 0;
    int rc = slt_sha256_create(&t->digest, err);
    if (rc != 0 || (rc = slt_unpack_open(&t->unpack, t->in, err)) != 0 ||
        (rc = slt_unpack_read(t->unpack, head, sizeof head, &got, err)) != 0 ||
        (rc = parse_header(t, head, got, err)) != 0)
        return rc;
    slt_sha256_update(t->digest, head, sizeof head);
    return 0;
}

// ---- Mapped files ----

static int open_mapped(struct slt_tokens *t, struct slt_error *err)
{
    int rc = parse_header(t, t->map,
                          t->map_bytes < SLT_TOKENS_HEADER_BYTES ? (size_t)t->map_bytes
                                                                 : SLT_TOKENS_HEADER_BYTES,
                          err);
    if (rc != 0)
        return rc;
    if (t->map_bytes < SLT_TOKENS_HEADER_BYTES + SLT_TOKENS_END_BYTES)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is truncated: its end mark is missing",
                             t->name);
    const uint64_t offset = t->map_bytes - SLT_TOKENS_END_BYTES;
    memcpy(t->content, t->map + t->map_bytes - SLT_SHA256_BYTES, SLT_SHA256_BYTES);
    return parse_end(t, t->map + offset, offset, err);
}

static const unsigned char *mapped_tokens(const struct slt_tokens *t)
{
    return t->map + SLT_TOKENS_HEADER_BYTES;
}

static const unsigned char *mapped_index(const struct slt_tokens *t)
{
    return mapped_tokens(t) + t->totals.tokens * t->header.width;
}

static int read_mapped(const struct slt_tokens *t, struct cursor *c, int32_t *ids, size_t count,
                       size_t *got, struct slt_error *err)
{
    const uint64_t left = t->totals.tokens - c->tokens;
    const size_t most = count < left ? count : (size_t)left;
    size_t used = 0;
    while (used < most) {
        size_t done = 0;
        int rc = decode(t, c, ids + used, mapped_tokens(t) + c->tokens * t->header.width,
                        most - used, &done, err);
        if (rc != 0)
            return rc;
        used += done;
    }
    *got = used;
    return used < count ? check_cursor(t, c, mapped_index(t), err) : 0;
}

// Of one file, within its tokens.
static int read_part(const struct slt_tokens *t, int32_t *ids, uint64_t position, size_t count,
                     struct slt_error *err)
{
    const uint32_t vocab = t->header.vocab_size;
    const unsigned char *data = mapped_tokens(t) + position * t->header.width;
    for (size_t i = 0; i < count; i++) {
        const uint32_t id = slt_tokens_at(data, t->header.width, i);
        if (id >= vocab)
            return bad_token(t, position + i, id, err);
        ids[i] = (int32_t)id;
    }
    return 0;
}

// The position behind the first EOS at or after position, or 0 if there is none.
static uint64_t behind_eos(const struct slt_tokens *t, uint64_t position)
{
    const unsigned char *data = mapped_tokens(t);
    for (; position < t->totals.tokens; position++)
        if (slt_tokens_at(data, t->header.width, position) == t->header.eos)
            return position + 1;
    return 0;
}

// Of one file.
static int find_document(const struct slt_tokens *t, uint64_t number, uint64_t *position,
                         uint64_t *count, struct slt_error *err)
{
    if (!t->has_eos)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "'%s' has no end-of-sentence tokens to tell its documents apart",
                             t->name);
    if (number >= t->totals.documents)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s': document %llu wanted, but there are %llu",
                             t->name, (unsigned long long)number,
                             (unsigned long long)t->totals.documents);
    const uint64_t entry = number / SLT_TOKENS_INDEX_STRIDE;
    uint64_t start = slt_load_u64(mapped_index(t) + SLT_TOKENS_INDEX_BYTES * entry);
    for (uint64_t n = entry * SLT_TOKENS_INDEX_STRIDE; n < number; n++)
        if ((start = behind_eos(t, start)) == 0)
            return damaged(t, "its index does not fit its documents", err);
    const uint64_t end = behind_eos(t, start);
    if (end == 0)
        return damaged(t, "its index does not fit its documents", err);
    *position = start;
    *count = end - start;
    return 0;
}

// ---- Joined files ----

int slt_tokens_join(struct slt_tokens *tokens, struct slt_tokens *more, struct slt_error *err)
{
    const struct slt_tokens_header *a = &tokens->header, *b = &more->header;
    const struct slt_tokens_totals before = slt_tokens_totals(tokens);
    struct joined *list = NULL;
    int rc = 0;
    if (tokens->map == NULL || more->map == NULL)
        rc = slt_error_set(err, SLT_ERR_RANGE,
                           "only plain token files can be read together, and '%s' is a stream",
                           tokens->map == NULL ? tokens->name : more->name);
    else if (a->vocab_size != b->vocab_size || a->eos != b->eos || a->pad != b->pad ||
             memcmp(a->digest, b->digest, sizeof a->digest) != 0)
        rc = slt_error_set(err, SLT_ERR_MISMATCH, "'%s' and '%s' were made with other tokenizers",
                           tokens->name, more->name);
    else if ((list = realloc(tokens->joined, (tokens->joined_count + 1) * sizeof *list)) == NULL)
        rc = slt_error_errno(err, "cannot read '%s'", more->name);
    if (rc != 0) {
        slt_tokens_close(more);
        return rc;
    }
    unsigned char both[2 * SLT_SHA256_BYTES];
    memcpy(both, tokens->content, SLT_SHA256_BYTES);
    memcpy(both + SLT_SHA256_BYTES, more->content, SLT_SHA256_BYTES);
    slt_sha256_of(tokens->content, both, sizeof both);
    tokens->joined = list;
    list[tokens->joined_count++] = (struct joined){more, before};
    return 0;
}

// The file that has a token's position, or the document with this number.
static struct joined part_with(const struct slt_tokens *t, uint64_t number, bool document)
{
    size_t low = 0, high = t->joined_count; // those before low start at or before number
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const struct joined *j = &t->joined[middle];
        if ((document ? j->before.documents : j->before.tokens) <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? t->joined[low - 1] : (struct joined){.file = (struct slt_tokens *)t};
}

int slt_tokens_read_at(const struct slt_tokens *tokens, int32_t *ids, uint64_t position,
                       size_t count, struct slt_error *err)
{
    const uint64_t all = slt_tokens_totals(tokens).tokens;
    assert(tokens->map != NULL);
    if (position > all || count > all - position)
        return slt_error_set(
            err, SLT_ERR_RANGE, "'%s': %zu tokens at position %llu wanted, but there are %llu",
            tokens->name, count, (unsigned long long)position, (unsigned long long)all);
    while (count > 0) {
        const struct joined part = part_with(tokens, position, false);
        const uint64_t at = position - part.before.tokens, left = part.file->totals.tokens - at;
        const size_t n = count < left ? count : (size_t)left;
        int rc = read_part(part.file, ids, at, n, err);
        if (rc != 0)
            return rc;
        ids += n;
        position += n;
        count -= n;
    }
    return 0;
}

int slt_tokens_document(const struct slt_tokens *tokens, uint64_t number, uint64_t *position,
                        uint64_t *count, struct slt_error *err)
{
    assert(tokens->map != NULL);
    const struct joined part = part_with(tokens, number, true);
    int rc = find_document(part.file, number - part.before.documents, position, count, err);
    *position += rc == 0 ? part.before.tokens : 0;
    return rc;
}

// ---- Both ----

int slt_tokens_open(struct slt_tokens **tokens, struct slt_input *in, struct slt_error *err)
{
    enum slt_file_kind kind = SLT_FILE_UNKNOWN;
    bool is_zstd = false;
    const void *map = NULL;
    struct slt_error local = {0};
    int rc = 0;
    struct slt_tokens *t = calloc(1, sizeof *t);
    if (t == NULL) {
        rc = slt_error_errno(err, "cannot read '%s'", slt_input_name(in));
        slt_input_close(in);
        return rc;
    }
    t->in = in;
    t->name = slt_input_name(in);
    if ((rc = slt_input_recognise(&kind, in, err)) != 0 ||
        (rc = slt_unpack_recognise(&is_zstd, in, err)) != 0)
        goto out;
    if (kind == SLT_FILE_CHECKPOINT) {
        rc = slt_error_set(err, SLT_ERR_FORMAT, "'%s' is a checkpoint, not a token file", t->name);
        goto out;
    }
    rc = is_zstd ? SLT_ERR_RANGE : slt_input_map(in, &map, &t->map_bytes, &local);
    if (rc == 0) {
        // An empty file has no map, but must be told from a stream.
        t->map = map != NULL ? map : (const unsigned char *)"";
        rc = open_mapped(t, err);
    } else if (rc == SLT_ERR_RANGE) {
        rc = open_stream(t, err);
    } else {
        rc = slt_error_set(err, rc, "%s", local.message);
    }
    if (rc != 0)
        goto out;
    *tokens = t;
    t = NULL;
out:
    slt_tokens_close(t);
    return rc;
}

const struct slt_tokens_header *slt_tokens_header(const struct slt_tokens *tokens)
{
    return &tokens->header;
}

const char *slt_tokens_name(const struct slt_tokens *tokens)
{
    return tokens->name;
}

bool slt_tokens_is_mapped(const struct slt_tokens *tokens)
{
    return tokens->map != NULL;
}

const unsigned char *slt_tokens_digest(const struct slt_tokens *tokens)
{
    return tokens->map != NULL ? tokens->content : NULL;
}

struct slt_tokens_totals slt_tokens_totals(const struct slt_tokens *tokens)
{
    if (tokens->joined_count == 0)
        return tokens->totals;
    const struct joined *last = &tokens->joined[tokens->joined_count - 1];
    const struct slt_tokens_totals *a = &last->before, *b = &last->file->totals;
    return (struct slt_tokens_totals){a->tokens + b->tokens, a->documents + b->documents,
                                      a->text_bytes + b->text_bytes};
}

int slt_tokens_read(struct slt_tokens *tokens, int32_t *ids, size_t count, size_t *got,
                    struct slt_error *err)
{
    struct slt_tokens *t = tokens;
    if (t->map != NULL)
        return read_mapped(t, &t->cursor, ids, count, got, err);
    if (t->failure.code != 0)
        return slt_error_set(err, t->failure.code, "%s", t->failure.message);
    struct slt_error local = {0};
    int rc = read_stream(t, ids, count, got, &local);
    if (rc != 0) {
        t->failure = local;
        return slt_error_set(err, rc, "%s", local.message);
    }
    return 0;
}

static int check_digest(const struct slt_tokens *t, struct slt_error *err)
{
    unsigned char digest[SLT_SHA256_BYTES];
    slt_sha256_of(digest, t->map, (size_t)t->map_bytes - SLT_SHA256_BYTES);
    const bool same = memcmp(digest, t->map + t->map_bytes - sizeof digest, sizeof digest) == 0;
    return same ? 0 : damaged(t, "its digest does not match", err);
}

int slt_tokens_check(struct slt_tokens *tokens, struct slt_error *err)
{
    struct cursor all = {0};
    int32_t ids[SCRATCH_TOKENS];
    size_t got;
    do {
        int rc = tokens->map != NULL ? read_mapped(tokens, &all, ids, SCRATCH_TOKENS, &got, err)
                                     : slt_tokens_read(tokens, ids, SCRATCH_TOKENS, &got, err);
        if (rc != 0)
            return rc;
    } while (got == SCRATCH_TOKENS);
    return tokens->map != NULL ? check_digest(tokens, err) : 0;
}

void slt_tokens_close(struct slt_tokens *tokens)
{
    if (tokens == NULL)
        return;
    slt_unpack_close(tokens->unpack);
    slt_sha256_free(tokens->digest);
    slt_input_close(tokens->in);
    for (size_t i = 0; i < tokens->joined_count; i++)
        slt_tokens_close(tokens->joined[i].file);
    free(tokens->joined);
    free(tokens->buffer);
    free(tokens);
}
