// Checkpoints that are foreign or wrongly made: other members, other types, impossible tensors,
// sizes that are announced and not kept.
#include <archive.h>
#include <archive_entry.h>

#include "checkpoint.h"
#include "core/bytes.h"
#include "files/archive.h"
#include "files/safetensors.h"

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

// A header of tar for so many bytes, whose type says what they are.
static void put_header(unsigned char header[512], char type, size_t bytes)
{
    unsigned sum = 0;
    memset(header, 0, 512);
    snprintf((char *)header, 100, "pax_global_header");
    snprintf((char *)header + 100, 8, "0000644");
    snprintf((char *)header + 108, 8, "0000000");
    snprintf((char *)header + 116, 8, "0000000");
    snprintf((char *)header + 124, 12, "%011zo", bytes);
    snprintf((char *)header + 136, 12, "%011o", 0);
    memset(header + 148, ' ', 8);
    header[156] = (unsigned char)type;
    memcpy(header + 257, "ustar\00000", 8);
    for (int i = 0; i < 512; i++)
        sum += header[i];
    snprintf((char *)header + 148, 7, "%06o", sum);
}

// The checkpoint behind attributes of so many bytes, as other programs write them.
static struct bytes with_attributes(struct bytes checkpoint, char type, size_t bytes)
{
    const size_t padded = (bytes + 511) / 512 * 512;
    struct bytes b = {calloc(1, 512 + padded + checkpoint.size), 512 + padded + checkpoint.size};
    put_header(b.data, type, bytes);
    memset(b.data + 512, 'x', bytes);
    const int n = snprintf((char *)b.data + 512, bytes, "%zu comment=", bytes);
    b.data[512 + n] = 'x';
    b.data[512 + bytes - 1] = '\n';
    memcpy(b.data + 512 + padded, checkpoint.data, checkpoint.size);
    return b;
}

// What is recognised as a checkpoint is what can be opened as one.
static void test_attributes(void)
{
    static const char *const members[] = {"config.json", "model.safetensors", NULL};
    static const size_t sizes[] = {40, 1000, 5000, 150000, 300000};
    const struct bytes checkpoint = make_archive(members);
    struct slt_error err;
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        const struct bytes b = with_attributes(checkpoint, i % 2 == 0 ? 'x' : 'g', sizes[i / 2]);
        struct slt_input *in = NULL;
        enum slt_file_kind kind = SLT_FILE_UNKNOWN;
        const bool taken = verify(b.data, b.size, &err) == 0;
        CHECK(taken == (sizes[i / 2] < SLT_PEEK_MAX), "%zu bytes: %s", sizes[i / 2], err.message);
        CHECK_OK(slt_input_memory(&in, "m.slt", b.data, b.size, &err), err);
        CHECK_OK(slt_input_recognise(&kind, in, &err), err);
        CHECK((kind == SLT_FILE_CHECKPOINT) == taken, "%zu bytes: taken %d, kind %d", sizes[i / 2],
              taken, (int)kind);
        slt_input_close(in);
        free(b.data);
    }
    free(checkpoint.data);
}

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

int main(void)
{
    if (!make_folder())
        return 2;
    test_members();
    test_foreign();
    test_attributes();
    test_safetensors();
    test_writer_errors();
    test_announced_sizes();
    CHECK(rmdir(folder) == 0, "files are left in %s", folder);
    return TEST_END();
}
