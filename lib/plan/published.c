// Numbers printed in the paper (arXiv 2406.02214), and the estimates that belong to them.
#include <math.h>

#include "slt/estimate.h"

#define FULL      SLT_SCHEME_FULL
#define LOWRANK   SLT_SCHEME_LOWRANK
#define RELORA    SLT_SCHEME_RELORA
#define GALORE    SLT_SCHEME_GALORE
#define SLTRAIN   SLT_SCHEME_SLTRAIN
#define BF16      SLT_ACCOUNT_PAPER
#define PAPER8    SLT_ACCOUNT_PAPER_8BIT
#define OURS8     SLT_ACCOUNT_8BIT
#define NO_INDEX8 SLT_ACCOUNT_8BIT_NO_INDEX
#define NOTHING   SLT_PRINTED_NOTHING
#define ESTIMATE  SLT_PRINTED_ESTIMATE
#define MEASURED  SLT_PRINTED_MEASURED
#define TARGET    SLT_PRINTED_TARGET
#define REFERENCE SLT_PRINTED_REFERENCE

static const struct slt_published rows[] = {
    {"table2", FULL, BF16, "60m", 58, .35, ESTIMATE},
    {"table2", FULL, BF16, "130m", 134, .81, ESTIMATE},
    {"table2", FULL, BF16, "350m", 368, 2.21, ESTIMATE},
    {"table2", FULL, BF16, "1b", 1339, 8.04, ESTIMATE},
    {"table2", FULL, BF16, "7b", 0, 0, NOTHING},
    {"table2", LOWRANK, BF16, "60m", 43, .24, ESTIMATE},
    {"table2", LOWRANK, BF16, "130m", 94, .57, ESTIMATE},
    {"table2", LOWRANK, BF16, "350m", 185, 1.11, ESTIMATE},
    {"table2", LOWRANK, BF16, "1b", 609, 3.66, ESTIMATE},
    {"table2", LOWRANK, BF16, "7b", 0, 0, NOTHING},
    {"table2", RELORA, BF16, "60m", 58, .36, ESTIMATE},
    {"table2", RELORA, BF16, "130m", 134, .84, ESTIMATE},
    {"table2", RELORA, BF16, "350m", 368, 1.85, ESTIMATE},
    {"table2", RELORA, BF16, "1b", 1339, 6.34, ESTIMATE},
    {"table2", RELORA, BF16, "7b", 0, 0, NOTHING},
    {"table2", GALORE, BF16, "60m", 58, .28, ESTIMATE},
    {"table2", GALORE, BF16, "130m", 134, .61, ESTIMATE},
    {"table2", GALORE, BF16, "350m", 368, 1.59, ESTIMATE},
    {"table2", GALORE, BF16, "1b", 1339, 4.76, ESTIMATE},
    {"table2", GALORE, BF16, "7b", 0, 0, NOTHING},
    {"table2", SLTRAIN, BF16, "60m", 44, .26, ESTIMATE},
    {"table2", SLTRAIN, BF16, "130m", 97, .60, ESTIMATE},
    {"table2", SLTRAIN, BF16, "350m", 194, 1.24, ESTIMATE},
    {"table2", SLTRAIN, BF16, "1b", 646, 4.16, ESTIMATE},
    {"table2", SLTRAIN, BF16, "7b", 0, 0, NOTHING},
    // With 8-bit optimizers.
    {"table4", GALORE, PAPER8, "7b", 0, 62, MEASURED},
    {"table4", SLTRAIN, PAPER8, "7b", 0, 46, MEASURED},
    // On one A100; all but the first method with updates per layer.
    {"figure3", FULL, BF16, "350m", 0, 4.5, MEASURED},
    {"figure3", FULL, BF16, "1b", 0, 16.3, MEASURED},
    {"figure3", FULL, BF16, "7b", 0, 67.4, MEASURED},
    {"figure3", FULL, OURS8, "350m", 0, 3.5, MEASURED},
    {"figure3", FULL, OURS8, "1b", 0, 11.8, MEASURED},
    {"figure3", FULL, OURS8, "7b", 0, 29.4, MEASURED},
    {"figure3", GALORE, OURS8, "350m", 0, 3.1, MEASURED},
    {"figure3", GALORE, OURS8, "1b", 0, 10.3, MEASURED},
    {"figure3", GALORE, OURS8, "7b", 0, 22.0, MEASURED},
    {"figure3", SLTRAIN, OURS8, "350m", 0, 2.2, MEASURED},
    {"figure3", SLTRAIN, OURS8, "1b", 0, 6.8, MEASURED},
    {"figure3", SLTRAIN, OURS8, "7b", 0, 18.3, MEASURED},
    {"figure3", SLTRAIN, NO_INDEX8, "350m", 0, 2.2, MEASURED},
    {"figure3", SLTRAIN, NO_INDEX8, "1b", 0, 6.8, MEASURED},
    {"figure3", SLTRAIN, NO_INDEX8, "7b", 0, 18.3, MEASURED},
    {"target", SLTRAIN, OURS8, "7b", 0, 13.4, TARGET},
    {"target", SLTRAIN, NO_INDEX8, "7b", 0, 12.7, TARGET},
    {"target", SLTRAIN, PAPER8, "7b", 0, 15.2, REFERENCE},
    {"target", FULL, BF16, "7b", 0, 40.4, REFERENCE},
};

const struct slt_published *slt_published_row(size_t index)
{
    return index < sizeof rows / sizeof *rows ? &rows[index] : NULL;
}

int slt_published_estimate(struct slt_estimate *estimate, const struct slt_published *row,
                           struct slt_error *err)
{
    struct slt_config c;
    int rc = slt_config_preset(&c, row->preset, err);
    if (rc != 0)
        return rc;
    slt_config_method_defaults(&c, row->preset);
    return slt_estimate_memory(estimate, &c, row->scheme, row->accounting, err);
}

const char *slt_published_mark(const struct slt_published *row, const struct slt_estimate *estimate)
{
    const double giga = (double)slt_estimate_total(estimate) / 1e9;
    const double off = fabs(giga - row->giga);
    switch (row->kind) {
    case NOTHING:
        return "-";
    case MEASURED:
        return "measured";
    case REFERENCE:
        return "reference";
    case TARGET:
        return giga <= row->giga ? "met" : "missed";
    case ESTIMATE:
        break;
    }
    return round((double)estimate->parameters / 1e6) != row->millions || off > .02 ||
                   off > .05 * row->giga
               ? "deviates"
               : "-";
}
