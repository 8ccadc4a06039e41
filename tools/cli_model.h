// The options that describe a model's sizes and method, and the configuration they stand for:
// shared by the tools that make one from nothing.
#ifndef SLT_TOOLS_CLI_MODEL_H
#define SLT_TOOLS_CLI_MODEL_H

#include "cli.h"
#include "slt/config.h"

// Targets of the options.
struct cli_model {
    const char *preset, *config; // exactly one is given
    int method;                  // enum slt_method
    int64_t rank;                // 0: the preset's
    double density, alpha;       // -1 and 0: the preset's
    const char *support;         // NULL: random
    int lora_b;                  // -1: not given, 0: kaiming, 1: zero
    int64_t vocab_size;          // 0: the preset's or the file's
    int64_t seed;
};

#define CLI_MODEL_DEFAULTS                                                                         \
    {                                                                                              \
        .method = SLT_SLTRAIN, .density = -1, .lora_b = -1, .seed = 1                              \
    }

// The configuration, not yet checked for its ranges. Options that do not fit together are wrong
// usage (exit 2); else 0, or an exit code with the message printed.
int cli_model_config(struct slt_config *config, const struct cli_model *model, slt_stop_flag *stop);
// The same from sizes that are already there.
void cli_model_apply(struct slt_config *config, const struct cli_model *model);

#endif
