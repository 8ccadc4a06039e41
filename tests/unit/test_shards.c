// Shards that a resumed run finds: one that cannot be read is not one that is not whole. And files
// whose reading is stopped.
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "slt/shards.h"

static char folder[] = "/tmp/slt-test-shards-XXXXXX";
static char name[100];

static const struct slt_tokens_header header = {
    .vocab_size = 1000, .eos = 2, .pad = SLT_TOKEN_NONE};

static const char *shard(uint64_t number)
{
    static char path[200];
    struct slt_error err;
    CHECK_OK(slt_shard_path(path, sizeof path, name, number, &err), err);
    return path;
}

static bool is_there(uint64_t number)
{
    struct stat st;
    return lstat(shard(number), &st) == 0;
}

static int begin(struct slt_shards **shards, bool resume, slt_stop_flag *stop,
                 struct slt_error *err)
{
    return slt_shards_create(shards, name, &header, 10, resume, stop, err);
}

// Documents of 5 tokens, EOS included: two make a shard.
static int write_shards(bool resume, int documents, struct slt_error *err)
{
    struct slt_shards *s = NULL;
    int rc = begin(&s, resume, NULL, err);
    for (int i = 0; rc == 0 && i < documents; i++) {
        const uint32_t ids[4] = {10, 20, 30, (uint32_t)i + 40};
        rc = slt_shards_append(s, ids, 4, 7, err);
    }
    if (rc == 0)
        return slt_shards_finish(s, NULL, err);
    slt_shards_abandon(s);
    return rc;
}

static void test_unreadable(void)
{
    static const volatile sig_atomic_t stop = 1;
    struct slt_error err = {0};
    struct slt_shards *s = NULL;
    CHECK_OK(write_shards(false, 6, &err), err);
    CHECK(is_there(2) && !is_there(3), "three shards");
    // A link to itself stands for what may be there but cannot be reached.
    unlink(shard(1));
    CHECK(symlink("shard-00001.tok", shard(1)) == 0, "symlink");
    CHECK(begin(&s, true, NULL, &err) == SLT_ERR_IO, "a loop: %d", err.code);
    CHECK(strstr(err.message, "shard-00001.tok") != NULL, "%s", err.message);
    unlink(shard(1));
    CHECK(mkdir(shard(1), 0777) == 0, "mkdir");
    CHECK(begin(&s, true, NULL, &err) == SLT_ERR_IO, "a folder: %d", err.code);
    rmdir(shard(1));
    CHECK(begin(&s, true, &stop, &err) == SLT_ERR_STOPPED, "stopped: %d", err.code);
    // One that is cut off, and one that is missing, are written anew.
    CHECK_OK(write_shards(true, 6, &err), err);
    CHECK(truncate(shard(1), 70) == 0, "truncate");
    CHECK_OK(write_shards(true, 6, &err), err);
    CHECK(is_there(2) && !is_there(3), "three shards");
}

// One whose end mark is right but whose index is not is damaged, not one of another size.
static void test_damaged_index(void)
{
    struct slt_error err = {0};
    CHECK_OK(write_shards(false, 6, &err), err);
    FILE *f = fopen(shard(0), "r+b");
    CHECK(f != NULL && fseek(f, 64 + 10 * 2, SEEK_SET) == 0 && fputc(9, f) == 9 && fclose(f) == 0,
          "the first entry of the index");
    CHECK_OK(write_shards(true, 6, &err), err);
}

// What is left of a longer run goes, whatever it is; what cannot be removed is said.
static void test_later(void)
{
    struct slt_error err = {0};
    CHECK_OK(write_shards(false, 8, &err), err);
    unlink(shard(2));
    CHECK(symlink("shard-00002.tok", shard(2)) == 0, "symlink");
    CHECK_OK(write_shards(false, 4, &err), err);
    CHECK(!is_there(2) && !is_there(3), "a later shard is left");
}

// A check reads the whole file, which may take long.
static void test_stop(void)
{
    volatile sig_atomic_t stop = 0;
    struct slt_error err = {0};
    struct slt_input *in = NULL;
    struct slt_tokens *t = NULL;
    CHECK_OK(write_shards(false, 2, &err), err);
    CHECK_OK(slt_input_open(&in, shard(0), &stop, &err), err);
    CHECK_OK(slt_tokens_open(&t, in, &err), err);
    CHECK(slt_tokens_is_mapped(t), "it is a stream");
    CHECK_OK(slt_tokens_check(t, &err), err);
    stop = SIGTERM;
    CHECK(slt_tokens_check(t, &err) == SLT_ERR_STOPPED, "code %d", err.code);
    slt_tokens_close(t);
}

int main(void)
{
    struct slt_error err;
    CHECK(mkdtemp(folder) != NULL, "mkdtemp");
    snprintf(name, sizeof name, "%s/shard.tok", folder);
    test_unreadable();
    test_damaged_index();
    test_later();
    test_stop();
    CHECK_OK(write_shards(false, 0, &err), err);
    unlink(shard(0));
    rmdir(folder);
    return TEST_END();
}
