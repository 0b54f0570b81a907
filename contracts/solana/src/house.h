// What the casino keeps: its accounts as they lie in memory.
#pragma once
#include "account.h"
#include "bets.h"
#include "discriminators.h"
#include "event.h"

#define BATCHES 16
#define MOST_CHAIN 64

typedef struct { u8 root[32]; u64 first, reveal_by; u32 count, reserved; } Batch;

typedef struct {
    u8 kind[8], owner[KEY], keeper[KEY];
    u64 reveal_window, next_index, committed_up_to, locked;
    u16 penalty_bp;
    u8 paused, bump, vault_bump, pending, chain_length, reserved;
    u8 chain[MOST_CHAIN];
    Batch batches[BATCHES];
    u64 smallest_stake;
    u16 largest_share_bp;
    u8 unused[6];
} House;

typedef struct {
    u8 kind[8], player[KEY], client_seed[32], root[32];
    u64 index, first, stake, reserve, deadline;
    u32 count;
    u16 low, high;
    u8 bump, reserved[7];
} Bet;

typedef struct { u8 kind[8]; u64 amount; } Withdrawal;

// The house account, or NULL when this is not it.
static House *house_of(const Info *account, const Input *input) {
    if (!same(account->owner, input->program) || account->data_length != sizeof(House)) return NULL;
    House *house = (House *)account->data;
    Slice seeds[] = {TEXT("house"), {&house->bump, 1}};
    if (!kind_is(house->kind, ACCOUNT_HOUSE) || !derived(account, seeds, 2, input->program)) return NULL;
    return house;
}

INLINE bool is_vault(const Info *account, const House *house, const Input *input) {
    Slice seeds[] = {TEXT("vault"), {&house->vault_bump, 1}};
    return account->writable && same(account->owner, input->program) && derived(account, seeds, 2, input->program);
}

static Bet *bet_of(const Info *account, const Input *input) {
    if (!same(account->owner, input->program) || account->data_length != sizeof(Bet)) return NULL;
    Bet *bet = (Bet *)account->data;
    return kind_is(bet->kind, ACCOUNT_BET) ? bet : NULL;
}

// What no open bet can claim and rent does not need.
INLINE u64 free_part(const Info *vault, const House *house) {
    u64 kept = house->locked + rent(0);
    return *vault->lamports > kept ? *vault->lamports - kept : 0;
}
