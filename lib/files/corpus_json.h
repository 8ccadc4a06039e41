// One JSON record at a time: which text it holds, and which fields. simdjson behind C.
//
// Only what is wanted is looked at closely. A number too large for any type, NaN or half of a
// surrogate pair in another field takes nothing from the text; brackets, quotes, separators and
// UTF-8 must be right everywhere.
#ifndef SLT_FILES_CORPUS_JSON_H
#define SLT_FILES_CORPUS_JSON_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stddef.h>

#define SLT_JSON_ROOM 64 // bytes behind a record that must be readable, whatever they are

enum slt_json_finding {
    SLT_JSON_TEXT,     // the field is a string
    SLT_JSON_NO_TEXT,  // the field is null, a number, an object: no string
    SLT_JSON_NO_FIELD, // an object without the field
    SLT_JSON_BAD_UTF8,
    SLT_JSON_TWICE, // an object with the field twice
    SLT_JSON_BAD,   // no JSON object, or more than one
    SLT_JSON_NO_MEMORY,
};

struct slt_json_reader;
struct slt_json_reader *slt_json_reader_create(void); // NULL: no memory
void slt_json_reader_free(struct slt_json_reader *reader);

// The text of a record's field. field is a name, or names with dots between them: a field of an
// object in a field, unless the record has a field of the whole name. *text (text_bytes) lives until
// the next call; it is set for SLT_JSON_TEXT only. record (bytes) has SLT_JSON_ROOM behind it.
enum slt_json_finding slt_json_text(struct slt_json_reader *reader, const char *record,
                                    size_t bytes, const char *field, const char **text,
                                    size_t *text_bytes);
// The names of a record's fields as a list for messages: "id", "meta.title", "url". Of many the
// first ones. Empty if it is no object.
void slt_json_fields(struct slt_json_reader *reader, const char *record, size_t bytes, char *list,
                     size_t size);

#ifdef __cplusplus
}
#endif

#endif
