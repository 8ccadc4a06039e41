// The merges that a byte-pair model of SentencePiece implies.
#ifndef SLT_TEXT_SPM_MERGES_H
#define SLT_TEXT_SPM_MERGES_H

#include "text/spm_model.h"

struct spm_merge {
    uint32_t left, right, piece; // ids
};

// All pairs of pieces that make up a piece, in the order in which Hugging Face's tokenizers must do
// them. The caller frees *merge (count). SLT_ERR_RANGE where no order gives SentencePiece's ids:
// two pieces have the same score, a piece is made of characters that are no pieces, or one is
// unused.
int spm_merges(struct spm_merge **merge, size_t *count, const struct spm_model *model,
               struct slt_error *err) SLT_CHECK_RESULT;

#endif
