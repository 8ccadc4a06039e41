// Shards of token files.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slt/shards.h"

struct slt_shards {
    char *name;
    struct slt_tokens_header header;
    uint64_t shard_tokens;
    slt_stop_flag *stop;
    struct slt_tokens_totals totals; // of complete shards
    uint64_t number;                 // of the shard that is being written, or gone through
    uint64_t kept, kept_documents;   // shards that stay
    uint64_t *first;                 // (kept): numbers of their first documents
    struct slt_tokens *there;        // the one of them that is being gone through
    uint64_t left, passed_bytes;     // of its documents; of text that came again for it
    struct slt_output *out;
    struct slt_tokens_writer *writer; // NULL: the next document starts a shard
    uint64_t tokens;                  // written to it
};

int slt_shard_path(char *path, size_t size, const char *name, uint64_t number,
                   struct slt_error *err)
{
    const char *slash = strrchr(name, '/'), *dot = strrchr(name, '.');
    if (dot == NULL || (slash != NULL && dot < slash))
        dot = name + strlen(name);
    const int n = snprintf(path, size, "%.*s-%05llu%s", (int)(dot - name), name,
                           (unsigned long long)number, dot);
    return n > 0 && (size_t)n < size
               ? 0
               : slt_error_set(err, SLT_ERR_RANGE, "the name '%s' is too long", name);
}

// A shard that is complete, by writing it or since it stays.
static void count_shard(struct slt_shards *s, const struct slt_tokens_totals *t)
{
    s->totals.tokens += t->tokens;
    s->totals.documents += t->documents;
    s->totals.text_bytes += t->text_bytes;
    s->number++;
}

// ---- Shards that stay ----

static int open_shard(struct slt_shards *s, struct slt_tokens **tokens, uint64_t number,
                      struct slt_error *err)
{
    char path[4096];
    struct slt_input *in;
    int rc = slt_shard_path(path, sizeof path, s->name, number, err);
    if (rc == 0 && (rc = slt_input_open(&in, path, s->stop, err)) == 0)
        rc = slt_tokens_open(tokens, in, err);
    return rc;
}

static int keep(struct slt_shards *s, uint64_t documents, struct slt_error *err)
{
    uint64_t *more = realloc(s->first, (size_t)(s->kept + 1) * sizeof *more);
    if (more == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the shards of '%s'", s->name);
    s->first = more;
    s->first[s->kept++] = s->kept_documents;
    s->kept_documents += documents;
    return 0;
}

// Opens a shard that there may be; *shard is NULL where there is none, or one that is not whole.
// One that cannot be read for any other reason may be whole, and must not be written over.
static int open_if_whole(struct slt_shards *s, struct slt_tokens **shard, uint64_t number,
                         struct slt_error *err)
{
    char path[4096];
    bool exists = false;
    *shard = NULL;
    int rc = slt_shard_path(path, sizeof path, s->name, number, err);
    if (rc != 0 || (rc = slt_file_exists(&exists, path, err)) != 0 || !exists)
        return rc;
    rc = open_shard(s, shard, number, err);
    return rc == SLT_ERR_FORMAT ? 0 : rc;
}

static int cannot_go_on(const struct slt_tokens *shard, const char *why, struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_MISMATCH, "cannot go on from '%s': %s",
                         slt_tokens_name(shard), why);
}

// Whether a whole shard is complete and stays: *stays. It became complete with its last document,
// as one of this size does; where that document cannot be found it is damaged.
static int check_shard(bool *stays, const struct slt_shards *s, const struct slt_tokens *shard,
                       struct slt_error *err)
{
    const struct slt_tokens_header *h = slt_tokens_header(shard);
    const struct slt_tokens_totals t = slt_tokens_totals(shard);
    uint64_t position, length;
    *stays = false;
    if (!slt_tokens_is_mapped(shard))
        return cannot_go_on(shard, "it is no plain file", err);
    if (h->vocab_size != s->header.vocab_size ||
        memcmp(h->digest, s->header.digest, sizeof h->digest) != 0)
        return cannot_go_on(shard, "it was made with another tokenizer", err);
    if (t.tokens < s->shard_tokens)
        return 0;
    const int rc = slt_tokens_document(shard, t.documents - 1, &position, &length, err);
    if (rc != 0)
        return rc == SLT_ERR_FORMAT ? 0 : rc;
    if (t.tokens - length >= s->shard_tokens)
        return cannot_go_on(shard, "its shards were to be larger", err);
    *stays = true;
    return 0;
}

// Finds the complete shards, from the first on.
static int find_kept(struct slt_shards *s, struct slt_error *err)
{
    if (s->header.eos == SLT_TOKEN_NONE)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "cannot go on from shards whose documents have no end-of-sentence "
                             "token between them");
    for (;;) {
        struct slt_tokens *shard = NULL;
        bool stays = false;
        int rc = open_if_whole(s, &shard, s->kept, err);
        if (rc == 0 && shard != NULL)
            rc = check_shard(&stays, s, shard, err);
        if (rc == 0 && stays)
            rc = keep(s, slt_tokens_totals(shard).documents, err);
        slt_tokens_close(shard);
        if (rc != 0 || !stays)
            return rc;
    }
}

// Opens the next shard that stays, if there is one.
static int next_kept(struct slt_shards *s, struct slt_error *err)
{
    slt_tokens_close(s->there);
    s->there = NULL;
    if (s->number == s->kept)
        return 0;
    s->passed_bytes = 0;
    int rc = open_shard(s, &s->there, s->number, err);
    s->left = rc == 0 ? slt_tokens_totals(s->there).documents : 0;
    return rc;
}

static bool is_first(const struct slt_shards *s)
{
    return s->left == slt_tokens_totals(s->there).documents;
}

static int other_input(const struct slt_shards *s, struct slt_error *err)
{
    return cannot_go_on(s->there, "it was made of other input or with other options", err);
}

// The first document of a shard that stays must be the one that comes again.
static int compare(const struct slt_shards *s, const uint32_t *ids, size_t count,
                   struct slt_error *err)
{
    const size_t all = count + (s->header.eos != SLT_TOKEN_NONE);
    uint64_t position, length;
    int rc = slt_tokens_document(s->there, 0, &position, &length, err);
    if (rc != 0)
        return rc;
    bool same = length == all;
    for (size_t i = 0; rc == 0 && same && i < count; i++) {
        int32_t id;
        rc = slt_tokens_read_at(s->there, &id, position + i, 1, err);
        same = rc == 0 && (uint32_t)id == ids[i];
    }
    return rc != 0 || same ? rc : other_input(s, err);
}

bool slt_shards_needs(const struct slt_shards *s, uint64_t n)
{
    uint64_t low = 0, high = s->kept; // shards before low start before document n
    if (n >= s->kept_documents)
        return true;
    while (low < high) {
        const uint64_t middle = (low + high) / 2;
        if (s->first[middle] < n)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->kept && s->first[low] == n;
}

static int pass_over(struct slt_shards *s, const uint32_t *ids, size_t count, uint64_t text_bytes,
                     struct slt_error *err)
{
    int rc = is_first(s) ? compare(s, ids, count, err) : 0;
    s->passed_bytes += text_bytes;
    if (rc != 0 || --s->left > 0)
        return rc;
    const struct slt_tokens_totals t = slt_tokens_totals(s->there);
    if (s->passed_bytes != t.text_bytes)
        return other_input(s, err);
    count_shard(s, &t);
    return next_kept(s, err);
}

// ---- Writing ----

int slt_shards_create(struct slt_shards **shards, const char *name,
                      const struct slt_tokens_header *header, uint64_t shard_tokens, bool resume,
                      slt_stop_flag *stop, struct slt_error *err)
{
    struct slt_shards *s = calloc(1, sizeof *s);
    if (s == NULL || (s->name = strdup(name)) == NULL) {
        free(s);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the shards of '%s'", name);
    }
    s->header = *header;
    s->shard_tokens = shard_tokens;
    s->stop = stop;
    int rc = resume ? find_kept(s, err) : 0;
    if (rc == 0)
        rc = next_kept(s, err);
    if (rc != 0)
        slt_shards_abandon(s);
    else
        *shards = s;
    return rc;
}

static int begin_shard(struct slt_shards *s, struct slt_error *err)
{
    char path[4096];
    int rc = slt_shard_path(path, sizeof path, s->name, s->number, err);
    s->tokens = 0;
    if (rc == 0 && (rc = slt_output_open(&s->out, path, s->stop, err)) == 0)
        rc = slt_tokens_create(&s->writer, s->out, &s->header, err);
    return rc;
}

static int end_shard(struct slt_shards *s, struct slt_error *err)
{
    struct slt_tokens_totals t;
    int rc = slt_tokens_finish(s->writer, &t, err);
    s->writer = NULL;
    if (rc != 0)
        return rc;
    rc = slt_output_publish(s->out, err);
    s->out = NULL;
    count_shard(s, &t);
    return rc;
}

int slt_shards_append(struct slt_shards *s, const uint32_t *ids, size_t count, uint64_t text_bytes,
                      struct slt_error *err)
{
    int rc = 0;
    if (s->there != NULL)
        return pass_over(s, ids, count, text_bytes, err);
    if (s->writer == NULL)
        rc = begin_shard(s, err);
    if (rc == 0)
        rc = slt_tokens_append(s->writer, ids, count, text_bytes, err);
    s->tokens += count + (s->header.eos != SLT_TOKEN_NONE);
    return rc == 0 && s->tokens >= s->shard_tokens ? end_shard(s, err) : rc;
}

// Shards of an earlier, longer run would otherwise be taken for this one's.
static int remove_later(const struct slt_shards *s, struct slt_error *err)
{
    char path[4096];
    for (uint64_t n = s->number;; n++) {
        int rc = slt_shard_path(path, sizeof path, s->name, n, err);
        if (rc != 0)
            return rc;
        if (unlink(path) != 0)
            return errno == ENOENT ? 0 : slt_error_errno(err, "cannot remove '%s'", path);
    }
}

int slt_shards_finish(struct slt_shards *s, struct slt_tokens_totals *totals, struct slt_error *err)
{
    int rc = 0;
    if (s->there != NULL)
        rc = cannot_go_on(s->there, "the input has fewer documents", err);
    else if (s->writer == NULL && s->number == 0) // an empty input has one, empty, shard
        rc = begin_shard(s, err);
    if (rc == 0 && s->writer != NULL)
        rc = end_shard(s, err);
    if (rc == 0)
        rc = remove_later(s, err);
    if (rc == 0 && totals != NULL)
        *totals = s->totals;
    slt_shards_abandon(s);
    return rc;
}

void slt_shards_abandon(struct slt_shards *s)
{
    if (s == NULL)
        return;
    slt_tokens_abandon(s->writer);
    slt_output_abandon(s->out);
    slt_tokens_close(s->there);
    free(s->first);
    free(s->name);
    free(s);
}
