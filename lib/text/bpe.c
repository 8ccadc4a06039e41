// Byte-pair encoding of one word.
//
// The symbols of a word are a linked list. A heap holds the pairs of neighbours that have a merge,
// the lowest rank and then the leftmost on top; an entry whose symbols have changed since is
// passed over when it comes up. Each merge adds two entries at most, so that a word of n symbols
// costs O(n log n). Most words of a text have been seen shortly before: a table of fixed size keeps
// the ids of short ones, each new word in the place of the one that was there.
#include "text/bpe.h"

#include "core/utf8.h"
#include "text/hash.h"
#include "text/kinds.h"

#define CACHED       ((size_t)1 << 15) // words
#define CACHED_BYTES 30                // of a word, at most
#define CACHED_IDS   8

struct bpe_cached {
    uint8_t bytes, ids; // bytes 0: free
    char word[CACHED_BYTES];
    uint32_t id[CACHED_IDS];
};

struct bpe_symbol {
    uint32_t id;            // SLT_TOKEN_NONE once it is part of the one before
    int32_t previous, next; // -1: none
};

// ---- The table of merges ----

static size_t place_of(const struct bpe *b, uint32_t left, uint32_t right)
{
    return slt_hash_mix((uint64_t)left << 32 | right) & b->mask;
}

static const struct bpe_merge *find_merge(const struct bpe *b, uint32_t left, uint32_t right)
{
    for (size_t at = place_of(b, left, right);; at = (at + 1) & b->mask) {
        const struct bpe_merge *m = &b->merge[at];
        if (m->left == left && m->right == right)
            return m;
        if (m->left == SLT_TOKEN_NONE)
            return NULL;
    }
}

int bpe_index(struct bpe *b, const uint32_t *merged, struct slt_error *err)
{
    const size_t size = slt_hash_size(b->pairs);
    b->mask = size - 1;
    b->merge = malloc(size * sizeof *b->merge);
    if (b->merge == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a table of %zu merges",
                             b->pairs);
    memset(b->merge, 0xff, size * sizeof *b->merge);
    for (size_t i = 0; i < b->pairs; i++) {
        const uint32_t left = b->pair[i][0], right = b->pair[i][1];
        size_t at = place_of(b, left, right);
        while (b->merge[at].left != SLT_TOKEN_NONE &&
               (b->merge[at].left != left || b->merge[at].right != right))
            at = (at + 1) & b->mask;
        b->merge[at] = (struct bpe_merge){left, right, (uint32_t)i, merged[i]};
    }
    return 0;
}

void bpe_free(struct bpe *b)
{
    vocabulary_free(&b->vocabulary);
    free(b->merge);
    free(b->pair);
}

// ---- The heap ----

static void push(struct bpe_scratch *s, uint64_t entry)
{
    size_t at = s->heap_count++;
    for (; at > 0 && s->heap[(at - 1) / 2] > entry; at = (at - 1) / 2)
        s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = entry;
}

static uint64_t pop(struct bpe_scratch *s)
{
    const uint64_t top = s->heap[0], last = s->heap[--s->heap_count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < s->heap_count) {
        child += child + 1 < s->heap_count && s->heap[child + 1] < s->heap[child];
        if (s->heap[child] >= last)
            break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    return top;
}

// ---- Merging ----

static void push_pair(const struct bpe *b, struct bpe_scratch *s, int32_t left)
{
    const struct bpe_merge *m =
        find_merge(b, s->symbol[left].id, s->symbol[s->symbol[left].next].id);
    if (m != NULL)
        push(s, (uint64_t)m->rank << 32 | (uint32_t)left);
}

static void merge_all(const struct bpe *b, struct bpe_scratch *s, int32_t count)
{
    struct bpe_symbol *const symbol = s->symbol;
    s->heap_count = 0;
    for (int32_t i = 0; i + 1 < count; i++)
        push_pair(b, s, i);
    while (s->heap_count > 0) {
        const uint64_t top = pop(s);
        const int32_t at = (int32_t)(uint32_t)top, right = symbol[at].next;
        if (symbol[at].id == SLT_TOKEN_NONE || right < 0)
            continue;
        const struct bpe_merge *m = find_merge(b, symbol[at].id, symbol[right].id);
        if (m == NULL || m->rank != top >> 32)
            continue;
        symbol[at].id = m->id;
        symbol[right].id = SLT_TOKEN_NONE;
        symbol[at].next = symbol[right].next;
        if (symbol[at].next >= 0) {
            symbol[symbol[at].next].previous = at;
            push_pair(b, s, at);
        }
        if (symbol[at].previous >= 0)
            push_pair(b, s, symbol[at].previous);
    }
}

// ---- Symbols ----

// The ids of an unknown character's bytes, if all have one; else how many are to be added is 0.
static int32_t add_fallback(const struct bpe *b, struct bpe_symbol *to, const char *text,
                            size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if ((to[i].id = b->byte_id[(unsigned char)text[i]]) == SLT_TOKEN_NONE)
            return 0;
    return (int32_t)bytes;
}

// The symbols of a word before any merge; returns their number, at most one for each byte.
static int32_t first_symbols(const struct bpe *b, struct bpe_symbol *symbol, const char *word,
                             size_t bytes)
{
    int32_t count = 0;
    bool unknown = false; // the symbol before is the unknown piece
    for (size_t at = 0, n; at < bytes; at += n) {
        uint32_t id;
        n = b->by_bytes ? 1 : slt_utf8_length(word + at, bytes - at);
        if (b->by_bytes)
            id = b->byte_id[(unsigned char)word[at]];
        else // a byte that is no character has none
            id = n == 0 ? SLT_TOKEN_NONE : vocabulary_find(&b->vocabulary, word + at, n);
        n += n == 0;
        if (id == SLT_TOKEN_NONE && b->byte_fallback) {
            const int32_t more = add_fallback(b, symbol + count, word + at, n);
            count += more;
            unknown = unknown && more == 0;
            if (more > 0)
                continue;
        }
        if (id == SLT_TOKEN_NONE && (b->unk == SLT_TOKEN_NONE || (b->fuse_unk && unknown)))
            continue;
        unknown = id == SLT_TOKEN_NONE;
        symbol[count++].id = unknown ? b->unk : id;
    }
    for (int32_t i = 0; i < count; i++) {
        symbol[i].previous = i - 1;
        symbol[i].next = i + 1 < count ? i + 1 : -1;
    }
    return count;
}

static int reserve(struct bpe_scratch *s, size_t symbols, struct slt_error *err)
{
    if (symbols <= s->capacity)
        return 0;
    const size_t capacity = symbols + symbols / 2 + 64;
    free(s->symbol);
    free(s->heap);
    s->capacity = 0;
    s->symbol = malloc(capacity * sizeof *s->symbol);
    s->heap = malloc(3 * capacity * sizeof *s->heap);
    if (s->symbol == NULL || s->heap == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a word of %zu symbols", symbols);
    s->capacity = capacity;
    return 0;
}

static int encode_anew(const struct bpe *b, struct bpe_scratch *s, struct slt_token_ids *ids,
                       const char *word, size_t bytes, struct slt_error *err)
{
    int rc;
    if (b->ignore_merges) {
        const uint32_t id = vocabulary_find(&b->vocabulary, word, bytes);
        if (id != SLT_TOKEN_NONE) {
            ids->id[ids->count++] = id;
            return 0;
        }
    }
    if (bytes > INT32_MAX)
        return slt_error_set(err, SLT_ERR_RANGE, "a word of %zu bytes is too long", bytes);
    if ((rc = reserve(s, bytes, err)) != 0)
        return rc;
    const int32_t count = first_symbols(b, s->symbol, word, bytes);
    merge_all(b, s, count);
    for (int32_t i = count > 0 ? 0 : -1; i >= 0; i = s->symbol[i].next)
        ids->id[ids->count++] = s->symbol[i].id;
    return 0;
}

int bpe_encode(const struct bpe *b, struct bpe_scratch *s, struct slt_token_ids *ids,
               const char *word, size_t bytes, struct slt_error *err)
{
    int rc = slt_token_ids_reserve(ids, bytes, err);
    if (rc != 0 || bytes == 0)
        return rc;
    if (bytes > CACHED_BYTES)
        return encode_anew(b, s, ids, word, bytes, err);
    if (s->cache == NULL && (s->cache = calloc(CACHED, sizeof *s->cache)) == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the words seen");
    struct bpe_cached *c = &s->cache[slt_hash_bytes(word, bytes) % CACHED];
    uint32_t *to = ids->id + ids->count;
    if (c->bytes == bytes && memcmp(c->word, word, bytes) == 0) {
        for (int i = 0; i < c->ids; i++)
            to[i] = c->id[i];
        ids->count += c->ids;
        return 0;
    }
    if ((rc = encode_anew(b, s, ids, word, bytes, err)) != 0)
        return rc;
    const size_t count = (size_t)(ids->id + ids->count - to);
    if (count <= CACHED_IDS) {
        c->bytes = (uint8_t)bytes;
        c->ids = (uint8_t)count;
        memcpy(c->word, word, bytes);
        memcpy(c->id, to, count * sizeof *to);
    }
    return 0;
}

void bpe_scratch_free(struct bpe_scratch *s)
{
    free(s->symbol);
    free(s->heap);
    free(s->cache);
}
