// simdjson behind C: its on-demand reader, which passes over what is not asked for.
#include "files/corpus_json.h"

#include <algorithm>
#include <cstdio>
#include <new>
#include <string>
#include <string_view>

#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

namespace ondemand = simdjson::ondemand;

struct slt_json_reader {
    ondemand::parser parser;
};

namespace
{

// Makes room for a record, which iterate() would do, too, but without looking whether it got its
// buffer for strings: asking for as much before is how we look.
simdjson::error_code reserve(ondemand::parser &parser, size_t bytes)
{
    if (bytes <= parser.capacity())
        return simdjson::SUCCESS;
    const size_t capacity = std::max({bytes, 2 * parser.capacity(), size_t(4096)});
    void *probe = ::operator new[](2 * capacity, std::nothrow);
    ::operator delete[](probe);
    return probe != nullptr ? parser.allocate(capacity) : simdjson::MEMALLOC;
}

simdjson::error_code open_object(ondemand::parser &parser, const char *record, size_t bytes,
                                 ondemand::document *document, ondemand::object *object)
{
    auto error = reserve(parser, bytes);
    if (error == simdjson::SUCCESS)
        error = parser.iterate(record, bytes, bytes + SLT_JSON_ROOM).get(*document);
    return error == simdjson::SUCCESS ? document->get_object().get(*object) : error;
}

enum slt_json_finding finding_of(simdjson::error_code error)
{
    return error == simdjson::MEMALLOC     ? SLT_JSON_NO_MEMORY
           : error == simdjson::UTF8_ERROR ? SLT_JSON_BAD_UTF8
                                           : SLT_JSON_BAD;
}

// A field, as far as it has been found.
struct wanted {
    enum slt_json_finding finding = SLT_JSON_NO_FIELD;
    std::string_view text;

    void take(ondemand::value value)
    {
        ondemand::json_type type;
        if (finding != SLT_JSON_NO_FIELD)
            finding = SLT_JSON_TWICE;
        else if (value.type().get(type) || type != ondemand::json_type::string)
            finding = SLT_JSON_NO_TEXT; // also of NaN
        else                            // half of a surrogate pair is no text
            finding = value.get_string().get(text) ? SLT_JSON_NO_TEXT : SLT_JSON_TEXT;
    }
};

bool begins_path(std::string_view name, std::string_view path)
{
    return path.size() > name.size() && path[name.size()] == '.' &&
           path.compare(0, name.size(), name) == 0;
}

// Reads an object to its end, for the field of the whole path and for the rest of the path in a
// field of its beginning.
simdjson::error_code read_object(ondemand::object object, std::string_view path, wanted *whole,
                                 wanted *nested)
{
    for (auto next : object) {
        ondemand::field field;
        if (const auto error = std::move(next).get(field))
            return error;
        // A name that is no valid string is not the one that is wanted.
        std::string_view name;
        ondemand::object child;
        if (field.unescaped_key().get(name))
            continue;
        ondemand::value value = field.value();
        ondemand::json_type type;
        if (name == path) {
            whole->take(value);
        } else if (begins_path(name, path) && !value.type().get(type) &&
                   type == ondemand::json_type::object && !value.get_object().get(child)) {
            const auto rest = path.substr(name.size() + 1);
            if (const auto error = read_object(child, rest, nested, nested))
                return error;
        }
    }
    return simdjson::SUCCESS;
}

// Names of an object's fields behind prefix, and of those of objects in it, one level deep.
void list_fields(ondemand::object object, const std::string &prefix, std::string *list)
{
    for (auto next : object) {
        ondemand::field field;
        std::string_view name;
        if (std::move(next).get(field))
            return;
        if (field.unescaped_key().get(name))
            continue;
        const std::string full = prefix + std::string(name.substr(0, 60));
        ondemand::value value = field.value();
        ondemand::json_type type;
        ondemand::object child;
        if (!value.type().get(type) && type == ondemand::json_type::object && prefix.empty() &&
            !value.get_object().get(child))
            list_fields(child, full + ".", list);
        else
            *list += (list->empty() ? "\"" : ", \"") + full + "\"";
    }
}

} // namespace

struct slt_json_reader *slt_json_reader_create(void)
{
    return new (std::nothrow) slt_json_reader;
}

void slt_json_reader_free(struct slt_json_reader *reader)
{
    delete reader;
}

enum slt_json_finding slt_json_text(struct slt_json_reader *reader, const char *record,
                                    size_t bytes, const char *field, const char **text,
                                    size_t *text_bytes)
{
    ondemand::document document;
    ondemand::object object;
    if (const auto error = open_object(reader->parser, record, bytes, &document, &object))
        return finding_of(error);
    wanted whole, nested;
    if (const auto error = read_object(object, field, &whole, &nested))
        return finding_of(error);
    const char *behind;
    if (!document.current_location().get(behind))
        return SLT_JSON_BAD;
    const wanted &found = whole.finding != SLT_JSON_NO_FIELD ? whole : nested;
    if (found.finding == SLT_JSON_TEXT) {
        *text = found.text.data();
        *text_bytes = found.text.size();
    }
    return found.finding;
}

void slt_json_fields(struct slt_json_reader *reader, const char *record, size_t bytes, char *list,
                     size_t size)
{
    ondemand::document document;
    ondemand::object object;
    std::string names;
    try {
        if (!open_object(reader->parser, record, bytes, &document, &object))
            list_fields(object, "", &names);
    } catch (const std::bad_alloc &) {
        names.clear();
    }
    if (names.size() >= size) {
        const size_t end = names.rfind(", \"", size > 8 ? size - 8 : 0);
        names = names.substr(0, end == std::string::npos ? 0 : end) + ", ...";
    }
    snprintf(list, size, "%s", names.c_str());
}
