// Inputs and members of archives. Compression comes off first (files/peel.h), of an input as of a
// member; libarchive is given what is left and says whether it is a tar, a zip, or neither.
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "files/corpus_source.h"
#include "files/made_streams.h"
#include "files/peel.h"

#define READ_SIZE  ((size_t)1 << 18) // bytes asked of an input at once
#define TAR_BLOCK  512
#define EMPTY_TAR  10240                     // bytes of zeros that stand for an archive at most
#define ZIP_END    22                        // bytes of the end record, without its comment
#define ZIP64_END  20                        // and of what tells its place in a zip64 archive
#define TAIL_BYTES (ZIP_END + (size_t)65535) // with the longest comment

struct slt_corpus_source {
    const char *const *paths;
    size_t path_count, next_path;
    slt_stop_flag *stop;
    uint64_t inputs, empty; // opened so far, and those of them that held nothing

    struct slt_input *in; // of the current archive
    struct archive *archive;
    char *block;               // (READ_SIZE): what the input gave libarchive
    struct slt_error in_error; // of a read inside libarchive
    int64_t data_end;          // where the last member ended, in the unpacked archive
    uint64_t entries;          // of the archive, whatever they are
    bool is_zip;
    unsigned char *tail; // (TAIL_BYTES): the last bytes of a zip so far
    size_t tail_bytes;
    uint64_t zip_bytes; // so far

    struct slt_input *member; // the current file, unpacked
    char name[500];
};

// ---- One archive, or a file that is none ----

static void keep_tail(struct slt_corpus_source *s, const char *data, size_t bytes)
{
    const size_t n = bytes < TAIL_BYTES ? bytes : TAIL_BYTES;
    const size_t kept = s->tail_bytes < TAIL_BYTES - n ? s->tail_bytes : TAIL_BYTES - n;
    memmove(s->tail, s->tail + s->tail_bytes - kept, kept);
    memcpy(s->tail + kept, data + bytes - n, n);
    s->tail_bytes = kept + n;
    s->zip_bytes += bytes;
}

static int next_block(struct slt_corpus_source *s, size_t *got, struct slt_error *err)
{
    const int rc = slt_input_read(s->in, s->block, READ_SIZE, got, err);
    if (rc == 0 && s->is_zip)
        keep_tail(s, s->block, *got);
    return rc;
}

static la_ssize_t read_block(struct archive *archive, void *user, const void **data)
{
    struct slt_corpus_source *s = user;
    size_t got;
    *data = s->block;
    if (next_block(s, &got, &s->in_error) == 0)
        return (la_ssize_t)got;
    archive_set_error(archive, -1, "%s", s->in_error.message);
    return -1;
}

// What libarchive says is for those who know the format; name is the archive's or a member's.
static int archive_failed(const struct slt_corpus_source *s, const char *name,
                          struct slt_error *err)
{
    if (s->in_error.code != 0)
        return slt_error_copy(err, &s->in_error);
    const char *why = archive_error_string(s->archive);
    return slt_error_set(err, archive_errno(s->archive) == ENOMEM ? SLT_ERR_MEMORY : SLT_ERR_FORMAT,
                         "cannot read %s: it is damaged, cut short or of a kind that is not "
                         "supported: %s",
                         name, why != NULL ? why : "no valid data");
}

static int input_failed(const struct slt_corpus_source *s, struct slt_error *err)
{
    char name[300];
    snprintf(name, sizeof name, "'%s'", slt_input_name(s->in));
    return archive_failed(s, name, err);
}

static void close_archive(struct slt_corpus_source *s)
{
    slt_input_close(s->member);
    archive_read_free(s->archive);
    slt_input_close(s->in);
    s->member = NULL;
    s->archive = NULL;
    s->in = NULL;
}

// A tar without members is nothing but zeros, two blocks of them or more. So is what is left of a file that
// a system had room for and no time to write.
static int check_zeros(struct slt_input *in, struct slt_error *err)
{
    unsigned char head[EMPTY_TAR + 1];
    size_t got = 0, zeros = 0;
    const int rc = slt_input_peek(in, head, sizeof head, &got, err);
    while (zeros < got && head[zeros] == 0)
        zeros++;
    if (rc != 0 || zeros < TAR_BLOCK ||
        (zeros == got && got >= 2 * TAR_BLOCK && got <= EMPTY_TAR && got % TAR_BLOCK == 0))
        return rc;
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "'%s' begins with zeros, as a file does that was never written: it is "
                         "neither text nor an archive",
                         slt_input_name(in));
}

static int open_archive(struct slt_corpus_source *s, struct slt_error *err)
{
    unsigned char magic[4];
    size_t got;
    int rc = slt_input_open(&s->in, s->paths[s->next_path++], s->stop, err);
    if (rc != 0 || (rc = slt_peel(&s->in, err)) != 0 || (rc = check_zeros(s->in, err)) != 0 ||
        (rc = slt_input_peek(s->in, magic, sizeof magic, &got, err)) != 0)
        return rc;
    s->inputs++;
    s->data_end = 0;
    s->entries = 0;
    s->tail_bytes = s->zip_bytes = 0;
    s->is_zip = got == sizeof magic && memcmp(magic, "PK", 2) == 0;
    s->archive = archive_read_new();
    if (s->archive == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate an archive reader");
    archive_read_support_format_empty(s->archive);
    archive_read_support_format_raw(s->archive);
    archive_read_support_format_tar(s->archive);
    archive_read_support_format_zip_streamable(s->archive);
    // A block of zeros within is no end, nor is one archive's end where another follows.
    archive_read_set_options(s->archive, "tar:read_concatenated_archives");
    if (archive_read_open(s->archive, s, NULL, read_block, NULL) != ARCHIVE_OK)
        return input_failed(s, err);
    return 0;
}

static int format_of(const struct slt_corpus_source *s)
{
    return archive_format(s->archive) & ARCHIVE_FORMAT_BASE_MASK;
}

// A tar ends with a block of zeros, which libarchive does not ask for: without it, it was cut
// between two members.
static int check_tar_end(const struct slt_corpus_source *s, struct slt_error *err)
{
    const int64_t padded = (s->data_end + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    if (archive_filter_bytes(s->archive, 0) > padded)
        return 0;
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "cannot read '%s': Truncated tar archive without an end mark",
                         slt_input_name(s->in));
}

// Whether the end record (i bytes before the archive's end) has the directory of members before it,
// where it says; else there are two archives, one behind the other.
static bool ends_one_zip(const struct slt_corpus_source *s, const unsigned char *end, size_t i)
{
    const uint32_t bytes = slt_load_u32(end + 12), at = slt_load_u32(end + 16);
    const bool is_zip64 =
        s->tail_bytes >= i + ZIP64_END && memcmp(end - ZIP64_END, "PK\6\7", 4) == 0;
    return is_zip64 || (uint64_t)at + bytes == s->zip_bytes - i;
}

// A zip ends with a record that says how many members there are. libarchive looks for the next
// member instead of asking whether one was damaged.
static int check_zip_end(struct slt_corpus_source *s, struct slt_error *err)
{
    size_t got = 1;
    int rc = 0;
    while (rc == 0 && got > 0)
        rc = next_block(s, &got, err);
    if (rc != 0)
        return rc;
    for (size_t i = ZIP_END; i <= s->tail_bytes; i++) {
        const unsigned char *end = s->tail + s->tail_bytes - i;
        if (memcmp(end, "PK\5\6", 4) != 0 || slt_load_u16(end + 20) != i - ZIP_END)
            continue;
        const uint64_t entries = slt_load_u16(end + 10); // modulo 2^16 in large archives
        if (!ends_one_zip(s, end, i))
            return slt_error_set(
                err, SLT_ERR_FORMAT,
                "cannot read '%s': it is more than one zip archive, one behind the "
                "other, or was cut in the middle",
                slt_input_name(s->in));
        if (entries != (s->entries & 0xffff) && entries != 0xffff)
            return slt_error_set(err, SLT_ERR_FORMAT,
                                 "cannot read '%s': damaged zip archive: it has %llu members, of "
                                 "which %llu were found",
                                 slt_input_name(s->in), (unsigned long long)entries,
                                 (unsigned long long)s->entries);
        return 0;
    }
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "cannot read '%s': truncated zip archive without an end record",
                         slt_input_name(s->in));
}

// ---- Files ----

static int member_read(void *user, void *data, size_t bytes, size_t *got, struct slt_error *err)
{
    struct slt_corpus_source *s = user;
    const la_ssize_t n = archive_read_data(s->archive, data, bytes);
    if (n < 0)
        return archive_failed(s, s->name, err);
    s->data_end = archive_filter_bytes(s->archive, 0);
    *got = (size_t)n;
    return 0;
}

bool slt_corpus_source_in_archive(const struct slt_corpus_source *s)
{
    return format_of(s) != ARCHIVE_FORMAT_RAW;
}

// Documents of office programs and e-books are zip archives, too, of XML; by a rule of their formats
// a member says so, of some the first.
static int refuse_document(const struct slt_corpus_source *s, struct archive_entry *entry,
                           struct slt_error *err)
{
    const char *path = archive_entry_pathname(entry);
    if (format_of(s) != ARCHIVE_FORMAT_ZIP || path == NULL ||
        (strcmp(path, "[Content_Types].xml") != 0 &&
         (s->entries != 1 || strcmp(path, "mimetype") != 0)))
        return 0;
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "'%s' is a document of an office program or an e-book, which is not read",
                         slt_input_name(s->in));
}

static int open_member(struct slt_corpus_source *s, struct archive_entry *entry,
                       struct slt_error *err)
{
    char name[300];
    if (slt_corpus_source_in_archive(s)) {
        const char *path = archive_entry_pathname(entry);
        snprintf(name, sizeof name, "%s", path != NULL ? path : "?");
        snprintf(s->name, sizeof s->name, "'%s' in '%s'", name, slt_input_name(s->in));
    } else {
        snprintf(name, sizeof name, "%s", slt_input_name(s->in));
        snprintf(s->name, sizeof s->name, "'%s'", name);
    }
    const int rc = slt_input_made(&s->member, name, member_read, NULL, s, s->stop, err);
    return rc == 0 ? slt_peel(&s->member, err) : rc;
}

int slt_corpus_source_next(struct slt_corpus_source *s, struct slt_error *err)
{
    struct archive_entry *entry;
    int rc;
    if (s->member != NULL) {
        slt_input_close(s->member);
        s->member = NULL;
        if (archive_read_data_skip(s->archive) < ARCHIVE_WARN)
            return input_failed(s, err);
        s->data_end = archive_filter_bytes(s->archive, 0);
    }
    for (;;) {
        if (s->archive == NULL) {
            if (s->next_path == s->path_count)
                return 0;
            if ((rc = open_archive(s, err)) != 0)
                return rc;
        }
        rc = archive_read_next_header(s->archive, &entry);
        if (rc == ARCHIVE_EOF) {
            const int format = format_of(s);
            rc = format == ARCHIVE_FORMAT_TAR   ? check_tar_end(s, err)
                 : format == ARCHIVE_FORMAT_ZIP ? check_zip_end(s, err)
                                                : 0;
            if (rc != 0)
                return rc;
            s->empty += s->entries == 0;
            close_archive(s);
            continue;
        }
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
            return input_failed(s, err);
        s->entries++;
        s->data_end = archive_filter_bytes(s->archive, 0);
        // A hard link's text is that of the member it links to.
        if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != NULL)
            continue;
        if ((rc = refuse_document(s, entry, err)) == 0)
            rc = open_member(s, entry, err);
        return rc != 0 ? rc : 1;
    }
}

int slt_corpus_source_read(struct slt_corpus_source *s, void *data, size_t bytes, size_t *got,
                           struct slt_error *err)
{
    return slt_input_read(s->member, data, bytes, got, err);
}

const char *slt_corpus_source_name(const struct slt_corpus_source *s)
{
    return s->name;
}

uint64_t slt_corpus_source_inputs(const struct slt_corpus_source *s)
{
    return s->inputs;
}

uint64_t slt_corpus_source_empty(const struct slt_corpus_source *s)
{
    return s->empty;
}

// ---- The whole ----

int slt_corpus_source_open(struct slt_corpus_source **source, const char *const *paths,
                           size_t count, slt_stop_flag *stop, struct slt_error *err)
{
    struct slt_corpus_source *s = calloc(1, sizeof *s);
    if (s == NULL || (s->block = malloc(READ_SIZE)) == NULL ||
        (s->tail = malloc(TAIL_BYTES)) == NULL) {
        slt_corpus_source_close(s);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a corpus reader");
    }
    s->paths = paths;
    s->path_count = count;
    s->stop = stop;
    *source = s;
    return 0;
}

void slt_corpus_source_close(struct slt_corpus_source *s)
{
    if (s == NULL)
        return;
    close_archive(s);
    free(s->block);
    free(s->tail);
    free(s);
}
