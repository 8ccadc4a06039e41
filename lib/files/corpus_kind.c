// What a file of a corpus is.
//
// What is not text goes first: UTF-16 and UTF-32, by their marks or by where their zeros are, and
// formats that begin with a name. Then JSON: an array or a sequence of objects by its first one,
// lines of objects if more lines are objects than are not. All else is text.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "files/corpus_kind.h"

struct look {
    struct slt_json_reader *reader;
    const char *name, *field, *head;
    size_t bytes;
    bool all;
};

// ---- Where a value ends ----

bool slt_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
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
    if (most > 0 && zeros[2] >= most && zeros[3] >= most && zeros[0] < most)
        refuse_encoding(v, l->name, "UTF-32LE");
    else if (most > 0 && zeros[0] >= most && zeros[1] >= most && zeros[3] < most)
        refuse_encoding(v, l->name, "UTF-32BE");
    else if ((marked && head[0] == 0xff) || (is_wide && even * 20 <= all))
        refuse_encoding(v, l->name, "UTF-16LE");
    else if ((marked && head[0] == 0xfe) || (is_wide && odd * 20 <= all))
        refuse_encoding(v, l->name, "UTF-16BE");
    return !v->is_text;
}

static const struct magic {
    size_t at;
    const char *bytes;
    size_t count;
    const char *what;
} magics[] = {
    {0, "PAR1", 4, "a Parquet file"},
    {0, "ARROW1", 6, "an Arrow file"},
    {0, "Obj\1", 4, "an Avro file"},
    {0, "ORC\b", 4, "an ORC file"},
    {0, "%PDF-", 5, "a PDF document"},
    {0, "PK\3\4", 4, "a zip archive in another archive"},
    {257, "ustar", 5, "a tar archive in another archive"},
    {0, "7z\xbc\xaf\x27\x1c", 6, "a 7z archive"},
    {0, "Rar!\x1a\x07", 6, "a RAR archive"},
    {0, "\x1f\x9d", 2, "a file packed with compress"},
    {0, "LZIP\1", 5, "a file packed with lzip"},
    {0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, "an old Microsoft Office document"},
    {0, "SQLite format 3", 16, "an SQLite database"},
    {0, "\x89HDF\r\n\x1a\n", 8, "an HDF5 file"},
    {0, "\x93NUMPY", 6, "a NumPy array"},
    {0, "GGUF", 4, "a GGUF model"},
    {0, "SLTTOK\r\n", 8, "a token file"},
    {0, "\x89PNG\r\n\x1a\n", 8, "a PNG picture"},
    {0, "\xff\xd8\xff", 3, "a JPEG picture"},
    {0, "GIF8", 4, "a GIF picture"},
    {0,
     "\x7f"
     "ELF",
     4, "a program"},
};

// Control characters other than those of text: an ESC and backspaces may be in it.
static bool is_control(unsigned char c)
{
    return (c < 0x20 && (c < '\b' || c > '\r') && c != 0x1b) || c == 0x7f;
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
    size_t controls = 0;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const struct magic *m = &magics[i];
        if (l->bytes < m->at + m->count || memcmp(l->head + m->at, m->bytes, m->count) != 0)
            continue;
        refuse(v, l->name, m->what);
        if (i == 0)
            hint_parquet(v, l);
        return true;
    }
    for (size_t i = 0; i < l->bytes; i++)
        controls += is_control((unsigned char)l->head[i]);
    if (controls > l->bytes / 20)
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
    size_t with_field, objects, others;
    const char *first; // object without the field
    size_t first_bytes;
};

static enum slt_json_finding probe(struct records *r, const struct look *l, const char *record,
                                   size_t bytes)
{
    const char *text;
    size_t text_bytes;
    const enum slt_json_finding finding =
        slt_json_text(l->reader, record, bytes, l->field, &text, &text_bytes);
    r->with_field += finding == SLT_JSON_TEXT || finding == SLT_JSON_NO_TEXT;
    r->objects += finding <= SLT_JSON_NO_FIELD;
    r->others += finding > SLT_JSON_NO_FIELD;
    if (finding == SLT_JSON_NO_FIELD && r->first == NULL) {
        r->first = record;
        r->first_bytes = bytes;
    }
    return finding;
}

static void refuse_field(struct slt_corpus_verdict *v, const struct look *l,
                         const struct records *r)
{
    char list[300];
    slt_json_fields(l->reader, r->first, r->first_bytes, list, sizeof list);
    v->is_text = false;
    slt_error_set(&v->refusal, SLT_ERR_FORMAT, "%s is JSON without a field \"%s\"; it has %s",
                  l->name, l->field, list[0] != '\0' ? list : "none");
    slt_error_hint(&v->refusal, SLT_ERR_FORMAT,
                   "--field NAME chooses another, --format text takes the file as plain text");
}

// Lines of objects; the last one counts if it is whole.
static int judge_lines(struct slt_corpus_verdict *v, const struct look *l, bool *decided)
{
    struct records r = {0};
    for (size_t at = v->skip; at < l->bytes;) {
        const char *from = l->head + at, *newline = memchr(from, '\n', l->bytes - at);
        if (newline == NULL && !l->all)
            break;
        const size_t length = newline != NULL ? (size_t)(newline - from) : l->bytes - at;
        size_t i = 0;
        while (i < length && slt_is_blank(from[i]))
            i++;
        if (i < length && probe(&r, l, from, length) == SLT_JSON_NO_MEMORY)
            return SLT_ERR_MEMORY;
        at += length + 1;
    }
    *decided = r.objects > 0 && r.objects >= r.others;
    v->kind = *decided ? SLT_KIND_JSON_LINES : v->kind;
    if (*decided && r.with_field == 0)
        refuse_field(v, l, &r);
    return 0;
}

// Objects one after the other, or those of an array, of which all in the look are tried.
static int judge_values(struct slt_corpus_verdict *v, const struct look *l, size_t at,
                        enum slt_corpus_kind kind)
{
    struct records r = {0};
    while (at < l->bytes && l->head[at] == '{') {
        struct slt_json_scan scan = {0};
        const bool ended = slt_json_scan(&scan, l->head + at, l->bytes - at);
        if (!ended && r.objects == 0 && !l->all)
            v->needs_more = true;
        if (!ended)
            break;
        const enum slt_json_finding finding = probe(&r, l, l->head + at, scan.at);
        if (finding == SLT_JSON_NO_MEMORY)
            return SLT_ERR_MEMORY;
        if (r.objects == 0) // neither is what follows
            return 0;
        at = skip_blanks(l, at + scan.at);
        if (kind == SLT_KIND_JSON_ARRAY && at < l->bytes && l->head[at] == ',')
            at = skip_blanks(l, at + 1);
    }
    // Prose may begin with an object, too, but not with one that has the field.
    const bool goes_on =
        r.with_field > 0 || at >= l->bytes || l->head[at] == '{' || kind == SLT_KIND_JSON_ARRAY;
    if (r.objects == 0 || !goes_on)
        return 0;
    v->kind = kind;
    if (r.with_field == 0)
        refuse_field(v, l, &r);
    return 0;
}

// Whether an object could begin at this place.
static bool begins_object(const struct look *l, size_t at)
{
    const size_t next = skip_blanks(l, at + 1);
    return at < l->bytes && l->head[at] == '{' &&
           (next >= l->bytes || l->head[next] == '"' || l->head[next] == '}');
}

// A JSON array of something else than objects.
static void judge_other_array(struct slt_corpus_verdict *v, const struct look *l, size_t at)
{
    struct slt_json_scan scan = {0};
    if (at < l->bytes && l->head[at] == ']' && skip_blanks(l, at + 1) == l->bytes && l->all)
        v->kind = SLT_KIND_JSON_ARRAY;
    if (at >= l->bytes || l->head[at] != '"' || !slt_json_scan(&scan, l->head + at, l->bytes - at))
        return;
    at = skip_blanks(l, at + scan.at);
    if (at >= l->bytes || (l->head[at] != ',' && l->head[at] != ']'))
        return;
    v->is_text = false;
    slt_error_set(&v->refusal, SLT_ERR_FORMAT, "%s is a JSON array of strings, not of objects",
                  l->name);
    slt_error_hint(
        &v->refusal, SLT_ERR_FORMAT,
        "jq -c '.[] | {text: .}' makes JSON lines of it, --format text takes it as text");
}

static int judge_json(struct slt_corpus_verdict *v, const struct look *l)
{
    bool decided = false;
    const size_t at = skip_blanks(l, v->skip);
    const bool is_object = begins_object(l, at);
    if (at < l->bytes && l->head[at] == '[') {
        const size_t next = skip_blanks(l, at + 1);
        if (begins_object(l, next))
            return judge_values(v, l, next, SLT_KIND_JSON_ARRAY);
        judge_other_array(v, l, next);
        if (!v->is_text || v->kind != SLT_KIND_TEXT)
            return 0;
    }
    if (is_object && !l->all && memchr(l->head + at, '\n', l->bytes - at) == NULL) {
        v->needs_more = true;
        return 0;
    }
    const int rc = judge_lines(v, l, &decided);
    return rc != 0 || decided || !is_object ? rc : judge_values(v, l, at, SLT_KIND_JSON_OBJECTS);
}

int slt_corpus_judge(struct slt_corpus_verdict *verdict, struct slt_json_reader *reader,
                     const struct slt_corpus_options *options, const char *name, const char *head,
                     size_t bytes, bool all, struct slt_error *err)
{
    const struct look look = {reader, name,  options->field != NULL ? options->field : "text",
                              head,   bytes, all};
    struct slt_corpus_verdict *v = verdict;
    *v = (struct slt_corpus_verdict){.is_text = true, .kind = SLT_KIND_TEXT};
    if (refuse_wide(v, &look))
        return 0;
    if (bytes >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0)
        v->skip = 3;
    if (options->format == SLT_CORPUS_TEXT || refuse_binary(v, &look))
        return 0;
    if (options->format == SLT_CORPUS_AUTO && refuse_html(v, &look))
        return 0;
    if (judge_json(v, &look) != 0)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate memory for a record of %s",
                             name);
    if (options->format == SLT_CORPUS_JSONL && v->is_text && v->kind == SLT_KIND_TEXT)
        v->kind = SLT_KIND_JSON_LINES;
    return 0;
}
