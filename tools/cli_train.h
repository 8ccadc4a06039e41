// The options of training: shared by the program that trains and the one that plans.
#ifndef SLT_TOOLS_CLI_TRAIN_H
#define SLT_TOOLS_CLI_TRAIN_H

#include "cli.h"
#include "slt/train.h"

// Appends the options of the library's table to rows, which hold count of CLI_MAX_OPTIONS: all, or
// those that decide memory and arithmetic. Returns the new count. rows point into options.
size_t cli_train_options(struct cli_option *rows, size_t count, struct slt_train_options *options,
                         bool to_plan);

#endif
