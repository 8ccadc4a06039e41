// The lines of provenance.jsonl.
#ifndef SLT_FILES_PROVENANCE_H
#define SLT_FILES_PROVENANCE_H

#include "slt/error.h"

// *text = old (may be NULL), then lines, each of the two ended by a newline; the caller frees it.
int slt_provenance_join(char **text, const char *old, const char *lines,
                        struct slt_error *err) SLT_CHECK_RESULT;

#endif
