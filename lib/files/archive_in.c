// Reading the tar archive of a checkpoint through libarchive.
//
// libarchive takes a cut between two members for a plain end and looks at no padding. Therefore the
// manifest must be the last member, and the blocks that are handed to libarchive are watched:
// padding behind a member and everything behind the last one must be zeros, and the two empty
// records at the end must be there.
#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "files/archive.h"
#include "files/manifest.h"
#include "files/unpack.h"

#define RECORD 512
// A multiple of RECORD, so that the padding of a member is in the same block as its last byte.
#define BLOCK_BYTES    ((size_t)128 << 10)
#define END_MARK_BYTES (2 * RECORD)
#define MANIFEST_MAX   ((uint64_t)64 << 10)

struct slt_archive_in {
    const char *name;
    struct slt_unpack *unpack;
    struct archive *tar;
    unsigned char *block; // the last one handed over (BLOCK_BYTES)
    size_t block_bytes;
    uint64_t given;            // bytes handed over, the last block included
    uint64_t nonzero;          // offset behind the last byte that is not zero
    struct slt_error source;   // why the unpacker failed, if it did
    struct slt_sha256 *digest; // of the current member
    struct slt_manifest manifest;
    char *member;         // name of the current member, NULL before the first
    uint64_t bytes, left; // of the current member
};

static la_ssize_t give_block(struct archive *tar, void *user, const void **block)
{
    struct slt_archive_in *a = user;
    if (slt_unpack_read(a->unpack, a->block, BLOCK_BYTES, &a->block_bytes, &a->source) != 0) {
        archive_set_error(tar, EIO, "%s", a->source.message);
        return -1;
    }
    size_t end = a->block_bytes;
    while (end > 0 && a->block[end - 1] == 0)
        end--;
    if (end > 0)
        a->nonzero = a->given + end;
    a->given += a->block_bytes;
    *block = a->block;
    return (la_ssize_t)a->block_bytes;
}

// The sentence of a call of libarchive that failed.
static int tar_error(const struct slt_archive_in *a, struct slt_error *err)
{
    if (a->source.code != 0)
        return slt_error_copy(err, &a->source);
    if (archive_errno(a->tar) == ENOMEM)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate memory to read '%s'", a->name);
    if (a->given == 0)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is empty", a->name);
    if (a->member == NULL)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is no tar archive, or damaged at its start",
                             a->name);
    const char *reason = archive_error_string(a->tar);
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "'%s' is truncated or damaged at byte %llu, in or after '%s': %s", a->name,
                         (unsigned long long)archive_filter_bytes(a->tar, 0), a->member,
                         reason != NULL ? reason : "unknown error");
}

int slt_archive_in_open(struct slt_archive_in **archive, struct slt_input *in,
                        struct slt_error *err)
{
    int rc = 0;
    struct slt_archive_in *a = calloc(1, sizeof *a);
    if (a == NULL)
        return slt_error_errno(err, "cannot read '%s'", slt_input_name(in));
    a->name = slt_input_name(in);
    if ((rc = slt_unpack_open(&a->unpack, in, err)) != 0 ||
        (rc = slt_sha256_create(&a->digest, err)) != 0)
        goto out;
    a->block = malloc(BLOCK_BYTES);
    a->tar = archive_read_new();
    if (a->block == NULL || a->tar == NULL) {
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate memory to read '%s'", a->name);
        goto out;
    }
    // No filter: zstd is unpacked before, so that libarchive's positions are those of the tar
    // stream.
    if (archive_read_support_format_tar(a->tar) != ARCHIVE_OK ||
        archive_read_open(a->tar, a, NULL, give_block, NULL) != ARCHIVE_OK) {
        rc = tar_error(a, err);
        goto out;
    }
    *archive = a;
    a = NULL;
out:
    slt_archive_in_close(a);
    return rc;
}

static int check_entry(const struct slt_archive_in *a, struct archive_entry *entry,
                       struct slt_error *err)
{
    const char *member = archive_entry_pathname(entry);
    if (member == NULL || *member == '\0')
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': a member has no name", a->name);
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != NULL ||
        archive_entry_sparse_count(entry) > 0 || !archive_entry_size_is_set(entry))
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': member '%s' is no plain file", a->name,
                             member);
    return 0;
}

// All data of the current member was read: takes its digest and looks at its padding.
static int end_member(struct slt_archive_in *a, struct slt_error *err)
{
    char byte;
    unsigned char digest[SLT_SHA256_BYTES];
    // libarchive steps over the padding when it is asked for more.
    if (archive_read_data(a->tar, &byte, 1) != 0)
        return tar_error(a, err);
    const uint64_t end = (uint64_t)archive_filter_bytes(a->tar, 0);
    const uint64_t block_start = a->given - a->block_bytes;
    const size_t padding = (size_t)(-a->bytes % RECORD);
    bool zeros = padding == 0 || (end >= block_start + padding && end <= a->given);
    for (size_t i = 0; i < padding && zeros; i++)
        zeros = a->block[end - block_start - padding + i] == 0;
    if (!zeros)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is damaged: the padding behind '%s' is not zero", a->name,
                             a->member);
    slt_sha256_finish(a->digest, digest);
    return slt_manifest_add(&a->manifest, a->member, digest, err);
}

int slt_archive_in_next(struct slt_archive_in *archive, const char **member, uint64_t *bytes,
                        struct slt_error *err)
{
    struct slt_archive_in *a = archive;
    struct archive_entry *entry = NULL;
    int rc = 0;
    if (a->member != NULL &&
        ((rc = slt_archive_in_skip(a, a->left, err)) != 0 || (rc = end_member(a, err)) != 0))
        return rc;
    const int result = archive_read_next_header(a->tar, &entry);
    if (result == ARCHIVE_EOF)
        return 0;
    if (result != ARCHIVE_OK)
        return tar_error(a, err);
    if ((rc = check_entry(a, entry, err)) != 0)
        return rc;
    char *name = strdup(archive_entry_pathname(entry));
    if (name == NULL)
        return slt_error_errno(err, "cannot read '%s'", a->name);
    free(a->member);
    a->member = name;
    a->bytes = a->left = (uint64_t)archive_entry_size(entry);
    *member = a->member;
    *bytes = a->bytes;
    return 1;
}

int slt_archive_in_read(struct slt_archive_in *archive, void *data, size_t bytes,
                        struct slt_error *err)
{
    struct slt_archive_in *a = archive;
    if (bytes > a->left)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': member '%s' ends early", a->name,
                             a->member);
    for (size_t used = 0; used < bytes;) {
        const la_ssize_t n = archive_read_data(a->tar, (char *)data + used, bytes - used);
        if (n <= 0)
            return tar_error(a, err);
        used += (size_t)n;
    }
    slt_sha256_update(a->digest, data, bytes);
    a->left -= bytes;
    return 0;
}

int slt_archive_in_skip(struct slt_archive_in *archive, uint64_t bytes, struct slt_error *err)
{
    unsigned char scratch[16384];
    while (bytes > 0) {
        const size_t n = bytes < sizeof scratch ? (size_t)bytes : sizeof scratch;
        int rc = slt_archive_in_read(archive, scratch, n, err);
        if (rc != 0)
            return rc;
        bytes -= n;
    }
    return 0;
}

int slt_archive_in_load(struct slt_archive_in *archive, void **data, size_t bytes,
                        struct slt_error *err)
{
    char *text = NULL;
    size_t used = 0, capacity = 0;
    int rc = 0;
    // The size is a claim of the file until its bytes have come.
    while (used < bytes || text == NULL) {
        capacity = capacity == 0 ? (size_t)64 << 10 : capacity * 2;
        capacity = capacity < bytes ? capacity : bytes;
        char *larger = realloc(text, capacity + 1);
        if (larger == NULL) {
            rc = slt_error_errno(err, "cannot read '%s'", archive->name);
            goto out;
        }
        text = larger;
        if ((rc = slt_archive_in_read(archive, text + used, capacity - used, err)) != 0)
            goto out;
        used = capacity;
    }
    text[bytes] = '\0';
    *data = text;
    text = NULL;
out:
    free(text);
    return rc;
}

// Behind the last member, which ends at byte end, there are two empty records or more, and no
// others.
static int check_end(struct slt_archive_in *a, uint64_t end, struct slt_error *err)
{
    struct archive_entry *entry = NULL;
    const int result = archive_read_next_header(a->tar, &entry);
    if (result == ARCHIVE_OK)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': member '%s' follows the manifest", a->name,
                             archive_entry_pathname(entry) != NULL ? archive_entry_pathname(entry)
                                                                   : "(no name)");
    if (result != ARCHIVE_EOF)
        return tar_error(a, err);
    do {
        const void *block;
        if (give_block(a->tar, a, &block) < 0)
            return tar_error(a, err);
    } while (a->block_bytes > 0);
    if (a->nonzero > end)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' has data behind its end, before byte %llu",
                             a->name, (unsigned long long)a->nonzero);
    if (a->given < end + END_MARK_BYTES || a->given % RECORD != 0)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is truncated: it ends at byte %llu, inside the end mark of tar",
                             a->name, (unsigned long long)a->given);
    return 0;
}

int slt_archive_in_verify(struct slt_archive_in *archive, struct slt_error *err)
{
    struct slt_archive_in *a = archive;
    // Only the members before this one; its own line is added below and not looked at.
    struct slt_manifest before = {NULL, 0};
    void *found = NULL;
    int rc = 0;
    assert(a->left == a->bytes);
    if (a->bytes > MANIFEST_MAX)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': %s is too large (%llu bytes)", a->name,
                             a->member, (unsigned long long)a->bytes);
    before.bytes = a->manifest.bytes;
    before.text = strdup(a->manifest.text != NULL ? a->manifest.text : "");
    if (before.text == NULL)
        return slt_error_errno(err, "cannot read '%s'", a->name);
    if ((rc = slt_archive_in_load(a, &found, (size_t)a->bytes, err)) == 0 &&
        (rc = end_member(a, err)) == 0 &&
        (rc = slt_manifest_compare(&before, a->name, found, (size_t)a->bytes, err)) == 0)
        rc = check_end(a, (uint64_t)archive_filter_bytes(a->tar, 0), err);
    free(found);
    free(before.text);
    return rc;
}

void slt_archive_in_digest(const struct slt_archive_in *a, unsigned char digest[SLT_SHA256_BYTES])
{
    slt_sha256_of(digest, a->manifest.text != NULL ? a->manifest.text : "", a->manifest.bytes);
}

void slt_archive_in_close(struct slt_archive_in *archive)
{
    if (archive == NULL)
        return;
    archive_read_free(archive->tar);
    slt_unpack_close(archive->unpack);
    slt_sha256_free(archive->digest);
    free(archive->manifest.text);
    free(archive->member);
    free(archive->block);
    free(archive);
}
