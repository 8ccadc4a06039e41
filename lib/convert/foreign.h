// Models of other programs that are known and not read.
#ifndef SLT_CONVERT_FOREIGN_H
#define SLT_CONVERT_FOREIGN_H

#include "slt/convert.h"

// Whether a directory is an adapter without its base model, or has weights as pickles only:
// SLT_ERR_FORMAT with a sentence that says so, and what to do.
int slt_foreign_check_adapter(const char *directory, struct slt_error *err) SLT_CHECK_RESULT;
int slt_foreign_check_pickles(const char *directory, struct slt_error *err) SLT_CHECK_RESULT;

#endif
