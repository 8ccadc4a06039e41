// slt-info: what a checkpoint or token file holds, and whether it is whole.
//
// A report is put together as one JSON object. It is printed as such, or as name<TAB>value lines:
// nested names are joined by dots, and every element of a list gets a line.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_json.h"
#include "slt/checkpoint.h"
#include "slt/digest.h"
#include "slt/tokenizer.h"
#include "slt/tokens.h"

struct options {
    struct cli_common common;
    bool check, json;
};

// ---- Printing ----

static int print_text(struct slt_output *out, const char *name, json_t *value,
                      struct slt_error *err);

static int print_members(struct slt_output *out, const char *prefix, json_t *object,
                         struct slt_error *err)
{
    const char *key;
    json_t *value;
    int rc = 0;
    json_object_foreach (object, key, value) {
        char name[256];
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix != '\0' ? "." : "", key);
        if (rc == 0)
            rc = print_text(out, name, value, err);
    }
    return rc;
}

// A tensor's line is made for reading and cutting: section, name, type, shape, bytes.
static int print_tensor(struct slt_output *out, json_t *tensor, struct slt_error *err)
{
    char shape[128] = "";
    size_t i;
    json_t *size;
    json_array_foreach (json_object_get(tensor, "shape"), i, size)
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), i == 0 ? "%lld" : "x%lld",
                 (long long)json_integer_value(size));
    return slt_output_printf(out, err, "tensor\t%s\t%s\t%s\t%s\t%lld\n",
                             json_string_value(json_object_get(tensor, "section")),
                             json_string_value(json_object_get(tensor, "name")),
                             json_string_value(json_object_get(tensor, "dtype")),
                             *shape != '\0' ? shape : "scalar",
                             (long long)json_integer_value(json_object_get(tensor, "bytes")));
}

static int print_json(struct slt_output *out, const char *name, json_t *value,
                      struct slt_error *err)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    int rc = text == NULL ? slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the report")
                          : slt_output_printf(out, err, "%s\t%s\n", name, text);
    free(text);
    return rc;
}

static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static int print_text(struct slt_output *out, const char *name, json_t *value,
                      struct slt_error *err)
{
    size_t i;
    json_t *element;
    int rc = 0;
    if (json_is_object(value))
        return print_members(out, name, value, err);
    // Text that would break the line is printed with JSON's escapes.
    if (json_is_string(value) && is_plain(json_string_value(value)))
        return slt_output_printf(out, err, "%s\t%s\n", name, json_string_value(value));
    const bool tensors = strcmp(name, "tensors") == 0;
    if (!tensors && strcmp(name, "provenance") != 0)
        return print_json(out, name, value, err);
    json_array_foreach (value, i, element) {
        if (rc == 0)
            rc = tensors ? print_tensor(out, element, err) : print_json(out, name, element, err);
    }
    return rc;
}

static int print(const struct options *o, json_t *report, slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_output *out = NULL;
    char *text = NULL;
    if (cli_json_failed() ||
        (o->json &&
         (text = cli_json_text(report, JSON_INDENT(2) | JSON_REAL_PRECISION(15))) == NULL))
        return 1;
    int rc = slt_output_open(&out, o->common.output, stop, &err);
    if (rc == 0)
        rc = o->json ? slt_output_printf(out, &err, "%s\n", text)
                     : print_members(out, "", report, &err);
    free(text);
    return cli_close_output(out, rc == 0 ? 0 : cli_error(&err));
}

// ---- Checkpoints ----

static json_t *digest_text(const unsigned char digest[SLT_SHA256_BYTES])
{
    char hex[SLT_SHA256_HEX];
    return json_string(slt_sha256_hex(hex, digest));
}

// Text that should be JSON; null where it is not even text.
static json_t *json_or_text(const char *text, size_t bytes)
{
    errno = 0; // an allocation that fails sets it
    json_t *value = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    if (value != NULL || errno == ENOMEM)
        return value;
    value = json_stringn(text, bytes);
    return value != NULL ? value : json_null();
}

static json_t *tensor_object(enum slt_section section, const struct slt_tensor_info *info)
{
    json_t *shape = json_array();
    for (int d = 0; d < info->dims; d++)
        cli_json_append(shape, json_integer(info->shape[d]));
    return json_pack("{s:s s:s s:s s:o s:I}", "section",
                     section == SLT_SECTION_MODEL ? "model" : "optimizer", "name", info->name,
                     "dtype", slt_dtype_name(info->dtype), "shape", shape, "bytes",
                     (json_int_t)info->bytes);
}

static json_t *provenance_array(const char *text)
{
    json_t *lines = json_array();
    while (text != NULL && *text != '\0') {
        const size_t bytes = strcspn(text, "\n");
        if (bytes > 0)
            cli_json_append(lines, json_or_text(text, bytes));
        text += bytes + (text[bytes] == '\n');
    }
    return lines;
}

// Reads the checkpoint to its end, so that what is reported is known to be whole.
static int describe_checkpoint(json_t *report, struct slt_checkpoint_reader *reader,
                               struct slt_error *err)
{
    const char *config = slt_checkpoint_config_json(reader), *member = NULL;
    size_t bytes = 0;
    const void *tokenizer = slt_checkpoint_tokenizer(reader, &bytes, &member);
    json_t *tensors = json_array();
    slt_checkpoint_show_stored(reader);
    enum slt_section section;
    const struct slt_tensor_info *info;
    cli_json_put(report, "kind", json_string("checkpoint"));
    cli_json_put(report, "parameters",
                 json_integer((json_int_t)slt_config_param_count(slt_checkpoint_config(reader))));
    cli_json_put(report, "config", json_or_text(config, strlen(config)));
    if (tokenizer != NULL) {
        unsigned char digest[SLT_SHA256_BYTES];
        slt_tokenizer_digest(digest, tokenizer, bytes);
        cli_json_put(report, "tokenizer",
                     json_pack("{s:s s:I s:o}", "member", member, "bytes", (json_int_t)bytes,
                               "sha256", digest_text(digest)));
    }
    int rc;
    while ((rc = slt_checkpoint_next(reader, &section, &info, err)) == 1)
        cli_json_append(tensors, tensor_object(section, info));
    const char *trainer = rc == 0 ? slt_checkpoint_trainer(reader) : NULL;
    if (trainer != NULL)
        cli_json_put(report, "trainer", json_or_text(trainer, strlen(trainer)));
    cli_json_put(report, "tensors", tensors);
    cli_json_put(report, "provenance",
                 provenance_array(rc == 0 ? slt_checkpoint_provenance(reader) : NULL));
    return rc;
}

// ---- Token files ----

static json_t *token_or_null(uint32_t id)
{
    return id == SLT_TOKEN_NONE ? json_null() : json_integer(id);
}

// Of a mapped file only header and end mark are read, of a stream everything.
static int describe_tokens(json_t *report, struct slt_tokens *tokens, struct slt_error *err)
{
    const struct slt_tokens_header *h = slt_tokens_header(tokens);
    int rc = slt_tokens_is_mapped(tokens) ? 0 : slt_tokens_check(tokens, err);
    if (rc != 0)
        return rc;
    const struct slt_tokens_totals totals = slt_tokens_totals(tokens);
    cli_json_put(report, "kind", json_string("tokens"));
    cli_json_put(report, "version", json_integer(h->version));
    cli_json_put(report, "width", json_integer(h->width));
    cli_json_put(report, "vocab_size", json_integer(h->vocab_size));
    cli_json_put(report, "eos", token_or_null(h->eos));
    cli_json_put(report, "pad", token_or_null(h->pad));
    cli_json_put(report, "tokenizer_sha256", digest_text(h->digest));
    cli_json_put(report, "tokens", json_integer((json_int_t)totals.tokens));
    cli_json_put(report, "documents", json_integer((json_int_t)totals.documents));
    cli_json_put(report, "text_bytes", json_integer((json_int_t)totals.text_bytes));
    return 0;
}

// ---- Both ----

// Describes in (which is consumed) in report, or verifies it if report is NULL.
static int inspect(json_t *report, struct slt_input *in, struct slt_error *err)
{
    struct slt_checkpoint_reader *reader = NULL;
    struct slt_tokens *tokens = NULL;
    enum slt_file_kind kind = SLT_FILE_UNKNOWN;
    unsigned char byte;
    size_t got = 0;
    int rc = slt_input_recognise(&kind, in, err);
    if (rc == 0 && kind == SLT_FILE_CHECKPOINT) {
        if ((rc = slt_checkpoint_open(&reader, in, err)) == 0)
            rc = report != NULL ? describe_checkpoint(report, reader, err)
                                : slt_checkpoint_verify(reader, err);
        slt_checkpoint_close(reader);
        return rc;
    }
    if (rc == 0 && kind == SLT_FILE_TOKENS) {
        if ((rc = slt_tokens_open(&tokens, in, err)) == 0)
            rc = report != NULL ? describe_tokens(report, tokens, err)
                                : slt_tokens_check(tokens, err);
        slt_tokens_close(tokens);
        return rc;
    }
    if (rc == 0 && (rc = slt_input_peek(in, &byte, 1, &got, err)) == 0)
        rc = slt_error_set(err, SLT_ERR_FORMAT,
                           got == 0 ? "'%s' is empty"
                                    : "'%s' is neither a checkpoint nor a token file",
                           slt_input_name(in));
    slt_input_close(in);
    return rc;
}

// As cmp does: 0 whole, 1 not whole, 2 could not find out.
static int check(const struct options *o, struct slt_input *in)
{
    struct slt_error err;
    const int rc = inspect(NULL, in, &err);
    if (rc == 0) {
        if (o->common.verbose > 0)
            cli_say("the file is whole");
        return 0;
    }
    const bool trouble = rc != SLT_ERR_FORMAT;
    if (trouble || !o->common.quiet)
        cli_error(&err);
    return trouble ? 2 : 1;
}

static int report(const struct options *o, struct slt_input *in, slt_stop_flag *stop)
{
    struct slt_error err;
    json_t *object = json_object();
    int code;
    if (object == NULL) {
        slt_input_close(in);
        cli_say("cannot allocate the report");
        return 1;
    }
    if (inspect(object, in, &err) != 0)
        code = cli_error(&err);
    else
        code = print(o, object, stop);
    json_decref(object);
    return code;
}

int main(int argc, char **argv)
{
    struct options o = {.common = {.output = "-"}};
    const struct cli_option options[] = {
        CLI_COMMON(&o.common),
        {"check", 'c', CLI_FLAG, &o.check, NULL, 0, 0,
         "print nothing; exit 0 if the file is whole, 1 if not, 2 in trouble"},
        {"json", 0, CLI_FLAG, &o.json, NULL, 0, 0, "print a JSON object"},
    };
    const struct cli_program program = {
        "slt-info", "[options] [FILE]",
        "Prints what a checkpoint or token file holds, or tells whether it is whole.", options,
        sizeof options / sizeof *options};
    const int first = cli_parse(&program, argc, &argv);
    const char *path = cli_one_input(argv, first);
    slt_stop_flag *stop = cli_catch_signals();
    struct slt_input *in = NULL;
    int code = cli_open_model(&in, path, o.common.quiet, stop);
    if (code != 0)
        code = o.check ? 2 : code;
    else
        code = o.check ? check(&o, in) : report(&o, in, stop);
    return cli_finish(code);
}
