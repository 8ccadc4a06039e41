// Replays a small corpus of tokenizer files through their fuzz targets: good-* must be taken, bad-*
// refused. `test_tokenizer_files write DIR` writes it to DIR/TARGET, as seeds for tests/fuzz/run.
#include <sys/stat.h>
#include <unistd.h>

#define LLVMFuzzerTestOneInput fuzz_spm_model
#include "tests/fuzz/fuzz_spm_model.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_vocab_merges
#include "tests/fuzz/fuzz_vocab_merges.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_tokenizer_directory
#include "tests/fuzz/fuzz_tokenizer_directory.c"
#undef LLVMFuzzerTestOneInput

#include "spm_files.h"

static const struct target {
    const char *name;
    int (*read)(const uint8_t *data, size_t size);
} targets[] = {
    {"spm_model", fuzz_read_spm_model},
    {"vocab_merges", fuzz_read_vocab_merges},
    {"tokenizer_directory", fuzz_read_tokenizer_directory},
};

static const char *folder; // NULL: the readers themselves

static void emit(const struct target *t, const char *name, const void *data, size_t bytes)
{
    char path[500];
    if (folder == NULL) {
        const bool good = strncmp(name, "good-", 5) == 0;
        CHECK((t->read(data, bytes) == 0) == good, "%s/%s is %s", t->name, name,
              good ? "refused" : "taken");
        return;
    }
    snprintf(path, sizeof path, "%s/%s", folder, t->name);
    mkdir(path, 0777);
    fuzz_write(path, name, data, bytes);
}

static void make_models(void)
{
    static const struct spm_spec specs[] = {{.byte_fallback = true},
                                            {.adds_space = true},
                                            {.unigram = true, .removes_spaces = true},
                                            {.unigram = true, .adds_space = true}};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        struct text_buffer b = {0};
        char name[40];
        spm_small(&b, &specs[i]);
        snprintf(name, sizeof name, "good-%zu", i);
        emit(&targets[0], name, b.data, b.bytes);
        snprintf(name, sizeof name, "bad-%zu-short", i);
        emit(&targets[0], name, b.data, b.bytes - 1);
        snprintf(name, sizeof name, "bad-%zu-start", i);
        emit(&targets[0], name, b.data, 5);
        free(b.data);
    }
    // A field of ours, with a token that has no piece; and what follows the last field.
    struct text_buffer b = {0}, m = {0}, token = {0};
    spm_small(&b, &specs[0]);
    const size_t bytes = b.bytes;
    spm_number(&token, 1, 1000);
    spm_message(&m, 1, &token);
    spm_message(&b, 1000, &m);
    emit(&targets[0], "bad-no-piece", b.data, b.bytes);
    b.bytes = bytes;
    spm_number(&m, 4, 1);
    spm_message(&b, 1001, &m);
    emit(&targets[0], "good-adds-bos", b.data, b.bytes);
    spm_put_piece(&b, "more", 0, SPM_NORMAL_PIECE);
    emit(&targets[0], "bad-behind", b.data, b.bytes);
    emit(&targets[0], "bad-empty", "", 0);
    emit(&targets[0], "bad-text", "no model at all", 15);
    free(b.data);
}

static void make_vocabularies(void)
{
    static const char good[] = "{\"a\": 0, \"b\": 1, \"ab\": 2, \"<|endoftext|>\": 3}\0#version: "
                               "0.2\na b\n",
                      plain[] = "{\"a\": 0, \"b\": 1, \"ab\": 2}\0a b",
                      foreign[] = "{\"a\": 0, \"b\": 1}\0#version: 0.2\na b\n",
                      words[] = "{\"a\": 0, \"b\": 1, \"ab\": 2}\0a b c\n",
                      no_ids[] = "{\"a\": \"b\"}\0", list[] = "[]\0";
    emit(&targets[1], "good-version", good, sizeof good - 1);
    emit(&targets[1], "good-plain", plain, sizeof plain - 1);
    emit(&targets[1], "bad-foreign", foreign, sizeof foreign - 1);
    emit(&targets[1], "bad-words", words, sizeof words - 1);
    emit(&targets[1], "bad-no-ids", no_ids, sizeof no_ids - 1);
    emit(&targets[1], "bad-list", list, sizeof list - 1);
    emit(&targets[1], "bad-empty", "", 0);
}

static void make_directories(void)
{
    static const char good[] =
        "{\"eos_token\": {\"content\": \"<e>\"}, \"added_tokens_decoder\": {\"7\": {\"content\": "
        "\"<e>\", \"special\": true, \"lstrip\": true}}}\0{\"<e>\": 7, \"[x]\": "
        "5}\0{\"pad_token\": "
        "\"[x]\", \"additional_special_tokens\": [\"[x]\", {\"content\": \"<s>\"}]}",
                      two[] = "{}\0{\"[x]\": 5, \"[y]\": 5}\0", taken[] = "{}\0{\"[x]\": 3}\0",
                      elsewhere[] = "{}\0{\"he\": 9}\0", no_id[] = "{}\0{\"[x]\": \"5\"}\0",
                      far[] = "{}\0{\"[x]\": 2000000000}\0",
                      no_text[] = "{\"added_tokens_decoder\": {\"7\": {\"special\": true}}}\0\0",
                      no_number[] =
                          "{\"added_tokens_decoder\": {\"x\": {\"content\": \"<e>\"}}}\0\0";
    const struct target *t = &targets[2];
    emit(t, "good-all", good, sizeof good - 1);
    emit(t, "good-none", "", 0);
    emit(t, "bad-two", two, sizeof two - 1);
    emit(t, "bad-taken", taken, sizeof taken - 1);
    emit(t, "bad-elsewhere", elsewhere, sizeof elsewhere - 1);
    emit(t, "bad-no-id", no_id, sizeof no_id - 1);
    emit(t, "bad-far", far, sizeof far - 1);
    emit(t, "bad-no-text", no_text, sizeof no_text - 1);
    emit(t, "bad-no-number", no_number, sizeof no_number - 1);
}

int main(int argc, char **argv)
{
    folder = argc == 3 && strcmp(argv[1], "write") == 0 ? argv[2] : NULL;
    make_models();
    make_vocabularies();
    make_directories();
    return TEST_END();
}
