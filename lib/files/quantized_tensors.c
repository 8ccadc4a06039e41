// Which tensors stand for the parameters of a quantized model.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/param_tensors.h"
#include "files/quantized.h"
#include "slt/quantize.h"

#define ABSMAX ".absmax"

// ---- Parameters by name ----

static int compare_params(const void *a, const void *b)
{
    return strcmp(((const struct slt_param_info *)a)->name,
                  ((const struct slt_param_info *)b)->name);
}

static int compare_name(const void *name, const void *param)
{
    return strcmp(name, ((const struct slt_param_info *)param)->name);
}

int slt_param_names_make(struct slt_param_names *names, const struct slt_config *config,
                         struct slt_error *err)
{
    int rc = slt_config_params(config, &names->list, &names->count, err);
    if (rc == 0)
        qsort(names->list, names->count, sizeof *names->list, compare_params);
    return rc;
}

const struct slt_param_info *slt_param_names_find(const struct slt_param_names *names,
                                                  const char *name)
{
    return bsearch(name, names->list, names->count, sizeof *names->list, compare_name);
}

void slt_param_names_free(struct slt_param_names *names)
{
    free(names->list);
}

// ---- Tensors of a parameter ----

bool slt_param_is_quantized(const struct slt_param_info *param)
{
    return param->role != SLT_ROLE_NORM && param->role != SLT_ROLE_INDEX &&
           param->rows * param->cols > 0;
}

void slt_quantized_tensors(struct slt_tensor_info tensors[2], const struct slt_quantization *how,
                           const struct slt_param_info *param)
{
    const int64_t count = param->rows * param->cols, blocks = slt_quant_blocks(how, count);
    struct slt_tensor_info *absmax = &tensors[0], *codes = &tensors[1];
    *absmax = (struct slt_tensor_info){.dtype = SLT_F32, .dims = 1, .shape = {blocks}};
    snprintf(absmax->name, sizeof absmax->name, "%.*s" ABSMAX,
             (int)(sizeof absmax->name - sizeof ABSMAX), param->name);
    absmax->bytes = (uint64_t)blocks * sizeof(float);
    slt_param_tensor(codes, param);
    codes->dtype = slt_quant_dtype(how->type);
    codes->bytes = (uint64_t)slt_quant_bytes(how, count);
    // Two codes in a byte have lost the shape.
    if (how->type == SLT_QUANT_NF4) {
        codes->dims = 1;
        codes->shape[0] = (int64_t)codes->bytes;
    }
}

int64_t slt_quant_chunk(const struct slt_quantization *how)
{
    return SLT_QUANT_CHUNK / (2 * how->block) * (2 * how->block);
}

// ---- The view of a file ----

// The parameter that a tensor holds the scales of, or NULL.
static const struct slt_param_info *scaled_param(const struct slt_param_names *names,
                                                 const char *tensor)
{
    char name[SLT_TENSOR_NAME];
    const size_t length = strlen(tensor), suffix = strlen(ABSMAX);
    if (length <= suffix || strcmp(tensor + length - suffix, ABSMAX) != 0)
        return NULL;
    snprintf(name, sizeof name, "%.*s", (int)(length - suffix), tensor);
    return slt_param_names_find(names, name);
}

// Tensor *i of the file: a plain one, or the scales of the one that follows. Moves *i on.
static int view_next(struct slt_tensor_info *tensor, size_t *i, const char *file,
                     const struct slt_quantization *how, const struct slt_param_names *names,
                     const struct slt_tensor_info *stored, size_t stored_count,
                     struct slt_error *err)
{
    const struct slt_param_info *param = scaled_param(names, stored[*i].name);
    struct slt_tensor_info want[2];
    if (param == NULL) {
        *tensor = stored[(*i)++];
        return 0;
    }
    slt_quantized_tensors(want, how, param);
    if (*i + 1 == stored_count || !slt_tensors_match(&stored[*i], &want[0]) ||
        !slt_tensors_match(&stored[*i + 1], &want[1]))
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s': tensors '%s' and '%s' are not next to each other, or not of "
                             "the type and shape of %s with blocks of %lld",
                             file, want[0].name, want[1].name, slt_quant_name(how->type),
                             (long long)how->block);
    slt_param_tensor(tensor, param);
    *i += 2;
    return 0;
}

int slt_quantized_view(struct slt_tensor_info **tensors, size_t **first, size_t *count,
                       const char *file, const struct slt_config *config,
                       const struct slt_tensor_info *stored, size_t stored_count,
                       struct slt_error *err)
{
    struct slt_param_names names = {0};
    struct slt_tensor_info *list = calloc(stored_count + 1, sizeof *list);
    size_t *from = calloc(stored_count + 1, sizeof *from), n = 0;
    int rc;
    if (list == NULL || from == NULL) {
        rc =
            slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of tensors of '%s'", file);
        goto out;
    }
    rc = slt_param_names_make(&names, config, err);
    for (size_t i = 0; rc == 0 && i < stored_count; n++) {
        from[n] = i;
        rc =
            view_next(&list[n], &i, file, &config->quantization, &names, stored, stored_count, err);
    }
    if (rc != 0)
        goto out;
    *tensors = list;
    *first = from;
    *count = n;
    list = NULL;
    from = NULL;
out:
    slt_param_names_free(&names);
    free(list);
    free(from);
    return rc;
}
