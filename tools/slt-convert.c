// slt-convert: Hugging Face directories and the layout of the published SLTrain code to
// checkpoints, and back.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "slt/convert.h"

struct options {
    struct cli_common common;
    const char *tokenizer;
    int to, dtype; // -1: not given
    double alpha, density;
    bool merge, no_provenance;
};

enum { TO_SLT, TO_HF, TO_REFERENCE, TO_GGUF };

// ---- To a checkpoint ----

// Names in files may have any characters, which a sentence of the library's has not.
static void on_note(void *user, const char *sentence)
{
    const struct options *o = user;
    if (!o->common.quiet)
        cli_say("%s", sentence);
}

// A file of llama2.c, mapped; NULL if it is none. One of a kind that is known and not read ends the
// program. Only a plain file may be opened to find out: what a pipe holds is there once. One that
// cannot be read is left to who opens it next.
static struct slt_input *open_llama2c(const char *path, const void **data, uint64_t *bytes)
{
    struct slt_input *in;
    struct slt_error err;
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || slt_input_open(&in, path, NULL, NULL) != 0)
        return NULL;
    if (slt_input_map(in, data, bytes, NULL) == 0) {
        if (slt_convert_is_llama2c(*data, *bytes))
            return in;
        if (slt_convert_check_file(path, *data, *bytes, &err) != 0)
            exit(cli_error(&err));
    }
    slt_input_close(in);
    return NULL;
}

// Before any word about the options that go with one input or another.
static void check_is_there(const char *path)
{
    struct slt_error err;
    bool exists;
    if (strcmp(path, "-") == 0)
        return;
    int rc = slt_file_exists(&exists, path, &err);
    if (rc == 0 && !exists) {
        errno = ENOENT;
        rc = slt_error_errno(&err, "cannot open '%s'", path);
    }
    if (rc != 0)
        exit(cli_error(&err));
}

// A directory, or a mapped file of llama2.c.
static int import_model(struct options *o, const char *directory, const void *data, uint64_t bytes,
                        slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_output *out = NULL;
    char *provenance = NULL;
    int code = 0;
    if (o->tokenizer != NULL && slt_tokenizer_open(&tokenizer, o->tokenizer, stop, &err) != 0)
        code = cli_error(&err);
    if (code == 0)
        code = cli_open_binary_output(&out, o->common.output, stop);
    if (code == 0 && !o->no_provenance &&
        slt_provenance_add(&provenance, NULL, cli_name,
                           data != NULL ? "{\"from\": \"llama2.c\"}" : "{\"from\": \"directory\"}",
                           &err) != 0)
        code = cli_error(&err);
    if (code == 0) {
        const struct slt_convert_options options = {.alpha = o->alpha,
                                                    .density = o->density,
                                                    .tokenizer = tokenizer,
                                                    .provenance = provenance,
                                                    .on_note = on_note,
                                                    .user = o,
                                                    .stop = stop};
        const int rc = data != NULL
                           ? slt_convert_llama2c(out, directory, data, bytes, &options, &err)
                           : slt_convert_import(out, directory, &options, &err);
        code = rc == SLT_ERR_RANGE ? (cli_error(&err), 2) : rc != 0 ? cli_error(&err) : 0;
    }
    if (out != NULL)
        code = cli_close_output(out, code);
    free(provenance);
    slt_tokenizer_free(tokenizer);
    return code;
}

// ---- From a checkpoint, or a directory as one ----

static bool is_same(const struct stat *a, const char *path)
{
    struct stat b;
    return stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

static int export_gguf(struct options *o, struct slt_checkpoint_reader *reader,
                       slt_stop_flag *stop, struct slt_error *err)
{
    struct slt_output *out;
    int rc = slt_output_open(&out, o->common.output, stop, err);
    if (rc != 0)
        return rc;
    const struct slt_convert_options options = {.on_note = on_note, .user = o, .stop = stop};
    rc = slt_convert_gguf(out, reader, (enum slt_gguf_type)(o->dtype > 0 ? o->dtype : 0), &options,
                          err);
    if (rc == 0)
        return slt_output_publish(out, err);
    slt_output_abandon(out);
    return rc;
}

static int export_model(struct options *o, const char *model, slt_stop_flag *stop)
{
    static const enum slt_dtype types[] = {SLT_F32, SLT_F16, SLT_BF16, SLT_F32};
    const enum slt_dtype dtype = types[o->dtype > 0 ? o->dtype : 0];
    struct slt_error err;
    struct slt_input *in;
    struct slt_checkpoint_reader *reader = NULL;
    int code = cli_open_model(&in, model, o->common.quiet, stop);
    if (code != 0)
        return code;
    int rc = slt_checkpoint_open(&reader, in, &err);
    if (rc == 0 && o->to == TO_HF && !o->merge &&
        !slt_method_is_dense(slt_checkpoint_config(reader)->method))
        rc = slt_error_set(&err, SLT_ERR_RANGE,
                           "'%s' is of method %s: --merge makes it dense, --to reference keeps its "
                           "factors",
                           model, slt_method_name(slt_checkpoint_config(reader)->method));
    if (rc == 0 && o->to == TO_GGUF)
        rc = export_gguf(o, reader, stop, &err);
    else if (rc == 0)
        rc = slt_convert_export(o->common.output, reader, dtype, o->merge, stop, &err);
    if (rc != 0)
        code = rc == SLT_ERR_RANGE ? (cli_error(&err), 2) : cli_error(&err);
    slt_checkpoint_close(reader);
    return code;
}

int main(int argc, char **argv)
{
    struct options o = {.common = {.output = "-"}, .to = -1, .dtype = -1};
    const struct cli_option options[] = {
        CLI_COMMON(&o.common),
        {"to", 0, CLI_CHOICE, &o.to, "slt|hf|reference|gguf", 0, 0,
         "what to write (slt from a directory, hf from a checkpoint)"},
        {"merge", 'm', CLI_FLAG, &o.merge, NULL, 0, 0, "make factors and sparse parts one matrix"},
        {"dtype", 0, CLI_CHOICE, &o.dtype, "f32|f16|bf16|q8_0", 0, 0,
         "of the written weights; q8_0 in gguf only (f32)"},
        {"tokenizer", 't', CLI_TEXT, &o.tokenizer, "FILE", 0, 0,
         "put this tokenizer in (the directory's own)"},
        {"alpha", 'a', CLI_REAL, &o.alpha, "X", 1e-9, 1e6, "of factors that do not say it"},
        {"density", 'd', CLI_REAL, &o.density, "X", 1e-12, 1, "of sparse parts that do not say it"},
        {"no-provenance", 0, CLI_FLAG, &o.no_provenance, NULL, 0, 0, "add no provenance line"},
    };
    const struct cli_program program = {"slt-convert",
                                        "[options] DIRECTORY | MODEL.bin | [MODEL.slt]",
                                        "Turns a Hugging Face directory into a checkpoint, and a "
                                        "checkpoint into a directory or GGUF.",
                                        options, sizeof options / sizeof *options};
    const int first = cli_parse(&program, argc, &argv);
    const char *input = cli_one_input(argv, first);
    struct stat st;
    check_is_there(input);
    const bool is_directory =
        strcmp(input, "-") != 0 && stat(input, &st) == 0 && S_ISDIR(st.st_mode);
    const void *data = NULL;
    uint64_t bytes = 0;
    struct slt_input *mapped =
        strcmp(input, "-") != 0 && !is_directory ? open_llama2c(input, &data, &bytes) : NULL;
    const bool imports = (is_directory && o.to <= TO_SLT) || mapped != NULL;
    o.to = o.to >= 0 ? o.to : imports ? TO_SLT : TO_HF;
    if (imports != (o.to == TO_SLT))
        cli_usage("a model of another program becomes a checkpoint, and a checkpoint another's");
    if (imports ? o.merge || o.dtype >= 0
                : o.tokenizer != NULL || o.alpha > 0 || o.density > 0 || o.no_provenance)
        cli_usage("--merge and --dtype go with a checkpoint, --tokenizer, --alpha, --density and "
                  "--no-provenance with another program's model");
    if (!imports && o.to != TO_GGUF && strcmp(o.common.output, "-") == 0)
        cli_usage("--output names the directory to write");
    if (is_directory && !imports && is_same(&st, o.common.output))
        cli_usage("--output and the input are the same directory: '%s'", input);
    if (o.to != TO_GGUF && o.dtype == SLT_GGUF_Q8_0)
        cli_usage("--dtype q8_0 goes with --to gguf");
    slt_stop_flag *stop = cli_catch_signals();
    const int code = imports ? import_model(&o, input, mapped != NULL ? data : NULL, bytes, stop)
                             : export_model(&o, input, stop);
    if (mapped != NULL)
        slt_input_close(mapped);
    return cli_finish(code);
}
