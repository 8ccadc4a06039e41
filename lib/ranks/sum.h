// Sums over ranks, in host memory, while other work goes on.
//
// Every element is the sum of the ranks' in a fixed tree: the ranks in pairs, the pairs in pairs,
// and so on, what is left over being carried up. With groups that are summed by the same tree before
// (slt_sum_pair), the bytes of a sum of 2^k groups do not depend on how many ranks share them.
//
// A piece of the data is cut into one part for each rank, its owner. The owners get what the others
// have for their parts, add it, and, unless only they need it, give everybody the sum: as much
// traffic as a ring has.
#ifndef SLT_RANKS_SUM_H
#define SLT_RANKS_SUM_H

#include "ranks/ranks.h"

struct slt_sums;

// Bytes of memory that sums of so many ranks need for what comes in, at most.
uint64_t slt_sums_memory(int64_t size);
// Bytes that all ranks together send for whole sums of so many bytes.
uint64_t slt_sums_traffic(int64_t size, uint64_t bytes);
// memory: slt_sums_memory bytes, aligned to 64, which stay the caller's.
int slt_sums_create(struct slt_sums **sums, struct slt_ranks *ranks, void *memory,
                    struct slt_error *err) SLT_CHECK_RESULT;
// What is under way must be finished, or lost.
void slt_sums_free(struct slt_sums *sums);

enum slt_sum_kind {
    SLT_SUM,      // every rank gets the whole sum
    SLT_SUM_OWN,  // every rank gets the sum of its own part; the rest is left undefined
    SLT_SUM_GIVE, // no sum: every rank gets the parts of the others
};

// Begins a sum over data (n) of F32, or giving elements of any width in bytes, and looks after what is
// under way; nobody may touch data before it is finished. Part i is [cut[i], cut[i + 1]), cut
// (size + 1); NULL: parts as equal as can be.
int slt_sums_begin(struct slt_sums *sums, enum slt_sum_kind kind, void *data, size_t width,
                   int64_t n, const int64_t *cut, struct slt_error *err) SLT_CHECK_RESULT;
// Waits for everything.
int slt_sums_finish(struct slt_sums *sums, struct slt_error *err) SLT_CHECK_RESULT;
// Bytes that this rank has sent so far.
uint64_t slt_sums_sent(const struct slt_sums *sums);

// to (n) = left + to.
void slt_sum_pair(float *to, const float *left, int64_t n);
// The sum of values (n) by the tree.
double slt_sum_tree(const double *values, int n);

#endif
