// Writing the tar archive of a checkpoint through libarchive.
//
// libarchive pads a short member with zeros and drops what is too much, both without an error.
// Therefore the bytes are counted here, and after any failure the archive is left without its end.
#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "files/archive.h"
#include "files/manifest.h"

struct slt_archive_out {
    struct slt_output *out;
    struct archive *tar;
    struct slt_error sink; // why the output failed, if it did
    struct slt_sha256 *digest;
    struct slt_manifest manifest;
    char *member; // name of the current member, NULL between members
    uint64_t bytes, left;
    bool abandoned; // nothing more is written
};

static la_ssize_t take_block(struct archive *tar, void *user, const void *block, size_t bytes)
{
    struct slt_archive_out *a = user;
    if (a->abandoned)
        return (la_ssize_t)bytes;
    if (slt_output_write(a->out, block, bytes, &a->sink) != 0) {
        archive_set_error(tar, EIO, "%s", a->sink.message);
        return -1;
    }
    return (la_ssize_t)bytes;
}

static int tar_error(const struct slt_archive_out *a, struct slt_error *err)
{
    if (a->sink.code != 0)
        return slt_error_copy(err, &a->sink);
    const char *reason = archive_error_string(a->tar);
    return slt_error_set(err, archive_errno(a->tar) == ENOMEM ? SLT_ERR_MEMORY : SLT_ERR_IO,
                         "cannot write '%s': %s", slt_output_name(a->out),
                         reason != NULL ? reason : "unknown error of libarchive");
}

int slt_archive_out_create(struct slt_archive_out **archive, struct slt_output *out,
                           struct slt_error *err)
{
    struct slt_archive_out *a = calloc(1, sizeof *a);
    if (a == NULL)
        return slt_error_errno(err, "cannot write '%s'", slt_output_name(out));
    a->out = out;
    a->tar = archive_write_new();
    int rc = slt_sha256_create(&a->digest, err);
    if (rc == 0 && a->tar == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot write '%s'", slt_output_name(out));
    if (rc != 0)
        goto out;
    // No blocking: the output has a buffer, and the archive ends with two empty records.
    if (archive_write_set_format_pax_restricted(a->tar) != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(a->tar, 0) != ARCHIVE_OK ||
        archive_write_open(a->tar, a, NULL, take_block, NULL) != ARCHIVE_OK) {
        rc = tar_error(a, err);
        goto out;
    }
    *archive = a;
    a = NULL;
out:
    slt_archive_out_abandon(a);
    return rc;
}

// Checks that the current member is complete and enters it into the manifest.
static int end_member(struct slt_archive_out *a, struct slt_error *err)
{
    unsigned char digest[SLT_SHA256_BYTES];
    if (a->member == NULL)
        return 0;
    if (a->left > 0)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s': member '%s' is %llu bytes short of %llu",
                             slt_output_name(a->out), a->member, (unsigned long long)a->left,
                             (unsigned long long)a->bytes);
    slt_sha256_finish(a->digest, digest);
    int rc = slt_manifest_add(&a->manifest, a->member, digest, err);
    free(a->member);
    a->member = NULL;
    return rc;
}

int slt_archive_out_begin(struct slt_archive_out *archive, const char *member, uint64_t bytes,
                          struct slt_error *err)
{
    struct slt_archive_out *a = archive;
    int rc = end_member(a, err);
    if (rc != 0)
        return rc;
    if (bytes > INT64_MAX)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s': member '%s' is too large",
                             slt_output_name(a->out), member);
    struct archive_entry *entry = archive_entry_new();
    char *name = strdup(member);
    if (entry == NULL || name == NULL) {
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot write '%s'", slt_output_name(a->out));
        goto out;
    }
    // The same bytes whoever writes, wherever and whenever.
    archive_entry_set_pathname(entry, member);
    archive_entry_set_size(entry, (la_int64_t)bytes);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    if (archive_write_header(a->tar, entry) != ARCHIVE_OK) {
        rc = tar_error(a, err);
        goto out;
    }
    a->member = name;
    a->bytes = a->left = bytes;
    name = NULL;
out:
    archive_entry_free(entry);
    free(name);
    return rc;
}

int slt_archive_out_write(struct slt_archive_out *archive, const void *data, size_t bytes,
                          struct slt_error *err)
{
    struct slt_archive_out *a = archive;
    assert(a->member != NULL);
    if (bytes > a->left)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s': member '%s' gets more than its %llu bytes",
                             slt_output_name(a->out), a->member, (unsigned long long)a->bytes);
    for (size_t used = 0; used < bytes;) {
        const la_ssize_t n = archive_write_data(a->tar, (const char *)data + used, bytes - used);
        if (n <= 0)
            return tar_error(a, err);
        used += (size_t)n;
    }
    slt_sha256_update(a->digest, data, bytes);
    a->left -= bytes;
    return 0;
}

int slt_archive_out_member(struct slt_archive_out *archive, const char *member, const void *data,
                           size_t bytes, struct slt_error *err)
{
    int rc = slt_archive_out_begin(archive, member, bytes, err);
    return rc != 0 ? rc : slt_archive_out_write(archive, data, bytes, err);
}

int slt_archive_out_finish(struct slt_archive_out *archive, struct slt_error *err)
{
    struct slt_archive_out *a = archive;
    int rc = end_member(a, err);
    if (rc != 0)
        goto out;
    // The manifest does not name itself.
    if ((rc = slt_archive_out_begin(a, SLT_MANIFEST_NAME, a->manifest.bytes, err)) != 0 ||
        (rc = slt_archive_out_write(a, a->manifest.text, a->manifest.bytes, err)) != 0)
        goto out;
    if (archive_write_close(a->tar) != ARCHIVE_OK) {
        rc = tar_error(a, err);
        goto out;
    }
    archive_write_free(a->tar);
    a->tar = NULL;
out:
    slt_archive_out_abandon(a);
    return rc;
}

void slt_archive_out_abandon(struct slt_archive_out *archive)
{
    if (archive == NULL)
        return;
    // Freeing alone would complete the archive. In the failed state closing does not fill up the
    // current member and frees what libarchive holds; the end mark that it still writes goes
    // nowhere.
    archive->abandoned = true;
    if (archive->tar != NULL) {
        archive_write_fail(archive->tar);
        archive_write_close(archive->tar);
        archive_write_free(archive->tar);
    }
    slt_sha256_free(archive->digest);
    free(archive->manifest.text);
    free(archive->member);
    free(archive);
}
