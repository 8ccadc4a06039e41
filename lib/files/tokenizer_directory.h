// Tokenizers that consist of several files.
#ifndef SLT_FILES_TOKENIZER_DIRECTORY_H
#define SLT_FILES_TOKENIZER_DIRECTORY_H

#include "slt/stream.h"
#include "slt/tokenizer.h"

// As slt_tokenizer_open of a directory, but *tokenizer is NULL where it has none.
int slt_tokenizer_of_directory(struct slt_tokenizer **tokenizer, const char *directory,
                               slt_stop_flag *stop, struct slt_error *err) SLT_CHECK_RESULT;

#endif
