// The arithmetic of on-chain bets: what commits to a seed, what a bet is, what becomes of it.
#pragma once
#include "fairness.h"

#define FACES 10000
#define EDGE 100
#define WIDEST 9800
#define MOST_SEEDS 65536

static const u8 STREAM[] = "cgf/v1/stream\0";

typedef struct {
    const u8 *player, *client_seed;
    u64 index, stake;
    u16 low, high;
} Wager;

static void bet_commit(const Place *place, u64 index, const u8 *seed, u8 *digest) {
    u8 chain_length[2] = {0, (u8)place->chain_length}, number[8];
    put_be64(number, index);
    Slice parts[] = {TEXT("cgf/v1/bet-commit\0"), {chain_length, 2}, {place->chain, place->chain_length},
                     LENGTH_32, {place->program, KEY}, LENGTH_8, {number, 8}, LENGTH_32, {seed, 32}};
    sol_sha256(parts, sizeof(parts) / sizeof(Slice), digest);
}

static void bet_hash(const Place *place, const Wager *wager, u8 *digest) {
    u8 chain_length[2] = {0, (u8)place->chain_length}, number[8], stake[32], choice[4];
    put_be64(number, wager->index);
    put_be64(stake, 0), put_be64(stake + 8, 0), put_be64(stake + 16, 0);
    put_be64(stake + 24, wager->stake);
    choice[0] = (u8)(wager->low >> 8), choice[1] = (u8)wager->low;
    choice[2] = (u8)(wager->high >> 8), choice[3] = (u8)wager->high;
    Slice parts[] = {TEXT("cgf/v1/bet\0"), {chain_length, 2}, {place->chain, place->chain_length},
                     LENGTH_32, {place->program, KEY}, LENGTH_8, {number, 8}, LENGTH_32,
                     {wager->player, KEY}, LENGTH_32, {stake, 32}, LENGTH_4, {choice, 4}, LENGTH_32,
                     {wager->client_seed, 32}};
    sol_sha256(parts, sizeof(parts) / sizeof(Slice), digest);
}

static void bet_outcome(const Place *place, u64 index, const u8 *seed, const u8 *hash, u8 *digest) {
    u8 chain_length[2] = {0, (u8)place->chain_length}, number[8];
    put_be64(number, index);
    Slice parts[] = {{NULL, 0}, TEXT("cgf/v1/bet-out\0"), {chain_length, 2}, {place->chain, place->chain_length},
                     LENGTH_5, TEXT("range"), LENGTH_8, {number, 8}, LENGTH_32, {hash, 32}};
    hmac(seed, parts, sizeof(parts) / sizeof(Slice), digest);
}

// A uniform integer below `n`: 64-bit words, rejected where they would favour a value.
static u64 below(const u8 *outcome, u64 n) {
    u64 excess = (0 - n) % n;  // 2^64 mod n
    for (u32 number = 0;; ++number) {
        u8 counter[4] = {(u8)(number >> 24), (u8)(number >> 16), (u8)(number >> 8), (u8)number}, drawn[32];
        Slice parts[] = {{NULL, 0}, {STREAM, 14}, {counter, 4}};
        hmac(outcome, parts, 3, drawn);
        for (int i = 0; i < 32; i += 8) {
            u64 word = get_be64(drawn + i);
            if (excess == 0 || word < 0 - excess) return word % n;
        }
    }
}
