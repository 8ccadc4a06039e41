// Inputs and outputs: files, pipes, FIFOs, memory; temporaries; stop flags.
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "slt/stream.h"

static char folder[] = "/tmp/slt-test-files-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[4][200];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static int files_in_folder(void)
{
    int count = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d != NULL)
        closedir(d);
    return count;
}

// The content of a file as a string, or "(none)".
static const char *content(const char *path)
{
    static char text[5000];
    void *data = NULL;
    size_t bytes;
    if (slt_file_read(&data, &bytes, path, sizeof text - 1, NULL, NULL) != 0)
        return "(none)";
    memcpy(text, data, bytes + 1);
    free(data);
    return text;
}

static void write_file(const char *path, const char *text)
{
    struct slt_error err;
    struct slt_output *out = NULL;
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_output_write(out, text, strlen(text), &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
}

static void test_publish(void)
{
    struct slt_error err;
    struct slt_output *out = NULL;
    const char *path = path_of("a");
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_output_printf(out, &err, "%s %d\n", "line", 1), err);
    char longer[3000];
    memset(longer, 'y', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    CHECK_OK(slt_output_printf(out, &err, "%s", longer), err);
    CHECK(slt_output_bytes(out) == 7 + 2999, "counts %d", (int)slt_output_bytes(out));
    CHECK(strcmp(slt_output_name(out), path) == 0, "name");
    CHECK(!slt_output_is_terminal(out), "a file is no terminal");
    CHECK(access(path, F_OK) != 0 && files_in_folder() == 1, "the target is there too early");
    CHECK_OK(slt_output_finish(out, &err), err);
    CHECK(access(path, F_OK) != 0, "finish renames");
    CHECK_OK(slt_output_publish(out, &err), err);
    CHECK(strncmp(content(path), "line 1\nyyy", 10) == 0, "content");
    CHECK(files_in_folder() == 1, "the temporary is left behind");
    struct stat st;
    const mode_t mask = umask(0);
    umask(mask);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == (0666 & ~mask), "mode %o", st.st_mode);

    CHECK(chmod(path, 0640) == 0, "chmod");
    write_file(path, "second");
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640, "mode %o", st.st_mode);
    CHECK(strcmp(content(path), "second") == 0, "content");

    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_output_write(out, "third", 5, &err), err);
    slt_output_abandon(out);
    slt_output_abandon(NULL);
    CHECK(strcmp(content(path), "second") == 0 && files_in_folder() == 1, "abandon");
    unlink(path);
}

static void test_targets(void)
{
    struct slt_error err;
    struct slt_output *out = NULL;
    const char *real = path_of("real"), *link = path_of("link"), *chain = path_of("chain");
    CHECK(symlink("real", link) == 0 && symlink(link, chain) == 0, "symlink");
    write_file(chain, "through two links");
    struct stat st;
    CHECK(lstat(chain, &st) == 0 && S_ISLNK(st.st_mode), "the link was replaced");
    CHECK(strcmp(content(real), "through two links") == 0, "content");
    unlink(link);
    CHECK(symlink("link", link) == 0, "symlink");
    CHECK(slt_output_open(&out, link, NULL, &err) == SLT_ERR_IO, "a loop");
    CHECK(strstr(err.message, "symbolic links") != NULL, "%s", err.message);
    unlink(real), unlink(link), unlink(chain);

    CHECK(slt_output_open(&out, folder, NULL, &err) == SLT_ERR_IO, "a directory");
    CHECK(strstr(err.message, "Is a directory") != NULL, "%s", err.message);
    CHECK(slt_output_open(&out, path_of("none/x"), NULL, &err) == SLT_ERR_IO, "no directory");
    CHECK(strstr(err.message, "No such file") != NULL, "%s", err.message);
    CHECK(slt_output_open(&out, "", NULL, &err) == SLT_ERR_IO, "an empty name");
    char name[260];
    memset(name, 'n', 255);
    name[255] = '\0';
    write_file(path_of(name), "a long name");
    CHECK(strcmp(content(path_of(name)), "a long name") == 0, "%s", content(path_of(name)));
    unlink(path_of(name));

    CHECK_OK(slt_output_open(&out, "/dev/full", NULL, &err), err);
    CHECK_OK(slt_output_write(out, "x", 1, &err), err);
    CHECK(slt_output_publish(out, &err) == SLT_ERR_IO, "/dev/full");
    CHECK(strcmp(err.message, "cannot write '/dev/full': No space left on device") == 0, "%s",
          err.message);
    CHECK(files_in_folder() == 0, "%d files are left", files_in_folder());
}

struct copy {
    const char *path;
    char data[100];
    size_t got;
};

static void *read_fifo(void *arg)
{
    struct copy *c = arg;
    struct slt_input *in = NULL;
    size_t got = 0;
    if (slt_input_open(&in, c->path, NULL, NULL) == 0)
        while (slt_input_read(in, c->data + c->got, 3, &got, NULL) == 0 && got > 0)
            c->got += got;
    slt_input_close(in);
    return NULL;
}

static void test_fifo(void)
{
    struct copy c = {.path = path_of("fifo")};
    pthread_t reader;
    CHECK(mkfifo(c.path, 0600) == 0, "mkfifo");
    CHECK(pthread_create(&reader, NULL, read_fifo, &c) == 0, "thread");
    write_file(c.path, "through a fifo");
    pthread_join(reader, NULL);
    CHECK(c.got == 14 && memcmp(c.data, "through a fifo", 14) == 0, "%.*s", (int)c.got, c.data);
    struct stat st;
    CHECK(stat(c.path, &st) == 0 && S_ISFIFO(st.st_mode), "the FIFO was replaced");
    unlink(c.path);
}

static void test_input(void)
{
    struct slt_error err;
    struct slt_input *in = NULL;
    const char *path = path_of("in");
    enum { COUNT = 200000 };
    char *data = malloc(COUNT), *back = malloc(COUNT), head[4096];
    for (int i = 0; i < COUNT; i++)
        data[i] = (char)(i * 7 + i / 251);
    struct slt_output *out = NULL;
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    for (size_t at = 0, n = 1; at < COUNT; at += n, n = n * 3 % 100003)
        CHECK_OK(slt_output_write(out, data + at, n < COUNT - at ? n : COUNT - at, &err), err);
    CHECK(slt_output_bytes(out) == COUNT, "%d", (int)slt_output_bytes(out));
    CHECK_OK(slt_output_publish(out, &err), err);

    for (int memory = 0; memory < 2; memory++) {
        size_t got = 0, total = 0;
        if (memory)
            CHECK_OK(slt_input_memory(&in, "memory", data, COUNT, &err), err);
        else
            CHECK_OK(slt_input_open(&in, path, NULL, &err), err);
        for (size_t n = 1; total < COUNT; total += got, n = n * 5 % 100003) {
            CHECK_OK(slt_input_peek(in, head, sizeof head, &got, &err), err);
            const size_t left = COUNT - total;
            CHECK(got == (left < sizeof head ? left : sizeof head), "peek %zu", got);
            CHECK(memcmp(head, data + total, got) == 0, "peeked bytes");
            CHECK_OK(slt_input_read(in, back + total, n < left ? n : left, &got, &err), err);
            CHECK(got > 0, "ends early");
            if (got == 0)
                break;
        }
        CHECK(memcmp(back, data, COUNT) == 0, "content");
        CHECK_OK(slt_input_read(in, back, 1, &got, &err), err);
        CHECK(got == 0, "no end");
        slt_input_close(in);

        const void *map = NULL;
        uint64_t bytes = 0;
        if (memory)
            CHECK_OK(slt_input_memory(&in, "memory", data, COUNT, &err), err);
        else
            CHECK_OK(slt_input_open(&in, path, NULL, &err), err);
        CHECK_OK(slt_input_peek(in, head, 8, &got, &err), err);
        CHECK_OK(slt_input_map(in, &map, &bytes, &err), err);
        CHECK(bytes == COUNT && memcmp(map, data, COUNT) == 0, "map");
        slt_input_close(in);
    }
    void *whole = NULL;
    size_t bytes = 0;
    CHECK_OK(slt_file_read(&whole, &bytes, path, COUNT, NULL, &err), err);
    CHECK(bytes == COUNT && memcmp(whole, data, COUNT) == 0, "slt_file_read");
    free(whole);
    CHECK(slt_file_read(&whole, &bytes, path, COUNT - 1, NULL, &err) == SLT_ERR_RANGE, "limit");
    CHECK(slt_file_read(&whole, &bytes, folder, COUNT, NULL, &err) == SLT_ERR_IO, "directory");
    CHECK(slt_input_open(&in, path_of("none"), NULL, &err) == SLT_ERR_IO, "none");
    CHECK(strstr(err.message, "cannot open '") != NULL, "%s", err.message);
    unlink(path);
    free(data);
    free(back);
}

// Standard input is never mapped, whether it is a pipe or a file whose head is gone.
static void test_standard_input(void)
{
    struct slt_error err;
    struct slt_input *in = NULL;
    const void *map = NULL;
    uint64_t bytes = 0;
    size_t got = 0;
    char text[20];
    const int saved = dup(STDIN_FILENO);
    int ends[2];
    CHECK(pipe(ends) == 0 && dup2(ends[0], STDIN_FILENO) == STDIN_FILENO, "pipe");
    CHECK(write(ends[1], "piped", 5) == 5 && close(ends[1]) == 0, "write");
    CHECK_OK(slt_input_open(&in, "-", NULL, &err), err);
    CHECK(strcmp(slt_input_name(in), "<stdin>") == 0, "%s", slt_input_name(in));
    CHECK(slt_input_map(in, &map, &bytes, &err) == SLT_ERR_RANGE, "a pipe was mapped");
    CHECK_OK(slt_input_read(in, text, sizeof text, &got, &err), err);
    CHECK(got == 5 && memcmp(text, "piped", 5) == 0, "content");
    slt_input_close(in);
    CHECK(fcntl(STDIN_FILENO, F_GETFD) >= 0, "standard input was closed");

    write_file(path_of("in"), "regular");
    const int fd = open(path_of("in"), O_RDONLY);
    dup2(fd, STDIN_FILENO);
    close(fd);
    CHECK_OK(slt_input_open(&in, "-", NULL, &err), err);
    CHECK(slt_input_map(in, &map, &bytes, &err) == SLT_ERR_RANGE, "standard input was mapped");
    slt_input_close(in);
    lseek(STDIN_FILENO, 2, SEEK_SET);
    CHECK_OK(slt_input_open(&in, "-", NULL, &err), err);
    CHECK_OK(slt_input_peek(in, text, 5, &got, &err), err);
    CHECK(got == 5 && memcmp(text, "gular", 5) == 0, "peek");
    slt_input_close(in);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(ends[0]);
    unlink(path_of("in"));
}

static volatile sig_atomic_t stop;

static void *stop_soon(void *unused)
{
    (void)unused;
    usleep(100000);
    stop = 1;
    return NULL;
}

// A flag set while a read or write waits, without any signal that would interrupt it.
static void test_stop(void)
{
    struct slt_error err;
    struct slt_input *in = NULL;
    struct slt_output *out = NULL;
    pthread_t thread;
    char text[1000] = {0};
    size_t got;
    const char *fifo = path_of("fifo"), *file = path_of("file");
    CHECK(mkfifo(fifo, 0600) == 0, "mkfifo");
    const int both = open(fifo, O_RDWR);
    CHECK_OK(slt_input_open(&in, fifo, &stop, &err), err);
    pthread_create(&thread, NULL, stop_soon, NULL);
    CHECK(slt_input_read(in, text, 1, &got, &err) == SLT_ERR_STOPPED, "read");
    pthread_join(thread, NULL);
    slt_input_close(in);

    stop = 0;
    CHECK_OK(slt_output_open(&out, fifo, &stop, &err), err);
    pthread_create(&thread, NULL, stop_soon, NULL);
    int rc = 0;
    for (int i = 0; i < 10000 && rc == 0; i++)
        rc = slt_output_write(out, text, sizeof text, &err);
    CHECK(rc == SLT_ERR_STOPPED, "write: %d", rc);
    pthread_join(thread, NULL);
    slt_output_abandon(out);
    close(both);
    unlink(fifo);

    stop = 0;
    CHECK_OK(slt_output_open(&out, file, &stop, &err), err);
    CHECK_OK(slt_output_write(out, text, 10, &err), err);
    stop = 1;
    CHECK(slt_output_publish(out, &err) == SLT_ERR_STOPPED, "publish");
    CHECK(files_in_folder() == 0, "a file is left");
    stop = 0;
}

static void test_broken_pipe(void)
{
    struct slt_error err;
    struct slt_output *out = NULL;
    const char *fifo = path_of("fifo");
    signal(SIGPIPE, SIG_IGN);
    CHECK(mkfifo(fifo, 0600) == 0, "mkfifo");
    const int reader = open(fifo, O_RDONLY | O_NONBLOCK);
    CHECK_OK(slt_output_open(&out, fifo, NULL, &err), err);
    close(reader);
    CHECK_OK(slt_output_write(out, "x", 1, &err), err);
    CHECK(slt_output_flush(out, &err) == SLT_ERR_IO, "no error");
    CHECK(strstr(err.message, "Broken pipe") != NULL, "%s", err.message);
    slt_output_abandon(out);
    unlink(fifo);
}

int main(void)
{
    if (mkdtemp(folder) == NULL)
        return 2;
    test_publish();
    test_targets();
    test_fifo();
    test_input();
    test_standard_input();
    test_stop();
    test_broken_pipe();
    CHECK(rmdir(folder) == 0, "files are left in %s", folder);
    return TEST_END();
}
