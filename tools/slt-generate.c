// slt-generate: text from a checkpoint and a prompt, as it is made.
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "slt/clock.h"
#include "slt/generate.h"
#include "slt/tokenizer.h"

#define MAX_PROMPT (16 << 20)

struct options {
    struct cli_common common;
    const char *prompt, *prompt_file, *device;
    int64_t max_tokens, top_k, seed, threads;
    double temperature, top_p;
};

struct writer {
    struct slt_output *out;
    struct slt_decoder *decoder;
    const struct slt_config *config;
    const struct slt_tokenizer *tokenizer;
};

// Sends what is settled of the text after one more id (SLT_TOKEN_NONE: the rest) to the output.
static int put(struct writer *w, uint32_t id, struct slt_error *err)
{
    const char *text;
    size_t bytes;
    int rc = slt_decoder_push(w->decoder, id, &text, &bytes, err);
    if (rc == 0 && bytes > 0 && (rc = slt_output_write(w->out, text, bytes, err)) == 0)
        rc = slt_output_flush(w->out, err);
    return rc;
}

// What ends a document: the model's word counts before the tokenizer's.
static bool is_end(const struct slt_config *c, const struct slt_tokenizer *tokenizer, int32_t id)
{
    return c->eos_token_id >= 0 ? slt_config_is_eos(c, id)
                                : (uint32_t)id == slt_tokenizer_info(tokenizer)->eos;
}

static uint32_t end_of_document(const struct slt_config *c, const struct slt_tokenizer *tokenizer)
{
    return c->eos_token_id >= 0 ? (uint32_t)c->eos_token_id : slt_tokenizer_info(tokenizer)->eos;
}

// BOS, where the tokenizer has one that the model was trained with, does not start our token files:
// the prompt's ids alone are fed, or EOS as the border between documents where the prompt is empty.
static int encode_prompt(struct slt_token_ids *ids, const struct slt_tokenizer *tokenizer,
                         uint32_t eos, const char *text, size_t bytes, struct slt_error *err)
{
    const struct slt_tokenizer_info *info = slt_tokenizer_info(tokenizer);
    int rc = slt_tokenizer_encode(tokenizer, ids, text, bytes, err);
    if (rc != 0 || ids->count > 0)
        return rc;
    uint32_t *one = realloc(ids->id, sizeof *one);
    if (one == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a prompt");
    ids->id = one;
    ids->capacity = ids->count = 1;
    ids->id[0] = eos != SLT_TOKEN_NONE ? eos : info->bos != SLT_TOKEN_NONE ? info->bos : 0;
    return 0;
}

static int generate(const struct options *o, struct slt_generator *g, struct writer *w,
                    const struct slt_token_ids *prompt, slt_stop_flag *stop, struct slt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < prompt->count; i++)
        rc = put(w, prompt->id[i], err);
    if (rc == 0)
        rc = slt_generator_feed(g, (const int32_t *)prompt->id, (int64_t)prompt->count, err);
    const double start = slt_clock_now();
    int64_t made = 0;
    while (rc == 0 && made < o->max_tokens) {
        int32_t id;
        if ((rc = slt_error_stopped(stop, err)) != 0 ||
            (rc = slt_generator_next(g, &id, err)) != 0 || is_end(w->config, w->tokenizer, id))
            break;
        rc = put(w, (uint32_t)id, err);
        made++;
    }
    const double seconds = slt_clock_now() - start;
    if (rc == 0)
        rc = put(w, SLT_TOKEN_NONE, err);
    if (rc == 0)
        rc = slt_output_printf(w->out, err, "\n");
    if (rc == 0 && o->common.verbose > 0)
        cli_say("%lld tokens after a prompt of %zu, %.1f tokens/s", (long long)made, prompt->count,
                (double)made / seconds);
    return rc;
}

static int run(const struct options *o, const char *model, const char *prompt, size_t bytes,
               slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_input *in = NULL;
    struct slt_checkpoint_reader *reader = NULL;
    struct slt_device *device = NULL;
    struct slt_generator *generator = NULL;
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_token_ids ids = {0};
    struct writer w = {0};
    const struct slt_sampling sampling = {o->temperature, o->top_k, o->top_p, (uint64_t)o->seed,
                                          stop};
    int code = cli_open_model(&in, model, o->common.quiet, stop), rc;
    if (code != 0)
        return code;
    if ((rc = slt_checkpoint_open(&reader, in, &err)) != 0)
        goto out;
    slt_checkpoint_use_threads(reader, (int)o->threads);
    const char *member;
    uint32_t eos = SLT_TOKEN_NONE;
    size_t size;
    const void *data = slt_checkpoint_tokenizer(reader, &size, &member);
    if (data == NULL) {
        rc = slt_error_set(&err, SLT_ERR_FORMAT, "'%s' carries no tokenizer",
                           slt_checkpoint_name(reader));
        goto out;
    }
    if ((rc = slt_tokenizer_load(&tokenizer, slt_checkpoint_name(reader), data, size, &err)) != 0)
        goto out;
    w.config = slt_checkpoint_config(reader);
    w.tokenizer = tokenizer;
    eos = end_of_document(w.config, tokenizer);
    if ((rc = slt_tokenizer_check_size(tokenizer, w.config->vocab_size, slt_checkpoint_name(reader),
                                       &err)) != 0 ||
        (rc = encode_prompt(&ids, tokenizer, eos, prompt, bytes, &err)) != 0 ||
        (rc = slt_device_open(&device, o->device, (int)o->threads, &err)) != 0 ||
        (rc = slt_generator_create(&generator, device, reader, (int64_t)ids.count + o->max_tokens,
                                   &sampling, &err)) != 0 ||
        (rc = slt_output_open(&w.out, o->common.output, stop, &err)) != 0 ||
        (rc = slt_decoder_create(&w.decoder, tokenizer, &err)) != 0)
        goto out;
    if (o->common.verbose > 0)
        cli_say("%s", slt_device_describe(device));
    const int64_t positions = slt_checkpoint_config(reader)->max_position_embeddings;
    if (!o->common.quiet && (int64_t)ids.count + o->max_tokens > positions)
        cli_say("prompt and --max-tokens go beyond the %lld positions that the model was made for",
                (long long)positions);
    rc = generate(o, generator, &w, &ids, stop, &err);
out:
    if (rc != 0)
        code = cli_error(&err);
    if (w.out != NULL)
        code = cli_close_output(w.out, code);
    slt_decoder_free(w.decoder);
    slt_token_ids_free(&ids);
    slt_tokenizer_free(tokenizer);
    slt_generator_free(generator);
    slt_checkpoint_close(reader);
    slt_device_close(device);
    return code;
}

int main(int argc, char **argv)
{
    struct options o = {.common = {.output = "-"},
                        .device = "auto",
                        .max_tokens = 100,
                        .temperature = 0.8,
                        .top_p = 1,
                        .seed = 1};
    const struct cli_option options[] = {
        CLI_COMMON(&o.common),
        {"prompt", 'p', CLI_TEXT, &o.prompt, "TEXT", 0, 0, "text to go on from"},
        {"prompt-file", 0, CLI_TEXT, &o.prompt_file, "FILE", 0, 0, "read the prompt from FILE"},
        {"max-tokens", 'n', CLI_WHOLE, &o.max_tokens, "N", 1, 1 << 20, "tokens to make (100)"},
        {"temperature", 't', CLI_REAL, &o.temperature, "X", 0, 100,
         "0 takes the most likely token (0.8)"},
        {"top-k", 0, CLI_WHOLE, &o.top_k, "N", 0, 1 << 24, "among the N most likely; 0: all (0)"},
        {"top-p", 0, CLI_REAL, &o.top_p, "X", 0, 1, "among the likeliest of probability X (1)"},
        {"seed", 's', CLI_WHOLE, &o.seed, "N", 0, 9.2e18, "of the sampling (1)"},
        {"device", 0, CLI_WORD, &o.device, "auto|cpu|cpu-reference|cuda", 0, 0,
         "where to compute (auto)"},
        {"threads", 0, CLI_WHOLE, &o.threads, "N", 0, 4096, "CPU threads; 0: all (0)"},
    };
    const struct cli_program program = {
        "slt-generate", "[options] [MODEL.slt]",
        "Prints a prompt and goes on from it, until the end of the document or --max-tokens.",
        options, sizeof options / sizeof *options};
    const int first = cli_parse(&program, argc, &argv);
    const char *model = cli_one_input(argv, first);
    if (o.prompt != NULL && o.prompt_file != NULL)
        cli_usage("give --prompt or --prompt-file, not both");
    if (o.prompt_file != NULL && strcmp(o.prompt_file, "-") == 0 && strcmp(model, "-") == 0)
        cli_usage("only one of the inputs can be '-'");
    slt_stop_flag *stop = cli_catch_signals();
    struct slt_error err;
    void *text = NULL;
    size_t bytes = o.prompt != NULL ? strlen(o.prompt) : 0;
    int code = 0;
    if (o.prompt_file != NULL &&
        slt_file_read(&text, &bytes, o.prompt_file, MAX_PROMPT, stop, &err) != 0)
        code = cli_error(&err);
    if (code == 0)
        code = run(&o, model, text != NULL ? text : o.prompt != NULL ? o.prompt : "", bytes, stop);
    free(text);
    return cli_finish(code);
}
