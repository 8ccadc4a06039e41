// Checkpoints: what is written is read back; whatever is cut, flipped, reordered or invented is
// refused.
//
// `test_checkpoint large GIB` writes a checkpoint with one tensor of that size into a pipe and
// reads it from there (not part of the tests; 9 GiB pass the 8 GiB that a plain tar header can
// hold).
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "check.h"
#include "core/bytes.h"
#include "files/archive.h"
#include "files/safetensors.h"
#include "slt/checkpoint.h"

static char folder[] = "/tmp/slt-test-checkpoint-XXXXXX";
static char path[100];

static const char tokenizer[] = "bytes of a\0tokenizer";
static const char trainer[] = "{\"step\": 3}";
static const char provenance[] = "{\"tool\":\"a\"}\n";

static const struct slt_tensor_info model_tensors[] = {
    {"model.embed_tokens.weight", SLT_F32, 2, {8, 4}, 128},
    {"model.layers.0.self_attn.q_proj.lora_A", SLT_BF16, 2, {3, 5}, 30},
    {"empty", SLT_F32, 2, {0, 7}, 0},
    {"scalar", SLT_I64, 0, {0}, 8},
    {"model.norm.weight", SLT_U8, 1, {5}, 5},
};
static const struct slt_tensor_info optimizer_tensors[] = {{"m.a", SLT_F32, 1, {9}, 36},
                                                           {"v.a", SLT_F64, 3, {1, 2, 3}, 48}};
enum { MODEL_COUNT = 5, MODEL_BYTES = 171, OPTIMIZER_COUNT = 2, OPTIMIZER_BYTES = 84 };

// A file in memory.
struct bytes {
    unsigned char *data;
    size_t size;
};

static struct bytes read_file(void)
{
    struct bytes b = {NULL, 0};
    struct slt_error err;
    void *data = NULL;
    CHECK_OK(slt_file_read(&data, &b.size, path, (size_t)64 << 20, NULL, &err), err);
    b.data = data;
    unlink(path);
    return b;
}

static struct slt_config small_config(void)
{
    struct slt_config c;
    struct slt_error err;
    CHECK_OK(slt_config_preset(&c, "nano", &err), err);
    return c;
}

static unsigned char value_at(size_t i)
{
    return (unsigned char)(i * 37 + i / 19 + 1);
}

static struct bytes write_checkpoint(bool with_tokenizer, bool with_state, bool with_provenance)
{
    const struct slt_config config = small_config();
    struct slt_checkpoint_writer *w = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    unsigned char data[MODEL_BYTES + OPTIMIZER_BYTES];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = value_at(i);
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_checkpoint_create(&w, out, &config, with_tokenizer ? "tokenizer.model" : NULL,
                                   with_tokenizer ? tokenizer : NULL, sizeof tokenizer, &err),
             err);
    CHECK_OK(slt_checkpoint_begin(w, SLT_SECTION_MODEL, NULL, model_tensors, MODEL_COUNT, &err),
             err);
    // Pieces that are no tensors.
    for (size_t at = 0; at < MODEL_BYTES; at += 19)
        CHECK_OK(
            slt_checkpoint_write(w, data + at, 19 < MODEL_BYTES - at ? 19 : MODEL_BYTES - at, &err),
            err);
    if (with_state) {
        CHECK_OK(slt_checkpoint_begin(w, SLT_SECTION_OPTIMIZER, trainer, optimizer_tensors,
                                      OPTIMIZER_COUNT, &err),
                 err);
        CHECK_OK(slt_checkpoint_write(w, data + MODEL_BYTES, OPTIMIZER_BYTES, &err), err);
    }
    CHECK_OK(slt_checkpoint_finish(w, with_provenance ? provenance : NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    return read_file();
}

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

static int verify(const void *file, size_t bytes, struct slt_error *err)
{
    struct slt_checkpoint_reader *r = NULL;
    struct slt_input *in = NULL;
    int rc = slt_input_memory(&in, "m.slt", file, bytes, err);
    if (rc == 0 && (rc = slt_checkpoint_open(&r, in, err)) == 0)
        rc = slt_checkpoint_verify(r, err);
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

// ---- Archives with other members ----

// Makes an archive with a proper manifest of the given members, NULL at the end; "name=content" or
// a name alone for the usual content.
static struct bytes make_archive(const char *const *members)
{
    const struct slt_config config = small_config();
    struct slt_archive_out *a = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    char *json = NULL, *header = NULL;
    size_t header_bytes = 0;
    uint64_t data_bytes;
    CHECK_OK(slt_config_write(&config, &json, &err), err);
    CHECK_OK(slt_safetensors_build(&header, &header_bytes, &data_bytes, NULL, 0, &err), err);
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_archive_out_create(&a, out, &err), err);
    for (; *members != NULL; members++) {
        const char *equals = strchr(*members, '=');
        char name[100];
        snprintf(name, sizeof name, "%.*s",
                 (int)(equals != NULL ? (size_t)(equals - *members) : strlen(*members)), *members);
        const bool tensors = strstr(name, "safetensors") != NULL;
        const char *content = equals != NULL                     ? equals + 1
                              : strcmp(name, "config.json") == 0 ? json
                              : tensors                          ? header
                                                                 : "{}";
        const size_t bytes = equals == NULL && tensors ? header_bytes : strlen(content);
        CHECK_OK(slt_archive_out_member(a, name, content, bytes, &err), err);
    }
    CHECK_OK(slt_archive_out_finish(a, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    free(json);
    free(header);
    return read_file();
}

static void test_members(void)
{
    static const char *const good[][9] = {
        {"config.json", "model.safetensors"},
        {"config.json", "tokenizer.json", "model.safetensors", "provenance.jsonl"},
        {"config.json", "tokenizer.model", "model.safetensors", "trainer.json",
         "optimizer.safetensors", "provenance.jsonl"},
    };
    static const struct {
        const char *members[9];
        const char *says;
    } bad[] = {
        {{NULL}, "member 'MANIFEST.sha256' where 'config.json' is expected"},
        {{"model.safetensors"}, "member 'model.safetensors' where 'config.json' is expected"},
        {{"config.json"}, "member 'MANIFEST.sha256' where 'model.safetensors' is expected"},
        {{"config.json", "config.json", "model.safetensors"}, "member 'config.json' where"},
        {{"config.json", "tokenizer.model", "tokenizer.json", "model.safetensors"},
         "member 'tokenizer.json' where"},
        {{"config.json", "model.safetensors", "model.safetensors"}, "'model.safetensors' where"},
        {{"config.json", "model.safetensors", "tokenizer.model"}, "'tokenizer.model' where"},
        {{"config.json", "model.safetensors", "other"}, "'other' where 'MANIFEST.sha256'"},
        {{"config.json", "model.safetensors", "trainer.json"}, "where 'optimizer.safetensors'"},
        {{"config.json", "model.safetensors", "trainer.json", "trainer.json"},
         "where 'optimizer.safetensors'"},
        {{"config.json", "model.safetensors", "optimizer.safetensors"}, "'optimizer.safetensors'"},
        {{"config.json", "model.safetensors", "provenance.jsonl", "trainer.json",
          "optimizer.safetensors"},
         "'trainer.json' where 'MANIFEST.sha256'"},
        {{"config.json", "model.safetensors", "trainer.json", "optimizer.safetensors",
          "trainer.json", "optimizer.safetensors"},
         "'trainer.json' where 'MANIFEST.sha256'"},
        {{"./config.json", "model.safetensors"}, "'./config.json' where"},
        {{"config.json", "model.safetensors", "MANIFEST.sha256"}, "is damaged"},
        {{"config.json={}", "model.safetensors"}, "'m.slt: config.json': \"vocab_size\""},
        {{"config.json={", "model.safetensors"}, "'m.slt: config.json' is not valid JSON"},
        {{"config.json", "model.safetensors=short"}, "'model.safetensors' is too short"},
        {{"config.json", "model.safetensors=12345678"}, "header of 'model.safetensors' claims"},
    };
    struct slt_error err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct bytes b = make_archive(good[i]);
        CHECK_OK(verify(b.data, b.size, &err), err);
        free(b.data);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bytes b = make_archive(bad[i].members);
        CHECK(verify(b.data, b.size, &err) == SLT_ERR_FORMAT, "case %zu passes", i);
        CHECK(strstr(err.message, bad[i].says) != NULL, "case %zu says: %s", i, err.message);
        free(b.data);
    }
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

static la_ssize_t take(struct archive *a, void *user, const void *block, size_t bytes)
{
    (void)a;
    struct bytes *b = user;
    b->data = realloc(b->data, b->size + bytes);
    memcpy(b->data + b->size, block, bytes);
    b->size += bytes;
    return (la_ssize_t)bytes;
}

// An archive whose only member is of another type or claims another size than it has.
static struct bytes foreign_archive(const char *member, int type, const char *link, int64_t size,
                                    const char *content)
{
    struct bytes b = {NULL, 0};
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    archive_write_set_format_pax(a);
    archive_write_set_bytes_per_block(a, 0);
    archive_write_open(a, &b, NULL, take, NULL);
    archive_entry_set_pathname(e, member);
    archive_entry_set_filetype(e, (unsigned)type);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, size);
    if (link != NULL && type == AE_IFLNK)
        archive_entry_set_symlink(e, link);
    else if (link != NULL)
        archive_entry_set_hardlink(e, link);
    archive_write_header(a, e);
    archive_write_data(a, content, strlen(content));
    archive_entry_free(e);
    archive_write_fail(a);
    archive_write_close(a);
    archive_write_free(a);
    return b;
}

static void test_foreign(void)
{
    static const struct {
        const char *member;
        int type;
        const char *link;
        int64_t size;
        const char *says;
    } bad[] = {
        {"config.json", AE_IFLNK, "/etc/passwd", 0, "is no plain file"},
        {"config.json", AE_IFREG, "/etc/passwd", 0, "is no plain file"},
        {"config.json", AE_IFDIR, NULL, 0, "is no plain file"},
        {"config.json", AE_IFIFO, NULL, 0, "is no plain file"},
        {"config.json", AE_IFREG, NULL, (int64_t)1 << 20, "is truncated or damaged at byte"},
        {"config.json", AE_IFREG, NULL, ((int64_t)1 << 20) + 1, "more than the 1048576 supported"},
        {"config.json", AE_IFREG, NULL, (int64_t)1 << 50, "more than the 1048576 supported"},
    };
    struct slt_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bytes b =
            foreign_archive(bad[i].member, bad[i].type, bad[i].link, bad[i].size, "{}");
        CHECK(verify(b.data, b.size, &err) == SLT_ERR_FORMAT, "case %zu passes", i);
        CHECK(strstr(err.message, bad[i].says) != NULL, "case %zu says: %s", i, err.message);
        free(b.data);
    }
    static const char text[] = "This is no tar archive, but some text, long enough to look into.";
    CHECK(verify(text, sizeof text, &err) == SLT_ERR_FORMAT, "text");
    CHECK(strstr(err.message, "'m.slt' is no tar archive") != NULL, "%s", err.message);
    char tokens[600] = "SLTTOK\r\n";
    CHECK(verify(tokens, sizeof tokens, &err) == SLT_ERR_FORMAT, "tokens");
    CHECK(strcmp(err.message, "'m.slt' is a token file, not a checkpoint") == 0, "%s", err.message);
    char zeros[2048] = {0};
    CHECK(verify(zeros, sizeof zeros, &err) == SLT_ERR_FORMAT, "zeros");
}

// ---- safetensors ----

static void test_safetensors(void)
{
    // All with 8 bytes of data.
    static const char *const good[] = {
        "{}      ",
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"b\":{\"dtype\":\"I32\",\"shape\":[1,1],\"data_offsets\":[4,8]},"
        "\"a\":{\"shape\":[2],\"dtype\":\"BF16\",\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"e\":{\"dtype\":\"F64\",\"shape\":[9223372036854775807,0],\"data_offsets\":[8,8]}}",
    };
    static const struct {
        const char *json, *says;
    } bad[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}", "needs 8 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}", "beyond the data"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "end at byte 4"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "begins at byte 4"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         "begins at byte 4, not at 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "needs 8 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "bad shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", "bad shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,2],\"data_offsets\":[0,8]}}", "dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967297],\"data_offsets\":[0,8]}}",
         "is too large"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}", "'F8_E4M3'"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "is not described"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}",
         "not described"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", "not described"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-1,7]}}", "not described"},
        {"{\"a\":[]}", "is not described"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         "duplicate"},
        {"{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "name"},
        {"{\"\\u001b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "name"},
        {"{\"__metadata__\":{\"n\":1}}", "no string"},
        {"{\"__metadata__\":[]}", "no object"},
        {"[]", "not a JSON object"},
        {"", "not valid JSON"},
    };
    struct slt_error err;
    struct slt_tensor_info *list = NULL;
    size_t count = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK_OK(slt_safetensors_parse(&list, &count, "x", good[i], strlen(good[i]), i == 0 ? 0 : 8,
                                       &err),
                 err);
        CHECK(count == (i + 2) / 2 - (i == 0), "good %zu: %zu tensors", i, count);
        CHECK(count == 0 || strcmp(list[0].name, "a") == 0, "good %zu: order", i);
        free(list);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        list = NULL;
        int rc =
            slt_safetensors_parse(&list, &count, "x", bad[i].json, strlen(bad[i].json), 8, &err);
        CHECK(rc == SLT_ERR_FORMAT && list == NULL, "bad %zu gives %d", i, rc);
        CHECK(strstr(err.message, bad[i].says) != NULL, "bad %zu says: %s", i, err.message);
    }
    // What is built is parsed back, and aligned.
    char *header = NULL;
    size_t bytes = 0;
    uint64_t data = 0;
    CHECK_OK(slt_safetensors_build(&header, &bytes, &data, model_tensors, MODEL_COUNT, &err), err);
    CHECK(bytes % 8 == 0 && data == MODEL_BYTES && slt_load_u64(header) == bytes - 8, "sizes");
    CHECK_OK(slt_safetensors_parse(&list, &count, "x", header + 8, bytes - 8, data, &err), err);
    CHECK(count == MODEL_COUNT && memcmp(list, model_tensors, sizeof model_tensors) == 0, "list");
    free(list);
    free(header);
}

// ---- Writer's mistakes ----

static void test_writer_errors(void)
{
    const struct slt_config config = small_config();
    const struct slt_tensor_info twice[] = {{"a", SLT_F32, 1, {2}, 8}, {"a", SLT_F32, 1, {2}, 8}};
    const struct slt_tensor_info wrong = {"a", SLT_F32, 1, {2}, 7};
    const struct slt_tensor_info quoted = {"a\"b", SLT_F32, 1, {2}, 8};
    const struct slt_tensor_info negative = {"a", SLT_F32, 1, {-2}, 8};
    const struct slt_tensor_info fine = {"a", SLT_F32, 1, {2}, 8};
    const struct {
        const struct slt_tensor_info *tensors;
        size_t count, bytes;
        const char *says;
    } bad[] = {
        {twice, 2, 16, "'a' is there twice"},
        {&wrong, 1, 7, "has 8 bytes, not 7"},
        {&quoted, 1, 8, "is no name"},
        {&negative, 1, 8, "impossible"},
        {&fine, 1, 7, "1 of 8 bytes of tensors were not written"},
        {&fine, 1, 9, "more tensor data than announced (8 bytes)"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct slt_checkpoint_writer *w = NULL;
        struct slt_output *out = NULL;
        struct slt_error err, later;
        CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
        CHECK_OK(slt_checkpoint_create(&w, out, &config, NULL, NULL, 0, &err), err);
        int rc =
            slt_checkpoint_begin(w, SLT_SECTION_MODEL, NULL, bad[i].tensors, bad[i].count, &err);
        if (rc == 0)
            rc = slt_checkpoint_write(w, "0123456789abcdef", bad[i].bytes, &err);
        int end = slt_checkpoint_finish(w, NULL, rc == 0 ? &err : &later);
        CHECK(end < 0, "case %zu: finish passes", i);
        CHECK(strstr(err.message, bad[i].says) != NULL, "case %zu says: %s", i, err.message);
        // Whatever was written so far is not whole.
        CHECK_OK(slt_output_publish(out, &err), err);
        struct bytes b = read_file();
        CHECK(verify(b.data, b.size, &err) == SLT_ERR_FORMAT, "case %zu is whole", i);
        free(b.data);
    }
    // A full disk is reported, by the device's name.
    struct slt_checkpoint_writer *w = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    static char much[1 << 17];
    const struct slt_tensor_info large = {"a", SLT_U8, 1, {sizeof much}, sizeof much};
    CHECK_OK(slt_output_open(&out, "/dev/full", NULL, &err), err);
    CHECK_OK(slt_checkpoint_create(&w, out, &config, NULL, NULL, 0, &err), err);
    CHECK_OK(slt_checkpoint_begin(w, SLT_SECTION_MODEL, NULL, &large, 1, &err), err);
    CHECK(slt_checkpoint_write(w, much, sizeof much, &err) == SLT_ERR_IO, "/dev/full");
    CHECK(strcmp(err.message, "cannot write '/dev/full': No space left on device") == 0, "%s",
          err.message);
    slt_checkpoint_abandon(w);
    slt_output_abandon(out);
}

// Announced sizes are kept, also by members that are no tensors.
static void test_announced_sizes(void)
{
    struct slt_error err;
    for (size_t written = 3; written <= 7; written += 2) {
        struct slt_archive_out *a = NULL;
        struct slt_output *out = NULL;
        CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
        CHECK_OK(slt_archive_out_create(&a, out, &err), err);
        CHECK_OK(slt_archive_out_begin(a, "five", 5, &err), err);
        int rc = slt_archive_out_write(a, "1234567", written, &err);
        CHECK((rc == 0) == (written <= 5), "%zu bytes written", written);
        if (written < 5) {
            CHECK(slt_archive_out_begin(a, "next", 1, &err) == SLT_ERR_RANGE, "short");
            CHECK(strstr(err.message, "member 'five' is 2 bytes short of 5") != NULL, "%s",
                  err.message);
        }
        rc = slt_archive_out_finish(a, &err);
        CHECK((rc == 0) == (written == 5), "%zu bytes finished", written);
        slt_output_abandon(out);
    }
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
    if (mkdtemp(folder) == NULL)
        return 2;
    snprintf(path, sizeof path, "%s/file", folder);
    test_round_trip();
    test_reader();
    test_truncation();
    test_flips();
    test_manifest();
    test_scrambling();
    test_members();
    test_end();
    test_foreign();
    test_safetensors();
    test_writer_errors();
    test_announced_sizes();
    test_provenance();
    CHECK(rmdir(folder) == 0, "files are left in %s", folder);
    return TEST_END();
}
