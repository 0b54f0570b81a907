// The arithmetic of pairs: how the seed of one is committed to.
#pragma once
#include "fairness.h"

// An account of the house, and which of its pairs.
typedef struct { Slice chain, account; u64 epoch; } Pair;

// The commitment to the seed of one pair.
static void pair_commit(const Pair *pair, const u8 *seed, u8 *digest) {
    u8 chain_length[2] = {0, (u8)pair->chain.length}, account_length[2] = {0, (u8)pair->account.length}, epoch[8];
    put_be64(epoch, pair->epoch);
    Slice parts[] = {TEXT("cgf/v1/pair-commit\0"), {chain_length, 2}, pair->chain, {account_length, 2}, pair->account,
                     LENGTH_8, {epoch, 8}, LENGTH_32, {seed, 32}};
    sol_sha256(parts, sizeof parts / sizeof *parts, digest);
}
