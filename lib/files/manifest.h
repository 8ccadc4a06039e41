// MANIFEST.sha256: one line "<hexadecimal digest>  <member>" for every member before it, as
// sha256sum writes and checks them.
#ifndef SLT_FILES_MANIFEST_H
#define SLT_FILES_MANIFEST_H

#include <stddef.h>

#include "slt/digest.h"

#define SLT_MANIFEST_NAME "MANIFEST.sha256"

// A growing text, owned by the caller: start with {0}, free text with free().
struct slt_manifest {
    char *text;
    size_t bytes;
};

int slt_manifest_add(struct slt_manifest *manifest, const char *member,
                     const unsigned char digest[SLT_SHA256_BYTES],
                     struct slt_error *err) SLT_CHECK_RESULT;

// Compares the manifest found in file with the expected one: SLT_ERR_FORMAT names the first member
// that differs.
int slt_manifest_compare(const struct slt_manifest *expected, const char *file, const char *found,
                         size_t bytes, struct slt_error *err) SLT_CHECK_RESULT;

#endif
