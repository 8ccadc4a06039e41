// Which tokens of a Hugging Face directory begin, end and fill texts.
#ifndef SLT_CONVERT_IMPORT_TOKENS_H
#define SLT_CONVERT_IMPORT_TOKENS_H

#include "slt/convert.h"

// A sentence for the options' on_note, if there is one, about what may not be meant; names from
// files are made printable, as in messages.
void import_note(const struct slt_convert_options *options, const char *format, ...)
    SLT_PRINTF(2, 3);

// Completes BOS, EOS and PAD of a configuration by what the directory's other files and the
// options' tokenizer say. That has no more tokens than the model has rows (SLT_ERR_FORMAT), and
// should end texts as the model does, else a note says so.
int import_find_ids(struct slt_config *config, const char *directory,
                    const struct slt_convert_options *options, struct slt_error *err)
    SLT_CHECK_RESULT;

#endif
