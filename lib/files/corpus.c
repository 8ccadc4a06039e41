// Documents from text, JSON lines and archives.
//
// Each input goes through libarchive (raw, tar, zip; gzip, zstd, xz), each regular member through a
// buffer from which units are taken: lines of JSON, lines, paragraphs up to a blank line, or whole
// files. A unit longer than the split is dealt out in pieces that end at a newline.
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/utf8.h"
#include "slt/corpus.h"

#define READ_SIZE   ((size_t)1 << 18)   // bytes asked of an input at once
#define MOST_UNIT   ((size_t)256 << 20) // longest line or paragraph, and document without a split
#define DETECT_SIZE ((size_t)1 << 20)   // a first line longer than this is no JSON
#define TAR_BLOCK   512

struct slt_corpus {
    const char *const *paths;
    size_t path_count, next_path;
    struct slt_corpus_options options;
    struct slt_corpus_counts counts;
    size_t longest; // unit

    struct slt_input *in; // of the current archive
    struct archive *archive;
    bool in_member, is_json, member_ended;
    char *block;               // (READ_SIZE): what the input gave libarchive
    struct slt_error in_error; // of a read inside libarchive
    int64_t data_end;          // where the last member ended, in the unpacked archive

    char *buffer; // of the current member: bytes [start, end) are not yet taken
    size_t start, end, capacity;
    json_t *json;     // the object that holds the current unit's text
    const char *unit; // what is left of the current unit
    size_t unit_bytes;
    char *copy; // of a unit that lies in the buffer, while it is dealt out
    size_t copy_capacity;
};

// ---- Inputs and members ----

static la_ssize_t read_block(struct archive *archive, void *user, const void **data)
{
    struct slt_corpus *c = user;
    size_t got;
    *data = c->block;
    if (slt_input_read(c->in, c->block, READ_SIZE, &got, &c->in_error) == 0)
        return (la_ssize_t)got;
    archive_set_error(archive, -1, "%s", c->in_error.message);
    return -1;
}

static int archive_failed(struct slt_corpus *c, struct slt_error *err)
{
    if (c->in_error.code != 0)
        return slt_error_set(err, c->in_error.code, "%s", c->in_error.message);
    const char *why = archive_error_string(c->archive);
    return slt_error_set(err, archive_errno(c->archive) == ENOMEM ? SLT_ERR_MEMORY : SLT_ERR_FORMAT,
                         "cannot read '%s': %s", slt_input_name(c->in),
                         why != NULL ? why : "damaged archive");
}

static void close_archive(struct slt_corpus *c)
{
    archive_read_free(c->archive);
    slt_input_close(c->in);
    c->archive = NULL;
    c->in = NULL;
    c->in_member = false;
}

static int open_archive(struct slt_corpus *c, struct slt_error *err)
{
    int rc = slt_input_open(&c->in, c->paths[c->next_path++], c->options.stop, err);
    if (rc != 0)
        return rc;
    c->counts.inputs++;
    c->data_end = 0;
    c->archive = archive_read_new();
    if (c->archive == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate an archive reader");
    archive_read_support_filter_gzip(c->archive);
    archive_read_support_filter_zstd(c->archive);
    archive_read_support_filter_xz(c->archive);
    archive_read_support_format_empty(c->archive);
    archive_read_support_format_raw(c->archive);
    archive_read_support_format_tar(c->archive);
    archive_read_support_format_zip_streamable(c->archive);
    if (archive_read_open(c->archive, c, NULL, read_block, NULL) != ARCHIVE_OK)
        return archive_failed(c, err);
    return 0;
}

// Reads until the member's buffer holds at least bytes, or the member's end.
static int fill(struct slt_corpus *c, size_t bytes, struct slt_error *err)
{
    while (!c->member_ended && c->end - c->start < bytes) {
        if (c->start > 0) {
            memmove(c->buffer, c->buffer + c->start, c->end - c->start);
            c->end -= c->start;
            c->start = 0;
        }
        if (c->capacity - c->end < READ_SIZE) {
            const size_t capacity = 2 * c->capacity + READ_SIZE;
            char *more = realloc(c->buffer, capacity);
            if (more == NULL)
                return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %zu bytes for '%s'",
                                     capacity, slt_input_name(c->in));
            c->buffer = more;
            c->capacity = capacity;
        }
        const la_ssize_t n =
            archive_read_data(c->archive, c->buffer + c->end, c->capacity - c->end);
        if (n < 0)
            return archive_failed(c, err);
        c->member_ended = n == 0;
        c->data_end = archive_filter_bytes(c->archive, 0);
        c->end += (size_t)n;
    }
    return 0;
}

// Passes over a unit that is too long; an empty one stands for it.
static int skip_unit(struct slt_corpus *c, bool paragraph, size_t *length, struct slt_error *err)
{
    bool newline = false; // was the byte before
    c->counts.too_long++;
    *length = 0;
    for (;;) {
        while (c->start < c->end) {
            const bool is_newline = c->buffer[c->start++] == '\n';
            if (is_newline && (newline || !paragraph))
                return 0;
            newline = is_newline;
        }
        if (c->member_ended)
            return 0;
        const int rc = fill(c, 1, err);
        if (rc != 0)
            return rc;
    }
}

// The position behind the next unit's last byte, counted from start: behind a newline, or behind
// the empty line after a paragraph; the member's end ends a unit, too. A unit that is too long is
// passed over.
static int find_end(struct slt_corpus *c, bool paragraph, size_t *length, struct slt_error *err)
{
    size_t seen = 0;
    for (;;) {
        const char *from = c->buffer + c->start;
        const size_t have = c->end - c->start;
        const char *newline = have > seen ? memchr(from + seen, '\n', have - seen) : NULL;
        if (newline != NULL) {
            const size_t at = (size_t)(newline - from) + 1;
            if (!paragraph || at == 1 || from[at - 2] == '\n') {
                *length = at;
                return at > c->longest ? skip_unit(c, paragraph, length, err) : 0;
            }
            seen = at;
            continue;
        }
        if (c->member_ended) {
            *length = have;
            return have > c->longest ? skip_unit(c, paragraph, length, err) : 0;
        }
        if (have > c->longest)
            return skip_unit(c, paragraph, length, err);
        seen = paragraph ? seen : have;
        const int rc = fill(c, have + READ_SIZE, err);
        if (rc != 0)
            return rc;
    }
}

static const char *field_of(const struct slt_corpus *c)
{
    return c->options.field != NULL ? c->options.field : "text";
}

// The text field of a line of JSON; *text is NULL if it has none. The object is kept while its text
// is used.
static int parse_line(struct slt_corpus *c, size_t length, const char **text, size_t *bytes,
                      struct slt_error *err)
{
    json_error_t why;
    bool no_memory;
    json_decref(c->json);
    c->json = slt_json_load(c->buffer + c->start, length, JSON_ALLOW_NUL, &why, &no_memory);
    if (no_memory)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a line of %zu bytes of '%s'",
                             length, slt_input_name(c->in));
    const json_t *value = json_object_get(c->json, field_of(c));
    *text = json_string_value(value);
    *bytes = json_string_length(value);
    return 0;
}

// JSON lines, if the first line is an object with the field.
static int detect_format(struct slt_corpus *c, struct slt_error *err)
{
    c->is_json = c->options.format == SLT_CORPUS_JSONL;
    if (c->options.format != SLT_CORPUS_AUTO)
        return 0;
    int rc = fill(c, 1, err);
    if (rc != 0 || c->end == c->start || c->buffer[c->start] != '{' ||
        (rc = fill(c, DETECT_SIZE, err)) != 0)
        return rc;
    const size_t have = c->end - c->start, most = have < DETECT_SIZE ? have : DETECT_SIZE;
    const char *newline = memchr(c->buffer + c->start, '\n', most);
    if (newline == NULL && !(c->member_ended && have <= DETECT_SIZE))
        return 0;
    const size_t length = newline != NULL ? (size_t)(newline - c->buffer) - c->start + 1 : have;
    const char *text;
    size_t bytes;
    if ((rc = parse_line(c, length, &text, &bytes, err)) == 0)
        c->is_json = text != NULL;
    return rc;
}

// A tar ends with a block of zeros, which libarchive does not ask for: without it, it was cut
// between two members.
static int check_end(struct slt_corpus *c, struct slt_error *err)
{
    const int64_t padded = (c->data_end + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    if ((archive_format(c->archive) & ARCHIVE_FORMAT_BASE_MASK) != ARCHIVE_FORMAT_TAR ||
        archive_filter_bytes(c->archive, 0) > padded)
        return 0;
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "cannot read '%s': Truncated tar archive without an end mark",
                         slt_input_name(c->in));
}

// Moves to the next member that is a regular file: 1, 0 after the last one of the last input.
static int open_member(struct slt_corpus *c, struct slt_error *err)
{
    for (;;) {
        struct archive_entry *entry;
        int rc;
        if (c->archive == NULL) {
            if (c->next_path == c->path_count)
                return 0;
            if ((rc = open_archive(c, err)) != 0)
                return rc;
        }
        rc = archive_read_next_header(c->archive, &entry);
        if (rc == ARCHIVE_EOF) {
            if ((rc = check_end(c, err)) != 0)
                return rc;
            close_archive(c);
            continue;
        }
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
            return archive_failed(c, err);
        c->data_end = archive_filter_bytes(c->archive, 0);
        if (archive_entry_filetype(entry) != AE_IFREG)
            continue;
        c->counts.members++;
        c->start = c->end = 0;
        c->member_ended = false;
        c->in_member = true;
        rc = detect_format(c, err);
        return rc != 0 ? rc : 1;
    }
}

// ---- Units ----

static bool is_blank(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0')
            return false;
    return true;
}

// Where to cut text of which only limit bytes may go together: behind the last newline, else before
// a character.
static size_t cut_at(const char *text, size_t bytes, size_t limit)
{
    if (limit == 0 || bytes <= limit)
        return bytes;
    for (size_t i = limit; i > 0; i--)
        if (text[i - 1] == '\n')
            return i;
    size_t i = limit;
    while (i > 1 && ((unsigned char)text[i] & 0xc0) == 0x80)
        i--;
    return i;
}

// A unit in the buffer moves aside, so that the buffer can go on while it is dealt out.
static int hold(struct slt_corpus *c, size_t bytes, struct slt_error *err)
{
    if (bytes > c->copy_capacity) {
        char *more = realloc(c->copy, bytes);
        if (more == NULL)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a document of %zu bytes",
                                 bytes);
        c->copy = more;
        c->copy_capacity = bytes;
    }
    if (bytes > 0)
        memcpy(c->copy, c->buffer + c->start, bytes);
    c->unit = c->copy;
    c->unit_bytes = bytes;
    return 0;
}

// The next unit of the member's text. A whole file is taken in pieces of the split, so that a file
// of any size passes through.
static int take_text(struct slt_corpus *c, struct slt_error *err)
{
    const bool file = c->options.document == SLT_DOCUMENT_FILE;
    const size_t split = c->options.split > 0 ? (size_t)c->options.split : MOST_UNIT;
    size_t length;
    int rc = file ? fill(c, split + 1, err)
                  : find_end(c, c->options.document == SLT_DOCUMENT_BLANK, &length, err);
    if (rc != 0)
        return rc;
    if (file) {
        if (c->end - c->start > MOST_UNIT && c->options.split == 0)
            return slt_error_set(err, SLT_ERR_FORMAT,
                                 "'%s' has a document of more than %zu bytes; --split cuts it",
                                 slt_input_name(c->in), MOST_UNIT);
        length = cut_at(c->buffer + c->start, c->end - c->start, split);
    }
    size_t text = length;
    while (!file && text > 0 && strchr("\r\n", c->buffer[c->start + text - 1]) != NULL &&
           c->buffer[c->start + text - 1] != '\0')
        text--;
    if ((rc = hold(c, text, err)) == 0)
        c->start += length;
    return rc;
}

static int take_json(struct slt_corpus *c, struct slt_error *err)
{
    size_t length, bytes;
    const char *text;
    int rc = find_end(c, false, &length, err);
    if (rc != 0 || (rc = parse_line(c, length, &text, &bytes, err)) != 0)
        return rc;
    if (text != NULL) {
        c->unit = text;
        c->unit_bytes = bytes;
    } else if (!is_blank(c->buffer + c->start, length)) {
        c->counts.bad_json++;
    }
    c->start += length;
    return 0;
}

int slt_corpus_next(struct slt_corpus *c, const char **text, size_t *bytes, struct slt_error *err)
{
    for (;;) {
        int rc = slt_error_stopped(c->options.stop, err);
        if (rc != 0)
            return rc;
        if (c->unit_bytes > 0) {
            const size_t n = cut_at(c->unit, c->unit_bytes, (size_t)c->options.split);
            const char *document = c->unit;
            c->unit += n;
            c->unit_bytes -= n;
            if (slt_utf8_valid(document, n) < n) {
                c->counts.bad_utf8++;
                continue;
            }
            c->counts.documents++;
            c->counts.text_bytes += n;
            *text = document;
            *bytes = n;
            return 1;
        }
        if (!c->in_member) {
            if ((rc = open_member(c, err)) <= 0)
                return rc;
            continue;
        }
        if ((rc = fill(c, 1, err)) != 0)
            return rc;
        if (c->end == c->start)
            c->in_member = false;
        else if ((rc = c->is_json ? take_json(c, err) : take_text(c, err)) != 0)
            return rc;
    }
}

int slt_corpus_open(struct slt_corpus **corpus, const char *const *paths, size_t count,
                    const struct slt_corpus_options *options, struct slt_error *err)
{
    struct slt_corpus *c = calloc(1, sizeof *c);
    if (c == NULL || (c->block = malloc(READ_SIZE)) == NULL) {
        free(c);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a corpus reader");
    }
    c->paths = paths;
    c->path_count = count;
    c->options = *options;
    c->longest = options->longest > 0 ? (size_t)options->longest : MOST_UNIT;
    *corpus = c;
    return 0;
}

const struct slt_corpus_counts *slt_corpus_counts(const struct slt_corpus *c)
{
    return &c->counts;
}

void slt_corpus_close(struct slt_corpus *c)
{
    if (c == NULL)
        return;
    close_archive(c);
    json_decref(c->json);
    free(c->buffer);
    free(c->copy);
    free(c->block);
    free(c);
}
