// The tar archive of a checkpoint, as a stream in both directions: regular members with sizes known
// in advance, closed by MANIFEST.sha256.
#ifndef SLT_FILES_ARCHIVE_H
#define SLT_FILES_ARCHIVE_H

#include "slt/digest.h"
#include "slt/stream.h"

// ---- Reading (plain or zstd-compressed) ----

struct slt_archive_in;

// in stays the caller's and must outlive the archive.
int slt_archive_in_open(struct slt_archive_in **archive, struct slt_input *in,
                        struct slt_error *err) SLT_CHECK_RESULT;
// Moves to the next member, reading the rest of the last one: 1 with its name (valid until the next
// call) and size, 0 at the end, negative on error. Anything but a plain file is refused.
int slt_archive_in_next(struct slt_archive_in *archive, const char **member, uint64_t *bytes,
                        struct slt_error *err) SLT_CHECK_RESULT;
// Reads the next bytes of the current member; fewer than asked for is an error.
int slt_archive_in_read(struct slt_archive_in *archive, void *data, size_t bytes,
                        struct slt_error *err) SLT_CHECK_RESULT;
// Reads over the next bytes of the current member.
int slt_archive_in_skip(struct slt_archive_in *archive, uint64_t bytes,
                        struct slt_error *err) SLT_CHECK_RESULT;
// Reads the next bytes into memory that grows with what comes, and puts a NUL behind them; the
// caller frees *data.
int slt_archive_in_load(struct slt_archive_in *archive, void **data, size_t bytes,
                        struct slt_error *err) SLT_CHECK_RESULT;
// The current member is the manifest, and the last: compares it with all members before it and
// checks that the archive has its end mark and nothing behind it.
int slt_archive_in_verify(struct slt_archive_in *archive, struct slt_error *err) SLT_CHECK_RESULT;
// The SHA-256 of the manifest's lines of all members behind the current one.
void slt_archive_in_digest(const struct slt_archive_in *archive,
                           unsigned char digest[SLT_SHA256_BYTES]);
void slt_archive_in_close(struct slt_archive_in *archive);

// ---- Writing ----

struct slt_archive_out;

// out stays the caller's and must outlive the archive.
int slt_archive_out_create(struct slt_archive_out **archive, struct slt_output *out,
                           struct slt_error *err) SLT_CHECK_RESULT;
// Starts a member of that many bytes; the last one must be complete.
int slt_archive_out_begin(struct slt_archive_out *archive, const char *member, uint64_t bytes,
                          struct slt_error *err) SLT_CHECK_RESULT;
// Appends to the current member, never more than announced.
int slt_archive_out_write(struct slt_archive_out *archive, const void *data, size_t bytes,
                          struct slt_error *err) SLT_CHECK_RESULT;
// A whole member at once.
int slt_archive_out_member(struct slt_archive_out *archive, const char *member, const void *data,
                           size_t bytes, struct slt_error *err) SLT_CHECK_RESULT;
// Writes the manifest and the end mark and frees the archive, also on failure.
int slt_archive_out_finish(struct slt_archive_out *archive, struct slt_error *err) SLT_CHECK_RESULT;
// Frees the archive and writes nothing more. NULL is fine.
void slt_archive_out_abandon(struct slt_archive_out *archive);

#endif
