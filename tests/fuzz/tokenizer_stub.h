// In a fuzz target that is linked alone: tokenizers without libsentencepiece, which is not built
// with sanitizers. A tokenizer.json works; of a SentencePiece model nothing but its file is read.
#ifdef SLT_FUZZ_ALONE
#include "text/json_tokenizer.h"
#include "text/kinds.h"
#include "text/spm_model.h"

struct slt_tokenizer {
    struct json_tokenizer *model; // NULL of a SentencePiece model
    struct slt_tokenizer_info info;
};
const struct tokenizer_kind spm_kind = {.name = "tokenizer.model"};

int slt_tokenizer_load(struct slt_tokenizer **tokenizer, const char *name, const void *data,
                       size_t bytes, struct slt_error *err)
{
    struct slt_tokenizer *t = calloc(1, sizeof *t);
    struct spm_model m;
    void *model = NULL;
    int rc;
    if (t == NULL)
        abort();
    if (bpe_kind.recognises(data, bytes)) {
        rc = bpe_kind.load(&model, name, data, bytes, err);
        t->model = model;
        if (rc == 0)
            bpe_kind.info(model, &t->info);
    } else {
        rc = spm_model_read(&m, data, bytes, err);
        spm_model_clear(&m);
    }
    if (rc != 0)
        free(t);
    else
        *tokenizer = t;
    return rc;
}

void slt_tokenizer_free(struct slt_tokenizer *t)
{
    bpe_kind.free(t->model);
    free(t);
}

void slt_tokenizer_set_meaning(struct slt_tokenizer *t, const char *bos, const char *eos,
                               const char *pad)
{
    (void)t, (void)bos, (void)eos, (void)pad;
}

const void *slt_tokenizer_model(const struct slt_tokenizer *t, const struct tokenizer_kind *kind)
{
    return kind == &bpe_kind ? t->model : NULL;
}

const struct slt_tokenizer_info *slt_tokenizer_info(const struct slt_tokenizer *t)
{
    return &t->info;
}

struct slt_piece slt_tokenizer_piece(const struct slt_tokenizer *t, uint32_t id)
{
    return bpe_kind.piece(t->model, id);
}

bool slt_tokenizer_adds_space(const struct slt_tokenizer *t)
{
    return t->model != NULL && bpe_kind.adds_space(t->model);
}

const void *slt_tokenizer_data(const struct slt_tokenizer *t, size_t *bytes)
{
    (void)t;
    *bytes = 0;
    return "";
}
#endif
