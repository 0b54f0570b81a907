// What the bond keeps: its accounts as they lie in memory, and the schedule of their rounds.
#pragma once
#include "account.h"
#include "bond_discriminators.h"
#include "pairs.h"
#include "rounds.h"

#define MOST_CHAIN 64
#define MOST_NAME 32
#define MOST_ROUNDS 256
#define MOST_BETS 65536
#define MOST_PAIRS 256
#define MOST_WORDS 160
#define SIGNER 20

typedef struct {
    u8 kind[8], owner[KEY], keeper[KEY], signer[SIGNER];
    u8 paused, bump, chain_length, reserved;
    u64 claim_window, locked;
    u8 chain[MOST_CHAIN];
} Bond;

typedef struct { u8 kind[8]; u64 next, ends; } Table;

// The digests of what is fixed for each round follow it, zeros where nothing is.
typedef struct {
    u8 kind[8], payer[KEY], root[32], signer[SIGNER];
    u8 beacon, name_length;
    u16 count;
    u8 name[MOST_NAME];
    u64 first, opens, max_liability, held;
    u32 period, lead, reveal_window, reserved;
    u8 revealed[MOST_ROUNDS / 8], slashed[MOST_ROUNDS / 8];
} Batch;

typedef struct { u8 kind[8]; u64 paid; } Void;
typedef struct { u8 kind[8]; u64 amount; } Claim;

typedef struct { u8 kind[8]; u64 next; } Numbering;

typedef struct {
    u8 kind[8], root[32];
    u64 number;
    u16 count;
    u8 beacon, reserved[5], revealed[MOST_PAIRS / 8];
} Pairs;

INLINE bool has(const u8 *bits, u64 place) { return bits[place >> 3] >> (place & 7) & 1; }
INLINE void set(u8 *bits, u64 place) { bits[place >> 3] |= (u8)(1 << (place & 7)); }
INLINE u8 *anchored_at(Batch *batch, u64 place) { return (u8 *)(batch + 1) + place * 32; }

// From this second on the seed of the round at a place of the batch is too late.
INLINE u64 due_at(const Batch *batch, u64 place) {
    return batch->opens + (place + 1) * batch->period - batch->lead + batch->reveal_window;
}

// The bond's account, or NULL when this is not it.
static Bond *bond_of(const Info *account, const Input *input) {
    if (!same(account->owner, input->program) || account->data_length != sizeof(Bond)) return NULL;
    Bond *bond = (Bond *)account->data;
    Slice seeds[] = {TEXT("bond"), {&bond->bump, 1}};
    if (!kind_is(bond->kind, ACCOUNT_BOND) || !derived(account, seeds, 2, input->program)) return NULL;
    return bond;
}

// The batch of a table that begins with a round. Only this program makes such accounts, each at its own address.
static u64 batch_of(const Info *account, const Input *input, Slice table, u64 first, Batch **found) {
    if (same(account->owner, SYSTEM)) return NoSuchBatch;
    Batch *batch = *found = (Batch *)account->data;
    int differs;
    if (!same(account->owner, input->program) || account->data_length < sizeof(Batch)) return WrongAccount;
    if (!kind_is(batch->kind, ACCOUNT_BATCH) || !account->writable) return WrongAccount;
    if (batch->first != first || batch->name_length != table.length) return WrongAccount;
    sol_memcmp_(batch->name, table.bytes, table.length, &differs);
    return differs ? WrongAccount : 0;
}

// A commitment of pairs by its number. Only this program makes such accounts, each at its own address.
static u64 pairs_of(const Info *account, const Input *input, u64 number, Pairs **found) {
    if (same(account->owner, SYSTEM)) return NoSuchBatch;
    Pairs *pairs = *found = (Pairs *)account->data;
    if (!same(account->owner, input->program) || account->data_length != sizeof(Pairs)) return WrongAccount;
    return kind_is(pairs->kind, ACCOUNT_PAIRS) && account->writable && pairs->number == number ? 0 : WrongAccount;
}

// What no round can claim and rent does not need.
INLINE u64 free_part(const Info *account, const Bond *bond) {
    u64 kept = bond->locked + rent(sizeof(Bond));
    return *account->lamports > kept ? *account->lamports - kept : 0;
}
