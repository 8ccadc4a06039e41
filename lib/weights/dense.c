// Linears on the host.
#include <stdlib.h>
#include <string.h>

#include "files/param_tensors.h"
#include "linalg/svd.h"
#include "slt/support.h"
#include "weights/dense.h"

// ---- Linears ----

static int read_floats(float **values, const struct slt_param_info *param,
                       struct slt_checkpoint_reader *reader, struct slt_error *err)
{
    const size_t bytes = (size_t)(param->rows * param->cols) * sizeof(float);
    *values = malloc(bytes + 1);
    if (*values == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the %zu bytes of '%s'", bytes,
                             param->name);
    return slt_checkpoint_read(reader, *values, bytes, err);
}

static int read_part(struct slt_dense_linear *l, const struct slt_param_info *param,
                     struct slt_checkpoint_reader *reader, struct slt_error *err)
{
    int rc = slt_param_expect(reader, param, err);
    if (rc != 0)
        return rc;
    switch (param->role) {
    case SLT_ROLE_WEIGHT:
        return read_floats(&l->w, param, reader, err);
    case SLT_ROLE_LORA_A:
        return read_floats(&l->a, param, reader, err);
    case SLT_ROLE_LORA_B:
        return read_floats(&l->b, param, reader, err);
    case SLT_ROLE_INDEX:
        return slt_positions_load(&l->position, param, reader, err);
    default:
        l->nnz = param->cols;
        return read_floats(&l->values, param, reader, err);
    }
}

// Draws the positions, or checks those that were read.
static int find_positions(struct slt_dense_linear *l, const struct slt_config *c,
                          const struct slt_form *form, struct slt_error *err)
{
    if (l->position != NULL) {
        for (int64_t i = 0, last = -1; i < l->nnz; last = l->position[i++])
            if (l->position[i] <= last || l->position[i] >= l->out * l->in)
                return slt_error_set(err, SLT_ERR_FORMAT,
                                     "position %lld of the support of '%s' is %lld, which does not "
                                     "ascend within %lld x %lld",
                                     (long long)i, l->name, (long long)l->position[i],
                                     (long long)l->out, (long long)l->in);
        return 0;
    }
    l->position = malloc((size_t)l->nnz * sizeof *l->position + 1);
    if (l->position == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the support of '%s'", l->name);
    const struct slt_support support = slt_config_support(c, form, l->name, l->out, l->in);
    return slt_support_positions(l->position, &support, err);
}

int slt_dense_read(struct slt_dense_linear *l, size_t *taken, const struct slt_param_info *param,
                   struct slt_checkpoint_reader *reader, struct slt_error *err)
{
    const struct slt_config *c = slt_checkpoint_config(reader);
    *l = (struct slt_dense_linear){.layer = param->layer,
                                   .group = param->group,
                                   .member = param->member,
                                   .out = param->out,
                                   .in = param->in,
                                   .rank = param->form.rank,
                                   .scale = param->form.scale};
    slt_linear_name(l->name, sizeof l->name, c, l->layer, l->group, l->member);
    size_t n = 0;
    int rc = 0;
    do
        rc = read_part(l, &param[n], reader, err);
    while (rc == 0 && param[++n].layer == l->layer && param[n].group == l->group &&
           param[n].member == l->member);
    if (rc == 0 && l->values != NULL)
        rc = find_positions(l, c, &param->form, err);
    if (rc != 0)
        slt_dense_free(l);
    else
        *taken = n;
    return rc;
}

void slt_dense_free(struct slt_dense_linear *l)
{
    free(l->w);
    free(l->a);
    free(l->b);
    free(l->values);
    free(l->position);
    l->w = l->a = l->b = l->values = NULL;
    l->position = NULL;
}

void slt_dense_merge(float *w, const struct slt_dense_linear *l, int parts)
{
    if (l->w != NULL && (parts & SLT_DENSE_W))
        memcpy(w, l->w, (size_t)(l->out * l->in) * sizeof *w);
    else
        memset(w, 0, (size_t)(l->out * l->in) * sizeof *w);
    if (l->values != NULL && (parts & SLT_DENSE_S))
        for (int64_t i = 0; i < l->nnz; i++)
            w[l->position[i]] += l->values[i];
    if (l->a != NULL && (parts & SLT_DENSE_BA))
        slt_product(slt_matrix(w, l->out, l->in), 1, slt_matrix(l->b, l->out, l->rank), false,
                    slt_matrix(l->a, l->rank, l->in), false, l->scale);
}
