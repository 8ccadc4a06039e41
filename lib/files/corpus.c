// Documents from text and JSON.
//
// Each file (files/corpus_source.h) is judged once by its beginning (files/corpus_kind.h) and then
// goes through a buffer from which units are taken: lines of JSON, JSON values, lines, paragraphs up
// to a blank line, or the whole file. A unit longer than the split is dealt out in pieces that end
// at a newline.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "files/corpus_kind.h"
#include "files/corpus_source.h"

#define READ_SIZE ((size_t)1 << 18)   // bytes asked of a file at once
#define MOST_UNIT ((size_t)256 << 20) // longest line or paragraph, and document without a split
#define LOOK_SIZE ((size_t)1 << 20)   // of a file, to judge it

// What may come next where JSON values follow each other.
enum expected { FIRST_OR_END, VALUE, VALUE_OR_END, COMMA_OR_END, NOTHING };

struct slt_corpus {
    struct slt_corpus_options options;
    struct slt_corpus_counts counts;
    char first_skip[SLT_CORPUS_SKIPS][1024];
    size_t longest;         // unit
    uint64_t empty_members; // of archives, and inputs that hold nothing when they are unpacked

    struct slt_corpus_source *source;
    bool in_member, member_ended;
    enum slt_corpus_kind kind; // of the current file
    enum expected expected;

    char *buffer; // of the current file: bytes [start, end) are not yet taken
    size_t start, end, capacity;
    uint64_t place, next_place; // of the current unit and the next: a line, record or byte, from 1

    struct slt_json_reader *json;
    const char *unit; // what is left of the current unit
    size_t unit_bytes;
    bool has_unit; // which may be empty
    char *copy;    // of a unit that lies in the buffer, while it is dealt out
    size_t copy_capacity;
};

const char *slt_corpus_kind_name(enum slt_corpus_kind kind)
{
    static const char *const names[] = {"text", "json lines", "a json array", "json objects"};
    return names[kind];
}

const char *slt_corpus_skip_name(enum slt_corpus_skip skip, uint64_t count)
{
    static const char *const names[][2] = {
        {"record that is no JSON object", "records that are no JSON objects"},
        {"JSON object without the field", "JSON objects without the field"},
        {"JSON object whose field is no text", "JSON objects whose field is no text"},
        {"JSON object with the field twice", "JSON objects with the field twice"},
        {"document that is no UTF-8", "documents that are no UTF-8"},
        {"line or paragraph that is too long", "lines or paragraphs that are too long"},
        {"document of binary data", "documents of binary data"},
        {"file in an archive that is no text", "files in archives that are no text"}};
    return names[skip][count != 1];
}

static const char *name_of(const struct slt_corpus *c)
{
    return slt_corpus_source_name(c->source);
}

// ---- What is skipped ----

static const char *place_unit(const struct slt_corpus *c)
{
    if (c->kind == SLT_KIND_JSON_ARRAY || c->kind == SLT_KIND_JSON_OBJECTS)
        return "record";
    return c->kind == SLT_KIND_TEXT && c->options.document == SLT_DOCUMENT_FILE ? "byte" : "line";
}

static void skip(struct slt_corpus *c, enum slt_corpus_skip why)
{
    if (c->counts.skipped[why]++ == 0)
        snprintf(c->first_skip[why], sizeof c->first_skip[why], "%s %llu of %s", place_unit(c),
                 (unsigned long long)c->place, name_of(c));
}

// ---- Files ----

// Reads until the file's buffer holds at least bytes, or the file's end.
static int fill(struct slt_corpus *c, size_t bytes, struct slt_error *err)
{
    while (!c->member_ended && c->end - c->start < bytes) {
        if (c->start > 0) {
            memmove(c->buffer, c->buffer + c->start, c->end - c->start);
            c->end -= c->start;
            c->start = 0;
        }
        if (c->capacity < c->end + READ_SIZE + SLT_JSON_ROOM) {
            const size_t capacity = 2 * c->capacity + READ_SIZE + SLT_JSON_ROOM;
            char *more = realloc(c->buffer, capacity);
            if (more == NULL)
                return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %zu bytes for %s",
                                     capacity, name_of(c));
            c->buffer = more;
            c->capacity = capacity;
        }
        size_t got = 0;
        const int rc = slt_corpus_source_read(c->source, c->buffer + c->end,
                                              c->capacity - SLT_JSON_ROOM - c->end, &got, err);
        if (rc != 0)
            return rc;
        c->member_ended = got == 0;
        c->end += got;
    }
    return 0;
}

// Decides what the current file is. One that is refused ends the run, or is skipped in an archive.
static int judge(struct slt_corpus *c, struct slt_error *err)
{
    struct slt_corpus_verdict v;
    size_t look = LOOK_SIZE;
    int rc;
    for (;;) {
        if ((rc = fill(c, look, err)) != 0)
            return rc;
        if (c->end == c->start) {
            c->empty_members++;
            c->counts.empty++;
            c->in_member = false;
            return 0;
        }
        memset(c->buffer + c->end, 0, SLT_JSON_ROOM);
        const struct slt_corpus_head head = {name_of(c), c->buffer + c->start, c->end - c->start,
                                             c->member_ended,
                                             slt_corpus_source_in_archive(c->source)};
        slt_corpus_judge(&v, c->json, &c->options, &head);
        if (v.no_memory)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate memory for a record of %s",
                                 name_of(c));
        if (!v.needs_more)
            break;
        look = 2 * (c->end - c->start);
        if (look > 2 * c->longest) // it is longer than anything that will be taken
            return slt_error_set(err, SLT_ERR_FORMAT, "%s has a JSON record of more than %zu bytes",
                                 name_of(c), c->longest);
    }
    if (v.is_text) {
        c->kind = v.kind;
        c->start += v.skip;
        c->expected = v.kind == SLT_KIND_JSON_ARRAY ? FIRST_OR_END : VALUE_OR_END;
        if (v.kind == SLT_KIND_JSON_ARRAY)
            c->start = (size_t)((char *)memchr(c->buffer + c->start, '[', c->end - c->start) + 1 -
                                c->buffer);
        c->counts.members++;
        c->counts.kinds[v.kind]++;
        if (c->options.on_file != NULL)
            c->options.on_file(c->options.user, name_of(c), v.kind);
        return 0;
    }
    if (!slt_corpus_source_in_archive(c->source))
        return slt_error_copy(err, &v.refusal);
    if (c->counts.skipped[SLT_SKIP_NO_FILE]++ == 0)
        snprintf(c->first_skip[SLT_SKIP_NO_FILE], sizeof c->first_skip[0], "%s", v.refusal.message);
    c->in_member = false;
    return 0;
}

// ---- Units ----

// Passes over a unit that is too long.
static int skip_unit(struct slt_corpus *c, bool paragraph, struct slt_error *err)
{
    bool newline = false; // was the byte before
    skip(c, SLT_SKIP_TOO_LONG);
    c->next_place = c->place;
    for (;;) {
        while (c->start < c->end) {
            const bool is_newline = c->buffer[c->start++] == '\n';
            c->next_place += is_newline;
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

// Whether the newline at text[at - 1] ends an empty line.
static bool ends_blank_line(const char *text, size_t at)
{
    if (at >= 2 && text[at - 2] == '\r')
        at--;
    return at == 1 || text[at - 2] == '\n';
}

// The bytes of the next unit: up to a newline, or to the empty line after a paragraph; the file's
// end ends a unit, too. 0 where it was too long and has been passed over.
static int find_end(struct slt_corpus *c, bool paragraph, size_t *length, struct slt_error *err)
{
    size_t seen = 0;
    for (;;) {
        const char *from = c->buffer + c->start;
        const size_t have = c->end - c->start;
        const char *newline = have > seen ? memchr(from + seen, '\n', have - seen) : NULL;
        if (newline != NULL) {
            seen = (size_t)(newline - from) + 1;
            c->next_place++;
            if (paragraph && !ends_blank_line(from, seen))
                continue;
        }
        *length = newline != NULL ? seen : have;
        if (newline != NULL || c->member_ended || have > c->longest) {
            if (*length <= c->longest)
                return 0;
            if (newline != NULL || c->member_ended) {
                skip(c, SLT_SKIP_TOO_LONG);
                c->start += *length;
                *length = 0;
                return 0;
            }
            *length = 0;
            return skip_unit(c, paragraph, err);
        }
        seen = paragraph ? seen : have;
        const int rc = fill(c, have + READ_SIZE, err);
        if (rc != 0)
            return rc;
    }
}

// Where to cut text of which only limit bytes may go together: behind the last newline, else before
// a character; at least one character goes.
static size_t cut_at(const char *text, size_t bytes, size_t limit)
{
    if (limit == 0 || bytes <= limit)
        return bytes;
    for (size_t i = limit; i > 0; i--)
        if (text[i - 1] == '\n')
            return i;
    size_t i = limit;
    while (i > 0 && ((unsigned char)text[i] & 0xc0) == 0x80)
        i--;
    if (i > 0)
        return i;
    for (i = limit; i < bytes && ((unsigned char)text[i] & 0xc0) == 0x80;)
        i++;
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
    c->unit = bytes > 0 ? c->copy : "";
    c->unit_bytes = bytes;
    c->has_unit = true;
    return 0;
}

// A whole file is taken in pieces of the split, so that a file of any size passes through.
static int take_file(struct slt_corpus *c, struct slt_error *err)
{
    const size_t split = c->options.split > 0 ? (size_t)c->options.split : MOST_UNIT;
    int rc = fill(c, split + 1, err);
    if (rc != 0)
        return rc;
    if (c->end - c->start > MOST_UNIT && c->options.split == 0)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "%s has a document of more than %zu bytes; --split cuts it",
                             name_of(c), MOST_UNIT);
    const size_t length = cut_at(c->buffer + c->start, c->end - c->start, split);
    c->next_place = c->place + length;
    if ((rc = hold(c, length, err)) == 0)
        c->start += length;
    return rc;
}

// A line without its newline, or a paragraph without the newlines around it.
static int take_lines(struct slt_corpus *c, struct slt_error *err)
{
    const bool paragraph = c->options.document == SLT_DOCUMENT_BLANK;
    size_t length;
    int rc = find_end(c, paragraph, &length, err);
    if (rc != 0 || length == 0)
        return rc;
    const char *from = c->buffer + c->start;
    size_t text = length;
    if (!paragraph)
        text -= from[length - 1] == '\n';
    else
        while (text > 0 && (from[text - 1] == '\n' || from[text - 1] == '\r'))
            text--;
    if (text > 0 || !paragraph)
        rc = hold(c, text, err);
    c->start += length;
    return rc;
}

// The text of a record in the buffer, or the reason why there is none.
static int take_finding(struct slt_corpus *c, enum slt_json_finding finding, size_t bytes,
                        struct slt_error *err)
{
    static const enum slt_corpus_skip reasons[] = {[SLT_JSON_NO_TEXT] = SLT_SKIP_NO_TEXT,
                                                   [SLT_JSON_NO_FIELD] = SLT_SKIP_NO_FIELD,
                                                   [SLT_JSON_BAD_UTF8] = SLT_SKIP_NO_UTF8,
                                                   [SLT_JSON_TWICE] = SLT_SKIP_TWICE,
                                                   [SLT_JSON_BAD] = SLT_SKIP_NO_JSON};
    if (finding == SLT_JSON_NO_MEMORY)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a record of %zu bytes of %s",
                             bytes, name_of(c));
    if (finding == SLT_JSON_TEXT)
        c->has_unit = true;
    else
        skip(c, reasons[finding]);
    return 0;
}

static enum slt_json_finding read_record(struct slt_corpus *c, const char *record, size_t bytes)
{
    return slt_json_text(c->json, record, bytes, c->options.field, &c->unit, &c->unit_bytes);
}

// The next record of a line: all of it, or one of several objects that stand in it, as they do where
// files without a last newline were put together.
static int take_json_line(struct slt_corpus *c, struct slt_error *err)
{
    size_t length, i = 0;
    int rc = find_end(c, false, &length, err);
    if (rc != 0 || length == 0)
        return rc;
    const char *line = c->buffer + c->start;
    // Files that were put together may each have begun with a mark.
    if (length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
        i = 3;
    while (i < length && slt_is_blank(line[i]))
        i++;
    if (i < length) {
        struct slt_json_scan scan = {0};
        enum slt_json_finding finding = read_record(c, line + i, length - i);
        if (finding == SLT_JSON_BAD && line[i] == '{' &&
            slt_json_scan(&scan, line + i, length - i) && i + scan.at < length) {
            size_t next = i + scan.at;
            while (next < length && slt_is_blank(line[next]))
                next++;
            const bool goes_on = next < length && (line[next] == '{' || line[next] == (char)0xef);
            const enum slt_json_finding first =
                goes_on ? read_record(c, line + i, scan.at) : SLT_JSON_BAD;
            if (first != SLT_JSON_BAD) {
                finding = first;
                length = next;
                c->next_place = c->place;
            }
        }
        rc = take_finding(c, finding, length - i, err);
    }
    c->start += length;
    return rc;
}

static int values_failed(const struct slt_corpus *c, struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "%s is damaged or truncated: its JSON %s not go on or end as it must "
                         "behind record %llu",
                         name_of(c), c->kind == SLT_KIND_JSON_ARRAY ? "array does" : "objects do",
                         (unsigned long long)c->next_place - 1);
}

// The next value, of an array or of objects one after the other, or what stands between two.
static int take_value(struct slt_corpus *c, struct slt_error *err)
{
    struct slt_json_scan scan = {0};
    while (c->start < c->end && slt_is_blank(c->buffer[c->start]))
        c->start++;
    if (c->start == c->end)
        return 0;
    const char first = c->buffer[c->start];
    const bool in_array = c->kind == SLT_KIND_JSON_ARRAY;
    const bool starts = first != ',' && first != ']' && first != '}' && first != ':';
    int rc = 0;
    if (in_array &&
        ((first == ',' && c->expected == COMMA_OR_END) ||
         (first == ']' && (c->expected == COMMA_OR_END || c->expected == FIRST_OR_END)))) {
        c->expected = first == ',' ? VALUE : NOTHING;
        c->start++;
        return 0;
    }
    if (!starts || c->expected == COMMA_OR_END || c->expected == NOTHING ||
        (!in_array && first != '{'))
        return values_failed(c, err);
    while (!slt_json_scan(&scan, c->buffer + c->start, c->end - c->start)) {
        if (c->end - c->start > c->longest)
            return slt_error_set(err, SLT_ERR_FORMAT, "%s has a JSON record of more than %zu bytes",
                                 name_of(c), c->longest);
        if (c->member_ended)
            return values_failed(c, err);
        if ((rc = fill(c, c->end - c->start + READ_SIZE, err)) != 0)
            return rc;
    }
    c->next_place++;
    rc = take_finding(c, read_record(c, c->buffer + c->start, scan.at), scan.at, err);
    c->start += scan.at;
    c->expected = in_array ? COMMA_OR_END : VALUE_OR_END;
    return rc;
}

static int take_unit(struct slt_corpus *c, struct slt_error *err)
{
    c->place = c->next_place;
    switch (c->kind) {
    case SLT_KIND_JSON_LINES:
        return take_json_line(c, err);
    case SLT_KIND_JSON_ARRAY:
    case SLT_KIND_JSON_OBJECTS:
        return take_value(c, err);
    default:
        return c->options.document == SLT_DOCUMENT_FILE ? take_file(c, err) : take_lines(c, err);
    }
}

// ---- Documents ----

// The first bytes of the unit that make a document: false if they are skipped. A file may begin as
// text and go on as something else, such as the zeros of what was never written.
static bool deal(struct slt_corpus *c, const char **text, size_t *bytes)
{
    const bool is_text = c->kind == SLT_KIND_TEXT;
    const bool is_file = is_text && c->options.document == SLT_DOCUMENT_FILE;
    const bool is_line = is_text && c->options.document == SLT_DOCUMENT_LINE;
    const size_t n = cut_at(c->unit, c->unit_bytes,
                            (size_t)(is_line ? c->options.split_line : c->options.split));
    *text = c->unit;
    *bytes = n;
    c->unit += n;
    c->unit_bytes -= n;
    c->has_unit = c->unit_bytes > 0;
    const size_t valid = is_text ? slt_utf8_valid(*text, n) : n; // of JSON it was looked at
    if (valid < n) {
        c->place += is_file ? valid : 0;
        skip(c, SLT_SKIP_NO_UTF8);
        return false;
    }
    if (is_text && c->options.format != SLT_CORPUS_TEXT && slt_is_binary(*text, n)) {
        skip(c, SLT_SKIP_BINARY);
        return false;
    }
    c->counts.documents++;
    c->counts.text_bytes += n;
    return true;
}

static int next_file(struct slt_corpus *c, struct slt_error *err)
{
    const int rc = slt_corpus_source_next(c->source, err);
    c->counts.inputs = slt_corpus_source_inputs(c->source);
    c->counts.empty = c->empty_members + slt_corpus_source_empty(c->source);
    if (rc <= 0)
        return rc;
    c->start = c->end = 0;
    c->member_ended = false;
    c->in_member = true;
    c->next_place = 1;
    const int judged = judge(c, err);
    return judged != 0 ? judged : 1;
}

int slt_corpus_next(struct slt_corpus *c, const char **text, size_t *bytes, struct slt_error *err)
{
    for (;;) {
        int rc = slt_error_stopped(c->options.stop, err);
        if (rc != 0)
            return rc;
        if (c->has_unit) {
            if (deal(c, text, bytes))
                return 1;
            continue;
        }
        if (!c->in_member) {
            if ((rc = next_file(c, err)) <= 0)
                return rc;
            continue;
        }
        if ((rc = fill(c, 1, err)) != 0)
            return rc;
        if (c->end > c->start)
            rc = take_unit(c, err);
        else if (c->kind == SLT_KIND_JSON_ARRAY && c->expected != NOTHING)
            rc = values_failed(c, err);
        else
            c->in_member = false;
        if (rc != 0)
            return rc;
    }
}

int slt_corpus_open(struct slt_corpus **corpus, const char *const *paths, size_t count,
                    const struct slt_corpus_options *options, struct slt_error *err)
{
    struct slt_corpus *c = calloc(1, sizeof *c);
    if (c == NULL || (c->json = slt_json_reader_create()) == NULL) {
        free(c);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a corpus reader");
    }
    const int rc = slt_corpus_source_open(&c->source, paths, count, options->stop, err);
    if (rc != 0) {
        slt_corpus_close(c);
        return rc;
    }
    c->options = *options;
    c->options.field = options->field != NULL ? options->field : "text";
    c->longest = options->longest > 0 ? (size_t)options->longest : MOST_UNIT;
    *corpus = c;
    return 0;
}

const struct slt_corpus_counts *slt_corpus_counts(const struct slt_corpus *c)
{
    return &c->counts;
}

const char *slt_corpus_first_skip(const struct slt_corpus *c, enum slt_corpus_skip skip)
{
    return c->first_skip[skip];
}

void slt_corpus_close(struct slt_corpus *c)
{
    if (c == NULL)
        return;
    slt_corpus_source_close(c->source);
    slt_json_reader_free(c->json);
    free(c->buffer);
    free(c->copy);
    free(c);
}
