// Token files written as shards of about equal size, NAME-00000.tok, NAME-00001.tok, ..., each a
// whole token file by itself, with documents never cut between them; and the buffer that shuffles
// documents on the way.
#ifndef SLT_SHARDS_H
#define SLT_SHARDS_H

#include "slt/tokens.h"

// The path of shard number of name: "c4.tok" gives "c4-00000.tok".
SLT_API int slt_shard_path(char *path, size_t size, const char *name, uint64_t number,
                           struct slt_error *err) SLT_CHECK_RESULT;

struct slt_shards;

// shard_tokens: a shard is complete with the document that makes it so many tokens at least; only
// the last one has fewer. With resume, the complete shards that are there, from the first on, stay,
// and their documents are expected again. name and header are copied.
SLT_API int slt_shards_create(struct slt_shards **shards, const char *name,
                              const struct slt_tokens_header *header, uint64_t shard_tokens,
                              bool resume, slt_stop_flag *stop,
                              struct slt_error *err) SLT_CHECK_RESULT;
// Whether document number n, from 0, has to come with its ids: of a shard that stays only the first
// one has, which is compared with what is there; so is the size of all its text.
SLT_API bool slt_shards_needs(const struct slt_shards *shards, uint64_t n);
// Appends one document, as slt_tokens_append does, ids being what slt_shards_needs says. A shard
// that is complete appears under its name. SLT_ERR_MISMATCH if a document is not what a shard
// that stays has.
SLT_API int slt_shards_append(struct slt_shards *shards, const uint32_t *ids, size_t count,
                              uint64_t text_bytes, struct slt_error *err) SLT_CHECK_RESULT;
// Completes the last shard and frees shards, also on failure. totals, of all shards, may be NULL.
// Shards beyond the last one, of an earlier run, are removed.
SLT_API int slt_shards_finish(struct slt_shards *shards, struct slt_tokens_totals *totals,
                              struct slt_error *err) SLT_CHECK_RESULT;
// Complete shards stay.
SLT_API void slt_shards_abandon(struct slt_shards *shards);

// A document and its number in the input.
struct slt_document {
    char *text; // owned by whoever holds the document
    size_t bytes;
    uint64_t number;
};

struct slt_shuffle;

// Holds capacity documents; each one that comes in sends one of them, or itself, out. Which one is
// a function of seed and of how many have come.
SLT_API int slt_shuffle_create(struct slt_shuffle **shuffle, uint64_t capacity, uint64_t seed,
                               struct slt_error *err) SLT_CHECK_RESULT;
// Takes in's text over. True if *out is a document that comes out.
SLT_API bool slt_shuffle_push(struct slt_shuffle *shuffle, struct slt_document *out,
                              struct slt_document in);
// At the end of the input: the next of those that are left, or false.
SLT_API bool slt_shuffle_pop(struct slt_shuffle *shuffle, struct slt_document *out);
SLT_API void slt_shuffle_free(struct slt_shuffle *shuffle);

#endif
