// Operations and their shapes in words.
#include <stdio.h>

#include "kernels/ops.h"

char *slt_op_describe(char *text, size_t size, enum slt_op op, const struct slt_op_shape *shape)
{
    snprintf(text, size, "operation %d of %lld by %lld", (int)op, (long long)shape->out,
             (long long)shape->in);
    return text;
}
