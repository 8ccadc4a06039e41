// MANIFEST.sha256: written and compared line by line.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/manifest.h"

int slt_manifest_add(struct slt_manifest *manifest, const char *member,
                     const unsigned char digest[SLT_SHA256_BYTES], struct slt_error *err)
{
    char hex[SLT_SHA256_HEX];
    const size_t more = sizeof hex - 1 + 2 + strlen(member) + 1;
    char *text = realloc(manifest->text, manifest->bytes + more + 1);
    if (text == NULL)
        return slt_error_errno(err, "cannot allocate a manifest");
    snprintf(text + manifest->bytes, more + 1, "%s  %s\n", slt_sha256_hex(hex, digest), member);
    manifest->text = text;
    manifest->bytes += more;
    return 0;
}

int slt_manifest_compare(const struct slt_manifest *expected, const char *file, const char *found,
                         size_t bytes, struct slt_error *err)
{
    if (bytes == expected->bytes && memcmp(found, expected->text, bytes) == 0)
        return 0;
    for (const char *line = expected->text; *line != '\0'; line = strchr(line, '\n') + 1) {
        const size_t at = (size_t)(line - expected->text);
        const size_t length = (size_t)(strchr(line, '\n') - line) + 1;
        if (at + length <= bytes && memcmp(found + at, line, length) == 0)
            continue;
        const char *member = line + SLT_SHA256_HEX - 1 + 2;
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is damaged: '%.*s' does not match " SLT_MANIFEST_NAME, file,
                             (int)(strchr(member, '\n') - member), member);
    }
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "'%s' is damaged: " SLT_MANIFEST_NAME " names members that are not there",
                         file);
}
