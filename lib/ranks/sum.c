// Sums over ranks by messages: to the owners of parts, and back.
#include <stdlib.h>
#include <string.h>

#include "core/least.h"
#include "ranks/sum.h"

#define PIECE   ((int64_t)1 << 20) // elements that come in together, at most
#define PIECES  4                  // under way at once
#define BLOCK   1024               // elements that are added at once
#define ALIGNED 16                 // parts of equal size begin at multiples of it

enum phase { IDLE, TO_OWNERS, TO_ALL };

struct piece {
    enum phase phase;
    enum slt_sum_kind kind;
    char *data;
    size_t width;          // bytes of an element
    int64_t *first, *part; // (size): of each rank's part the elements that travel now
    float *incoming;       // (size - 1, own part): what the others have for it
    int tag[2];            // of the ways to the owners and back
    int messages;
    struct slt_message *message; // (2 (size - 1))
};

struct slt_sums {
    struct slt_ranks *ranks;
    int rank, size;
    uint64_t sent;
    int64_t *whole;     // (size + 1): the cut of equal parts
    const float **part; // (size): what is added
    struct piece piece[PIECES];
    int first, count; // of those under way, in the order of their beginning
};

// ---- The tree ----

// The largest power of two below n > 1: the left branch.
static int left_branch(int n)
{
    int left = 1;
    while (left * 2 < n)
        left *= 2;
    return left;
}

void slt_sum_pair(float *to, const float *left, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = left[i] + to[i];
}

double slt_sum_tree(const double *values, int n)
{
    const int left = n > 1 ? left_branch(n) : 0;
    return n == 1 ? values[0] : slt_sum_tree(values, left) + slt_sum_tree(values + left, n - left);
}

// out (n) = the sum of elements [at, at + n) of all parts, n at most BLOCK.
static void add_block(float *out, const float *const *part, int parts, int64_t at, int64_t n)
{
    float right[BLOCK];
    if (parts == 1) {
        memcpy(out, part[0] + at, (size_t)n * sizeof *out);
        return;
    }
    const int left = left_branch(parts);
    add_block(out, part, left, at, n);
    add_block(right, part + left, parts - left, at, n);
    for (int64_t i = 0; i < n; i++)
        out[i] += right[i];
}

// ---- Pieces ----

uint64_t slt_sums_traffic(int64_t size, uint64_t bytes)
{
    return 2 * (uint64_t)(size - 1) * bytes;
}

uint64_t slt_sums_memory(int64_t size)
{
    return size > 1 ? (uint64_t)(PIECES * PIECE) * sizeof(float) : 0;
}

void slt_sums_free(struct slt_sums *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < PIECES; i++) {
        free(s->piece[i].first);
        free(s->piece[i].part);
        free(s->piece[i].message);
    }
    free(s->whole);
    free(s->part);
    free(s);
}

int slt_sums_create(struct slt_sums **sums, struct slt_ranks *ranks, void *memory,
                    struct slt_error *err)
{
    struct slt_sums *s = calloc(1, sizeof *s);
    if (s == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the sums over ranks");
    const size_t size = (size_t)slt_ranks_size(ranks);
    s->ranks = ranks;
    s->size = (int)size;
    s->rank = slt_ranks_rank(ranks);
    s->whole = calloc(size + 1, sizeof *s->whole);
    s->part = calloc(size, sizeof *s->part);
    bool there = s->whole != NULL && s->part != NULL;
    for (int i = 0; i < PIECES; i++) {
        struct piece *p = &s->piece[i];
        p->first = calloc(size, sizeof *p->first);
        p->part = calloc(size, sizeof *p->part);
        p->incoming = (float *)memory + i * PIECE;
        p->message = calloc(2 * size, sizeof *p->message);
        there = there && p->first != NULL && p->part != NULL && p->message != NULL;
    }
    if (there) {
        *sums = s;
        return 0;
    }
    slt_sums_free(s);
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the sums over ranks");
}

// Where a rank's part lies.
static char *part_of(const struct piece *p, int rank)
{
    return p->data + (uint64_t)p->first[rank] * p->width;
}

static void add_message(struct slt_sums *s, struct piece *p, void *data, int64_t n, int peer,
                        bool receives)
{
    if (n == 0)
        return;
    const size_t bytes = (size_t)n * p->width;
    p->message[p->messages++] =
        receives ? slt_message_from(peer, data, bytes) : slt_message_to(peer, data, bytes);
    s->sent += receives ? 0 : bytes;
}

static int post(struct slt_sums *s, struct piece *p, int tag, struct slt_error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < p->messages; i++)
        rc = slt_message_post(s->ranks, &p->message[i], tag, err);
    return rc;
}

static int send_to_owners(struct slt_sums *s, struct piece *p, struct slt_error *err)
{
    const int64_t own = p->part[s->rank];
    int others = 0;
    p->phase = TO_OWNERS;
    p->messages = 0;
    for (int i = 0; i < s->size; i++) {
        if (i == s->rank)
            continue;
        add_message(s, p, p->incoming + others++ * own, own, i, true);
        add_message(s, p, part_of(p, i), p->part[i], i, false);
    }
    return post(s, p, p->tag[0], err);
}

static int send_to_all(struct slt_sums *s, struct piece *p, struct slt_error *err)
{
    p->phase = TO_ALL;
    p->messages = 0;
    for (int i = 0; i < s->size; i++) {
        if (i == s->rank)
            continue;
        add_message(s, p, part_of(p, i), p->part[i], i, true);
        add_message(s, p, part_of(p, s->rank), p->part[s->rank], i, false);
    }
    return post(s, p, p->tag[1], err);
}

static void add_parts(struct slt_sums *s, struct piece *p)
{
    const int64_t own = p->part[s->rank];
    float *data = (float *)(void *)part_of(p, s->rank), sum[BLOCK];
    int others = 0;
    for (int i = 0; i < s->size; i++)
        s->part[i] = i == s->rank ? data : p->incoming + others++ * own;
    for (int64_t at = 0; at < own; at += BLOCK) {
        const int64_t n = slt_least(BLOCK, own - at);
        add_block(sum, s->part, s->size, at, n);
        memcpy(data + at, sum, (size_t)n * sizeof *sum);
    }
}

// The messages of a piece are done: on with it.
static int advance(struct slt_sums *s, struct piece *p, struct slt_error *err)
{
    if (p->phase == TO_OWNERS) {
        add_parts(s, p);
        if (p->kind == SLT_SUM)
            return send_to_all(s, p, err);
    }
    p->phase = IDLE;
    return 0;
}

static struct piece *nth(struct slt_sums *s, int i)
{
    return &s->piece[(s->first + i) % PIECES];
}

static void drop_finished(struct slt_sums *s)
{
    for (; s->count > 0 && nth(s, 0)->phase == IDLE; s->count--)
        s->first = (s->first + 1) % PIECES;
}

// Looks after what is under way.
static int progress(struct slt_sums *s, struct slt_error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < s->count; i++) {
        struct piece *p = nth(s, i);
        bool done = p->phase == IDLE;
        if (!done && (rc = slt_messages_test(s->ranks, p->message, p->messages, &done, err)) == 0 &&
            done)
            rc = advance(s, p, err);
    }
    drop_finished(s);
    return rc;
}

static int finish_first(struct slt_sums *s, struct slt_error *err)
{
    struct piece *p = nth(s, 0);
    int rc = 0;
    while (rc == 0 && p->phase != IDLE)
        if ((rc = slt_messages_wait(s->ranks, p->message, p->messages, err)) == 0)
            rc = advance(s, p, err);
    drop_finished(s);
    return rc;
}

int slt_sums_finish(struct slt_sums *s, struct slt_error *err)
{
    int rc = 0;
    while (rc == 0 && s->count > 0)
        rc = finish_first(s, err);
    return rc;
}

// Of every rank's part the elements from at on, as many as travel together.
static int begin_piece(struct slt_sums *s, enum slt_sum_kind kind, void *data, size_t width,
                       const int64_t *cut, int64_t at, int64_t most, struct slt_error *err)
{
    int rc = s->count == PIECES ? finish_first(s, err) : 0;
    if (rc != 0)
        return rc;
    struct piece *p = nth(s, s->count);
    p->kind = kind;
    p->data = data;
    p->width = width;
    for (int i = 0; i < s->size; i++) {
        const int64_t left = cut[i + 1] - cut[i] - at;
        p->first[i] = cut[i] + at;
        p->part[i] = left < 0 ? 0 : slt_least(left, most);
    }
    p->tag[0] = slt_ranks_next_tag(s->ranks);
    p->tag[1] = slt_ranks_next_tag(s->ranks);
    s->count++;
    return kind == SLT_SUM_GIVE ? send_to_all(s, p, err) : send_to_owners(s, p, err);
}

// Parts as equal as can be.
static const int64_t *cut_equally(struct slt_sums *s, int64_t n)
{
    const int64_t part = (n / s->size + ALIGNED) / ALIGNED * ALIGNED;
    for (int i = 0; i <= s->size; i++)
        s->whole[i] = slt_least(i * part, n);
    return s->whole;
}

int slt_sums_begin(struct slt_sums *s, enum slt_sum_kind kind, void *data, size_t width, int64_t n,
                   const int64_t *cut, struct slt_error *err)
{
    const int64_t most = PIECE / s->size;
    int64_t longest = 0;
    int rc = progress(s, err);
    if (cut == NULL)
        cut = cut_equally(s, n);
    for (int i = 0; i < s->size; i++)
        longest = cut[i + 1] - cut[i] > longest ? cut[i + 1] - cut[i] : longest;
    for (int64_t at = 0; rc == 0 && at < longest; at += most)
        rc = begin_piece(s, kind, data, width, cut, at, most, err);
    return rc;
}

uint64_t slt_sums_sent(const struct slt_sums *s)
{
    return s->sent;
}
