// The options that describe a model's sizes and method, and the configuration they stand for:
// shared by the tools that make one from nothing. What all say of a model's positions.
#ifndef SLT_TOOLS_CLI_MODEL_H
#define SLT_TOOLS_CLI_MODEL_H

#include "cli.h"
#include "slt/config.h"

// Targets of the options.
struct cli_model {
    const char *preset, *config; // exactly one is given
    int method;                  // enum slt_method
    const char *recipe;          // of slt_config_recipe, NULL: none
    int64_t rank;                // 0: the preset's
    double density, alpha;       // -1 and 0: the preset's
    const char *support;         // NULL: random
    const char *dense_layers;    // a list, NULL: none
    struct cli_list layers;      // texts of slt_layers_parse
    double budget;               // of the linears' share, 0: not given
    int lora_b;                  // -1: not given, 0: kaiming, 1: zero
    int64_t vocab_size;          // 0: the preset's or the file's
    int64_t seed;
};

// The rows of sizes and method's numbers.
#define CLI_MODEL(m)                                                                               \
    {"preset", 'p', CLI_TEXT, &(m)->preset,                                                        \
     "NAME",   0,   0,        "nano, 9m, 20m, 35m, 60m, 130m, 350m, 1b or 7b"},                    \
        {"config", 'c', CLI_TEXT, &(m)->config, "FILE", 0, 0, "sizes from a LLaMA config.json"},   \
        {"recipe",                                                                                 \
         0,                                                                                        \
         CLI_WORD,                                                                                 \
         &(m)->recipe,                                                                             \
         "paper|best",                                                                             \
         0,                                                                                        \
         0,                                                                                        \
         "what the linears are, and how they are trained, as published or as recommended"},        \
        {"rank", 'r', CLI_WHOLE, &(m)->rank, "N", 1, 1 << 24, "rank of B A (the paper's)"},        \
        {"budget", 0,                                                                              \
         CLI_REAL, &(m)->budget,                                                                   \
         "F",      1e-9,                                                                           \
         1,        "instead: the largest rank with this share of a full-rank model's linears"},    \
        {"density", 'd', CLI_REAL, &(m)->density,                                                  \
         "X",       0,   1,        "share of non-zeros in S (the paper's)"},                       \
        {"alpha", 'a',  CLI_REAL, &(m)->alpha,                                                     \
         "X",     1e-9, 1e6,      "scale of B A times rank (the paper's)"},                        \
        {"support", 0, CLI_TEXT, &(m)->support,                                                    \
         "KIND",    0, 0,        "random, rows, channels, block:RxC, top (random)"},               \
        {"dense-layers", 0, CLI_TEXT, &(m)->dense_layers,                                          \
         "LIST",         0, 0,        "full-rank layers, such as 0,2-3"},                          \
    {                                                                                              \
        "layer", 0, CLI_LIST, &(m)->layers, "SPEC", 0, 0,                                          \
            "linears that differ, as LAYERS:GROUPS:rank=N,density=X or LAYERS:GROUPS:method=full"  \
    }

#define CLI_MODEL_DEFAULTS                                                                         \
    {                                                                                              \
        .method = SLT_SLTRAIN, .density = -1, .lora_b = -1, .seed = 1                              \
    }

// The configuration, not yet checked for its ranges. Options that do not fit together are wrong
// usage (exit 2); else 0, or an exit code with the message printed.
int cli_model_config(struct slt_config *config, const struct cli_model *model, slt_stop_flag *stop);
// The same from sizes that are already there.
void cli_model_apply(struct slt_config *config, const struct cli_model *model);

// The lines of what the linears are made of: rank, alpha, density and support, where the method has
// them, forms, where layers differ, linear_share, and training, where a recipe says it.
void cli_model_report(struct cli_report *report, const struct slt_config *config);

// Says that what ("--seq 512 goes") is beyond the positions that the model was made for, if that
// many tokens are, unless quiet. Rotary positions are defined there, but the model has seen none.
void cli_say_beyond(const struct cli_common *common, const struct slt_config *config,
                    int64_t tokens, const char *what);
// The same of --seq.
void cli_say_seq_beyond(const struct cli_common *common, const struct slt_config *config,
                        int64_t seq);

#endif
