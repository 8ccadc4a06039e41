// The configuration of a model: Hugging Face's LlamaConfig keys and the "slt" object of a
// checkpoint's config.json.
#ifndef SLT_CONFIG_H
#define SLT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slt/dtype.h"
#include "slt/error.h"

// What the linears of a model are: enumerator and name. Each is a row of config/linear_kind.c and a
// file of lib/model with the row slt_linear_NAME.
#define SLT_METHODS(row)                                                                           \
    row(FULL, full)                                                                                \
    row(LOWRANK, lowrank)                                                                          \
    row(SLTRAIN, sltrain)                                                                          \
    row(RELORA, relora)

enum slt_method {
#define SLT_ROW(id, name) SLT_##id,
    SLT_METHODS(SLT_ROW)
#undef SLT_ROW
        SLT_METHOD_COUNT
};

// "full|lowrank|..."
#define SLT_METHOD_CHOICE(id, name) "|" #name
#define SLT_METHOD_CHOICES          (&(SLT_METHODS(SLT_METHOD_CHOICE))[1])

// The positions of an explicit support lie in the checkpoint; the others are functions of a seed.
enum slt_support_kind {
    SLT_SUPPORT_NONE,
    SLT_SUPPORT_RANDOM,
    SLT_SUPPORT_ROWS,     // as many positions in every row, to one
    SLT_SUPPORT_CHANNELS, // whole columns
    SLT_SUPPORT_BLOCK,
    SLT_SUPPORT_EXPLICIT
};

struct slt_support_spec {
    enum slt_support_kind kind;
    int32_t block_rows, block_cols; // SLT_SUPPORT_BLOCK only
};

// How the weights of a checkpoint are stored, see quantize.h.
enum slt_quant_type {
    SLT_QUANT_NONE, // as F32
    SLT_QUANT_INT8,
    SLT_QUANT_DYN8,
    SLT_QUANT_NF4,
    SLT_QUANT_TYPES
};

struct slt_quantization {
    enum slt_quant_type type;
    int64_t block; // values that share a scale; 0 with SLT_QUANT_NONE
};

enum slt_role {
    SLT_ROLE_EMBEDDING, // (vocab, hidden)
    SLT_ROLE_HEAD,      // (vocab, hidden); absent with tied embeddings
    SLT_ROLE_NORM,      // (1, hidden)
    SLT_ROLE_WEIGHT,    // W (out, in) of a linear
    SLT_ROLE_LORA_A,    // A (r, in)
    SLT_ROLE_LORA_B,    // B (out, r)
    SLT_ROLE_SPARSE,    // values of S (1, nnz), by row and column ascending
    SLT_ROLE_INDEX,     // their positions row * in + column (1, nnz), of an explicit support
    SLT_ROLES
};

// The groups of linears that share an input, in layer order.
enum slt_group_kind {
    SLT_GROUP_QKV,
    SLT_GROUP_O,
    SLT_GROUP_GATE_UP,
    SLT_GROUP_DOWN,
    SLT_GROUP_KINDS
};

// The norms: before a layer's attention, before its MLP, and after the last layer.
enum slt_norm_kind { SLT_NORM_ATTENTION, SLT_NORM_MLP, SLT_NORM_FINAL, SLT_NORM_KINDS };

// The architectures, see config/architecture.c.
#define SLT_MORE_EOS 15 // tokens that end a text besides EOS

enum slt_architecture_id { SLT_LLAMA, SLT_ARCHITECTURES };

// How the frequencies of rotary positions are scaled, so that a model reaches further than it was
// first trained for: Hugging Face's rope_type.
enum slt_rope_type {
    SLT_ROPE_DEFAULT, // they are not
    SLT_ROPE_LINEAR,  // all divided by factor
    SLT_ROPE_LLAMA3,  // by wavelength: the long ones are, the short ones are not
    SLT_ROPE_TYPES
};

struct slt_rope_scaling {
    enum slt_rope_type type;
    double factor; // 0 with SLT_ROPE_DEFAULT
    // SLT_ROPE_LLAMA3 only, else 0
    double low_freq_factor, high_freq_factor;
    int64_t original_max_position_embeddings;
};

// Linears that differ from the model's: those of some groups in a range of layers. They are full, or
// have a rank or a density of their own.
struct slt_layers {
    int64_t first, last; // both included
    unsigned groups;     // bits 1 << enum slt_group_kind
    bool full;
    int64_t rank;   // 0: the model's
    double density; // 0: the model's
};

#define SLT_LAYERS_LIMIT 32
#define SLT_CONFIG_TRAINING 512

struct slt_config {
    enum slt_architecture_id architecture;
    // LlamaConfig
    int64_t vocab_size, hidden_size, intermediate_size, num_hidden_layers;
    int64_t num_attention_heads, num_key_value_heads, head_dim, max_position_embeddings;
    double rms_norm_eps, rope_theta, initializer_range;
    struct slt_rope_scaling rope_scaling;
    bool tie_word_embeddings;
    int64_t bos_token_id, eos_token_id, pad_token_id; // -1 where there is none
    int64_t more_eos[SLT_MORE_EOS]; // where eos_token_id is a list: those behind the first one
    int64_t more_eos_count;
    // slt
    enum slt_method method;
    int64_t rank;   // r of every linear but for layers; 0 for full
    double alpha;   // W = (alpha / rank) B A + S, with the same alpha / rank whatever a linear's r
    double density; // share of out*in in the support of S; 0 without a sparse part
    struct slt_support_spec support;
    uint64_t seed;        // of initialisation and support
    uint32_t support_crc; // CRC-32 of drawn positions, see slt_support_crc; else 0
    bool lora_b_zero;     // lowrank only: B starts as zeros instead of kaiming
    struct slt_layers layers[SLT_LAYERS_LIMIT]; // no linear is in two of them
    int64_t layers_count;
    struct slt_quantization quantization;
    // How it is meant to be trained: an object of options by their keys in trainer.json, as compact
    // JSON; empty: nothing is said.
    char training[SLT_CONFIG_TRAINING];
};

// "full", "lowrank", "sltrain", "relora"; NULL behind the last one.
SLT_API const char *slt_method_name(enum slt_method method);
// SLT_ERR_RANGE with a sentence that lists the known names.
SLT_API int slt_method_parse(enum slt_method *method, const char *text,
                             struct slt_error *err) SLT_CHECK_RESULT;
// Whether linears of a method have a tensor of this role; whether a trained W is all they have.
SLT_API bool slt_method_has(enum slt_method method, enum slt_role role);
SLT_API bool slt_method_is_dense(enum slt_method method);
// "random", "rows", "channels", "block:RxC", "explicit".
SLT_API int slt_support_parse(struct slt_support_spec *spec, const char *text,
                              struct slt_error *err) SLT_CHECK_RESULT;
SLT_API char *slt_support_format(char *text, size_t size, const struct slt_support_spec *spec);
// The number of positions: (int64)(density * (double)(out * in)); for blocks R*C times
// (int64)(density * (double)(blocks of the grid)), of which a channel is one of out x 1.
SLT_API int64_t slt_support_count(const struct slt_support_spec *spec, double density, int64_t out,
                                  int64_t in);

#define SLT_QUANT_BLOCK_MAX ((int64_t)1 << 16)

// "int8", "dyn8", "nf4"; "none" for SLT_QUANT_NONE.
SLT_API const char *slt_quant_name(enum slt_quant_type type);
// SLT_ERR_RANGE with a sentence that lists the known names, of which "none" is not one.
SLT_API int slt_quant_parse(enum slt_quant_type *type, const char *text,
                            struct slt_error *err) SLT_CHECK_RESULT;

// Preset number index (nano 9m 20m 35m 60m 130m 350m 1b 7b), or NULL after the last one.
SLT_API const char *slt_config_preset_name(size_t index);
// The preset of this name in upper or lower case, as its own name; NULL if there is none.
SLT_API const char *slt_config_preset_find(const char *name);
// Takes a name in upper or lower case. Fills a full-rank configuration: the paper's sizes,
// vocabulary 32000 (nano: 4096), eps 1e-6, theta 10000.
SLT_API int slt_config_preset(struct slt_config *config, const char *name,
                              struct slt_error *err) SLT_CHECK_RESULT;
// Sets rank, density and alpha to the paper's for a preset; for other sizes (preset NULL) to a
// quarter of the hidden size, .03 and a quarter of the rank.
SLT_API void slt_config_method_defaults(struct slt_config *config, const char *preset);

// Sets rank, density, alpha and training of a configuration with sizes and method by a recipe:
// "paper", the published settings of a preset, or "best", what is recommended for any size.
// SLT_ERR_RANGE for another recipe, another method than sltrain, or sizes that the paper has not.
SLT_API int slt_config_recipe(struct slt_config *config, const char *preset, const char *recipe,
                              struct slt_error *err) SLT_CHECK_RESULT;

// Whether a token ends what the model writes: one of eos_token_id.
SLT_API bool slt_config_is_eos(const struct slt_config *config, int64_t id);
// Adds an end, unless it is there. SLT_ERR_RANGE where there are too many.
SLT_API int slt_config_add_eos(struct slt_config *config, int64_t id, struct slt_error *err)
    SLT_CHECK_RESULT;

// ---- Linears that differ by layer ----

// What a linear is made of.
struct slt_form {
    enum slt_method method;
    int64_t rank;   // r; 0 for full
    double scale;   // s: W = s B A + S; 0 for full
    double density; // 0 without S
    struct slt_support_spec support;
};

// What all linears of a group are in a layer: the model's method, rank and density, but for layers.
SLT_API struct slt_form slt_config_form(const struct slt_config *config, int64_t layer,
                                        int32_t group);
// Adds what a text such as "1-3:o,down:rank=48,density=0.1" says to layers, one element for each
// range: LAYERS:GROUPS:SETTINGS, where LAYERS is a list of numbers from 0, of "first" and "last" and
// of ranges of them, GROUPS a list of groups, "*" all of either, and SETTINGS "method=full", or
// "rank=N" and "density=X" or one of them. SLT_ERR_RANGE with a sentence that quotes what is wrong;
// whether the model can have it is left to slt_config_check.
SLT_API int slt_layers_parse(struct slt_config *config, const char *text, struct slt_error *err)
    SLT_CHECK_RESULT;
// The text of one element.
SLT_API char *slt_layers_format(char *text, size_t size, const struct slt_layers *layers);
// The trained values of all linears over those that they have in the full-rank model.
SLT_API double slt_config_linear_share(const struct slt_config *config);
// Sets the model's rank to the largest with which that share is at most share. Ranks and methods of
// layers stay as they are, and so does alpha. SLT_ERR_RANGE if rank 1 is too much, or the method has
// none.
SLT_API int slt_config_fit_rank(struct slt_config *config, double share, struct slt_error *err)
    SLT_CHECK_RESULT;

// The configuration of the same model with its linears merged to dense weights.
SLT_API void slt_config_make_full(struct slt_config *config);

// Parses config.json text (a checkpoint's, or a Hugging Face LLaMA's: without an "slt" object the
// method is full). Unknown keys are ignored, keys that change the function computed in a way that
// is not supported (biases, another activation, other scalings of rotary positions) are refused.
SLT_API int slt_config_parse(struct slt_config *config, const char *name, const char *json,
                             size_t bytes, struct slt_error *err) SLT_CHECK_RESULT;
// Writes config.json text; the caller frees *json (NUL-terminated).
SLT_API int slt_config_write(const struct slt_config *config, char **json,
                             struct slt_error *err) SLT_CHECK_RESULT;
// Checks every field and their combination; the sentence names the field.
SLT_API int slt_config_check(const struct slt_config *config,
                             struct slt_error *err) SLT_CHECK_RESULT;

// ---- The list of parameters that a configuration stands for ----

struct slt_param_info {
    char name[120]; // Hugging Face's name, e.g. "model.layers.0.self_attn.q_proj.weight"
    enum slt_role role;
    int64_t rows, cols; // the logical matrix; norms and sparse values are (1, n)
    bool is_vector;     // one-dimensional in files
    bool frozen;        // not trained: no gradient, no optimizer state
    int32_t layer;      // -1 outside the layers
    int32_t norm;       // enum slt_norm_kind of a norm, else -1
    int32_t group;      // enum slt_group_kind of a linear, else -1
    int32_t member;     // position in the group, else -1
    int64_t out, in;    // shape of the linear it belongs to, else 0
    struct slt_form form; // of that linear
};

// The type of a parameter's elements in files: F32; I32 of positions below 2^31, else I64.
SLT_API enum slt_dtype slt_param_dtype(const struct slt_param_info *param);
// All tensors in file order (embedding, layers with W, A, B, positions and values of S adjacent,
// final norm, head). The caller frees *list.
SLT_API int slt_config_params(const struct slt_config *config, struct slt_param_info **list,
                              size_t *count, struct slt_error *err) SLT_CHECK_RESULT;
// The number of trained values: the sum of rows*cols over that list, without what is frozen.
SLT_API uint64_t slt_config_param_count(const struct slt_config *config);
// The name of a linear without the tensor's suffix ("model.layers.0.self_attn.q_proj"): the layer
// name of its support.
SLT_API char *slt_linear_name(char *text, size_t size, const struct slt_config *config,
                              int32_t layer, int32_t group, int32_t member);
// "qkv", "o", "gate_up", "down".
SLT_API const char *slt_group_name(enum slt_group_kind group);

#endif
