// SentencePiece models as a kind of tokenizer: what other files may know of an open one.
#ifndef SLT_TEXT_SPM_TOKENIZER_H
#define SLT_TEXT_SPM_TOKENIZER_H

#include "text/added.h"
#include "text/spm_model.h"

struct spm_tokenizer {
    struct spm_model model;
    const void *file;    // its bytes, the caller's
    char *texts;         // of the pieces, each with a NUL behind it
    size_t *text;        // (count): where they are
    void *engine, *rest; // rest: for text that is not the first, without a space before it; or NULL
    struct added_set added;
};

#endif
