// What ops.h needs besides its declarations: a look at its lists.
#include <stddef.h>

#include "kernels/ops.h"

#define ONE(op) +1

enum {
    DEVICE = 0 SLT_OPS_OF_DEVICE(ONE),
    BACKEND = 0 SLT_OPS_OF_BACKEND(ONE),
    OPTIONAL = 0 SLT_OPS_OPTIONAL(ONE),
    ELEMENTS = 0 SLT_OPS_OF_ELEMENTS(ONE),
    PRODUCTS = 0 SLT_OPS_OF_PRODUCTS(ONE),
    NAMED = 1 + DEVICE + BACKEND + OPTIONAL + ELEMENTS + PRODUCTS // and open
};

// A function that no list names would be missing from every table.
_Static_assert(sizeof(struct slt_ops) ==
                   offsetof(struct slt_ops, open) + NAMED * sizeof(void (*)(void)),
               "the lists of ops.h name every function of struct slt_ops");
