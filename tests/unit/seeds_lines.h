// Seeds of the corpus reader: text and JSON in the forms that corpora have, compressed and in
// archives, whole and damaged. A part of test_corpus.c.
#include <archive.h>
#include <archive_entry.h>

// JSON in the forms that corpora have.
static void make_json(struct sink *s)
{
    static const struct {
        const char *name, *text;
    } files[] = {
        {"good-array",
         "\xef\xbb\xbf [{\"text\": \"one\"},\n{\"x\": [\"]\"], \"text\": \"two\"}, 5]\n"},
        {"good-array-empty", "[]"},
        {"good-objects", "{\n\"text\": \"one\"}{\"text\": \"two\"\n}"},
        {"good-nested",
         "{\"a\": {\"b\": \"one\"}, \"text\": \"x\"}\n{\"a.b\": \"two\", \"text\": \"y\"}\n"},
        {"good-odd",
         "\n{\"n\": NaN, \"m\": 1e999, \"k\": \"\\ud800\", \"a.b\": \"\", \"text\": \"one\"}\n"},
        {"good-empty-line", "\n{\"n\": NaN, \"m\": 1e999:\"\", k \"\\u\"}\n"}, // found by fuzzing
        {"bad-array-cut", "[{\"text\": \"one\"},"},
        {"bad-array-more", "[{\"text\": \"one\"}] {"},
        {"bad-field", "{\"title\": \"one\", \"m\": {\"k\": 1}}\n{\"title\": 2}\n"},
        {"bad-strings", "[\"one\", \"two\"]"},
        {"bad-html", " <!doctype HTML><p>one"},
        {"bad-parquet", "PAR1 and so on"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        emit(s, &targets[5], files[i].name, files[i].text, strlen(files[i].text));
    emit(s, &targets[5], "bad-utf16", "o\0n\0e\0\n\0", 8);
    emit(s, &targets[5], "bad-utf32", "\0\0\0o\0\0\0n\0\0\0e", 12);
}

// The same file compressed with what libarchive and zlib can write here, alone and in archives, and
// cut short.
static void make_packed(struct sink *s, const char *data, size_t bytes)
{
    static const struct {
        const char *name;
        int filter, format;
    } kinds[] = {
        {"gzip", ARCHIVE_FILTER_GZIP, ARCHIVE_FORMAT_RAW},
        {"bzip2", ARCHIVE_FILTER_BZIP2, ARCHIVE_FORMAT_RAW},
        {"xz", ARCHIVE_FILTER_XZ, ARCHIVE_FORMAT_RAW},
        {"lz4", ARCHIVE_FILTER_LZ4, ARCHIVE_FORMAT_RAW},
        {"tar", ARCHIVE_FILTER_NONE, ARCHIVE_FORMAT_TAR_USTAR},
        {"tgz", ARCHIVE_FILTER_GZIP, ARCHIVE_FORMAT_TAR_USTAR},
        {"zip", ARCHIVE_FILTER_NONE, ARCHIVE_FORMAT_ZIP},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        static char packed[100000];
        char name[60];
        size_t used = 0;
        struct archive *a = archive_write_new();
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, "file");
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_size(e, (la_int64_t)bytes);
        CHECK(archive_write_set_format(a, kinds[i].format) == ARCHIVE_OK &&
                  archive_write_add_filter(a, kinds[i].filter) == ARCHIVE_OK &&
                  archive_write_open_memory(a, packed, sizeof packed, &used) == ARCHIVE_OK &&
                  archive_write_header(a, e) == ARCHIVE_OK &&
                  archive_write_data(a, data, bytes) == (la_ssize_t)bytes &&
                  archive_write_close(a) == ARCHIVE_OK,
              "%s: %s", kinds[i].name, archive_error_string(a));
        archive_entry_free(e);
        archive_write_free(a);
        snprintf(name, sizeof name, "good-%s", kinds[i].name);
        emit(s, &targets[5], name, packed, used);
        snprintf(name, sizeof name, "bad-%s-half", kinds[i].name);
        emit(s, &targets[5], name, packed, used / 2);
    }
}

// Text and JSON lines, whole and damaged; the frame of a file that is cut off is damaged.
static void make_lines(struct sink *s)
{
    static const char json[] = "{\"text\": \"one\\n\\u00e9\\u0000\"}\n\n{\"text\": 5}\nno json\n"
                               "{\"text\": \"two\", \"url\": []}\n{\"text\": \"\xff\"}\n{\"te";
    static const char text[] =
        "a line\r\n\n\nanother \xc3\xa9 paragraph\nof two lines\n\n\xff\xfe\n\0\n";
    const struct target *t = &targets[5];
    const size_t bound = ZSTD_compressBound(sizeof json), most = 60000;
    uint8_t *frame = malloc(bound), *line = malloc(most);
    emit(s, t, "good-json", json, sizeof json - 1);
    emit(s, t, "good-text", text, sizeof text - 1);
    emit(s, t, "good-empty", text, 0);
    const size_t packed = ZSTD_compress(frame, bound, json, sizeof json - 1, 3);
    emit(s, t, "good-json-zstd", frame, packed);
    emit(s, t, "bad-json-zstd-cut", frame, packed - 3);
    memset(line, 'x', most);
    memcpy(line, "{\"text\": \"", 10);
    memcpy(line + most - 17, "\n{\"text\": \"end\"}\n", 17);
    emit(s, t, "good-long-line", line, most);
    free(frame);
    free(line);
    make_json(s);
    make_packed(s, json, sizeof json - 1);
}
