// What a file of a corpus is.
//
// What is not text goes first: UTF-16 and UTF-32, by their marks or by where their zeros are, and
// formats that begin with a name. Then JSON: an array or a sequence of objects by its first one,
// lines of objects if more lines are objects than are not. All else is text.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "files/corpus_kind.h"

#define MOST_NAME ((size_t)1000) // of a field, in bytes

struct look {
    struct slt_json_reader *reader;
    const char *name, *field, *head;
    size_t bytes;
    bool all, in_archive, is_json; // is_json: it is said to be
    bool *no_memory;               // set where there was none
};

// ---- Where a value ends ----

bool slt_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\x1e';
}

bool slt_json_scan(struct slt_json_scan *s, const char *text, size_t bytes)
{
    for (; s->at < bytes; s->at++) {
        const char c = text[s->at];
        if (s->in_string) {
            if (s->escaped)
                s->escaped = false;
            else if (c == '\\')
                s->escaped = true;
            else if (c == '"') {
                s->in_string = false;
                if (s->depth == 0) {
                    s->at++;
                    return true;
                }
            }
        } else if (c == '"') {
            s->in_string = true;
        } else if (c == '{' || c == '[') {
            s->depth++;
        } else if (c == '}' || c == ']') {
            if (s->depth == 0)
                return true;
            if (--s->depth == 0) {
                s->at++;
                return true;
            }
        } else if (s->depth == 0 && (c == ',' || slt_is_blank(c))) {
            return true;
        }
    }
    return false;
}

static size_t skip_blanks(const struct look *l, size_t at)
{
    while (at < l->bytes && slt_is_blank(l->head[at]))
        at++;
    return at;
}

// ---- What is no text ----

static int refuse(struct slt_corpus_verdict *v, const char *name, const char *what)
{
    v->is_text = false;
    return slt_error_set(&v->refusal, SLT_ERR_FORMAT, "%s is %s, which is not read", name, what);
}

static void refuse_encoding(struct slt_corpus_verdict *v, const char *name, const char *encoding)
{
    char what[60];
    snprintf(what, sizeof what, "text in %s", encoding);
    slt_error_hint(&v->refusal, refuse(v, name, what), "'iconv -f %s -t UTF-8' converts it",
                   encoding);
}

// Whether most units of this width are characters of text.
static bool is_wide_text(const struct look *l, size_t width, bool low_first)
{
    const unsigned char *head = (const unsigned char *)l->head;
    size_t units = 0, good = 0;
    for (size_t i = 0; i + width <= l->bytes; i += width, units++) {
        uint32_t c = 0;
        for (size_t k = 0; k < width; k++)
            c = c << 8 | head[i + (low_first ? width - 1 - k : k)];
        good += (c >= 0x20 && c != 0x7f && c < 0x110000) || (c >= '\t' && c <= '\r');
    }
    return units > 0 && good >= units - units / 20;
}

// UTF-16 and UTF-32, with a byte order mark or by their zeros: those of the characters below 256
// are all at even, or all at odd places.
static bool refuse_wide(struct slt_corpus_verdict *v, const struct look *l)
{
    const unsigned char *head = (const unsigned char *)l->head;
    size_t zeros[4] = {0};
    for (size_t i = 0; i < l->bytes; i++)
        zeros[i % 4] += head[i] == 0;
    const size_t even = zeros[0] + zeros[2], odd = zeros[1] + zeros[3], all = even + odd;
    const size_t most = l->bytes / 4 - l->bytes / 40; // of a quarter of the bytes
    const bool is_wide = all >= 2 && all > l->bytes / 64;
    const bool marked = l->bytes >= 2 && head[0] + head[1] == 0xff + 0xfe;
    if (most > 0 && zeros[2] >= most && zeros[3] >= most && is_wide_text(l, 4, true))
        refuse_encoding(v, l->name, "UTF-32LE");
    else if (most > 0 && zeros[0] >= most && zeros[1] >= most && is_wide_text(l, 4, false))
        refuse_encoding(v, l->name, "UTF-32BE");
    else if ((marked && head[0] == 0xff) ||
             (is_wide && even * 20 <= all && is_wide_text(l, 2, true)))
        refuse_encoding(v, l->name, "UTF-16LE");
    else if ((marked && head[0] == 0xfe) ||
             (is_wide && odd * 20 <= all && is_wide_text(l, 2, false)))
        refuse_encoding(v, l->name, "UTF-16BE");
    return !v->is_text;
}

static const struct magic {
    size_t at;
    const char *bytes;
    size_t count;
    const char *what;
    bool is_archive; // that is read unless it lies in another or is damaged
} magics[] = {
    {0, "PAR1", 4, "a Parquet file", false},
    {0, "ARROW1", 6, "an Arrow file", false},
    {0, "Obj\1", 4, "an Avro file", false},
    {0, "ORC\b", 4, "an ORC file", false},
    {0, "%PDF-", 5, "a PDF document", false},
    {0, "PK\3\4", 4, "a zip archive", true},
    {257, "ustar", 5, "a tar archive", true},
    {0, "7z\xbc\xaf\x27\x1c", 6, "a 7z archive", false},
    {0, "Rar!\x1a\x07", 6, "a RAR archive", false},
    {0, "\x1f\x9d", 2, "a file packed with compress", false},
    {0, "LZIP\1", 5, "a file packed with lzip", false},
    {0, "\x5d\0\0", 3, "a file packed with lzma", false},
    {0, "\x02\x21\x4c\x18", 4, "a file packed with lz4 in its older format", false},
    {0, "\x78\x9c", 2, "a file packed with zlib", false},
    {0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, "an old Microsoft Office document", false},
    {0, "SQLite format 3", 16, "an SQLite database", false},
    {0, "\x89HDF\r\n\x1a\n", 8, "an HDF5 file", false},
    {0, "\x93NUMPY", 6, "a NumPy array", false},
    {0, "GGUF", 4, "a GGUF model", false},
    {0, "SLTTOK\r\n", 8, "a token file", false},
    {0, "\x89PNG\r\n\x1a\n", 8, "a PNG picture", false},
    {0, "\xff\xd8\xff", 3, "a JPEG picture", false},
    {0, "GIF8", 4, "a GIF picture", false},
    {0,
     "\x7f"
     "ELF",
     4, "a program", false},
};

// Control characters other than those of text: an ESC, backspaces and separators of records may be
// in it.
static bool is_control(unsigned char c)
{
    return (c < 0x20 && (c < '\b' || c > '\r') && c != 0x1b && c != 0x1e) || c == 0x7f;
}

bool slt_is_binary(const char *text, size_t bytes)
{
    size_t controls = 0;
    for (size_t i = 0; i < bytes; i++)
        controls += is_control((unsigned char)text[i]);
    return controls > bytes / 20;
}

// The command that makes JSON lines of a Parquet file; name comes with quotes.
static void hint_parquet(struct slt_corpus_verdict *v, const struct look *l)
{
    slt_error_hint(&v->refusal, v->refusal.code,
                   "python3 -c 'import json,sys,pyarrow.parquet as q; "
                   "[print(json.dumps({\"text\":t})) for b in "
                   "q.ParquetFile(sys.argv[1]).iter_batches(columns=[\"%s\"]) "
                   "for t in b[0].to_pylist()]' FILE | slt-tokenize ...",
                   l->field);
}

static bool refuse_binary(struct slt_corpus_verdict *v, const struct look *l)
{
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const struct magic *m = &magics[i];
        if (l->bytes < m->at + m->count || memcmp(l->head + m->at, m->bytes, m->count) != 0)
            continue;
        char what[80];
        snprintf(what, sizeof what, "%s%s", m->what,
                 !m->is_archive  ? ""
                 : l->in_archive ? " in another archive"
                                 : " that is damaged or cut short");
        refuse(v, l->name, what);
        if (i == 0)
            hint_parquet(v, l);
        return true;
    }
    if (slt_is_binary(l->head, l->bytes))
        slt_error_hint(&v->refusal, refuse(v, l->name, "binary data"),
                       "--format text takes it as text");
    return !v->is_text;
}

// Past what may stand before the first element of a page: blanks, comments, an XML declaration.
static size_t skip_prologue(const struct look *l, size_t at)
{
    for (;;) {
        at = skip_blanks(l, at);
        const bool comment = l->bytes - at >= 4 && memcmp(l->head + at, "<!--", 4) == 0;
        if (!comment && (l->bytes - at < 5 || memcmp(l->head + at, "<?xml", 5) != 0))
            return at;
        const char *end = memchr(l->head + at, '>', l->bytes - at);
        while (comment && end != NULL && memcmp(end - 2, "--", 2) != 0)
            end = memchr(end + 1, '>', l->bytes - (size_t)(end + 1 - l->head));
        if (end == NULL)
            return at;
        at = (size_t)(end + 1 - l->head);
    }
}

static bool refuse_html(struct slt_corpus_verdict *v, const struct look *l)
{
    const size_t at = skip_prologue(l, v->skip), left = l->bytes - at;
    if (!((left >= 14 && strncasecmp(l->head + at, "<!doctype html", 14) == 0) ||
          (left >= 6 && strncasecmp(l->head + at, "<html", 5) == 0 &&
           (l->head[at + 5] == '>' || slt_is_blank(l->head[at + 5])))))
        return false;
    slt_error_hint(&v->refusal, refuse(v, l->name, "an HTML page"),
                   "--format text takes it as text, markup and all");
    return true;
}

// ---- JSON ----

// What records there are at the beginning of a file.
struct records {
    // Objects with the field, objects, what would be some but for a fault, and anything else.
    size_t with_field, objects, broken, others;
    const char *first; // object without the field
    size_t first_bytes;
};

static bool probe(struct records *r, const struct look *l, const char *record, size_t bytes)
{
    const char *text;
    size_t text_bytes;
    const enum slt_json_finding finding =
        slt_json_text(l->reader, record, bytes, l->field, &text, &text_bytes);
    const bool is_object = finding <= SLT_JSON_NO_FIELD || finding == SLT_JSON_TWICE;
    *l->no_memory = *l->no_memory || finding == SLT_JSON_NO_MEMORY;
    r->with_field += is_object && finding != SLT_JSON_NO_FIELD;
    r->objects += is_object;
    if (finding == SLT_JSON_NO_FIELD && r->first == NULL) {
        r->first = record;
        r->first_bytes = bytes;
    }
    return is_object;
}

// Whether an object begins at this place as only JSON, or what is meant as such, does: with a name
// in quotes and a colon.
static bool begins_record(const struct look *l, size_t at)
{
    if (at >= l->bytes || l->head[at] != '{')
        return false;
    at = skip_blanks(l, at + 1);
    const char quote = at < l->bytes ? l->head[at] : '\0';
    if (quote != '"' && quote != '\'')
        return false;
    const size_t most = l->bytes - at < MOST_NAME ? l->bytes : at + MOST_NAME;
    for (at++; at < most && l->head[at] != quote; at++)
        at += l->head[at] == '\\';
    if (at >= most)
        return false;
    at = skip_blanks(l, at + 1);
    return at < l->bytes && l->head[at] == ':';
}

static void refuse_field(struct slt_corpus_verdict *v, const struct look *l,
                         const struct records *r)
{
    char list[300];
    slt_json_fields(l->reader, r->first, r->first_bytes, list, sizeof list);
    v->is_text = false;
    if (l->all)
        slt_error_set(&v->refusal, SLT_ERR_FORMAT, "%s is JSON without a field \"%s\"; it has %s",
                      l->name, l->field, list[0] != '\0' ? list : "none");
    else
        slt_error_set(&v->refusal, SLT_ERR_FORMAT,
                      "%s is JSON, and none of its first %zu objects has a field \"%s\"; they have "
                      "%s",
                      l->name, r->objects, l->field, list[0] != '\0' ? list : "none");
    slt_error_hint(&v->refusal, SLT_ERR_FORMAT,
                   "--field NAME chooses another, --format text takes the file as plain text");
}

static void decide(struct slt_corpus_verdict *v, const struct look *l, const struct records *r,
                   enum slt_corpus_kind kind)
{
    v->kind = kind;
    if (r->objects > 0 && r->with_field == 0 && (l->all || !l->is_json))
        refuse_field(v, l, r);
}

// Lines of objects; the last one counts if it is whole.
static bool judge_lines(struct slt_corpus_verdict *v, const struct look *l)
{
    struct records r = {0};
    for (size_t at = v->skip; at < l->bytes;) {
        const char *from = l->head + at, *newline = memchr(from, '\n', l->bytes - at);
        if (newline == NULL && !l->all)
            break;
        const size_t next = (newline != NULL ? (size_t)(newline - l->head) : l->bytes) + 1;
        size_t start = at, end = next - 1;
        while (start < end && slt_is_blank(l->head[start]))
            start++;
        while (end > start && (slt_is_blank(l->head[end - 1]) || l->head[end - 1] == ','))
            end--;
        if (start < end && !probe(&r, l, l->head + start, end - start)) {
            const bool is_broken = begins_record(l, start) && l->head[end - 1] == '}';
            r.broken += is_broken;
            r.others += !is_broken;
        }
        at = next;
    }
    const size_t records = r.objects + r.broken;
    if (records == 0 || records < r.others || (records == r.others && r.with_field == 0))
        return false;
    decide(v, l, &r, SLT_KIND_JSON_LINES);
    return true;
}

// Objects one after the other, or those of an array from one that begins at this place: all in the
// look are tried.
static void judge_values(struct slt_corpus_verdict *v, const struct look *l, size_t at,
                         enum slt_corpus_kind kind)
{
    struct records r = {0};
    bool ended = true;
    while (at < l->bytes && l->head[at] == '{') {
        struct slt_json_scan scan = {0};
        ended = slt_json_scan(&scan, l->head + at, l->bytes - at);
        if (!ended)
            break;
        r.broken += !probe(&r, l, l->head + at, scan.at);
        at = skip_blanks(l, at + scan.at);
        if (kind == SLT_KIND_JSON_ARRAY && at < l->bytes && l->head[at] == ',')
            at = skip_blanks(l, at + 1);
    }
    if (!ended && r.objects + r.broken == 0 && !l->all) {
        v->needs_more = true;
        return;
    }
    // Prose may begin with an object, too, but not with one that has the field.
    if (kind == SLT_KIND_JSON_ARRAY || r.with_field > 0 || at >= l->bytes || l->head[at] == '{')
        decide(v, l, &r, kind);
}

// The place of the first record in what begins like an array, behind values of other kinds, commas
// too many and comments; the look's end if there is none.
static size_t find_record(const struct look *l, size_t at)
{
    while ((at = skip_blanks(l, at)) < l->bytes && !begins_record(l, at)) {
        struct slt_json_scan scan = {0};
        const char c = l->head[at];
        const size_t next = skip_blanks(l, at + 1);
        const bool goes_down =
            c == '[' && next < l->bytes && (l->head[next] == '[' || l->head[next] == '{');
        if (goes_down || c == ',') {
            at++;
        } else if (c == '/' && at + 1 < l->bytes && l->head[at + 1] == '/') {
            const char *end = memchr(l->head + at, '\n', l->bytes - at);
            at = end != NULL ? (size_t)(end - l->head) : l->bytes;
        } else {
            if (!slt_json_scan(&scan, l->head + at, l->bytes - at))
                return l->bytes;
            at = skip_blanks(l, at + scan.at);
            if (at >= l->bytes || l->head[at] != ',')
                return l->bytes;
        }
    }
    return at;
}

// An array of strings alone.
static void judge_strings(struct slt_corpus_verdict *v, const struct look *l, size_t at)
{
    at = skip_blanks(l, at);
    if (at < l->bytes && l->head[at] == ']' && skip_blanks(l, at + 1) == l->bytes && l->all) {
        v->kind = SLT_KIND_JSON_ARRAY;
        return;
    }
    size_t strings = 0;
    while (at < l->bytes && l->head[at] == '"') {
        struct slt_json_scan scan = {0};
        if (!slt_json_scan(&scan, l->head + at, l->bytes - at))
            break;
        strings++;
        at = skip_blanks(l, at + scan.at);
        if (at >= l->bytes || l->head[at] != ',')
            break;
        at = skip_blanks(l, at + 1);
    }
    const bool is_whole = at < l->bytes && l->head[at] == ']' && skip_blanks(l, at + 1) == l->bytes;
    if (strings == 0 || !(is_whole || (at >= l->bytes && !l->all)))
        return;
    v->is_text = false;
    slt_error_set(&v->refusal, SLT_ERR_FORMAT, "%s is a JSON array of strings, not of objects",
                  l->name);
    slt_error_hint(
        &v->refusal, SLT_ERR_FORMAT,
        "jq -c '.[] | {text: .}' makes JSON lines of it, --format text takes it as text");
}

static void judge_json(struct slt_corpus_verdict *v, const struct look *l)
{
    const size_t at = skip_blanks(l, v->skip);
    if (at == l->bytes) {
        v->needs_more = !l->all;
        return;
    }
    if (l->head[at] == '[') {
        const size_t record = find_record(l, at + 1);
        if (record < l->bytes) {
            judge_values(v, l, record, SLT_KIND_JSON_ARRAY);
            return;
        }
        judge_strings(v, l, at + 1);
        if (!v->is_text || v->kind != SLT_KIND_TEXT)
            return;
    }
    const bool is_record = begins_record(l, at);
    if (is_record && !l->all && memchr(l->head + at, '\n', l->bytes - at) == NULL)
        v->needs_more = true;
    else if (!judge_lines(v, l) && is_record)
        judge_values(v, l, at, SLT_KIND_JSON_OBJECTS);
}

void slt_corpus_judge(struct slt_corpus_verdict *verdict, struct slt_json_reader *reader,
                      const struct slt_corpus_options *options, const struct slt_corpus_head *head)
{
    const struct look look = {.reader = reader,
                              .name = head->name,
                              .field = options->field,
                              .head = head->data,
                              .bytes = head->bytes,
                              .all = head->is_all,
                              .in_archive = head->in_archive,
                              .is_json = options->format == SLT_CORPUS_JSONL,
                              .no_memory = &verdict->no_memory};
    struct slt_corpus_verdict *v = verdict;
    *v = (struct slt_corpus_verdict){.is_text = true, .kind = SLT_KIND_TEXT};
    if (refuse_wide(v, &look))
        return;
    if (head->bytes >= 3 && memcmp(head->data, "\xef\xbb\xbf", 3) == 0)
        v->skip = 3;
    if (options->format == SLT_CORPUS_TEXT || refuse_binary(v, &look) ||
        (!look.is_json && refuse_html(v, &look)))
        return;
    judge_json(v, &look);
    if (look.is_json && v->is_text && v->kind == SLT_KIND_TEXT)
        v->kind = SLT_KIND_JSON_LINES;
}
