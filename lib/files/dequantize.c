// Values of a quantized tensor as they are read: the scales are held, the codes come by chunks.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/least.h"
#include "files/quantized.h"
#include "slt/quantize.h"

int slt_dequantizer_start(struct slt_dequantizer *d, const struct slt_quantization *how,
                          struct slt_archive_in *archive, const char *file,
                          const struct slt_tensor_info *absmax, int64_t count,
                          struct slt_error *err)
{
    void *scales = NULL;
    if (d->values == NULL)
        d->values = malloc((size_t)SLT_QUANT_CHUNK * sizeof *d->values);
    if (d->codes == NULL)
        d->codes = malloc((size_t)SLT_QUANT_CHUNK);
    if (d->values == NULL || d->codes == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for reading '%s'",
                             file);
    int rc = slt_archive_in_load(archive, &scales, (size_t)absmax->bytes, err);
    if (rc != 0)
        return rc;
    free(d->absmax);
    d->absmax = scales;
    d->how = *how;
    d->count = count;
    d->decoded = 0;
    d->taken = d->filled = 0;
    for (int64_t i = 0; i < slt_quant_blocks(how, count); i++)
        if (!(d->absmax[i] >= 0 && isfinite(d->absmax[i])))
            return slt_error_set(err, SLT_ERR_FORMAT, "'%s': '%s' has the value %g", file,
                                 absmax->name, (double)d->absmax[i]);
    return 0;
}

static int decode_chunk(struct slt_dequantizer *d, struct slt_archive_in *archive, uint64_t *left,
                        struct slt_error *err)
{
    const int64_t n = slt_least(slt_quant_chunk(&d->how), d->count - d->decoded);
    const size_t bytes = (size_t)slt_quant_bytes(&d->how, n);
    int rc = slt_archive_in_read(archive, d->codes, bytes, err);
    if (rc != 0)
        return rc;
    *left -= bytes;
    slt_dequantize(d->values, &d->how, d->codes, d->absmax + d->decoded / d->how.block, n,
                   d->threads);
    d->decoded += n;
    d->taken = 0;
    d->filled = (size_t)n * sizeof *d->values;
    return 0;
}

int slt_dequantizer_read(struct slt_dequantizer *d, struct slt_archive_in *archive, void *data,
                         size_t bytes, uint64_t *left, struct slt_error *err)
{
    unsigned char *to = data;
    while (bytes > 0) {
        int rc = d->taken == d->filled ? decode_chunk(d, archive, left, err) : 0;
        if (rc != 0)
            return rc;
        const size_t n = bytes < d->filled - d->taken ? bytes : d->filled - d->taken;
        memcpy(to, (const unsigned char *)d->values + d->taken, n);
        d->taken += n;
        to += n;
        bytes -= n;
    }
    return 0;
}

void slt_dequantizer_free(struct slt_dequantizer *d)
{
    free(d->absmax);
    free(d->values);
    free(d->codes);
}
