// SHA-256 from libcrypto and CRC-32 from zlib.
#include <openssl/evp.h>
#include <stdlib.h>
#include <zlib.h>

#include "slt/digest.h"

struct slt_sha256 {
    EVP_MD_CTX *context;
};

// Once a context exists libcrypto's SHA-256 has nothing left that can fail. A wrong digest must
// never pass for a right one, so should it fail after all, the program ends here.
static void must(int ok)
{
    if (!ok)
        abort();
}

int slt_sha256_create(struct slt_sha256 **digest, struct slt_error *err)
{
    struct slt_sha256 *d = malloc(sizeof *d);
    if (d == NULL)
        return slt_error_errno(err, "cannot allocate a digest");
    d->context = EVP_MD_CTX_new();
    if (d->context == NULL || !EVP_DigestInit_ex(d->context, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(d->context);
        free(d);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a digest");
    }
    *digest = d;
    return 0;
}

void slt_sha256_update(struct slt_sha256 *digest, const void *data, size_t bytes)
{
    must(EVP_DigestUpdate(digest->context, data, bytes));
}

void slt_sha256_finish(struct slt_sha256 *digest, unsigned char out[SLT_SHA256_BYTES])
{
    must(EVP_DigestFinal_ex(digest->context, out, NULL));
    must(EVP_DigestInit_ex(digest->context, NULL, NULL));
}

void slt_sha256_free(struct slt_sha256 *digest)
{
    if (digest != NULL)
        EVP_MD_CTX_free(digest->context);
    free(digest);
}

void slt_sha256_of(unsigned char out[SLT_SHA256_BYTES], const void *data, size_t bytes)
{
    must(EVP_Digest(data, bytes, out, NULL, EVP_sha256(), NULL));
}

char *slt_sha256_hex(char hex[SLT_SHA256_HEX], const unsigned char digest[SLT_SHA256_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SLT_SHA256_BYTES; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * SLT_SHA256_BYTES] = '\0';
    return hex;
}

uint32_t slt_crc32(uint32_t crc, const void *data, size_t bytes)
{
    return (uint32_t)crc32_z(crc, data, bytes);
}
