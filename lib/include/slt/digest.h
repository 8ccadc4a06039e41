// SHA-256 of a stream of bytes, and CRC-32 (the polynomial of zlib) for small checks.
#ifndef SLT_DIGEST_H
#define SLT_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "slt/error.h"

#define SLT_SHA256_BYTES 32
#define SLT_SHA256_HEX   65 // with the final NUL

struct slt_sha256; // a running digest

SLT_API int slt_sha256_create(struct slt_sha256 **digest, struct slt_error *err) SLT_CHECK_RESULT;
SLT_API void slt_sha256_update(struct slt_sha256 *digest, const void *data, size_t bytes);
// Writes the digest of all bytes so far and starts anew.
SLT_API void slt_sha256_finish(struct slt_sha256 *digest, unsigned char out[SLT_SHA256_BYTES]);
SLT_API void slt_sha256_free(struct slt_sha256 *digest);

// The digest of one piece of memory.
SLT_API void slt_sha256_of(unsigned char out[SLT_SHA256_BYTES], const void *data, size_t bytes);

// Lower-case hexadecimal, NUL-terminated; returns hex.
SLT_API char *slt_sha256_hex(char hex[SLT_SHA256_HEX],
                             const unsigned char digest[SLT_SHA256_BYTES]);

// CRC-32 as zlib's crc32(): start with 0 and feed the result back.
SLT_API uint32_t slt_crc32(uint32_t crc, const void *data, size_t bytes);

#endif
