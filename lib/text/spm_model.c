// Reading and extending SentencePiece's files, which are protocol buffers: fields of a number and a
// type, in any order, those of a repeated message one after the other.
#include "text/spm_model.h"

#include <stdio.h>

#include "core/bytes.h"
#include "text/buffer.h"

// Types of fields.
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

// Fields of ours in the model, and in them.
enum { FIELD_NORMALIZER = 3, FIELD_ADDED = 1000, FIELD_MEANING = 1001 };
enum { NORMALIZER_ADDS_SPACE = 3 };
enum { ADDED_TOKEN = 1, ADDED_SPACE_FIRST = 2 };
enum { TOKEN_ID = 1, TOKEN_FLAGS = 2 };
enum { MEANING_BOS = 1, MEANING_EOS, MEANING_PAD, MEANING_ADDS_BOS, MEANING_ADDS_EOS };
enum { FLAG_LSTRIP = 1, FLAG_RSTRIP = 2, FLAG_SINGLE_WORD = 4 };

struct field {
    uint32_t number;
    uint64_t value;   // of a number
    const char *data; // of bytes
    size_t bytes;
};

struct cursor {
    const unsigned char *at, *end;
};

// A file that is being read.
struct reading {
    struct spm_model *m;
    size_t capacity; // of the pieces
    struct {
        const char *text;
        size_t bytes;
    } meaning[3]; // the texts of BOS, EOS and PAD
};

static int damaged(struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_FORMAT, "it is no SentencePiece model, or damaged");
}

// ---- Fields ----

static bool get_varint(struct cursor *c, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && c->at < c->end; shift += 7) {
        const unsigned char byte = *c->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

// The next field: 1, 0 at the end, -1 where there is none.
static int next_field(struct cursor *c, struct field *f)
{
    uint64_t tag, length;
    *f = (struct field){0};
    if (c->at == c->end)
        return 0;
    if (!get_varint(c, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
        return -1;
    f->number = (uint32_t)(tag >> 3);
    const size_t left = (size_t)(c->end - c->at);
    switch (tag & 7) {
    case VARINT:
        return get_varint(c, &f->value) ? 1 : -1;
    case BYTES:
        if (!get_varint(c, &length) || length > (size_t)(c->end - c->at))
            return -1;
        f->data = (const char *)c->at;
        f->bytes = (size_t)length;
        c->at += length;
        return 1;
    case FIXED32:
    case FIXED64: {
        const size_t width = (tag & 7) == FIXED32 ? 4 : 8;
        if (left < width)
            return -1;
        f->value = width == 4 ? slt_load_u32(c->at) : slt_load_u64(c->at);
        c->at += width;
        return 1;
    }
    default:
        return -1;
    }
}

// A field that should be a message and is a number is an empty one.
static struct cursor inside(const struct field *f)
{
    const unsigned char *data = (const unsigned char *)(f->data != NULL ? f->data : "");
    return (struct cursor){data, data + f->bytes};
}

static int put_varint(struct text_buffer *b, uint64_t value, struct slt_error *err)
{
    char bytes[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[n++] = (char)(0x80 | (value & 0x7f));
    bytes[n++] = (char)value;
    return text_buffer_add(b, bytes, n, err);
}

static int put_number(struct text_buffer *b, uint32_t number, uint64_t value, struct slt_error *err)
{
    const int rc = put_varint(b, (uint64_t)number << 3 | VARINT, err);
    return rc == 0 ? put_varint(b, value, err) : rc;
}

static int put_bytes(struct text_buffer *b, uint32_t number, const char *data, size_t bytes,
                     struct slt_error *err)
{
    int rc = put_varint(b, (uint64_t)number << 3 | BYTES, err);
    if (rc == 0)
        rc = put_varint(b, bytes, err);
    return rc == 0 ? text_buffer_add(b, data, bytes, err) : rc;
}

// ---- Reading ----

static int add_piece(struct reading *r, const struct field *field, struct slt_error *err)
{
    // NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE
    static const enum slt_piece_type types[] = {SLT_PIECE_NORMAL,  SLT_PIECE_UNKNOWN,
                                                SLT_PIECE_CONTROL, SLT_PIECE_USER,
                                                SLT_PIECE_UNUSED,  SLT_PIECE_BYTE};
    struct spm_model *m = r->m;
    struct spm_piece piece = {.text = "", .type = SLT_PIECE_NORMAL};
    struct cursor c = inside(field);
    struct field f;
    int more;
    if (field->data == NULL || m->count == INT32_MAX)
        return damaged(err);
    while ((more = next_field(&c, &f)) == 1) {
        if (f.number == 1 && f.data != NULL) {
            piece.text = f.data;
            piece.bytes = f.bytes;
        } else if (f.number == 2) {
            const uint32_t bits = (uint32_t)f.value;
            memcpy(&piece.score, &bits, sizeof piece.score);
        } else if (f.number == 3 && f.value >= 1 && f.value <= 6) {
            piece.type = types[f.value - 1];
        }
    }
    if (more < 0)
        return damaged(err);
    if (m->count == r->capacity) {
        r->capacity = 2 * r->capacity + 1024;
        struct spm_piece *larger = realloc(m->piece, r->capacity * sizeof *larger);
        if (larger == NULL)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %zu pieces", r->capacity);
        m->piece = larger;
    }
    m->piece[m->count++] = piece;
    return 0;
}

static int read_trainer(struct reading *r, const struct field *field, struct slt_error *err)
{
    struct spm_model *m = r->m;
    struct cursor c = inside(field);
    struct field f;
    int more;
    while ((more = next_field(&c, &f)) == 1) {
        if (f.number == 3 && f.value >= SPM_UNIGRAM && f.value <= SPM_CHAR)
            m->algorithm = (enum spm_algorithm)f.value;
        else if (f.number == 24)
            m->space_behind = f.value != 0;
        else if (f.number == 35)
            m->byte_fallback = f.value != 0;
        else if (f.number >= 46 && f.number <= 48 && f.data != NULL) {
            r->meaning[f.number - 46].text = f.data;
            r->meaning[f.number - 46].bytes = f.bytes;
        }
    }
    return more < 0 ? damaged(err) : 0;
}

static int read_normalizer(struct spm_model *m, const struct field *field, struct slt_error *err)
{
    struct cursor c = inside(field);
    struct field f;
    int more;
    while ((more = next_field(&c, &f)) == 1) {
        if (f.number == 2 && f.data != NULL) {
            m->charsmap = f.bytes > 0 ? f.data : NULL;
            m->charsmap_bytes = f.bytes;
        } else if (f.number == NORMALIZER_ADDS_SPACE) {
            m->adds_space = f.value != 0;
        } else if (f.number == 4) {
            m->removes_spaces = f.value != 0;
        } else if (f.number == 5) {
            m->escapes_spaces = f.value != 0;
        }
    }
    return more < 0 ? damaged(err) : 0;
}

static int read_added_token(struct spm_model *m, const struct field *field, struct slt_error *err)
{
    struct cursor c = inside(field);
    struct field f;
    uint64_t id = UINT64_MAX, flags = 0;
    int more;
    while ((more = next_field(&c, &f)) == 1) {
        id = f.number == TOKEN_ID ? f.value : id;
        flags = f.number == TOKEN_FLAGS ? f.value : flags;
    }
    if (more < 0 || id >= SLT_TOKEN_NONE)
        return damaged(err);
    struct spm_added *larger = realloc(m->added, (m->added_count + 1) * sizeof *larger);
    if (larger == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the added tokens");
    m->added = larger;
    m->added[m->added_count++] = (struct spm_added){.id = (uint32_t)id,
                                                    .lstrip = (flags & FLAG_LSTRIP) != 0,
                                                    .rstrip = (flags & FLAG_RSTRIP) != 0,
                                                    .single_word = (flags & FLAG_SINGLE_WORD) != 0};
    return 0;
}

static int read_added(struct spm_model *m, const struct field *field, struct slt_error *err)
{
    struct cursor c = inside(field);
    struct field f;
    int more, rc = 0;
    while (rc == 0 && (more = next_field(&c, &f)) != 0) {
        if (more < 0)
            return damaged(err);
        if (f.number == ADDED_TOKEN && f.data != NULL)
            rc = read_added_token(m, &f, err);
        else if (f.number == ADDED_SPACE_FIRST)
            m->space_first = f.value != 0;
    }
    return rc;
}

static int read_meaning(struct spm_model *m, const struct field *field, struct slt_error *err)
{
    struct cursor c = inside(field);
    struct field f;
    int more;
    while ((more = next_field(&c, &f)) == 1) {
        const uint32_t id = f.value < SLT_TOKEN_NONE ? (uint32_t)f.value : SLT_TOKEN_NONE;
        switch (f.number) {
        case MEANING_BOS:
            m->bos = id;
            break;
        case MEANING_EOS:
            m->eos = id;
            break;
        case MEANING_PAD:
            m->pad = id;
            break;
        case MEANING_ADDS_BOS:
            m->adds_bos = f.value != 0;
            break;
        case MEANING_ADDS_EOS:
            m->adds_eos = f.value != 0;
            break;
        }
    }
    return more < 0 ? damaged(err) : 0;
}

static int read_field(struct reading *r, const struct field *f, size_t at, struct slt_error *err)
{
    struct spm_model *m = r->m;
    switch (f->number) {
    case 1:
        return add_piece(r, f, err);
    case 2:
        return read_trainer(r, f, err);
    case FIELD_NORMALIZER:
        return read_normalizer(m, f, err);
    case FIELD_ADDED:
        if (m->own_bytes != SIZE_MAX)
            return damaged(err);
        m->own_bytes = at;
        m->own_count = m->count;
        return read_added(m, f, err);
    case FIELD_MEANING:
        m->ids_bytes = at;
        return read_meaning(m, f, err);
    default:
        return 0;
    }
}

// The control piece of a text, which is how SentencePiece finds BOS, EOS and PAD.
static uint32_t find_control(const struct spm_model *m, const char *text, size_t bytes)
{
    for (uint32_t i = 0; i < m->own_count; i++)
        if (m->piece[i].type == SLT_PIECE_CONTROL && m->piece[i].bytes == bytes &&
            memcmp(m->piece[i].text, text, bytes) == 0)
            return i;
    return SLT_TOKEN_NONE;
}

static void find_meanings(const struct reading *r)
{
    struct spm_model *m = r->m;
    uint32_t *const own[] = {&m->own_bos, &m->own_eos, &m->own_pad}, *const id[] = {
                                                                         &m->bos, &m->eos, &m->pad};
    for (size_t i = 0; i < 3; i++) {
        *own[i] = find_control(m, r->meaning[i].text, r->meaning[i].bytes);
        if (*id[i] == SLT_TOKEN_NONE)
            *id[i] = *own[i];
    }
}

// The ids that our fields name have pieces.
static int check_ids(const struct spm_model *m, struct slt_error *err)
{
    const uint32_t ids[] = {m->bos, m->eos, m->pad};
    for (size_t i = 0; i < 3; i++)
        if (ids[i] != SLT_TOKEN_NONE && ids[i] >= m->count)
            return damaged(err);
    for (size_t i = 0; i < m->added_count; i++)
        if (m->added[i].id >= m->count || m->piece[m->added[i].id].bytes == 0)
            return damaged(err);
    return 0;
}

int spm_model_read(struct spm_model *m, const void *data, size_t bytes, struct slt_error *err)
{
    const unsigned char *start = data;
    struct cursor c = {start, start + bytes};
    struct field f;
    struct reading r = {.m = m, .meaning = {{"<s>", 3}, {"</s>", 4}, {"<pad>", 5}}};
    size_t at = 0;
    int more, rc = 0;
    *m = (struct spm_model){.algorithm = SPM_UNIGRAM,
                            .adds_space = true,
                            .removes_spaces = true,
                            .escapes_spaces = true,
                            .own_bytes = SIZE_MAX,
                            .ids_bytes = bytes,
                            .bos = SLT_TOKEN_NONE,
                            .eos = SLT_TOKEN_NONE,
                            .pad = SLT_TOKEN_NONE};
    while (rc == 0 && (more = next_field(&c, &f)) != 0) {
        if (more < 0 || m->ids_bytes != bytes) // what tokens mean is said last
            return damaged(err);
        rc = read_field(&r, &f, at, err);
        at = (size_t)(c.at - start);
    }
    if (rc == 0 && m->count == 0)
        rc = damaged(err);
    if (m->own_bytes == SIZE_MAX) {
        m->own_bytes = m->ids_bytes;
        m->own_count = m->count;
    }
    if (rc == 0)
        find_meanings(&r);
    return rc == 0 ? check_ids(m, err) : rc;
}

void spm_model_clear(struct spm_model *m)
{
    free(m->piece);
    free(m->added);
}

const char *spm_model_oddity(const struct spm_model *m)
{
    return m->algorithm != SPM_BPE && m->algorithm != SPM_UNIGRAM ? "is of words or characters"
           : m->space_behind                                      ? "has spaces behind words"
           : !m->escapes_spaces                                   ? "keeps spaces as they are"
                                                                  : NULL;
}

size_t spm_ids_bytes(const void *data, size_t bytes)
{
    struct spm_model m;
    const size_t ids = spm_model_read(&m, data, bytes, NULL) == 0 ? m.ids_bytes : bytes;
    spm_model_clear(&m);
    return ids;
}

// ---- Extending ----

static bool is_text(const struct spm_piece *p, const char *text)
{
    return p->bytes == strlen(text) && memcmp(p->text, text, p->bytes) == 0;
}

// The id of a text among the pieces and the additions.
static uint32_t id_of(const struct spm_model *m, const struct token_additions *a, const char *text)
{
    if (text == NULL)
        return SLT_TOKEN_NONE;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->token[i].text, text) == 0)
            return a->token[i].id;
    for (uint32_t i = 0; i < m->count; i++)
        if (is_text(&m->piece[i], text))
            return i;
    return SLT_TOKEN_NONE;
}

// Whether an addition is to be looked for in texts: those that the model lacks, and control pieces,
// which SentencePiece itself never finds; but not BOS, EOS, PAD, which stay text in a text.
static bool is_new(const struct spm_model *m, const struct token_additions *a,
                   const struct token_addition *t)
{
    if (t->id >= m->count)
        return true;
    return m->piece[t->id].type == SLT_PIECE_CONTROL && t->id != m->own_bos &&
           t->id != m->own_eos && t->id != m->own_pad && t->id != id_of(m, a, a->bos) &&
           t->id != id_of(m, a, a->pad);
}

static int check_addition(const struct spm_model *m, const struct token_addition *t,
                          struct slt_error *err)
{
    if (t->id < m->count && !is_text(&m->piece[t->id], t->text))
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "its added token '%.40s' has the id %u of the piece '%.*s'", t->text,
                             t->id, (int)(m->piece[t->id].bytes < 40 ? m->piece[t->id].bytes : 40),
                             m->piece[t->id].text);
    if (t->id >= m->count + TOKEN_SPARE_IDS)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "its added token '%.40s' has an id that is far too large", t->text);
    for (uint32_t i = 0; t->id >= m->count && i < m->count; i++)
        if (is_text(&m->piece[i], t->text))
            return slt_error_set(err, SLT_ERR_FORMAT,
                                 "its added token '%.40s' has two ids, %u and %u", t->text, i,
                                 t->id);
    return 0;
}

static int put_piece(struct text_buffer *out, const char *text, uint64_t type,
                     struct slt_error *err)
{
    static const char zero[5] = {2 << 3 | FIXED32};
    struct text_buffer piece = {0};
    int rc = put_bytes(&piece, 1, text, strlen(text), err);
    if (rc == 0)
        rc = text_buffer_add(&piece, zero, sizeof zero, err); // its score
    if (rc == 0)
        rc = put_number(&piece, 3, type, err);
    if (rc == 0)
        rc = put_bytes(out, 1, piece.data, piece.bytes, err);
    free(piece.data);
    return rc;
}

// The pieces of the tokens behind the model's own; ids between that nothing has are unused.
static int put_pieces(struct text_buffer *out, const struct spm_model *m,
                      const struct token_additions *a, uint32_t eos, struct slt_error *err)
{
    enum { CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 };
    char name[24];
    uint32_t id = m->count;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < a->count; i++) {
        const struct token_addition *t = &a->token[i];
        if (t->id < m->count)
            continue;
        for (; rc == 0 && id < t->id; id++) {
            snprintf(name, sizeof name, "[PAD%u]", id);
            rc = put_piece(out, name, UNUSED, err);
        }
        if (rc == 0) // EOS is never found in a document, whatever the directory calls it
            rc = put_piece(out, t->text, t->special || t->id == eos ? CONTROL : USER_DEFINED, err);
        id++;
    }
    return rc;
}

static int put_token(struct text_buffer *out, const struct token_addition *t, struct slt_error *err)
{
    const uint64_t flags = (t->lstrip ? FLAG_LSTRIP : 0) | (t->rstrip ? FLAG_RSTRIP : 0) |
                           (t->single_word ? FLAG_SINGLE_WORD : 0);
    struct text_buffer token = {0};
    int rc = put_number(&token, TOKEN_ID, t->id, err);
    if (rc == 0)
        rc = put_number(&token, TOKEN_FLAGS, flags, err);
    if (rc == 0)
        rc = put_bytes(out, ADDED_TOKEN, token.data, token.bytes, err);
    free(token.data);
    return rc;
}

// The field of added tokens and their pieces; nothing where there is none.
static int put_added(struct text_buffer *out, const struct spm_model *m,
                     const struct token_additions *a, struct slt_error *err)
{
    struct text_buffer field = {0};
    size_t count = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < a->count; i++) {
        if ((rc = check_addition(m, &a->token[i], err)) == 0 && is_new(m, a, &a->token[i])) {
            rc = put_token(&field, &a->token[i], err);
            count++;
        }
    }
    if (rc == 0 && count > 0) {
        if (a->space_first && m->adds_space)
            rc = put_number(&field, ADDED_SPACE_FIRST, 1, err);
        if (rc == 0)
            rc = put_bytes(out, FIELD_ADDED, field.data, field.bytes, err);
        if (rc == 0)
            rc = put_pieces(out, m, a, id_of(m, a, a->eos), err);
    }
    free(field.data);
    return rc;
}

// The field of what tokens mean, where it differs from the model's own.
static int put_meaning(struct text_buffer *out, const struct spm_model *m,
                       const struct token_additions *a, struct slt_error *err)
{
    const struct {
        uint32_t number;
        const char *text;
        uint32_t own;
    } ids[] = {{MEANING_BOS, a->bos, m->own_bos},
               {MEANING_EOS, a->eos, m->own_eos},
               {MEANING_PAD, a->pad, m->own_pad}};
    struct text_buffer field = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        const uint32_t id = id_of(m, a, ids[i].text);
        if (id != SLT_TOKEN_NONE && id != ids[i].own)
            rc = put_number(&field, ids[i].number, id, err);
    }
    if (rc == 0 && a->adds_bos)
        rc = put_number(&field, MEANING_ADDS_BOS, 1, err);
    if (rc == 0 && a->adds_eos)
        rc = put_number(&field, MEANING_ADDS_EOS, 1, err);
    if (rc == 0 && field.bytes > 0)
        rc = put_bytes(out, FIELD_MEANING, field.data, field.bytes, err);
    free(field.data);
    return rc;
}

// Whether a space is put before a text, where that is not as the model says: of a message that
// comes twice, protocol buffers take what the later one says.
static int put_space(struct text_buffer *out, struct spm_model *m, enum token_space space,
                     struct slt_error *err)
{
    const bool adds_space = space == SPACE_BEFORE;
    struct text_buffer field = {0};
    if (space == SPACE_AS_IS || adds_space == m->adds_space)
        return 0;
    m->adds_space = adds_space;
    int rc = put_number(&field, NORMALIZER_ADDS_SPACE, adds_space, err);
    if (rc == 0)
        rc = put_bytes(out, FIELD_NORMALIZER, field.data, field.bytes, err);
    free(field.data);
    return rc;
}

int spm_model_extend(void **file, size_t *file_bytes, const void *data, size_t bytes,
                     const struct token_additions *additions, struct slt_error *err)
{
    struct spm_model m;
    struct text_buffer out = {0};
    int rc = spm_model_read(&m, data, bytes, err);
    if (rc == 0 && m.own_bytes != bytes)
        rc = slt_error_set(err, SLT_ERR_FORMAT,
                           "its file has added tokens already, and others lie beside it");
    if (rc == 0)
        rc = text_buffer_add(&out, data, bytes, err);
    if (rc == 0)
        rc = put_space(&out, &m, additions->space, err);
    if (rc == 0)
        rc = put_added(&out, &m, additions, err);
    if (rc == 0)
        rc = put_meaning(&out, &m, additions, err);
    spm_model_clear(&m);
    if (rc != 0) {
        free(out.data);
        return rc;
    }
    *file = out.data;
    *file_bytes = out.bytes;
    return 0;
}
