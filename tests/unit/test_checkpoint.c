// Checkpoints: what is written is read back; whatever is cut, flipped or moved is refused.
//
// `test_checkpoint large GIB` writes a checkpoint with one tensor of that size into a pipe and
// reads it from there (not part of the tests; 9 GiB pass the 8 GiB that a plain tar header can
// hold).
#include <sys/wait.h>
#include <zstd.h>

#include "checkpoint.h"
#include "core/bytes.h"

// Everything that a reader gives out, in one piece of memory: equal pieces are equal checkpoints.
struct contents {
    unsigned char data[20000];
    size_t used;
};

static void put(struct contents *c, const void *data, size_t bytes)
{
    if (bytes > sizeof c->data - c->used)
        CHECK(false, "too much");
    else if (bytes > 0)
        memcpy(c->data + c->used, data, bytes);
    c->used += bytes > sizeof c->data - c->used ? 0 : bytes;
}

// Reads all of file; returns the reader's error.
static int read_contents(struct contents *c, const void *file, size_t bytes, struct slt_error *err)
{
    struct slt_checkpoint_reader *r = NULL;
    struct slt_input *in = NULL;
    enum slt_section section;
    const struct slt_tensor_info *info;
    const char *member = NULL;
    size_t size;
    c->used = 0;
    int rc = slt_input_memory(&in, "m.slt", file, bytes, err);
    if (rc != 0 || (rc = slt_checkpoint_open(&r, in, err)) != 0)
        return rc;
    const void *tok = slt_checkpoint_tokenizer(r, &size, &member);
    put(c, slt_checkpoint_config_json(r), strlen(slt_checkpoint_config_json(r)));
    if (tok != NULL) {
        put(c, tok, size);
        put(c, member, strlen(member));
    }
    while ((rc = slt_checkpoint_next(r, &section, &info, err)) == 1) {
        unsigned char data[256];
        put(c, &section, sizeof section);
        put(c, info->name, strlen(info->name) + 1);
        put(c, &info->dtype, sizeof info->dtype);
        put(c, info->shape, (size_t)info->dims * sizeof *info->shape);
        if (info->bytes > sizeof data)
            break;
        if ((rc = slt_checkpoint_read(r, data, (size_t)info->bytes, err)) != 0)
            break;
        put(c, data, (size_t)info->bytes);
    }
    if (rc == 0 && slt_checkpoint_trainer(r) != NULL)
        put(c, slt_checkpoint_trainer(r), strlen(slt_checkpoint_trainer(r)));
    if (rc == 0 && slt_checkpoint_provenance(r) != NULL)
        put(c, slt_checkpoint_provenance(r), strlen(slt_checkpoint_provenance(r)));
    slt_checkpoint_close(r);
    return rc;
}

static struct bytes compress(struct bytes b)
{
    struct bytes z = {malloc(ZSTD_compressBound(b.size)), 0};
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    z.size = ZSTD_compress2(c, z.data, ZSTD_compressBound(b.size), b.data, b.size);
    CHECK(!ZSTD_isError(z.size), "zstd");
    ZSTD_freeCCtx(c);
    return z;
}

static void test_round_trip(void)
{
    struct slt_error err;
    struct contents *c = malloc(sizeof *c);
    for (int kind = 0; kind < 8; kind++) {
        struct bytes b = write_checkpoint(kind & 1, kind & 2, kind & 4);
        struct bytes again = write_checkpoint(kind & 1, kind & 2, kind & 4);
        CHECK(b.size == again.size && memcmp(b.data, again.data, b.size) == 0,
              "kind %d is written differently twice", kind);
        CHECK_OK(read_contents(c, b.data, b.size, &err), err);
        CHECK_OK(verify(b.data, b.size, &err), err);
        // The values arrive in their order: the last bytes of the last tensors.
        unsigned char last[48];
        const size_t end = kind & 2 ? MODEL_BYTES + OPTIMIZER_BYTES : MODEL_BYTES;
        for (size_t i = 0; i < 5; i++)
            last[i] = value_at(end - 5 + i);
        size_t tail = c->used;
        tail -= kind & 2 ? strlen(trainer) : 0;
        tail -= kind & 4 ? strlen(provenance) : 0;
        CHECK(memcmp(c->data + tail - 5, last, 5) == 0, "kind %d: data", kind);
        free(again.data);
        free(b.data);
    }
    free(c);
}

static void test_reader(void)
{
    struct slt_error err;
    struct slt_input *in = NULL;
    struct slt_checkpoint_reader *r = NULL;
    struct bytes b = write_checkpoint(true, true, true);
    const struct slt_tensor_info *info;
    enum slt_section section;
    unsigned char data[200];
    size_t count = 0;
    CHECK_OK(slt_input_memory(&in, "m.slt", b.data, b.size, &err), err);
    CHECK_OK(slt_checkpoint_open(&r, in, &err), err);
    CHECK(strcmp(slt_checkpoint_name(r), "m.slt") == 0, "name");
    CHECK(slt_checkpoint_config(r)->hidden_size == 128, "config");
    CHECK(slt_checkpoint_tensors(r, &count)[4].bytes == 5 && count == MODEL_COUNT, "list");
    CHECK(slt_checkpoint_read(r, data, 1, &err) == SLT_ERR_RANGE, "read before next");
    slt_checkpoint_close(r);

    CHECK_OK(slt_input_memory(&in, "m.slt", b.data, b.size, &err), err);
    CHECK_OK(slt_checkpoint_open(&r, in, &err), err);
    CHECK(slt_checkpoint_next(r, &section, &info, &err) == 1, "next");
    CHECK_OK(slt_checkpoint_read(r, data, 3, &err), err);
    CHECK(slt_checkpoint_next(r, &section, &info, &err) == 1, "next after a part");
    CHECK(strcmp(info->name, "model.layers.0.self_attn.q_proj.lora_A") == 0, "%s", info->name);
    CHECK_OK(slt_checkpoint_read(r, data, 30, &err), err);
    CHECK(data[0] == value_at(128) && data[29] == value_at(157), "data");
    CHECK(slt_checkpoint_trainer(r) == NULL, "the trainer is known too early");
    CHECK(slt_checkpoint_read(r, data, 1, &err) == SLT_ERR_RANGE, "beyond the tensor");
    CHECK(slt_checkpoint_next(r, &section, &info, &err) == 1, "a mistake is no end");
    slt_checkpoint_close(r);
    slt_checkpoint_close(NULL);
    free(b.data);
}

// No shorter file passes, whether plain or compressed.
static void test_truncation(void)
{
    struct slt_error err;
    struct bytes b = write_checkpoint(true, true, true);
    struct bytes z = compress(b);
    int passed = 0, other = 0;
    for (size_t n = 0; n < b.size; n++) {
        unsigned char *part = malloc(n + 1); // so that a sanitizer sees reads behind the end
        memcpy(part, b.data, n);
        int rc = verify(part, n, &err);
        passed += rc == 0;
        other += rc != 0 && rc != SLT_ERR_FORMAT;
        free(part);
    }
    CHECK(passed == 0 && other == 0, "plain: %d pass, %d other errors", passed, other);
    passed = other = 0;
    for (size_t n = 0; n < z.size; n++) {
        int rc = verify(z.data, n, &err);
        passed += rc == 0;
        other += rc != 0 && rc != SLT_ERR_FORMAT;
    }
    CHECK(passed == 0 && other == 0, "zstd: %d pass, %d other errors", passed, other);
    CHECK_OK(verify(z.data, z.size, &err), err);
    verify(b.data, b.size - 1024 - 1024, &err);
    CHECK(strcmp(err.message, "'m.slt' is truncated: MANIFEST.sha256 is missing") == 0, "%s",
          err.message);
    verify(b.data, 0, &err);
    CHECK(strcmp(err.message, "'m.slt' is empty") == 0, "%s", err.message);
    free(z.data);
    free(b.data);
}

// A flipped bit is refused, or (in a few places that say nothing, such as the blank behind a
// checksum) changes nothing that is read.
static void test_flips(void)
{
    struct slt_error err;
    struct bytes plain = write_checkpoint(true, true, true);
    struct contents *good = malloc(sizeof *good), *c = malloc(sizeof *c);
    CHECK_OK(read_contents(good, plain.data, plain.size, &err), err);
    for (int packed = 0; packed < 2; packed++) {
        struct bytes b = packed ? compress(plain) : plain;
        int harmless = 0, wrong = 0, other = 0;
        for (size_t bit = 0; bit < 8 * b.size; bit += packed ? 1 : 5) {
            b.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
            const int rc = read_contents(c, b.data, b.size, &err);
            if (rc == 0) {
                harmless++;
                wrong += c->used != good->used || memcmp(c->data, good->data, good->used) != 0;
            }
            other += rc != 0 && rc != SLT_ERR_FORMAT;
            b.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        CHECK(wrong == 0, "%s: %d flips pass and change what is read", packed ? "zstd" : "plain",
              wrong);
        CHECK(other == 0, "%s: %d other errors", packed ? "zstd" : "plain", other);
        CHECK(harmless < (int)b.size * 8 / 50, "%s: %d flips pass", packed ? "zstd" : "plain",
              harmless);
        if (packed)
            free(b.data);
    }
    free(good);
    free(c);
    free(plain.data);
}

// The sentence names the member whose data changed.
static void test_manifest(void)
{
    struct slt_error err;
    struct bytes b = write_checkpoint(true, true, true);
    static const char *const pieces[] = {"bytes of a", "{\"step\"", "\"tool\":\"a\""};
    static const char *const members[] = {"tokenizer.model", "trainer.json", "provenance.jsonl"};
    for (int i = 0; i < 3; i++) {
        char expected[100];
        unsigned char *at = NULL;
        for (size_t k = 0; k + strlen(pieces[i]) <= b.size && at == NULL; k++)
            if (memcmp(b.data + k, pieces[i], strlen(pieces[i])) == 0)
                at = b.data + k;
        CHECK(at != NULL, "no %s", members[i]);
        if (at == NULL)
            break;
        at[3] ^= 4;
        CHECK(verify(b.data, b.size, &err) == SLT_ERR_FORMAT, "%s is changed", members[i]);
        snprintf(expected, sizeof expected,
                 "'m.slt' is damaged: '%s' does not match MANIFEST.sha256", members[i]);
        CHECK(strcmp(err.message, expected) == 0, "%s", err.message);
        at[3] ^= 4;
    }
    CHECK_OK(verify(b.data, b.size, &err), err);
    free(b.data);
}

// Several bytes changed at once, blocks moved, repeated or cleared.
static void test_scrambling(void)
{
    struct slt_error err;
    struct bytes b = write_checkpoint(true, true, true);
    struct contents *good = malloc(sizeof *good), *c = malloc(sizeof *c);
    unsigned char *copy = malloc(2 * b.size);
    uint64_t state = 88172645463325252u;
    int wrong = 0;
    CHECK_OK(read_contents(good, b.data, b.size, &err), err);
    for (int round = 0; round < 4000; round++) {
        size_t size = b.size;
        memcpy(copy, b.data, size);
        for (int change = 0; change < 1 + round % 4; change++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            const size_t from = (size_t)(state % b.size), to = (size_t)(state >> 20) % b.size;
            const size_t n = (size_t)(state >> 40) % 600;
            const size_t most = b.size - (from > to ? from : to);
            if (round % 3 == 0)
                copy[from] = (unsigned char)(state >> 50);
            else if (round % 3 == 1)
                memmove(copy + to / 512 * 512, copy + from / 512 * 512, n < most ? n : most);
            else
                memset(copy + from, (int)(state >> 60), n < most ? n : most);
        }
        if (read_contents(c, copy, size, &err) == 0)
            wrong += c->used != good->used || memcmp(c->data, good->data, good->used) != 0;
    }
    CHECK(wrong == 0, "%d scrambled files pass", wrong);
    free(copy);
    free(good);
    free(c);
    free(b.data);
}

// What follows the end mark: zeros up to a block are what tar writes, anything else is foreign.
static void test_end(void)
{
    struct slt_error err;
    struct bytes b = write_checkpoint(false, false, true);
    unsigned char *more = calloc(1, b.size + 20480);
    memcpy(more, b.data, b.size);
    CHECK_OK(verify(more, b.size, &err), err);
    CHECK_OK(verify(more, b.size + 512, &err), err);
    CHECK_OK(verify(more, b.size + 10240, &err), err);
    CHECK(verify(more, b.size + 100, &err) == SLT_ERR_FORMAT, "part of a record");
    more[b.size + 10239] = 1;
    CHECK(verify(more, b.size + 10240, &err) == SLT_ERR_FORMAT, "a byte behind the end");
    CHECK(strstr(err.message, "has data behind its end") != NULL, "%s", err.message);
    more[b.size + 10239] = 0;
    more[b.size - 600] = 1;
    CHECK(verify(more, b.size, &err) == SLT_ERR_FORMAT, "a byte in the end mark");
    // A whole second checkpoint behind the first.
    unsigned char *twice = malloc(2 * b.size);
    memcpy(twice, b.data, b.size);
    memcpy(twice + b.size, b.data, b.size);
    CHECK(verify(twice, 2 * b.size, &err) == SLT_ERR_FORMAT, "two checkpoints");
    memcpy(twice + b.size - 1024, b.data, b.size);
    CHECK(verify(twice, 2 * b.size - 1024, &err) == SLT_ERR_FORMAT, "two without an end between");
    CHECK(strstr(err.message, "member 'config.json' follows the manifest") != NULL, "%s",
          err.message);
    free(twice);
    free(more);
    free(b.data);
}

static void test_provenance(void)
{
    struct slt_error err;
    char *one = NULL, *two = NULL;
    CHECK_OK(slt_provenance_add(&one, NULL, "slt-init", "{\"seed\": 1, \"tool\": \"x\"}", &err),
             err);
    CHECK(strcmp(one, "{\"tool\":\"slt-init\",\"version\":\"0.1.0\",\"seed\":1}\n") == 0, "%s",
          one);
    CHECK_OK(slt_provenance_add(&two, one, "slt-train", NULL, &err), err);
    CHECK(strncmp(two, one, strlen(one)) == 0 &&
              strcmp(two + strlen(one), "{\"tool\":\"slt-train\",\"version\":\"0.1.0\"}\n") == 0,
          "%s", two);
    free(one);
    CHECK_OK(slt_provenance_add(&one, "{}", "t", NULL, &err), err);
    CHECK(strncmp(one, "{}\n{\"tool\"", 10) == 0, "%s", one);
    CHECK(slt_provenance_add(&one, NULL, "t", "[1]", &err) == SLT_ERR_FORMAT, "no object");
    free(one);
    free(two);
}

// ---- Large files ----

static void write_large(uint64_t bytes)
{
    static unsigned char chunk[1 << 20];
    const struct slt_config config = small_config();
    const struct slt_tensor_info tensors[] = {{"large", SLT_U8, 1, {(int64_t)bytes}, bytes},
                                              {"last", SLT_U8, 1, {4}, 4}};
    struct slt_checkpoint_writer *w = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    CHECK_OK(slt_output_open(&out, "-", NULL, &err), err);
    CHECK_OK(slt_checkpoint_create(&w, out, &config, NULL, NULL, 0, &err), err);
    CHECK_OK(slt_checkpoint_begin(w, SLT_SECTION_MODEL, NULL, tensors, 2, &err), err);
    for (uint64_t at = 0; at < bytes; at += sizeof chunk) {
        slt_store_u64(chunk, at);
        CHECK_OK(slt_checkpoint_write(w, chunk, sizeof chunk, &err), err);
    }
    CHECK_OK(slt_checkpoint_write(w, "last", 4, &err), err);
    CHECK_OK(slt_checkpoint_finish(w, NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
}

static void read_large(uint64_t bytes)
{
    static unsigned char chunk[1 << 20];
    struct slt_checkpoint_reader *r = NULL;
    struct slt_input *in = NULL;
    struct slt_error err;
    enum slt_section section;
    const struct slt_tensor_info *info;
    CHECK_OK(slt_input_open(&in, "-", NULL, &err), err);
    CHECK_OK(slt_checkpoint_open(&r, in, &err), err);
    CHECK(slt_checkpoint_next(r, &section, &info, &err) == 1 && info->bytes == bytes, "%llu bytes",
          (unsigned long long)info->bytes);
    uint64_t wrong = 0;
    for (uint64_t at = 0; at < bytes; at += sizeof chunk) {
        CHECK_OK(slt_checkpoint_read(r, chunk, sizeof chunk, &err), err);
        wrong += slt_load_u64(chunk) != at;
    }
    CHECK(wrong == 0, "%llu chunks are wrong", (unsigned long long)wrong);
    CHECK(slt_checkpoint_next(r, &section, &info, &err) == 1, "last");
    CHECK_OK(slt_checkpoint_read(r, chunk, 4, &err), err);
    CHECK(memcmp(chunk, "last", 4) == 0, "last");
    CHECK_OK(slt_checkpoint_next(r, &section, &info, &err), err);
    slt_checkpoint_close(r);
}

static int large(uint64_t bytes)
{
    int ends[2], status = 1;
    if (pipe(ends) != 0)
        return 2;
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        write_large(bytes);
        _exit(check_failed != 0);
    }
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    close(ends[1]);
    read_large(bytes);
    waitpid(child, &status, 0);
    CHECK(status == 0, "the writer failed");
    return TEST_END();
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "large") == 0)
        return large((uint64_t)atoi(argv[2]) << 30);
    if (!make_folder())
        return 2;
    test_round_trip();
    test_reader();
    test_truncation();
    test_flips();
    test_manifest();
    test_scrambling();
    test_end();
    test_provenance();
    CHECK(rmdir(folder) == 0, "files are left in %s", folder);
    return TEST_END();
}
