// The file of a SentencePiece model (sentencepiece_model.proto of its source): what it says of
// pieces and normalisation, and what slt puts behind it.
//
// A Hugging Face directory may give a tokenizer.model more tokens, other BOS, EOS and PAD, and say
// whether these stand around a text. A checkpoint has one file for its tokenizer; so they are put
// behind the model's own bytes, as fields that the format leaves to others (from 200 on), the new
// tokens also as pieces. Every reader of SentencePiece reads the result, with these pieces; the
// model's own bytes are its start.
#ifndef SLT_TEXT_SPM_MODEL_H
#define SLT_TEXT_SPM_MODEL_H

#include "text/additions.h"

enum spm_algorithm { SPM_UNIGRAM = 1, SPM_BPE = 2, SPM_WORD = 3, SPM_CHAR = 4 };

struct spm_piece {
    const char *text; // in the file, not NUL-terminated
    size_t bytes;
    float score;
    enum slt_piece_type type;
};

// A token that is looked for in a text before SentencePiece gets what lies between.
struct spm_added {
    uint32_t id;
    bool lstrip, rstrip, single_word;
};

struct spm_model {
    struct spm_piece *piece; // (count)
    uint32_t count;
    enum spm_algorithm algorithm;
    bool byte_fallback, space_behind; // behind words instead of before them
    const char *charsmap;             // compiled rules of normalisation, in the file; NULL: none
    size_t charsmap_bytes;
    bool adds_space;                    // before a text
    bool removes_spaces;                // around a text, and all but one within
    bool escapes_spaces;                // a space is U+2581
    uint32_t own_bos, own_eos, own_pad; // control pieces, SLT_TOKEN_NONE where there is none
    // What slt has put behind.
    size_t own_bytes;   // of the file as it was found
    size_t ids_bytes;   // of what decides the ids of a text: all but what is said of BOS, EOS, PAD
    uint32_t own_count; // pieces of the file as it was found
    struct spm_added *added;
    size_t added_count;
    bool space_first;       // adds_space is for the first text only, not behind added tokens
    uint32_t bos, eos, pad; // the model's own, or others
    bool adds_bos, adds_eos;
};

// Reads a file, which must outlive *m; the caller frees it with spm_model_clear also on failure.
// SLT_ERR_FORMAT: it is no such file, or damaged.
int spm_model_read(struct spm_model *m, const void *data, size_t bytes, struct slt_error *err)
    SLT_CHECK_RESULT;
void spm_model_clear(struct spm_model *m);

// What a model has that no other format of tokenizers has, to follow "which"; NULL: nothing.
const char *spm_model_oddity(const struct spm_model *m);

// The bytes at the start of a file that decide the ids of a text; all where it is damaged.
size_t spm_ids_bytes(const void *data, size_t bytes);

// The file of a model as it was found with these additions behind it; the same bytes where they
// add nothing. The caller frees *file. SLT_ERR_FORMAT where they contradict the model's pieces.
int spm_model_extend(void **file, size_t *file_bytes, const void *data, size_t bytes,
                     const struct token_additions *additions, struct slt_error *err)
    SLT_CHECK_RESULT;

#endif
