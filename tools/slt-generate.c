// slt-generate: text from a checkpoint and a prompt, as it is made.
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "cli_model.h"
#include "slt/clock.h"
#include "slt/generate.h"
#include "slt/tokenizer.h"

#define MAX_PROMPT (16 << 20)

struct options {
    struct cli_common common;
    const char *prompt, *prompt_file, *device;
    struct cli_list stop; // texts
    int64_t max_tokens, top_k, seed, threads;
    double temperature, top_p;
    int bos;
};

enum { BOS_AUTO, BOS_YES, BOS_NO };

struct writer {
    const struct options *options;
    struct slt_output *out;
    struct slt_decoder *decoder;
    const struct slt_config *config;
    const struct slt_tokenizer *tokenizer;
    // Made text that is not yet written, since one of the texts that end it could begin in it.
    char *held;
    size_t held_bytes;
    bool ended; // one of them has come
};

// How much of the text may be written: all but an end that could be the beginning of a stop, or
// what stands before a stop; *ended: one is there.
static size_t settled_bytes(const struct cli_list *stop, const char *text, size_t bytes,
                            bool *ended)
{
    for (size_t at = 0; at < bytes; at++) {
        for (size_t i = 0; i < stop->count; i++) {
            const size_t length = strlen(stop->item[i]), left = bytes - at;
            if (memcmp(text + at, stop->item[i], length < left ? length : left) != 0)
                continue;
            *ended = length <= left;
            return at;
        }
    }
    return bytes;
}

// Sends what is settled of the text after one more id (SLT_TOKEN_NONE: the rest) to the output.
// Texts that end it are looked for in what was made, not in the prompt.
static int put(struct writer *w, uint32_t id, bool is_made, struct slt_error *err)
{
    const char *text;
    size_t bytes;
    int rc = slt_decoder_push(w->decoder, id, &text, &bytes, err);
    if (rc != 0 || w->ended || (bytes == 0 && id != SLT_TOKEN_NONE))
        return rc;
    char *all = realloc(w->held, w->held_bytes + bytes + 1);
    if (all == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a text");
    w->held = all;
    memcpy(all + w->held_bytes, text, bytes);
    const size_t have = w->held_bytes + bytes;
    size_t n = is_made ? settled_bytes(&w->options->stop, all, have, &w->ended) : have;
    if (id == SLT_TOKEN_NONE && !w->ended)
        n = have;
    if (n > 0 && (rc = slt_output_write(w->out, all, n, err)) == 0)
        rc = slt_output_flush(w->out, err);
    w->held_bytes = have - n;
    memmove(all, all + n, w->held_bytes);
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

// Whether BOS may have to stand before a prompt.
static bool may_want_bos(const struct options *o, const struct slt_tokenizer *tokenizer)
{
    return o->bos == BOS_YES || (o->bos == BOS_AUTO && slt_tokenizer_info(tokenizer)->adds_bos);
}

// Whether it has to: as other programs would put it there, but not before a model that was made
// here from nothing, since our token files have none.
static bool wants_bos(const struct options *o, const struct slt_tokenizer *tokenizer,
                      const char *provenance)
{
    const bool made_here = provenance != NULL && strstr(provenance, "\"slt-init\"") != NULL &&
                           strstr(provenance, "\"slt-convert\"") == NULL;
    return may_want_bos(o, tokenizer) && (o->bos == BOS_YES || !made_here);
}

// Puts BOS before the prompt's ids, unless it is there, or before an empty prompt EOS as the border
// between documents.
static int begin_prompt(struct slt_token_ids *ids, const struct slt_tokenizer *tokenizer, bool bos,
                        uint32_t eos, struct slt_error *err)
{
    const struct slt_tokenizer_info *info = slt_tokenizer_info(tokenizer);
    if (bos && info->bos == SLT_TOKEN_NONE)
        return slt_error_set(err, SLT_ERR_RANGE, "the tokenizer has no BOS");
    if (ids->count > 0 && (!bos || ids->id[0] == info->bos))
        return 0;
    uint32_t *more = realloc(ids->id, (ids->count + 1) * sizeof *more);
    if (more == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a prompt");
    memmove(more + 1, more, ids->count * sizeof *more);
    more[0] = bos || eos == SLT_TOKEN_NONE ? info->bos : eos;
    if (more[0] == SLT_TOKEN_NONE)
        more[0] = 0;
    ids->id = more;
    ids->capacity = ++ids->count;
    return 0;
}

static int generate(const struct options *o, struct slt_generator *g, struct writer *w,
                    const struct slt_token_ids *prompt, slt_stop_flag *stop, struct slt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < prompt->count; i++)
        rc = put(w, prompt->id[i], false, err);
    if (rc == 0)
        rc = slt_generator_feed(g, (const int32_t *)prompt->id, (int64_t)prompt->count, err);
    const double start = slt_clock_now();
    int64_t made = 0;
    while (rc == 0 && made < o->max_tokens && !w->ended) {
        int32_t id;
        if ((rc = slt_error_stopped(stop, err)) != 0 ||
            (rc = slt_generator_next(g, &id, err)) != 0 || is_end(w->config, w->tokenizer, id))
            break;
        rc = put(w, (uint32_t)id, true, err);
        made++;
    }
    const double seconds = slt_clock_now() - start;
    if (rc == 0)
        rc = put(w, SLT_TOKEN_NONE, true, err);
    if (rc == 0)
        rc = slt_output_printf(w->out, err, "\n");
    if (rc == 0 && o->common.verbose > 0)
        cli_say("%lld tokens after a prompt of %zu, %.1f tokens/s", (long long)made, prompt->count,
                (double)made / seconds);
    return rc;
}

// The one that the checkpoint carries.
static int load_tokenizer(struct slt_tokenizer **tokenizer,
                          const struct slt_checkpoint_reader *reader, struct slt_error *err)
{
    const char *member;
    size_t size;
    const void *data = slt_checkpoint_tokenizer(reader, &size, &member);
    if (data == NULL)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' carries no tokenizer",
                             slt_checkpoint_name(reader));
    return slt_tokenizer_load(tokenizer, slt_checkpoint_name(reader), data, size, err);
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
    struct writer w = {.options = o};
    const struct slt_sampling sampling = {o->temperature, o->top_k, o->top_p, (uint64_t)o->seed,
                                          stop};
    int code = cli_open_model(&in, model, o->common.quiet, stop), rc;
    if (code != 0)
        return code;
    if ((rc = slt_checkpoint_open(&reader, in, &err)) != 0)
        goto out;
    slt_checkpoint_use_threads(reader, (int)o->threads);
    if ((rc = load_tokenizer(&tokenizer, reader, &err)) != 0 ||
        (rc = slt_tokenizer_encode(tokenizer, &ids, prompt, bytes, &err)) != 0)
        goto out;
    w.config = slt_checkpoint_config(reader);
    w.tokenizer = tokenizer;
    const int64_t positions =
        (int64_t)ids.count + (ids.count == 0 || may_want_bos(o, tokenizer)) + o->max_tokens;
    if ((rc = slt_tokenizer_check_size(tokenizer, w.config->vocab_size, slt_checkpoint_name(reader),
                                       &err)) != 0 ||
        (rc = slt_device_open(&device, o->device, (int)o->threads, &err)) != 0 ||
        (rc = slt_generator_create(&generator, device, reader, positions, &sampling, &err)) != 0 ||
        (rc = begin_prompt(&ids, tokenizer,
                           wants_bos(o, tokenizer, slt_checkpoint_provenance(reader)),
                           end_of_document(w.config, tokenizer), &err)) != 0 ||
        (rc = slt_output_open(&w.out, o->common.output, stop, &err)) != 0 ||
        (rc = slt_decoder_create(&w.decoder, tokenizer, &err)) != 0)
        goto out;
    if (o->common.verbose > 0)
        cli_say("%s", slt_device_describe(device));
    cli_say_beyond(&o->common, slt_checkpoint_config(reader), (int64_t)ids.count + o->max_tokens,
                   "prompt and --max-tokens go");
    rc = generate(o, generator, &w, &ids, stop, &err);
out:
    if (rc != 0)
        code = cli_error(&err);
    if (w.out != NULL)
        code = cli_close_output(w.out, code);
    slt_decoder_free(w.decoder);
    free(w.held);
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
        {"bos", 0, CLI_CHOICE, &o.bos, "auto|yes|no", 0, 0,
         "begin with BOS; auto: where the tokenizer does (auto)"},
        {"stop", 0, CLI_LIST, &o.stop, "TEXT", 0, 0, "end before this text; may be given again"},
        {"device", 0, CLI_WORD, &o.device, CLI_DEVICES, 0, 0, "where to compute (auto)"},
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
    for (size_t i = 0; i < o.stop.count; i++)
        if (o.stop.item[i][0] == '\0')
            cli_usage("an empty --stop would end every text at once");
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
    free(o.stop.item);
    return cli_finish(code);
}
