// Metrics files: JSON lines, each with a "step". Trouble with them is reported once and never stops
// a run.
#ifndef SLT_TOOLS_CLI_METRICS_H
#define SLT_TOOLS_CLI_METRICS_H

#include <jansson.h>
#include <stdio.h>

#include "cli.h"

struct cli_metrics {
    const char *path;
    FILE *file; // NULL: none, or given up
};

// path NULL: nothing is written. With resumed_step > 0 lines of later steps are dropped, and of the
// validation of that step if it is still due; else the file starts empty.
void cli_metrics_open(struct cli_metrics *metrics, const char *path, int64_t resumed_step,
                      bool validation_is_due);
// Adds a number; what is not finite becomes null.
void cli_metrics_real(json_t *object, const char *key, double value);
// Writes and frees the object.
void cli_metrics_write(struct cli_metrics *metrics, json_t *object);
void cli_metrics_close(struct cli_metrics *metrics);

#endif
