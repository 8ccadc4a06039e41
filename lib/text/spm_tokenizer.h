// SentencePiece models as a kind of tokenizer: what other files may know of an open one.
#ifndef SLT_TEXT_SPM_TOKENIZER_H
#define SLT_TEXT_SPM_TOKENIZER_H

#include "text/added.h"
#include "text/spm_model.h"

struct spm_tokenizer {
    struct spm_model model;
    const void *file; // its bytes, the caller's
    char *texts;      // of the pieces, each with a NUL behind it
    size_t *text;     // (count): where they are
    // That encode know the model's own pieces only, of which no added token is one.
    void *engine;
    void *rest;  // for text that is not the first, without a space before it; or NULL
    void *whole; // that decodes, with all pieces; or NULL, where the first one has them all
    struct added_set added;
};

#endif
