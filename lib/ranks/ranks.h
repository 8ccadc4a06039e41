// What ranks do together. Every function is called by all of them in the same order; *ranks may be
// NULL, one rank, for which nothing happens.
//
// A rank that sends no sign of life for the timeout, or whose connection MPI says is broken, is lost:
// functions then return SLT_ERR_RANKS with a sentence that names it, its host and what was being
// done, after which only slt_ranks_abort may be called.
#ifndef SLT_RANKS_RANKS_H
#define SLT_RANKS_RANKS_H

#include "ranks/plugin.h"
#include "slt/ranks.h"

// all (size, bytes) = mine (bytes) of each rank.
int slt_ranks_gather(struct slt_ranks *ranks, void *all, const void *mine, size_t bytes,
                     struct slt_error *err) SLT_CHECK_RESULT;
// data (bytes) becomes what it is on rank from.
int slt_ranks_broadcast(struct slt_ranks *ranks, void *data, size_t bytes, int from,
                        struct slt_error *err) SLT_CHECK_RESULT;
// data (bytes) from one rank to another; the others do nothing.
int slt_ranks_pass(struct slt_ranks *ranks, void *data, size_t bytes, int from, int to,
                   struct slt_error *err) SLT_CHECK_RESULT;
// As slt_ranks_settle; *sum becomes the sum of all ranks'.
int slt_ranks_settle_sum(struct slt_ranks *ranks, int rc, uint64_t *sum, struct slt_error *err)
    SLT_CHECK_RESULT;

// What is being done in or after a step, for sentences: "the validation after step" 17. What comes
// before the first of them is the start, for which ranks have more time.
void slt_ranks_doing(struct slt_ranks *ranks, const char *what, int64_t step);
// A step took so long: others may take ten times that without a sign of life.
void slt_ranks_expect(struct slt_ranks *ranks, double seconds);
// For whoever waits for a device that other ranks may keep from going on: gives and takes signs of
// life. False once a rank is lost or has failed; ranks is a struct slt_ranks.
bool slt_ranks_keep_waiting(void *ranks);
// A sign of life, at most one a second: in what may take long between two exchanges.
void slt_ranks_tick(struct slt_ranks *ranks);

// ---- Messages (for what is built of them) ----

struct slt_message {
    void *data;
    size_t bytes;
    int peer;
    bool receives, done;
    uint64_t request;
};

static inline struct slt_message slt_message_to(int peer, void *data, size_t bytes)
{
    return (struct slt_message){.data = data, .bytes = bytes, .peer = peer};
}

static inline struct slt_message slt_message_from(int peer, void *data, size_t bytes)
{
    return (struct slt_message){.data = data, .bytes = bytes, .peer = peer, .receives = true};
}

// The tag of the next exchange, the same on all ranks.
int slt_ranks_next_tag(struct slt_ranks *ranks);
int slt_message_post(struct slt_ranks *ranks, struct slt_message *message, int tag,
                     struct slt_error *err) SLT_CHECK_RESULT;
// *done: whether all count messages are; those that are not are looked at once.
int slt_messages_test(struct slt_ranks *ranks, struct slt_message *messages, int count, bool *done,
                      struct slt_error *err) SLT_CHECK_RESULT;
int slt_messages_wait(struct slt_ranks *ranks, struct slt_message *messages, int count,
                      struct slt_error *err) SLT_CHECK_RESULT;

#endif
