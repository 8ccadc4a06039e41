// Byte-pair encoding: the ids of one word (Sennrich et al., "Neural Machine Translation of Rare
// Words with Subword Units", 2016), as Hugging Face's tokenizers compute them.
#ifndef SLT_TEXT_BPE_H
#define SLT_TEXT_BPE_H

#include "text/vocabulary.h"

// Two neighbours that become one; of all of a word those of the lowest rank do first.
struct bpe_merge {
    uint32_t left, right; // ids; both SLT_TOKEN_NONE in a free slot
    uint32_t rank, id;
};

struct bpe {
    struct vocabulary vocabulary;
    struct bpe_merge *merge; // (mask + 1): an open table
    size_t mask;
    bool by_bytes;         // symbols are bytes, else characters
    uint32_t byte_id[256]; // by_bytes: of each byte; else of "<0xXX>", for byte_fallback
    uint32_t unk;          // SLT_TOKEN_NONE: what has no id is left out
    bool fuse_unk;         // neighbouring unknown symbols are one
    bool byte_fallback;    // unknown characters are bytes, where all of those have ids
    bool ignore_merges;    // a word that is a piece needs no merges
    uint32_t (*pair)[2];   // (pairs): the merges by rank, as the file has them
    size_t pairs;
};

// What encoding one word needs besides; one for each thread.
struct bpe_scratch {
    struct bpe_symbol *symbol;
    uint64_t *heap; // rank << 32 | position
    size_t capacity, heap_count;
    struct bpe_cached *cache;
};

// Makes the table of b->pair (ids of left and right) and of the ids they become, by rank; of equal
// pairs the last one counts.
int bpe_index(struct bpe *b, const uint32_t *merged, struct slt_error *err) SLT_CHECK_RESULT;
void bpe_free(struct bpe *b);

// Appends the ids of a word. Errors: SLT_ERR_MEMORY, SLT_ERR_RANGE beyond 2^31 bytes.
int bpe_encode(const struct bpe *b, struct bpe_scratch *s, struct slt_token_ids *ids,
               const char *word, size_t bytes, struct slt_error *err) SLT_CHECK_RESULT;
void bpe_scratch_free(struct bpe_scratch *s);

#endif
