// Merges from scores.
//
// SentencePiece joins two neighbours if their text is a piece, the one of the highest score first
// and the leftmost of equal ones. In a list of merges the rank stands for the score; of equal ones
// those with the longer left part come first, as in what transformers makes of these models.
#include "text/spm_merges.h"

#include <stdlib.h>

#include "core/utf8.h"
#include "text/hash.h"

struct finder {
    const struct spm_model *m;
    uint32_t *slot; // (mask + 1): an open table of ids, SLT_TOKEN_NONE where it is free
    size_t mask;
};

// Pieces that a text may give by merging.
static bool is_mergeable(const struct spm_piece *p)
{
    return p->type == SLT_PIECE_NORMAL && p->bytes > 0;
}

static int make_table(struct finder *f, const struct spm_model *m, struct slt_error *err)
{
    const size_t size = slt_hash_size(m->count);
    f->m = m;
    f->mask = size - 1;
    f->slot = malloc(size * sizeof *f->slot);
    if (f->slot == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a table of %u pieces", m->count);
    memset(f->slot, 0xff, size * sizeof *f->slot);
    for (uint32_t id = 0; id < m->count; id++) {
        if (!is_mergeable(&m->piece[id]))
            continue;
        size_t at = slt_hash_bytes(m->piece[id].text, m->piece[id].bytes) & f->mask;
        while (f->slot[at] != SLT_TOKEN_NONE)
            at = (at + 1) & f->mask;
        f->slot[at] = id;
    }
    return 0;
}

static uint32_t find(const struct finder *f, const char *text, size_t bytes)
{
    for (size_t at = slt_hash_bytes(text, bytes) & f->mask;; at = (at + 1) & f->mask) {
        const uint32_t id = f->slot[at];
        if (id == SLT_TOKEN_NONE ||
            (f->m->piece[id].bytes == bytes && memcmp(f->m->piece[id].text, text, bytes) == 0))
            return id;
    }
}

// The bytes of the character at text, 1 for a byte that is none.
static size_t character(const char *text, size_t left)
{
    const size_t n = slt_utf8_length(text, left);
    return n + (n == 0);
}

static int inexact(const struct spm_piece *p, const char *why, struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_RANGE,
                         "no list of merges gives the ids of the model's tokenizer: its piece "
                         "'%.*s' %s",
                         (int)(p->bytes < 40 ? p->bytes : 40), p->text, why);
}

static int add(struct spm_merge **merge, size_t *count, size_t *capacity, struct spm_merge one,
               struct slt_error *err)
{
    if (*count == *capacity) {
        *capacity = 2 * *capacity + 4096;
        struct spm_merge *larger = realloc(*merge, *capacity * sizeof *larger);
        if (larger == NULL)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %zu merges", *capacity);
        *merge = larger;
    }
    (*merge)[(*count)++] = one;
    return 0;
}

// The pairs of a piece.
static int split(struct spm_merge **merge, size_t *count, size_t *capacity, const struct finder *f,
                 uint32_t id, struct slt_error *err)
{
    const struct spm_piece *p = &f->m->piece[id];
    int rc = 0;
    for (size_t at = character(p->text, p->bytes); rc == 0 && at < p->bytes;
         at += character(p->text + at, p->bytes - at)) {
        const uint32_t left = find(f, p->text, at), right = find(f, p->text + at, p->bytes - at);
        // SentencePiece begins with all characters, also with those that are no pieces.
        const bool is_left = left != SLT_TOKEN_NONE || character(p->text, p->bytes) == at;
        const bool is_right =
            right != SLT_TOKEN_NONE || character(p->text + at, p->bytes - at) == p->bytes - at;
        if (left != SLT_TOKEN_NONE && right != SLT_TOKEN_NONE)
            rc = add(merge, count, capacity, (struct spm_merge){left, right, id}, err);
        else if (is_left && is_right)
            rc = inexact(p, "is made of a character that is none", err);
    }
    return rc;
}

// Of what is sorted; qsort hands nothing else to its function.
struct sorted {
    struct spm_merge merge;
    float score;
    size_t left_bytes, right_bytes;
};

static int compare(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    if (x->left_bytes != y->left_bytes)
        return x->left_bytes < y->left_bytes ? 1 : -1;
    if (x->right_bytes != y->right_bytes)
        return x->right_bytes < y->right_bytes ? 1 : -1;
    return (x->merge.piece > y->merge.piece) - (x->merge.piece < y->merge.piece);
}

// Whether all characters of a piece are one, and that of another piece. Such pieces may have the
// same score, as LLaMA's spaces have: the longer left part comes first, which makes the leftmost
// piece grow.
static bool is_run_like(const struct spm_piece *p, const struct spm_piece *other)
{
    const size_t n = character(p->text, p->bytes);
    bool is = p->bytes % n == 0 && other->bytes >= n;
    for (size_t at = 0; is && at < p->bytes; at += n)
        is = memcmp(p->text + at, other->text, n) == 0;
    return is;
}

static int sort(struct spm_merge *merge, size_t count, const struct spm_model *m,
                struct slt_error *err)
{
    struct sorted *all = malloc(count * sizeof *all + 1);
    int rc = 0;
    if (all == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %zu merges", count);
    for (size_t i = 0; i < count; i++)
        all[i] = (struct sorted){merge[i], m->piece[merge[i].piece].score,
                                 m->piece[merge[i].left].bytes, m->piece[merge[i].right].bytes};
    qsort(all, count, sizeof *all, compare);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        merge[i] = all[i].merge;
        const struct spm_piece *p = &m->piece[merge[i].piece],
                               *other = &m->piece[merge[i > 0 ? i - 1 : 0].piece];
        if (p != other && p->score == other->score && !(is_run_like(p, p) && is_run_like(other, p)))
            rc = inexact(p, "has the score of another one", err);
    }
    free(all);
    return rc;
}

int spm_merges(struct spm_merge **merge, size_t *count, const struct spm_model *m,
               struct slt_error *err)
{
    struct finder f = {0};
    size_t capacity = 0;
    *merge = NULL;
    *count = 0;
    int rc = make_table(&f, m, err);
    for (uint32_t id = 0; rc == 0 && id < m->count; id++) {
        const struct spm_piece *p = &m->piece[id];
        if (p->type == SLT_PIECE_UNUSED && id < m->own_count &&
            p->bytes > character(p->text, p->bytes))
            rc = inexact(p, "is unused", err);
        else if (is_mergeable(p))
            rc = split(merge, count, &capacity, &f, id, err);
    }
    if (rc == 0)
        rc = sort(*merge, *count, m, err);
    free(f.slot);
    if (rc != 0) {
        free(*merge);
        *merge = NULL;
    }
    return rc;
}
