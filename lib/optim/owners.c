// The optimizer's state over ranks: who owns which elements.
//
// What is updated element by element is cut, each parameter into a part for every rank, so that all
// send and receive at the same time; what takes whole matrices is dealt out, the largest first, each
// to the rank that has least. The factors of a linear stay together.
#include <stdlib.h>

#include "core/least.h"
#include "optim/optimizer.h"

// ---- Cutting ----

// The first element of rank i's part; what rounding leaves over goes to other ranks from slot to slot.
static int64_t edge(const struct slt_optimizer *o, const struct slt_slot *slot, int i)
{
    const int64_t n = slot->info.rows * slot->info.cols;
    const int64_t blocks = (n + SLT_NORM_BLOCK - 1) / SLT_NORM_BLOCK;
    const int64_t turn = (slot - o->slot) % o->ranks;
    return slt_least((blocks * i + turn) / o->ranks * SLT_NORM_BLOCK, n);
}

int64_t slt_slot_edge(const struct slt_optimizer *o, const struct slt_slot *slot, int rank,
                      int64_t total, int64_t each)
{
    if (slot->whole)
        return rank <= slot->owner ? 0 : total;
    return slt_least((edge(o, slot, rank) + each - 1) / each, total);
}

int64_t slt_state_edge(const struct slt_optimizer *o, const struct slt_slot *slot, int k, int rank)
{
    const int64_t total = slot->state[k].rows * slot->state[k].cols;
    const bool is_full = total == slot->info.rows * slot->info.cols;
    return slt_slot_edge(o, slot, rank, total, is_full ? 1 : o->hyper.block);
}

struct slt_tensor slt_slot_own(const struct slt_slot *slot, struct slt_tensor t)
{
    if (t.buffer == NULL || slot->whole || slot->owned == slot->info.rows * slot->info.cols)
        return t;
    return slt_tensor_view(t.buffer, t.offset + (uint64_t)slot->own * slt_dtype_size(t.dtype),
                           t.dtype, 1, slot->owned);
}

// ---- Dealing out ----

static uint64_t state_bytes(const struct slt_slot *slot)
{
    uint64_t sum = 0;
    for (int k = 0; k < slot->states; k++)
        if (!slot->state[k].everywhere)
            sum += (uint64_t)(slot->state[k].rows * slot->state[k].cols) *
                   slt_dtype_size(slot->state[k].tensor.dtype);
    return sum;
}

// The slots that are dealt out with this one: a matrix alone, a linear's B with its A.
static int lot_size(const struct slt_optimizer *o, size_t i)
{
    const struct slt_slot *slot = &o->slot[i];
    return slot->info.role == SLT_ROLE_LORA_A && i + 1 < o->slots && slot[1].whole ? 2 : 1;
}

static bool begins_lot(const struct slt_optimizer *o, size_t i)
{
    const struct slt_slot *slot = &o->slot[i];
    return slot->whole && slot->states > 0 &&
           !(i > 0 && slot->info.role == SLT_ROLE_LORA_B && lot_size(o, i - 1) == 2);
}

static uint64_t lot_bytes(const struct slt_optimizer *o, size_t i)
{
    return state_bytes(&o->slot[i]) + (lot_size(o, i) == 2 ? state_bytes(&o->slot[i + 1]) : 0);
}

// The largest lot that nobody has yet; slots if there is none.
static size_t next_lot(const struct slt_optimizer *o)
{
    size_t largest = o->slots;
    for (size_t i = 0; i < o->slots; i++)
        if (begins_lot(o, i) && o->slot[i].owner < 0 &&
            (largest == o->slots || lot_bytes(o, i) > lot_bytes(o, largest)))
            largest = i;
    return largest;
}

static void deal_out(struct slt_optimizer *o)
{
    size_t i;
    for (int r = 0; r < o->ranks; r++)
        o->load[r] = 0;
    while ((i = next_lot(o)) < o->slots) {
        int least = 0;
        for (int r = 1; r < o->ranks; r++)
            least = o->load[r] < o->load[least] ? r : least;
        o->load[least] += lot_bytes(o, i);
        o->slot[i].owner = o->slot[i + (size_t)lot_size(o, i) - 1].owner = least;
    }
}

int slt_optimizer_share(struct slt_optimizer *o, int ranks, int rank, struct slt_error *err)
{
    o->ranks = ranks;
    o->rank = rank;
    o->load = calloc((size_t)ranks, sizeof *o->load);
    return o->load != NULL ? 0
                           : slt_error_set(err, SLT_ERR_MEMORY,
                                           "cannot allocate the shares of %d ranks", ranks);
}

void slt_optimizer_find_owners(struct slt_optimizer *o)
{
    for (size_t i = 0; i < o->slots; i++) {
        struct slt_slot *slot = &o->slot[i];
        // Blocks of moments must not be cut.
        slot->whole |= slt_slot_has_codes(o, slot->info.rows * slot->info.cols) &&
                       SLT_NORM_BLOCK % o->hyper.block != 0;
        slot->owner = -1;
    }
    if (o->load != NULL)
        deal_out(o);
    for (size_t i = 0; i < o->slots; i++) {
        struct slt_slot *slot = &o->slot[i];
        const int64_t n = slot->info.rows * slot->info.cols;
        const bool is_all = o->load == NULL || (slot->whole && slot->owner == o->rank);
        slot->own = is_all || slot->whole ? 0 : edge(o, slot, o->rank);
        slot->owned = is_all ? n : slot->whole ? 0 : edge(o, slot, o->rank + 1) - slot->own;
    }
}
