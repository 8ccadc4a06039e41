// Token files: mapped and streamed reading agree; whatever is cut or flipped is refused.
//
// `test_tokens large GIB` writes a token file of that size into a pipe and reads it from there (not
// part of the tests).
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "check.h"
#include "core/bytes.h"
#include "slt/tokens.h"

static char folder[] = "/tmp/slt-test-tokens-XXXXXX";
static char path[100], fifo[100];

struct bytes {
    unsigned char *data;
    size_t size;
};

static struct bytes read_file(void)
{
    struct bytes b = {NULL, 0};
    struct slt_error err;
    void *data = NULL;
    CHECK_OK(slt_file_read(&data, &b.size, path, (size_t)256 << 20, NULL, &err), err);
    b.data = data;
    unlink(path);
    return b;
}

// Length and ids of document n: many short ones, some empty, now and then a long one.
static size_t length_of(uint64_t n)
{
    return n % 7 == 3 ? 0 : n % 1000 == 999 ? 20000 : (size_t)(n * 2654435761u % 11);
}

static uint32_t id_of(const struct slt_tokens_header *h, uint64_t n, size_t i)
{
    uint32_t id = (uint32_t)((n * 31 + i * 17) % h->vocab_size);
    while (id == h->eos)
        id = (id + 1) % h->vocab_size;
    return id;
}

static struct bytes write_tokens(const struct slt_tokens_header *h, uint64_t documents)
{
    struct slt_tokens_writer *w = NULL;
    struct slt_tokens_totals totals;
    struct slt_output *out = NULL;
    struct slt_error err;
    static uint32_t ids[20000];
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_tokens_create(&w, out, h, &err), err);
    uint64_t tokens = 0;
    int rc = 0;
    for (uint64_t n = 0; n < documents && rc == 0; n++) {
        const size_t length = length_of(n);
        for (size_t i = 0; i < length; i++)
            ids[i] = id_of(h, n, i);
        rc = slt_tokens_append(w, ids, length, 3 * length, &err);
        tokens += length + (h->eos != SLT_TOKEN_NONE);
    }
    CHECK_OK(rc, err);
    CHECK_OK(slt_tokens_finish(w, &totals, &err), err);
    CHECK(totals.tokens == tokens && totals.documents == documents, "totals");
    CHECK_OK(slt_output_publish(out, &err), err);
    return read_file();
}

static struct bytes compress(struct bytes b)
{
    struct bytes z = {malloc(ZSTD_compressBound(b.size)), 0};
    z.size = ZSTD_compress(z.data, ZSTD_compressBound(b.size), b.data, b.size, 1);
    CHECK(!ZSTD_isError(z.size), "zstd");
    return z;
}

static int open_bytes(struct slt_tokens **t, const void *data, size_t bytes, struct slt_error *err)
{
    struct slt_input *in = NULL;
    int rc = slt_input_memory(&in, "x.tok", data, bytes, err);
    return rc != 0 ? rc : slt_tokens_open(t, in, err);
}

// Opens and checks a file; the error of either.
static int check_bytes(const void *data, size_t bytes, struct slt_error *err)
{
    struct slt_tokens *t = NULL;
    int rc = open_bytes(&t, data, bytes, err);
    if (rc == 0)
        rc = slt_tokens_check(t, err);
    slt_tokens_close(t);
    return rc;
}

static struct slt_tokens_header header(uint32_t vocab, uint32_t eos)
{
    struct slt_tokens_header h = {.vocab_size = vocab, .eos = eos, .pad = SLT_TOKEN_NONE};
    for (int i = 0; i < SLT_SHA256_BYTES; i++)
        h.digest[i] = (unsigned char)(i + 1);
    return h;
}

// Reads all of t in pieces of changing size and compares with what was written.
static void compare_tokens(struct slt_tokens *t, const struct slt_tokens_header *h,
                           uint64_t documents, size_t first_piece)
{
    static int32_t ids[70001];
    struct slt_error err;
    uint64_t n = 0, wrong = 0, total = 0;
    size_t i = 0, got = 0, piece = first_piece;
    do {
        CHECK_OK(slt_tokens_read(t, ids, piece, &got, &err), err);
        for (size_t k = 0; k < got; k++) {
            while (h->eos == SLT_TOKEN_NONE && n < documents && i == length_of(n))
                n++, i = 0;
            const bool ends = h->eos != SLT_TOKEN_NONE && i == length_of(n);
            wrong += ids[k] != (int32_t)(ends ? h->eos : id_of(h, n, i));
            n += ends;
            i = ends ? 0 : i + 1;
        }
        total += got;
        if (got < piece)
            break;
        // Small files also token by token.
        piece = documents < 300 && first_piece == 1 ? 1 : piece * 3 % 70001 + 1;
    } while (1);
    const struct slt_tokens_totals totals = slt_tokens_totals(t);
    CHECK(wrong == 0, "%d tokens are wrong", (int)wrong);
    CHECK(totals.tokens == total && totals.documents == documents, "%d tokens, %d documents",
          (int)totals.tokens, (int)totals.documents);
    CHECK_OK(slt_tokens_read(t, ids, 5, &got, &err), err);
    CHECK(got == 0, "tokens behind the end");
}

static void test_round_trip(void)
{
    static const struct {
        uint32_t vocab, eos;
        uint64_t documents;
    } cases[] = {
        {100, 2, 0},
        {100, 2, 1},
        {100, 2, 2},
        {100, 99, 255},
        {100, 0, 256},
        {100, 0, 257},
        {65536, 65535, 300},
        {65537, 65536, 300},
        {2, 1, 2000},
        {32000, SLT_TOKEN_NONE, 0},
        {32000, SLT_TOKEN_NONE, 5},
        {32000, SLT_TOKEN_NONE, 2100},
        {100000, 2, 40000},
    };
    struct slt_error err;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const struct slt_tokens_header h = header(cases[c].vocab, cases[c].eos);
        struct bytes b = write_tokens(&h, cases[c].documents);
        struct bytes z = compress(b);
        for (size_t piece = 1; piece <= 5000; piece += 4999) {
            for (int streamed = 0; streamed < 2; streamed++) {
                struct slt_tokens *t = NULL;
                CHECK_OK(
                    open_bytes(&t, streamed ? z.data : b.data, streamed ? z.size : b.size, &err),
                    err);
                const struct slt_tokens_header *back = slt_tokens_header(t);
                CHECK(back->version == 1 && back->width == (h.vocab_size <= 65536 ? 2 : 4) &&
                          back->vocab_size == h.vocab_size && back->eos == h.eos &&
                          back->pad == h.pad && memcmp(back->digest, h.digest, 32) == 0,
                      "case %zu: header", c);
                CHECK(slt_tokens_is_mapped(t) == !streamed, "case %zu: mapped", c);
                compare_tokens(t, &h, cases[c].documents, piece);
                slt_tokens_close(t);
            }
        }
        CHECK_OK(check_bytes(b.data, b.size, &err), err);
        CHECK_OK(check_bytes(z.data, z.size, &err), err);
        free(z.data);
        free(b.data);
    }
    CHECK(check_bytes("", 0, &err) == SLT_ERR_FORMAT, "empty");
    CHECK(strcmp(err.message, "'x.tok' is empty") == 0, "%s", err.message);
}

static void test_mapped(void)
{
    enum { DOCUMENTS = 3000 };
    const struct slt_tokens_header h = header(500, 7);
    struct bytes b = write_tokens(&h, DOCUMENTS);
    struct slt_tokens *t = NULL;
    struct slt_error err;
    int32_t ids[30], all[600];
    size_t got = 0;
    CHECK_OK(open_bytes(&t, b.data, b.size, &err), err);
    uint64_t start = 0, wrong = 0;
    for (uint64_t n = 0; n < DOCUMENTS; n++) {
        uint64_t position = 0, count = 0;
        CHECK_OK(slt_tokens_document(t, n, &position, &count, &err), err);
        wrong += position != start || count != length_of(n) + 1;
        const size_t most = count < 30 ? (size_t)count : 30;
        CHECK_OK(slt_tokens_read_at(t, ids, position, most, &err), err);
        for (size_t i = 0; i < most; i++)
            wrong += ids[i] != (int32_t)(i == length_of(n) ? h.eos : id_of(&h, n, i));
        start += count;
    }
    CHECK(wrong == 0, "%d wrong", (int)wrong);
    CHECK(start == slt_tokens_totals(t).tokens, "tokens");
    uint64_t position, count;
    CHECK(slt_tokens_document(t, DOCUMENTS, &position, &count, &err) == SLT_ERR_RANGE, "beyond");
    CHECK_OK(slt_tokens_read_at(t, ids, start, 0, &err), err);
    CHECK(slt_tokens_read_at(t, ids, start - 1, 2, &err) == SLT_ERR_RANGE, "beyond the end");
    CHECK(slt_tokens_read_at(t, ids, UINT64_MAX, 2, &err) == SLT_ERR_RANGE, "overflow");
    // Reading at a place does not move the sequential reader, nor does a check.
    CHECK_OK(slt_tokens_read(t, all, 300, &got, &err), err);
    CHECK_OK(slt_tokens_read_at(t, ids, 5, 10, &err), err);
    CHECK_OK(slt_tokens_check(t, &err), err);
    CHECK_OK(slt_tokens_read(t, all + 300, 300, &got, &err), err);
    CHECK_OK(slt_tokens_read_at(t, ids, 290, 30, &err), err);
    CHECK(memcmp(all + 290, ids, sizeof ids) == 0, "the cursor moved");
    slt_tokens_close(t);

    // A regular file on disk is mapped too.
    struct slt_input *in = NULL;
    struct slt_output *out = NULL;
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_output_write(out, b.data, b.size, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    CHECK_OK(slt_input_open(&in, path, NULL, &err), err);
    CHECK_OK(slt_tokens_open(&t, in, &err), err);
    CHECK(slt_tokens_is_mapped(t), "not mapped");
    CHECK_OK(slt_tokens_check(t, &err), err);
    slt_tokens_close(t);
    unlink(path);
    free(b.data);
}

static void *feed_fifo(void *arg)
{
    const struct bytes *b = arg;
    FILE *f = fopen(fifo, "wb");
    // Small and odd pieces, so that the reader sees every kind of cut.
    for (size_t at = 0, n = 1; f != NULL && at < b->size; at += n, n = n * 7 % 4099) {
        n = n < b->size - at ? n : b->size - at;
        fwrite(b->data + at, 1, n, f);
        fflush(f);
    }
    if (f != NULL)
        fclose(f);
    return NULL;
}

static void test_pipe(void)
{
    const struct slt_tokens_header h = header(500, 7);
    struct bytes b = write_tokens(&h, 3000);
    struct slt_tokens *t = NULL;
    struct slt_input *in = NULL;
    struct slt_error err;
    pthread_t thread;
    CHECK(mkfifo(fifo, 0600) == 0, "mkfifo");
    pthread_create(&thread, NULL, feed_fifo, &b);
    CHECK_OK(slt_input_open(&in, fifo, NULL, &err), err);
    CHECK_OK(slt_tokens_open(&t, in, &err), err);
    CHECK(!slt_tokens_is_mapped(t) && slt_tokens_totals(t).tokens == 0, "known too early");
    compare_tokens(t, &h, 3000, 11);
    slt_tokens_close(t);
    pthread_join(thread, NULL);
    unlink(fifo);
    free(b.data);
}

// Every cut is refused, mapped and streamed. A frame is made for each cut, so that it is the token
// file that ends and not the frame.
static void test_truncation(void)
{
    struct slt_error err;
    for (int kind = 0; kind < 3; kind++) {
        const struct slt_tokens_header h =
            header(kind == 1 ? 70000 : 300, kind == 2 ? SLT_TOKEN_NONE : 7);
        struct bytes b = write_tokens(&h, 520);
        int passed = 0, other = 0;
        for (size_t n = 0; n < b.size; n++) {
            struct bytes part = {malloc(n + 1), n};
            memcpy(part.data, b.data, n);
            int rc = check_bytes(part.data, n, &err);
            passed += rc == 0;
            other += rc != 0 && rc != SLT_ERR_FORMAT;
            if (n % 7 == 0 || n > b.size - 200) {
                struct bytes z = compress(part);
                rc = check_bytes(z.data, z.size, &err);
                passed += rc == 0;
                other += rc != 0 && rc != SLT_ERR_FORMAT;
                free(z.data);
            }
            free(part.data);
        }
        CHECK(passed == 0 && other == 0, "kind %d: %d pass, %d other errors", kind, passed, other);
        // Bytes behind the end, whole tokens left out.
        struct bytes more = {malloc(b.size + 8), b.size + 8};
        memcpy(more.data, b.data, b.size);
        memset(more.data + b.size, 0, 8);
        CHECK(check_bytes(more.data, more.size, &err) == SLT_ERR_FORMAT, "longer");
        struct bytes z = compress(more);
        CHECK(check_bytes(z.data, z.size, &err) == SLT_ERR_FORMAT, "longer stream");
        free(z.data);
        free(more.data);
        memmove(b.data + 100, b.data + 104, b.size - 104);
        CHECK(check_bytes(b.data, b.size - 4, &err) == SLT_ERR_FORMAT, "shorter");
        z = compress((struct bytes){b.data, b.size - 4});
        CHECK(check_bytes(z.data, z.size, &err) == SLT_ERR_FORMAT, "shorter stream");
        free(z.data);
        free(b.data);
    }
}

static void test_flips(void)
{
    struct slt_error err;
    const struct slt_tokens_header h = header(300, 7);
    struct bytes b = write_tokens(&h, 300);
    int passed = 0, other = 0;
    for (size_t bit = 0; bit < 8 * b.size; bit++) {
        b.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        int rc = check_bytes(b.data, b.size, &err);
        passed += rc == 0;
        other += rc != 0 && rc != SLT_ERR_FORMAT;
        if (bit % 5 == 0) {
            struct bytes z = compress(b);
            rc = check_bytes(z.data, z.size, &err);
            passed += rc == 0;
            other += rc != 0 && rc != SLT_ERR_FORMAT;
            free(z.data);
        }
        b.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    CHECK(passed == 0 && other == 0, "%d pass, %d other errors", passed, other);
    free(b.data);
}

// Damage with a digest made anew: nothing may be believed because the digest is right.
static void redigest(struct bytes b)
{
    slt_sha256_of(b.data + b.size - SLT_SHA256_BYTES, b.data, b.size - SLT_SHA256_BYTES);
}

static void test_forgeries(void)
{
    static const struct {
        int from_end; // counted from the end mark, else from the start
        size_t offset, width;
        uint64_t value;
        const char *says;
    } cases[] = {
        {0, 8, 4, 2, "version 2; only version 1 is supported"},
        {0, 12, 4, 4, "tokens of 4 bytes for a vocabulary of 300"},
        {0, 16, 4, 0, "for a vocabulary of 0"},
        {0, 16, 4, 70000, "tokens of 2 bytes for a vocabulary of 70000"},
        {0, 16, 4, 20, "is outside the vocabulary"},
        {0, 20, 4, 300, "outside the vocabulary"},
        {0, 20, 4, 8, "its last document has no end"},
        {0, 24, 4, 300, "outside the vocabulary"},
        {0, 28, 4, 1, "reserved field"},
        {0, 64, 2, 300, "token 300 at position 0"},
        {0, 64, 2, 65535, "token 65535 at position 0"},
        {1, 0, 1, 0, "its end mark is missing"},
        {1, 8, 8, 0, "does not fit its size"},
        {1, 8, 8, UINT64_MAX, "does not fit its size"},
        {1, 8, 8, (uint64_t)1 << 63, "does not fit its size"},
        {1, 16, 8, 0, "does not fit its size"},
        {1, 16, 8, 299, "number of documents"},
        {1, 16, 8, UINT64_MAX, "does not fit its size"},
        {1, 32, 8, 0, "does not fit its size"},
        {1, 32, 8, UINT64_MAX, "does not fit its size"},
        {1, 40, 8, 1, "does not fit its size"},
        {1, 40, 8, (uint64_t)1 << 61, "does not fit its size"},
        {1, 48, 8, 1, "contradicts itself"},
        {1, 56, 8, 1, "contradicts itself"},
    };
    struct slt_error err;
    const struct slt_tokens_header h = header(300, 7);
    struct bytes b = write_tokens(&h, 300);
    unsigned char *copy = malloc(b.size);
    memcpy(copy, b.data, b.size);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        unsigned char *at = b.data + cases[c].offset + (cases[c].from_end ? b.size - 96 : 0);
        for (size_t i = 0; i < cases[c].width; i++)
            at[i] = (unsigned char)(cases[c].value >> 8 * i);
        redigest(b);
        CHECK(check_bytes(b.data, b.size, &err) == SLT_ERR_FORMAT, "case %zu passes", c);
        CHECK(strstr(err.message, cases[c].says) != NULL, "case %zu says: %s", c, err.message);
        struct bytes z = compress(b);
        CHECK(check_bytes(z.data, z.size, &err) == SLT_ERR_FORMAT, "case %zu passes streamed", c);
        free(z.data);
        memcpy(b.data, copy, b.size);
    }
    // An index that does not fit, also where documents are looked up by it.
    struct slt_tokens *t = NULL;
    uint64_t position, count;
    static const uint64_t entries[] = {UINT64_MAX, 5};
    for (int e = 0; e < 2; e++) {
        slt_store_u64(b.data + b.size - 96 - 8, entries[e]);
        redigest(b);
        CHECK(check_bytes(b.data, b.size, &err) == SLT_ERR_FORMAT, "index %d", e);
        CHECK(strstr(err.message, "its index does not fit") != NULL, "%s", err.message);
        struct bytes z = compress(b);
        CHECK(check_bytes(z.data, z.size, &err) == SLT_ERR_FORMAT, "index %d streamed", e);
        free(z.data);
    }
    slt_store_u64(b.data + b.size - 96 - 8, UINT64_MAX);
    CHECK_OK(open_bytes(&t, b.data, b.size, &err), err);
    CHECK(slt_tokens_document(t, 256, &position, &count, &err) == SLT_ERR_FORMAT, "document");
    CHECK_OK(slt_tokens_document(t, 255, &position, &count, &err), err);
    slt_tokens_close(t);
    memcpy(b.data, copy, b.size);
    redigest(b);
    CHECK_OK(check_bytes(b.data, b.size, &err), err);
    free(copy);
    free(b.data);
}

// The kind is known without consuming anything, also where the first zstd block is long.
static void test_recognise(void)
{
    const struct slt_tokens_header h = header(60000, 7);
    struct bytes b = write_tokens(&h, 30000);
    struct bytes z = compress(b);
    struct slt_error err;
    const struct {
        const void *data;
        size_t bytes;
        enum slt_file_kind kind;
    } cases[] = {
        {b.data, b.size, SLT_FILE_TOKENS},
        {z.data, z.size, SLT_FILE_TOKENS},
        {"", 0, SLT_FILE_UNKNOWN},
        {"SLTTOK\r", 7, SLT_FILE_UNKNOWN},
        {"config.json", 12, SLT_FILE_UNKNOWN}, // no header of tar, let alone a checkpoint
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct slt_input *in = NULL;
        enum slt_file_kind kind = SLT_FILE_UNKNOWN;
        unsigned char first = 0;
        size_t got = 0;
        CHECK_OK(slt_input_memory(&in, "x", cases[c].data, cases[c].bytes, &err), err);
        CHECK_OK(slt_input_recognise(&kind, in, &err), err);
        CHECK(kind == cases[c].kind, "case %zu: %d", c, (int)kind);
        CHECK_OK(slt_input_read(in, &first, 1, &got, &err), err);
        CHECK(got == 0 || first == *(const unsigned char *)cases[c].data, "case %zu: consumed", c);
        slt_input_close(in);
    }
    // A cut frame of which nothing can be unpacked is an error, not another kind of file.
    struct slt_input *cut = NULL;
    enum slt_file_kind kind;
    CHECK_OK(slt_input_memory(&cut, "x", z.data, 100, &err), err);
    CHECK(slt_input_recognise(&kind, cut, &err) == SLT_ERR_FORMAT, "cut frame");
    slt_input_close(cut);
    free(z.data);
    free(b.data);
}

static void test_foreign(void)
{
    struct slt_error err;
    char tar[2000] = "config.json"; // as the oldest tar writes it: name, size, sum of the bytes
    unsigned sum = 8 * ' ';
    memcpy(tar + 124, "00000000000", 12);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)tar[i];
    snprintf(tar + 148, 8, "%06o", sum);
    CHECK(check_bytes(tar, sizeof tar, &err) == SLT_ERR_FORMAT, "checkpoint");
    CHECK(strcmp(err.message, "'x.tok' is a checkpoint, not a token file") == 0, "%s", err.message);
    CHECK(check_bytes("text", 4, &err) == SLT_ERR_FORMAT, "text");
    CHECK(strcmp(err.message, "'x.tok' is no token file") == 0, "%s", err.message);
    CHECK(check_bytes("SLTTOK\n", 7, &err) == SLT_ERR_FORMAT, "line ends changed");
}

static void test_writer_errors(void)
{
    struct slt_tokens_writer *w = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    const uint32_t fine[] = {1, 2, 3}, outside[] = {1, 300}, end[] = {1, 7};
    const struct slt_tokens_header h = header(300, 7);
    const struct slt_tokens_header bad[] = {header(0, SLT_TOKEN_NONE), header(300, 300)};
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    for (int i = 0; i < 2; i++)
        CHECK(slt_tokens_create(&w, out, &bad[i], &err) == SLT_ERR_RANGE, "header %d", i);
    slt_output_abandon(out);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
        CHECK_OK(slt_tokens_create(&w, out, &h, &err), err);
        CHECK_OK(slt_tokens_append(w, fine, 3, 5, &err), err);
        CHECK(slt_tokens_append(w, i == 0 ? outside : end, 2, 5, &err) == SLT_ERR_RANGE, "id");
        CHECK(strstr(err.message, i == 0 ? "token 300 is outside" : "end-of-sentence") != NULL,
              "%s", err.message);
        CHECK(slt_tokens_finish(w, NULL, &err) < 0, "finish after a failure");
        slt_output_abandon(out);
    }
    slt_tokens_abandon(NULL);
    CHECK_OK(slt_output_open(&out, "/dev/full", NULL, &err), err);
    CHECK_OK(slt_tokens_create(&w, out, &h, &err), err);
    int rc = 0;
    for (int i = 0; i < 100000 && rc == 0; i++)
        rc = slt_tokens_append(w, fine, 3, 5, &err);
    CHECK(rc == SLT_ERR_IO && strstr(err.message, "No space left") != NULL, "%s", err.message);
    slt_tokens_abandon(w);
    slt_output_abandon(out);
}

// ---- Large files ----

enum { LARGE_DOCUMENT = 4095 };

static void write_large(const struct slt_tokens_header *h, uint64_t documents)
{
    static uint32_t ids[LARGE_DOCUMENT];
    struct slt_tokens_writer *w = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    int rc = 0;
    CHECK_OK(slt_output_open(&out, "-", NULL, &err), err);
    CHECK_OK(slt_tokens_create(&w, out, h, &err), err);
    for (uint64_t n = 0; n < documents && rc == 0; n++) {
        ids[0] = (uint32_t)(n % 1000);
        rc = slt_tokens_append(w, ids, LARGE_DOCUMENT, 1, &err);
    }
    CHECK_OK(rc, err);
    CHECK_OK(slt_tokens_finish(w, NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
}

static int large(uint64_t bytes)
{
    static int32_t ids[LARGE_DOCUMENT + 1];
    const struct slt_tokens_header h = header(1001, 1000);
    const uint64_t documents = bytes / 2 / (LARGE_DOCUMENT + 1);
    struct slt_tokens *t = NULL;
    struct slt_input *in = NULL;
    struct slt_error err;
    int ends[2], status = 1;
    if (pipe(ends) != 0)
        return 2;
    const pid_t child = fork();
    dup2(ends[child != 0 ? 0 : 1], child != 0 ? STDIN_FILENO : STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    if (child == 0) {
        write_large(&h, documents);
        _exit(check_failed != 0);
    }
    CHECK_OK(slt_input_open(&in, "-", NULL, &err), err);
    CHECK_OK(slt_tokens_open(&t, in, &err), err);
    uint64_t n = 0, wrong = 0;
    size_t got = 0;
    do {
        CHECK_OK(slt_tokens_read(t, ids, LARGE_DOCUMENT + 1, &got, &err), err);
        wrong += got > 0 && (ids[0] != (int32_t)(n++ % 1000) || ids[LARGE_DOCUMENT] != 1000);
    } while (got == LARGE_DOCUMENT + 1);
    CHECK(wrong == 0 && n == documents, "%d wrong", (int)wrong);
    CHECK(slt_tokens_totals(t).tokens == documents * (LARGE_DOCUMENT + 1), "tokens");
    slt_tokens_close(t);
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
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    test_round_trip();
    test_mapped();
    test_pipe();
    test_truncation();
    test_flips();
    test_forgeries();
    test_recognise();
    test_foreign();
    test_writer_errors();
    CHECK(rmdir(folder) == 0, "files are left in %s", folder);
    return TEST_END();
}
