// Which tokens of a tokenizer.json mean the start, the end and nothing.
#include "core/json.h"
#include "text/json_tokenizer.h"

// The id of a token by its text: an added token before a piece of the model.
static uint32_t id_of(const json_t *root, const char *text)
{
    const json_t *one, *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    size_t i;
    json_array_foreach (json_object_get(root, "added_tokens"), i, one)
        if (strcmp(slt_json_string(one, "content"), text) == 0)
            return (uint32_t)json_integer_value(json_object_get(one, "id"));
    one = json_object_get(vocab, text);
    return json_is_integer(one) ? (uint32_t)json_integer_value(one) : SLT_TOKEN_NONE;
}

static uint32_t first_of(const json_t *root, const char *const *names, size_t count)
{
    uint32_t id = SLT_TOKEN_NONE;
    for (size_t i = 0; i < count && id == SLT_TOKEN_NONE; i++)
        id = id_of(root, names[i]);
    return id;
}

// [text, id] as BertProcessing and RobertaProcessing have it.
static void take_pair(uint32_t *id, bool *adds, const json_t *root, const json_t *pair)
{
    const char *text = json_string_value(json_array_get(pair, 0));
    if (text != NULL && id_of(root, text) != SLT_TOKEN_NONE) {
        *id = id_of(root, text);
        *adds = true;
    }
}

// A template: what stands before the text starts it, what stands behind ends it.
static void take_template(struct slt_tokenizer_info *info, const json_t *root, const json_t *list)
{
    const json_t *one;
    size_t i;
    bool behind = false;
    json_array_foreach (list, i, one) {
        const json_t *token = json_object_get(one, "SpecialToken");
        behind = behind || json_object_get(one, "Sequence") != NULL;
        const uint32_t id =
            token == NULL ? SLT_TOKEN_NONE : id_of(root, slt_json_string(token, "id"));
        if (id != SLT_TOKEN_NONE) {
            *(behind ? &info->eos : &info->bos) = id;
            *(behind ? &info->adds_eos : &info->adds_bos) = true;
        }
    }
}

static void take_one_processor(struct slt_tokenizer_info *info, const json_t *root, const json_t *p)
{
    take_pair(&info->bos, &info->adds_bos, root, json_object_get(p, "cls"));
    take_pair(&info->eos, &info->adds_eos, root, json_object_get(p, "sep"));
    take_template(info, root, json_object_get(p, "single"));
}

static void take_processor(struct slt_tokenizer_info *info, const json_t *root, const json_t *p)
{
    const json_t *one;
    size_t i;
    take_one_processor(info, root, p);
    json_array_foreach (json_object_get(p, "processors"), i, one) // of a Sequence
        take_one_processor(info, root, one);
}

void json_tokenizer_find_specials(struct json_tokenizer *t, const json_t *root)
{
    static const char *const bos[] = {"<s>", "<|begin_of_text|>", "<|startoftext|>", "<bos>",
                                      "<|endoftext|>"};
    static const char *const eos[] = {"</s>",       "<|end_of_text|>", "<|endoftext|>",
                                      "<|eot_id|>", "<|im_end|>",      "<eos>"};
    static const char *const pad[] = {"<pad>", "<|pad|>", "[PAD]", "<|finetune_right_pad_id|>",
                                      "<|padding|>"};
    struct slt_tokenizer_info *info = &t->info;
    info->bos = info->eos = info->pad = SLT_TOKEN_NONE;
    info->unk = t->bpe.unk;
    take_processor(info, root, json_object_get(root, "post_processor"));
    if (info->bos == SLT_TOKEN_NONE)
        info->bos = first_of(root, bos, sizeof bos / sizeof *bos);
    if (info->eos == SLT_TOKEN_NONE)
        info->eos = first_of(root, eos, sizeof eos / sizeof *eos);
    const char *padding = slt_json_string(json_object_get(root, "padding"), "pad_token");
    info->pad = id_of(root, padding);
    if (info->pad == SLT_TOKEN_NONE)
        info->pad = first_of(root, pad, sizeof pad / sizeof *pad);
}

void json_tokenizer_set_meaning(struct json_tokenizer *t, const uint32_t ids[3])
{
    uint32_t *const own[] = {&t->info.bos, &t->info.eos, &t->info.pad};
    for (size_t i = 0; i < 3; i++)
        if (ids[i] != SLT_TOKEN_NONE)
            *own[i] = ids[i];
}
