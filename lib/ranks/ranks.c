// Ranks: joining, leaving, and small exchanges between all of them.
//
// An exchange is made of messages that neither block nor copy, each looked at until it is done, so
// that a rank which does not answer is found by a clock and named. Signs of life have tag 0, the
// exchanges tags of their own, counted alike by all.
#define _GNU_SOURCE // sched_getaffinity
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ranks/launcher.h"
#include "ranks/ranks.h"
#include "slt/clock.h"

#define LIFE_TAG        0
#define DEFAULT_TIMEOUT 600.0
#define SLOWEST         10.0 // times the slowest step a rank may be silent
#define HOST            64
#define SPIN            2000 // looks at messages before others may have the core

struct peer {
    double heard;     // when it last sent something
    int waits;        // exchanges that it had begun when it said that it waits; 0: it works
    bool failed;      // and said that it has
    double since;     // when it first said so
    uint64_t request; // of the last sign of life to it, while that is under way
    int sign;
    bool sending;
    char host[HOST];
};

// How a rank fares, or what it has to say.
struct report {
    int64_t code;
    uint64_t number;
};

struct slt_ranks {
    const struct slt_ranks_plugin *mpi;
    struct slt_ranks_place place;
    struct slt_ranks_options options;
    double timeout;
    double ticked; // when the last signs of life were sent
    double looked, asked; // by slt_ranks_keep_waiting: last, and since when without a pause
    int turn;
    bool noticed; // that a signal came while waiting
    bool starts;  // reading what may be large, without signs of life
    bool fails;   // and tells the others
    struct slt_error lost; // why nothing can be exchanged any more, code 0 if it can
    char doing[64];
    struct peer *peer;           // (size)
    struct report *report;       // (size)
    struct slt_message *message; // (2 size): of the exchange under way
};

// ---- Lost ranks ----

// One rank after the other speaks of what all of them find at the same time: the first one that does
// ends the job.
static double turn_to_speak(const struct slt_ranks *r)
{
    return 0.2 * (r->place.rank < 10 ? r->place.rank : 10);
}

// From here on nothing is exchanged.
static SLT_PRINTF(3, 4) int lose(struct slt_ranks *r, struct slt_error *err, const char *format,
                                 ...)
{
    const double wait = turn_to_speak(r);
    const struct timespec pause = {(time_t)wait, (long)((wait - floor(wait)) * 1e9)};
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    nanosleep(&pause, NULL);
    slt_error_set(&r->lost, SLT_ERR_RANKS, "%s, in %s", text, r->doing);
    return slt_error_copy(err, &r->lost);
}

static int mpi_error(struct slt_error *err, struct slt_ranks *r, const char *reason)
{
    return lose(r, err, "MPI failed (%s)", reason);
}

static int check_lost(const struct slt_ranks *r, struct slt_error *err)
{
    return r->lost.code == 0 ? 0 : slt_error_copy(err, &r->lost);
}

// ---- Signs of life ----

// Takes the signs of life that have come.
static int hear(struct slt_ranks *r, struct slt_error *err)
{
    char reason[256];
    int peer, there;
    while ((there = r->mpi->probe(&peer, LIFE_TAG, reason, sizeof reason)) > 0) {
        struct peer *p = &r->peer[peer];
        int sign = 0, done = 0;
        size_t bytes;
        uint64_t request;
        if (r->mpi->receive(&request, &sign, sizeof sign, peer, LIFE_TAG, reason, sizeof reason) !=
            0)
            return mpi_error(err, r, reason);
        // It is there, but for what a cable may have kept of it.
        const double start = slt_clock_now();
        while (done == 0 && slt_clock_now() - start < r->timeout)
            done = r->mpi->test(&request, &bytes, reason, sizeof reason);
        if (done == 0)
            return lose(r, err, "rank %d on host %s stopped in the middle of a message", peer,
                        p->host);
        if (done < 0)
            return mpi_error(err, r, reason);
        p->heard = slt_clock_now();
        p->failed = sign < 0;
        if (abs(sign) != p->waits)
            p->since = p->heard;
        p->waits = abs(sign);
    }
    return there < 0 ? mpi_error(err, r, reason) : 0;
}

// A sign of life says whether this rank waits, in which exchange, and by a minus that it has failed.
static void give_sign(struct slt_ranks *r, int sign)
{
    char reason[256];
    size_t bytes;
    const double now = slt_clock_now();
    if (now - r->ticked < 1 || r->lost.code != 0)
        return;
    r->ticked = now;
    for (int i = 0; i < r->place.size; i++) {
        struct peer *p = &r->peer[i];
        if (i == r->place.rank)
            continue;
        // What goes wrong here is found in the next exchange.
        if (p->sending && r->mpi->test(&p->request, &bytes, reason, sizeof reason) == 1)
            p->sending = false;
        if (p->sending)
            continue;
        p->sign = sign;
        p->sending = r->mpi->send(&p->request, &p->sign, sizeof p->sign, i, LIFE_TAG, reason,
                                  sizeof reason) == 0;
    }
}

void slt_ranks_tick(struct slt_ranks *r)
{
    if (r != NULL)
        give_sign(r, 0);
}

void slt_ranks_doing(struct slt_ranks *r, const char *what, int64_t step)
{
    if (r == NULL)
        return;
    snprintf(r->doing, sizeof r->doing, "%s %lld", what, (long long)step);
    r->starts = false;
}

void slt_ranks_expect(struct slt_ranks *r, double seconds)
{
    if (r != NULL && r->options.timeout == 0 && r->timeout < SLOWEST * seconds)
        r->timeout = SLOWEST * seconds;
}

// ---- Messages ----

int slt_ranks_next_tag(struct slt_ranks *r)
{
    r->turn = r->turn % (SLT_MESSAGE_TAGS - 1) + 1;
    return r->turn;
}

int slt_message_post(struct slt_ranks *r, struct slt_message *m, int tag, struct slt_error *err)
{
    char reason[256];
    int lost = check_lost(r, err);
    if (lost != 0)
        return lost;
    const int rc =
        m->receives
            ? r->mpi->receive(&m->request, m->data, m->bytes, m->peer, tag, reason, sizeof reason)
            : r->mpi->send(&m->request, m->data, m->bytes, m->peer, tag, reason, sizeof reason);
    m->done = false;
    return rc == 0 ? 0 : mpi_error(err, r, reason);
}

static int test_message(struct slt_ranks *r, struct slt_message *m, struct slt_error *err)
{
    char reason[256];
    size_t bytes = 0;
    const int rc = r->mpi->test(&m->request, &bytes, reason, sizeof reason);
    if (rc < 0)
        return lose(r, err, "rank %d on host %s is gone (%s)", m->peer, r->peer[m->peer].host,
                    reason);
    if (rc == 0)
        return 0;
    m->done = true;
    r->peer[m->peer].heard = slt_clock_now();
    if (!m->receives || bytes == m->bytes)
        return 0;
    return lose(r, err, "rank %d on host %s sent %zu bytes and not %zu", m->peer,
                r->peer[m->peer].host, bytes, m->bytes);
}

int slt_messages_test(struct slt_ranks *r, struct slt_message *messages, int count, bool *done,
                      struct slt_error *err)
{
    int rc = check_lost(r, err);
    *done = true;
    for (int i = 0; rc == 0 && i < count; i++) {
        if (!messages[i].done)
            rc = test_message(r, &messages[i], err);
        *done = *done && messages[i].done;
    }
    return rc;
}

// The first message that is not done.
static const struct slt_message *waits_for(const struct slt_message *messages, int count)
{
    int i = 0;
    while (i < count - 1 && messages[i].done)
        i++;
    return &messages[i];
}

// Says whom a stopped process waits for, before its launcher loses patience. One rank speaks: the
// others give it time.
static void notice(struct slt_ranks *r, int peer, double waited)
{
    char sentence[256];
    if (r->noticed || r->options.notice == NULL || r->options.stop == NULL ||
        *r->options.stop == 0 || waited < 0.2 + turn_to_speak(r))
        return;
    r->noticed = true;
    snprintf(sentence, sizeof sentence, "stopped while waiting for rank %d on host %s, in %s", peer,
             r->peer[peer].host, r->doing);
    r->options.notice(r->options.user, sentence);
}

// A rank that says nothing is lost, and so is one that goes on waiting in another exchange.
static int check_silence(struct slt_ranks *r, const struct slt_message *m, double start,
                         struct slt_error *err)
{
    const struct peer *p = &r->peer[m->peer];
    const double now = slt_clock_now(), silent = now - (p->heard > start ? p->heard : start);
    const double limit = r->starts && r->timeout < DEFAULT_TIMEOUT ? DEFAULT_TIMEOUT : r->timeout;
    notice(r, m->peer, now - start);
    if (silent >= limit)
        return lose(r, err, "rank %d on host %s has not answered for %.0f s", m->peer, p->host,
                    silent);
    if (p->waits != 0 && p->waits != r->turn && now - start >= limit &&
        p->heard - p->since >= limit)
        return lose(r, err, "rank %d on host %s waits for something else since %.0f s", m->peer,
                    p->host, now - p->since);
    return 0;
}

int slt_messages_wait(struct slt_ranks *r, struct slt_message *messages, int count,
                      struct slt_error *err)
{
    const struct timespec pause = {.tv_nsec = 50000};
    const double start = slt_clock_now();
    bool done = false;
    for (int64_t look = 0;; look++) {
        int rc = slt_messages_test(r, messages, count, &done, err);
        if (rc != 0 || done)
            return rc;
        if (look < SPIN) {
            sched_yield();
            continue;
        }
        give_sign(r, r->fails ? -r->turn : r->turn);
        if ((rc = hear(r, err)) != 0 ||
            (rc = check_silence(r, waits_for(messages, count), start, err)) != 0)
            return rc;
        nanosleep(&pause, NULL);
    }
}

bool slt_ranks_keep_waiting(void *ranks)
{
    struct slt_ranks *r = ranks;
    struct slt_error err;
    const double now = slt_clock_now();
    if (now - r->looked < 0.01)
        return r->lost.code == 0;
    if (now - r->looked > 1)
        r->asked = now;
    r->looked = now;
    give_sign(r, r->turn);
    int rc = hear(r, &err);
    for (int i = 0; rc == 0 && i < r->place.size; i++)
        if (i != r->place.rank)
            rc = r->peer[i].failed
                     ? SLT_ERR_RANKS
                     : check_silence(r, &(struct slt_message){.peer = i}, r->asked, &err);
    return rc == 0;
}

// ---- Exchanges ----

static int post_and_wait(struct slt_ranks *r, int count, struct slt_error *err)
{
    const int tag = slt_ranks_next_tag(r);
    int rc = 0;
    for (int i = 0; rc == 0 && i < count; i++)
        rc = slt_message_post(r, &r->message[i], tag, err);
    return rc == 0 ? slt_messages_wait(r, r->message, count, err) : rc;
}

int slt_ranks_gather(struct slt_ranks *r, void *all, const void *mine, size_t bytes,
                     struct slt_error *err)
{
    const int size = slt_ranks_size(r), rank = slt_ranks_rank(r);
    int count = 0;
    memcpy((char *)all + (size_t)rank * bytes, mine, bytes);
    for (int i = 0; i < size; i++) {
        if (i == rank)
            continue;
        r->message[count++] = slt_message_from(i, (char *)all + (size_t)i * bytes, bytes);
        r->message[count++] = slt_message_to(i, (char *)all + (size_t)rank * bytes, bytes);
    }
    return count > 0 ? post_and_wait(r, count, err) : 0;
}

int slt_ranks_broadcast(struct slt_ranks *r, void *data, size_t bytes, int from,
                        struct slt_error *err)
{
    const int size = slt_ranks_size(r), rank = slt_ranks_rank(r);
    int count = 0;
    if (size == 1)
        return 0;
    if (rank != from)
        r->message[count++] = slt_message_from(from, data, bytes);
    for (int i = 0; rank == from && i < size; i++)
        if (i != rank)
            r->message[count++] = slt_message_to(i, data, bytes);
    return post_and_wait(r, count, err);
}

int slt_ranks_pass(struct slt_ranks *r, void *data, size_t bytes, int from, int to,
                   struct slt_error *err)
{
    const int rank = slt_ranks_rank(r);
    if (from == to)
        return 0;
    r->message[0] =
        rank == to ? slt_message_from(from, data, bytes) : slt_message_to(to, data, bytes);
    return post_and_wait(r, rank == from || rank == to ? 1 : 0, err);
}

// The lowest rank that does not fare well, before those that only fail for the sake of others; size
// if there is none.
static int first_of(const struct slt_ranks *r)
{
    int first = r->place.size;
    for (int i = r->place.size - 1; i >= 0; i--)
        if (r->report[i].code != 0 &&
            (r->report[i].code != SLT_ERR_RANKS || first == r->place.size ||
             r->report[first].code == SLT_ERR_RANKS))
            first = i;
    return first;
}

int slt_ranks_settle_sum(struct slt_ranks *r, int rc, uint64_t *sum, struct slt_error *err)
{
    int got = r != NULL ? check_lost(r, err) : rc;
    if (r == NULL || got != 0)
        return got;
    const struct report mine = {rc, sum != NULL ? *sum : 0};
    struct slt_error theirs = {0};
    int first;
    uint64_t total = 0;
    if (rc != 0)
        slt_error_copy(&theirs, err);
    r->fails = rc != 0;
    got = slt_ranks_gather(r, r->report, &mine, sizeof mine, err);
    r->fails = false;
    if (got != 0)
        return got;
    for (int i = 0; i < r->place.size; i++)
        total += r->report[i].number;
    if (sum != NULL)
        *sum = total;
    if ((first = first_of(r)) == r->place.size)
        return 0;
    if ((got = slt_ranks_broadcast(r, &theirs, sizeof theirs, first, err)) != 0)
        return got;
    if (first > 0)
        slt_error_prefix(&theirs, theirs.code, "rank %d on host %s", first, r->peer[first].host);
    return slt_error_copy(err, &theirs);
}

int slt_ranks_settle(struct slt_ranks *r, int rc, struct slt_error *err)
{
    return slt_ranks_settle_sum(r, rc, NULL, err);
}

// ---- Joining and leaving ----

// Whether as many are there as there should be.
static int check_size(const struct slt_ranks *r, const struct slt_launcher *launcher,
                      struct slt_error *err)
{
    const int64_t count = r->options.count;
    if (launcher->size > 1 && r->place.size == 1)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "%s started %d processes, but each is alone for MPI, which knows "
                             "nothing of that launcher: start them with 'srun --mpi=pmix' or with "
                             "the mpirun of %s",
                             launcher->name, launcher->size, r->mpi->name);
    if (count > 0 && count != r->place.size)
        return slt_error_set(
            err, SLT_ERR_RANGE, "--ranks %lld, but there %s %d: 'mpirun -n %lld' starts as many",
            (long long)count, r->place.size == 1 ? "is" : "are", r->place.size, (long long)count);
    return 0;
}

static int join(struct slt_ranks *r, const struct slt_launcher *launcher, struct slt_error *err)
{
    char reason[256], host[HOST] = "";
    if (r->mpi->start(&r->place, reason, sizeof reason) != 0)
        return slt_error_set(err, SLT_ERR_DEVICE, "MPI does not start: %s", reason);
    const size_t size = (size_t)r->place.size;
    char(*hosts)[HOST] = calloc(size, sizeof *hosts);
    r->peer = calloc(size, sizeof *r->peer);
    r->report = calloc(size, sizeof *r->report);
    r->message = calloc(2 * size, sizeof *r->message);
    if (hosts == NULL || r->peer == NULL || r->report == NULL || r->message == NULL) {
        free(hosts);
        free(r->message);
        r->message = NULL;
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of ranks");
    }
    int rc = check_size(r, launcher, err);
    gethostname(host, sizeof host - 1);
    for (size_t i = 0; rc == 0 && i < size; i++)
        snprintf(r->peer[i].host, HOST, "?");
    if (rc == 0)
        rc = slt_ranks_gather(r, hosts, host, HOST, err);
    for (size_t i = 0; rc == 0 && i < size; i++)
        memcpy(r->peer[i].host, hosts[i], HOST);
    free(hosts);
    return rc;
}

int slt_ranks_open(struct slt_ranks **ranks, const struct slt_ranks_options *options,
                   struct slt_error *err)
{
    const struct slt_launcher launcher = slt_launcher_find();
    *ranks = NULL;
    const bool is_alone = launcher.size == 1 || launcher.name == NULL;
    if (is_alone && options->count <= 1)
        return 0;
    struct slt_ranks *r = calloc(1, sizeof *r);
    if (r == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the ranks");
    r->options = *options;
    r->timeout = options->timeout > 0 ? options->timeout : DEFAULT_TIMEOUT;
    snprintf(r->doing, sizeof r->doing, "the start");
    r->starts = true;
    int rc = slt_launcher_plugin(&r->mpi, &launcher, options->mpi, err);
    if (rc == 0)
        rc = join(r, &launcher, err);
    if (rc == 0 && r->place.size > 1) {
        *ranks = r;
        return 0;
    }
    // Whoever has no memory for the others cannot leave them in order.
    if (r->message == NULL && r->place.size > 1)
        slt_ranks_abort(r);
    slt_ranks_close(r);
    return rc;
}

void slt_ranks_close(struct slt_ranks *r)
{
    struct slt_error ignored;
    if (r == NULL)
        return;
    // All have nothing left to say to each other; then signs of life that nobody heard are taken.
    snprintf(r->doing, sizeof r->doing, "the end");
    r->starts = false;
    if (r->place.size > 1 &&
        (slt_ranks_settle(r, 0, &ignored) == SLT_ERR_RANKS || hear(r, &ignored) == SLT_ERR_RANKS))
        slt_ranks_abort(r);
    if (r->place.size > 0)
        r->mpi->finish();
    free(r->peer);
    free(r->report);
    free(r->message);
    free(r);
}

void slt_ranks_abort(struct slt_ranks *r)
{
    if (r == NULL)
        return;
    // MPI tells the others, if it can reach them; it must not wait for that.
    signal(SIGALRM, SIG_DFL);
    alarm(5);
    r->mpi->abort(1);
    _exit(1);
}

// ---- Who is who ----

int slt_ranks_texts(struct slt_ranks *r, char (**all)[SLT_RANKS_TEXT], const char *mine,
                    struct slt_error *err)
{
    char text[SLT_RANKS_TEXT] = "";
    snprintf(text, sizeof text, "%s", mine);
    *all = calloc((size_t)slt_ranks_size(r), sizeof **all);
    int rc =
        *all != NULL ? 0 : slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the ranks' texts");
    rc = slt_ranks_settle(r, rc, err);
    return rc == 0 ? slt_ranks_gather(r, *all, text, sizeof text, err) : rc;
}

int slt_ranks_threads(const struct slt_ranks *r, int threads)
{
    cpu_set_t mine;
    const int online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (r == NULL || threads > 0 || getenv("OMP_NUM_THREADS") != NULL ||
        sched_getaffinity(0, sizeof mine, &mine) != 0 || CPU_COUNT(&mine) < online)
        return threads;
    return online > r->place.local_size ? online / r->place.local_size : 1;
}

int slt_ranks_local_rank(const struct slt_ranks *r)
{
    return r != NULL ? r->place.local_rank : 0;
}

int slt_ranks_rank(const struct slt_ranks *r)
{
    return r != NULL ? r->place.rank : 0;
}

int slt_ranks_size(const struct slt_ranks *r)
{
    return r != NULL ? r->place.size : 1;
}

const char *slt_ranks_host(const struct slt_ranks *r, int rank)
{
    return r->peer[rank].host;
}

const char *slt_ranks_describe(const struct slt_ranks *r, char *text, size_t size)
{
    r->mpi->describe(text, size);
    return text;
}
