// slt-tokenize: text to a token file, and back.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "cli_corpus.h"
#include "slt/clock.h"
#include "slt/corpus.h"
#include "slt/random.h"
#include "slt/shards.h"
#include "slt/tokens.h"

#define BATCH_BYTES     ((size_t)4 << 20) // of text that is encoded at once
#define BATCH_DOCUMENTS 4096
#define SPLIT_BYTES     65536 // of longer documents, unless --split says otherwise
#define SPLIT_LINE                                                                                 \
    ((int64_t)1 << 20) // and of lines, which SentencePiece takes 200 times as much for

struct options {
    int64_t skip, limit; // documents
    struct cli_common common;
    const char *tokenizer, *train_tokenizer, *valid_output;
    struct cli_list field; // one at most
    int64_t vocab_size, seed, threads, split;
    double valid_fraction, max_skipped;
    int format, document;
    int64_t shard_tokens, shuffle;
    bool decode, resume;
};

// ---- Hold-out ----

// Whether document number n belongs to the validation file: a function of seed and number.
static bool is_held_out(const struct options *o, uint64_t n)
{
    uint32_t word[4];
    if (o->valid_output == NULL)
        return false;
    slt_random_block(word, slt_random_key("slt-holdout-1", "", (uint64_t)o->seed), n, 0);
    return (double)word[0] * 0x1p-32 < o->valid_fraction;
}

static const char *field_of(const struct options *o)
{
    return o->field.count > 0 ? o->field.item[0] : "text";
}

static struct slt_corpus_options corpus_options(const struct options *o, slt_stop_flag *stop)
{
    return (struct slt_corpus_options){.format = (enum slt_corpus_format)o->format,
                                       .field = field_of(o),
                                       .document = (enum slt_corpus_document)o->document,
                                       .split = (uint64_t)(o->split < 0 ? SPLIT_BYTES : o->split),
                                       .split_line =
                                           (uint64_t)(o->split < 0 ? SPLIT_LINE : o->split),
                                       .stop = stop};
}

// ---- Training a tokenizer ----

// The next document that --skip and --limit leave: 1, or 0 behind the last one, or an error.
static int next_document(const struct options *o, struct slt_corpus *corpus, const char **text,
                         size_t *bytes, struct slt_error *err)
{
    const struct slt_corpus_counts *c = slt_corpus_counts(corpus);
    const uint64_t skip = (uint64_t)o->skip, last = skip + (uint64_t)o->limit;
    int rc = 1;
    do
        rc = o->limit > 0 && c->documents >= last ? 0 : slt_corpus_next(corpus, text, bytes, err);
    while (rc == 1 && c->documents <= skip);
    return rc;
}

// The lines, with their newlines, of all documents that are not held out.
struct line_source {
    const struct options *options;
    struct slt_corpus *corpus;
    const char *text;
    size_t bytes;
};

static int next_line(void *user, const char **text, size_t *bytes, struct slt_error *err)
{
    struct line_source *s = user;
    while (s->bytes == 0) {
        const int rc = next_document(s->options, s->corpus, &s->text, &s->bytes, err);
        if (rc <= 0)
            return rc;
        if (is_held_out(s->options, slt_corpus_counts(s->corpus)->documents - 1))
            s->bytes = 0;
    }
    const char *newline = memchr(s->text, '\n', s->bytes);
    *text = s->text;
    *bytes = newline != NULL ? (size_t)(newline - s->text) + 1 : s->bytes;
    s->text += *bytes;
    s->bytes -= *bytes;
    return 1;
}

// Trains on the inputs, writes the model to an output that the caller publishes, and loads it.
static int train_tokenizer(const struct options *o, const struct cli_spool *spool,
                           struct slt_tokenizer **tokenizer, struct slt_output *out,
                           slt_stop_flag *stop, struct slt_error *err)
{
    const struct slt_corpus_options options = corpus_options(o, stop);
    struct line_source source = {.options = o};
    void *model = NULL;
    size_t bytes;
    int rc = slt_corpus_open(&source.corpus, spool->paths, spool->count, &options, err);
    if (rc == 0)
        rc = slt_tokenizer_train(&model, &bytes, next_line, &source, (uint32_t)o->vocab_size, err);
    if (rc == 0 && (rc = slt_tokenizer_load(tokenizer, o->train_tokenizer, model, bytes, err)) == 0)
        rc = slt_output_write(out, model, bytes, err);
    slt_corpus_close(source.corpus);
    free(model);
    return rc;
}

// ---- Encoding ----

struct batch {
    char *text[BATCH_DOCUMENTS];
    size_t bytes[BATCH_DOCUMENTS];
    size_t encoded[BATCH_DOCUMENTS]; // bytes, or 0 where the ids are in a shard already
    bool held_out[BATCH_DOCUMENTS];
    struct slt_token_ids ids[BATCH_DOCUMENTS];
    size_t count, total;
};

// Both token files, valid being NULL without --valid-output; the first may be shards.
struct files {
    struct slt_output *train_out, *valid_out, *model_out;
    struct slt_tokens_writer *train, *valid;
    struct slt_shards *shards;
    struct slt_tokens_totals train_totals, valid_totals;
    uint64_t train_documents; // given to batches so far
};

// Where documents come from: the input, through a buffer that shuffles them if there is one.
struct source {
    const struct options *options;
    struct slt_corpus *corpus;
    struct slt_shuffle *shuffle;
    bool ended;
};

// 1 with a document that the caller frees, 0 at the end, or an error.
static int take_document(struct source *s, struct slt_document *d, struct slt_error *err)
{
    while (!s->ended) {
        struct slt_document in = {.number = 0};
        const char *text;
        const int rc = next_document(s->options, s->corpus, &text, &in.bytes, err);
        if (rc < 0)
            return rc;
        s->ended = rc == 0;
        if (s->ended)
            break;
        if ((in.text = malloc(in.bytes + 1)) == NULL)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a document");
        memcpy(in.text, text, in.bytes);
        in.number = slt_corpus_counts(s->corpus)->documents - 1;
        *d = in;
        if (s->shuffle == NULL || slt_shuffle_push(s->shuffle, d, in))
            return 1;
    }
    return s->shuffle != NULL && slt_shuffle_pop(s->shuffle, d);
}

static int read_batch(struct source *s, struct batch *b, struct files *f, struct slt_error *err)
{
    b->count = b->total = 0;
    while (b->count < BATCH_DOCUMENTS && b->total < BATCH_BYTES) {
        struct slt_document d;
        const int rc = take_document(s, &d, err);
        if (rc <= 0)
            return rc;
        const size_t i = b->count++;
        b->text[i] = d.text;
        b->bytes[i] = b->encoded[i] = d.bytes;
        b->held_out[i] = is_held_out(s->options, d.number);
        if (!b->held_out[i] && f->shards != NULL &&
            !slt_shards_needs(f->shards, f->train_documents))
            b->encoded[i] = 0;
        f->train_documents += !b->held_out[i];
        b->total += d.bytes;
    }
    return 0;
}

static int write_document(const struct batch *b, size_t i, struct files *f, struct slt_error *err)
{
    const struct slt_token_ids *ids = &b->ids[i];
    if (f->shards != NULL && !b->held_out[i])
        return slt_shards_append(f->shards, ids->id, ids->count, b->bytes[i], err);
    return slt_tokens_append(b->held_out[i] ? f->valid : f->train, ids->id, ids->count, b->bytes[i],
                             err);
}

static int write_batch(struct batch *b, const struct slt_tokenizer *tokenizer, struct files *f,
                       int threads, struct slt_error *err)
{
    for (size_t i = 0; i < b->count; i++)
        b->ids[i].count = 0;
    int rc = slt_tokenizer_encode_batch(tokenizer, b->ids, (const char *const *)b->text, b->encoded,
                                        b->count, threads, err);
    for (size_t i = 0; i < b->count; i++) {
        if (rc == 0)
            rc = write_document(b, i, f, err);
        free(b->text[i]);
    }
    b->count = 0;
    return rc;
}

static int encode(const struct options *o, const struct cli_spool *spool,
                  const struct slt_tokenizer *tokenizer, struct files *f, slt_stop_flag *stop,
                  struct slt_corpus_counts *counts, struct slt_error *err)
{
    struct slt_corpus_options options = corpus_options(o, stop);
    struct cli_corpus_teller teller = {field_of(o), -1};
    struct source source = {.options = o};
    struct cli_progress progress;
    struct batch *b = calloc(1, sizeof *b);
    if (o->common.verbose > 0 && !o->common.quiet) {
        options.on_file = cli_corpus_tell;
        options.user = &teller;
    }
    int rc = b == NULL ? slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a batch")
                       : slt_corpus_open(&source.corpus, spool->paths, spool->count, &options, err);
    if (rc == 0 && o->shuffle > 0)
        rc = slt_shuffle_create(&source.shuffle, (uint64_t)o->shuffle, (uint64_t)o->seed, err);
    cli_progress_start(&progress, &o->common);
    do {
        if (rc == 0)
            rc = read_batch(&source, b, f, err);
        if (rc == 0 && b->count > 0)
            rc = write_batch(b, tokenizer, f, (int)o->threads, err);
        else
            break;
        if (cli_progress_due(&progress))
            cli_progress_line(&progress, "%llu documents, %.1f MB",
                              (unsigned long long)slt_corpus_counts(source.corpus)->documents,
                              (double)slt_corpus_counts(source.corpus)->text_bytes * 1e-6);
    } while (rc == 0);
    cli_progress_clear(&progress);
    if (rc == 0) {
        *counts = *slt_corpus_counts(source.corpus);
        if (!o->common.quiet)
            cli_corpus_report_skips(source.corpus);
        rc = cli_corpus_check_skips(source.corpus, o->max_skipped, err);
    }
    for (size_t i = 0; b != NULL && i < BATCH_DOCUMENTS; i++) {
        if (i < b->count)
            free(b->text[i]);
        slt_token_ids_free(&b->ids[i]);
    }
    free(b);
    slt_shuffle_free(source.shuffle);
    slt_corpus_close(source.corpus);
    return rc;
}

static int begin_files(const struct options *o, const struct slt_tokenizer *tokenizer,
                       struct files *f, slt_stop_flag *stop, struct slt_error *err)
{
    const struct slt_tokenizer_info *info = slt_tokenizer_info(tokenizer);
    struct slt_tokens_header header = {
        .vocab_size = info->vocab_size, .eos = info->eos, .pad = info->pad};
    memcpy(header.digest, info->digest, sizeof header.digest);
    int rc = o->shard_tokens > 0
                 ? slt_shards_create(&f->shards, o->common.output, &header,
                                     (uint64_t)o->shard_tokens, o->resume, stop, err)
                 : slt_tokens_create(&f->train, f->train_out, &header, err);
    if (rc == 0 && f->valid_out != NULL)
        rc = slt_tokens_create(&f->valid, f->valid_out, &header, err);
    return rc;
}

// All outputs are complete on disk before the first one is renamed.
static int end_files(struct files *f, struct slt_error *err)
{
    int rc = f->shards != NULL ? slt_shards_finish(f->shards, &f->train_totals, err)
                               : slt_tokens_finish(f->train, &f->train_totals, err);
    f->train = NULL;
    f->shards = NULL;
    if (rc == 0 && f->valid != NULL) {
        rc = slt_tokens_finish(f->valid, &f->valid_totals, err);
        f->valid = NULL;
    }
    struct slt_output **const outs[] = {&f->model_out, &f->valid_out, &f->train_out};
    for (int i = 0; rc == 0 && i < 3; i++)
        if (*outs[i] != NULL)
            rc = slt_output_finish(*outs[i], err);
    for (int i = 0; rc == 0 && i < 3; i++) {
        if (*outs[i] != NULL) {
            rc = slt_output_publish(*outs[i], err);
            *outs[i] = NULL;
        }
    }
    return rc;
}

static void report(const struct options *o, const struct files *f,
                   const struct slt_corpus_counts *c, double seconds)
{
    if (o->common.quiet)
        return;
    if (c->documents == 0)
        cli_say("there was no document");
    else if (o->valid_output != NULL && f->valid_totals.tokens == 0)
        cli_say("'%s' is empty: none of the %llu documents was held out", o->valid_output,
                (unsigned long long)c->documents);
    else if (f->train_totals.tokens == 0)
        cli_say("the token file has no document%s",
                f->valid_totals.tokens > 0 ? ": all of them are held out" : "");
    if (o->common.verbose == 0)
        return;
    const double tokens = (double)(f->train_totals.tokens + f->valid_totals.tokens);
    const uint64_t bytes = f->train_totals.text_bytes + f->valid_totals.text_bytes;
    char what[600];
    cli_corpus_describe(what, sizeof what, c, field_of(o));
    cli_say("%llu documents, %llu bytes, %.0f tokens (%llu held out), %.3f bytes per token, "
            "%.1f s, %.1f MB/s, read as %s",
            (unsigned long long)(f->train_totals.documents + f->valid_totals.documents),
            (unsigned long long)bytes, tokens, (unsigned long long)f->valid_totals.tokens,
            tokens > 0 ? (double)bytes / tokens : 0, seconds, (double)bytes * 1e-6 / seconds, what);
}

static int open_outputs(const struct options *o, struct files *f, slt_stop_flag *stop)
{
    int code =
        o->shard_tokens > 0 ? 0 : cli_open_binary_output(&f->train_out, o->common.output, stop);
    if (code == 0 && o->valid_output != NULL)
        code = cli_open_binary_output(&f->valid_out, o->valid_output, stop);
    if (code == 0 && o->train_tokenizer != NULL)
        code = cli_open_binary_output(&f->model_out, o->train_tokenizer, stop);
    return code;
}

static int tokenize(const struct options *o, char **paths, slt_stop_flag *stop)
{
    struct slt_error err;
    struct cli_spool spool = {0}, plain = {.paths = (const char **)paths};
    struct files f = {0};
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_corpus_counts counts = {0};
    double start = slt_clock_now();
    int rc = 0, code = open_outputs(o, &f, stop);
    if (code != 0)
        goto out;
    if (o->train_tokenizer != NULL) {
        if ((code = cli_spool_inputs(&spool, paths, stop)) != 0)
            goto out;
        rc = train_tokenizer(o, &spool, &tokenizer, f.model_out, stop, &err);
        if (rc == 0 && o->common.verbose > 0)
            cli_say("trained a tokenizer of %lld pieces in %.1f s", (long long)o->vocab_size,
                    slt_clock_now() - start);
        start = slt_clock_now();
    } else {
        rc = slt_tokenizer_open(&tokenizer, o->tokenizer, stop, &err);
    }
    while (paths[plain.count] != NULL)
        plain.count++;
    if (rc == 0 && (rc = begin_files(o, tokenizer, &f, stop, &err)) == 0 &&
        (rc = encode(o, spool.paths != NULL ? &spool : &plain, tokenizer, &f, stop, &counts,
                     &err)) == 0 &&
        (rc = end_files(&f, &err)) == 0)
        report(o, &f, &counts, slt_clock_now() - start);
    if (rc != 0)
        code = cli_error(&err);
out:
    slt_shards_abandon(f.shards);
    slt_tokens_abandon(f.train);
    slt_tokens_abandon(f.valid);
    slt_output_abandon(f.train_out);
    slt_output_abandon(f.valid_out);
    slt_output_abandon(f.model_out);
    slt_tokenizer_free(tokenizer);
    cli_spool_remove(&spool);
    return code;
}

// ---- Decoding ----

// The text of one document, with a newline behind it where documents are lines.
static int put_document(const struct options *o, const struct slt_tokenizer *tokenizer,
                        const struct slt_token_ids *ids, struct slt_output *out,
                        struct slt_error *err)
{
    char *text;
    size_t bytes;
    int rc = slt_tokenizer_decode_document(tokenizer, &text, &bytes, ids->id, ids->count, err);
    if (rc != 0)
        return rc;
    rc = slt_output_write(out, text, bytes, err);
    free(text);
    return rc == 0 && o->document != SLT_DOCUMENT_FILE ? slt_output_write(out, "\n", 1, err) : rc;
}

static int append_id(struct slt_token_ids *ids, uint32_t id, struct slt_error *err)
{
    if (ids->count == ids->capacity) {
        const size_t capacity = 2 * ids->capacity + 1024;
        uint32_t *more = realloc(ids->id, capacity * sizeof *more);
        if (more == NULL)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %zu token ids", capacity);
        ids->id = more;
        ids->capacity = capacity;
    }
    ids->id[ids->count++] = id;
    return 0;
}

static int decode_all(const struct options *o, const struct slt_tokenizer *tokenizer,
                      struct slt_tokens *tokens, struct slt_output *out, struct slt_error *err)
{
    int32_t block[4096];
    const uint32_t eos = slt_tokens_header(tokens)->eos;
    struct slt_token_ids ids = {0};
    size_t got = 1;
    int rc = 0;
    while (rc == 0 && got > 0) {
        rc = slt_tokens_read(tokens, block, sizeof block / sizeof *block, &got, err);
        for (size_t i = 0; rc == 0 && i < got; i++) {
            if ((uint32_t)block[i] != eos) {
                rc = append_id(&ids, (uint32_t)block[i], err);
                continue;
            }
            rc = put_document(o, tokenizer, &ids, out, err);
            ids.count = 0;
        }
    }
    if (rc == 0 && ids.count > 0)
        rc = put_document(o, tokenizer, &ids, out, err);
    slt_token_ids_free(&ids);
    return rc;
}

// What is mapped is compared with its digest before any of it is written; a stream is at its end.
static int check_tokens(const char *path, slt_stop_flag *stop, struct slt_error *err)
{
    struct stat st;
    struct slt_input *in;
    struct slt_tokens *tokens = NULL;
    if (strcmp(path, "-") == 0 || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    int rc = slt_input_open(&in, path, stop, err);
    if (rc == 0)
        rc = slt_tokens_open(&tokens, in, err);
    if (rc == 0)
        rc = slt_tokens_check(tokens, err);
    slt_tokens_close(tokens);
    return rc;
}

static int decode(const struct options *o, const char *path, slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_input *in;
    struct slt_tokens *tokens = NULL;
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_output *out = NULL;
    int code = cli_open_input(&in, path, stop), rc;
    if (code != 0)
        return code;
    if ((rc = check_tokens(path, stop, &err)) != 0) {
        slt_input_close(in);
        return cli_error(&err);
    }
    if ((rc = slt_tokens_open(&tokens, in, &err)) != 0 ||
        (rc = slt_tokenizer_open(&tokenizer, o->tokenizer, stop, &err)) != 0 ||
        (rc = slt_output_open(&out, o->common.output, stop, &err)) != 0)
        goto out;
    const unsigned char *mine = slt_tokenizer_info(tokenizer)->digest;
    static const unsigned char unknown[SLT_SHA256_BYTES];
    const unsigned char *theirs = slt_tokens_header(tokens)->digest;
    if (memcmp(theirs, unknown, sizeof unknown) != 0 && memcmp(theirs, mine, sizeof unknown) != 0) {
        rc = slt_error_set(&err, SLT_ERR_MISMATCH, "'%s' was made with another tokenizer than '%s'",
                           path, o->tokenizer);
        goto out;
    }
    rc = decode_all(o, tokenizer, tokens, out, &err);
out:
    if (rc != 0)
        code = cli_error(&err);
    if (out != NULL)
        code = cli_close_output(out, code);
    slt_tokenizer_free(tokenizer);
    slt_tokens_close(tokens);
    return code;
}

// No output may take the place of what is read.
static void keep_sources(const struct options *o, char **paths)
{
    const struct {
        const char *name, *path;
    } outputs[] = {{"--output", o->shard_tokens > 0 ? NULL : o->common.output},
                   {"--valid-output", o->valid_output},
                   {"--train-tokenizer", o->train_tokenizer}};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        cli_keep_apart(outputs[i].name, outputs[i].path, "--tokenizer", o->tokenizer);
        for (char **p = paths; *p != NULL; p++)
            cli_keep_apart(outputs[i].name, outputs[i].path, "an input", *p);
    }
}

int main(int argc, char **argv)
{
    struct options o = {.common = {.output = "-"},
                        .seed = 1,
                        .valid_fraction = -1,
                        .split = -1,
                        .max_skipped = 0.01};
    const struct cli_option options[] = {
        CLI_COMMON(&o.common),
        {"tokenizer", 't', CLI_TEXT, &o.tokenizer, "FILE", 0, 0,
         "SentencePiece model, tokenizer.json or directory"},
        {"train-tokenizer", 0, CLI_TEXT, &o.train_tokenizer, "FILE", 0, 0,
         "first train a tokenizer on the input, into FILE"},
        {"vocab-size", 0, CLI_WHOLE, &o.vocab_size, "N", 300, 1 << 24, "pieces of a trained one"},
        {"valid-output", 0, CLI_TEXT, &o.valid_output, "FILE", 0, 0,
         "hold out some documents into FILE"},
        {"valid-fraction", 0, CLI_REAL, &o.valid_fraction, "X", 0, 1,
         "share of documents held out"},
        {"seed", 's', CLI_WHOLE, &o.seed, "N", 0, 9.2e18, "of the hold-out and of the order (1)"},
        {"format", 0, CLI_CHOICE, &o.format, "auto|text|jsonl", 0, 0,
         "auto: each file as what it is; jsonl: JSON (auto)"},
        {"field", 0, CLI_LIST, &o.field, "NAME", 0, 0, "field of JSON objects (text)"},
        {"max-skipped", 0, CLI_REAL, &o.max_skipped, "X", 0, 1,
         "fail if a larger share of documents had to be skipped (0.01)"},
        {"document", 0, CLI_CHOICE, &o.document, "file|line|blank", 0, 0,
         "a document is a file, a line, or what stands between blank lines (file)"},
        {"skip", 0, CLI_WHOLE, &o.skip, "N", 0, 9.2e18, "pass over the first N documents"},
        {"limit", 0, CLI_WHOLE, &o.limit, "N", 0, 9.2e18, "stop after N documents; 0: never (0)"},
        {"split", 0, CLI_WHOLE, &o.split, "BYTES", 0, 1e15,
         "cut longer documents at a newline; 0: never (64Ki; of lines 1Mi)"},
        {"shuffle", 0, CLI_WHOLE, &o.shuffle, "N", 0, UINT32_MAX - 1,
         "shuffle documents in a buffer of N; 0: keep their order (0)"},
        {"shard-tokens", 0, CLI_WHOLE, &o.shard_tokens, "N", 0, 1e15,
         "write shards of N tokens, -o NAME.tok being NAME-00000.tok and so on"},
        {"resume", 0, CLI_FLAG, &o.resume, NULL, 0, 0, "go on behind the shards that are complete"},
        {"threads", 0, CLI_WHOLE, &o.threads, "N", 0, 4096, "threads; 0: all (0)"},
        {"decode", 'D', CLI_FLAG, &o.decode, NULL, 0, 0, "token file to text"},
    };
    const struct cli_program program = {
        "slt-tokenize", "[options] --tokenizer FILE | --train-tokenizer FILE [INPUT ...]",
        "Turns text, JSON lines and archives into a token file.", options,
        sizeof options / sizeof *options};
    static char *standard_input[] = {"-", NULL};
    int dashes = 0;
    const int first = cli_parse(&program, argc, &argv);
    char **paths = argv[first] != NULL ? argv + first : standard_input;
    for (char **p = paths; *p != NULL; p++)
        dashes += strcmp(*p, "-") == 0;
    if (dashes > 1)
        cli_usage("only one of the inputs can be '-'");
    if ((o.tokenizer == NULL) == (o.train_tokenizer == NULL))
        cli_usage("give either --tokenizer or --train-tokenizer");
    if ((o.train_tokenizer != NULL) != (o.vocab_size > 0))
        cli_usage("--train-tokenizer and --vocab-size go together");
    if ((o.valid_output != NULL) != (o.valid_fraction >= 0))
        cli_usage("--valid-output and --valid-fraction go together");
    if (o.decode && (o.tokenizer == NULL || o.valid_output != NULL))
        cli_usage("--decode needs --tokenizer and holds nothing out");
    if (o.decode && (o.shard_tokens > 0 || o.shuffle > 0 || o.skip > 0 || o.limit > 0))
        cli_usage("--decode goes with none of --shard-tokens, --shuffle, --skip and --limit");
    if (o.field.count > 1)
        cli_usage("--field is given twice: '%s' and '%s'", o.field.item[0], o.field.item[1]);
    if (o.format == SLT_CORPUS_TEXT && o.field.count > 0)
        cli_usage("--field is of JSON lines, and does not go with --format text");
    if (o.format == SLT_CORPUS_JSONL && o.document != SLT_DOCUMENT_FILE)
        cli_usage("--document is of plain text, and does not go with --format jsonl");
    if (o.shard_tokens > 0 && strcmp(o.common.output, "-") == 0)
        cli_usage("--shard-tokens needs a name for the shards (-o)");
    if (o.resume && o.shard_tokens == 0)
        cli_usage("--resume needs --shard-tokens: it goes on behind whole shards");
    if (o.resume && o.train_tokenizer != NULL)
        cli_usage("--resume needs the tokenizer that there is (--tokenizer)");
    cli_keep_apart("--output", o.common.output, "--valid-output", o.valid_output);
    cli_keep_apart("--output", o.common.output, "--train-tokenizer", o.train_tokenizer);
    cli_keep_apart("--valid-output", o.valid_output, "--train-tokenizer", o.train_tokenizer);
    keep_sources(&o, paths);
    slt_stop_flag *stop = cli_catch_signals();
    const int code =
        o.decode ? decode(&o, cli_one_input(argv, first), stop) : tokenize(&o, paths, stop);
    free(o.field.item);
    return cli_finish(code);
}
