// The arithmetic of fairness, byte for byte what games/fairness computes (contracts/vectors.json).
#pragma once
#include "sol.h"

#define FACES 10000
#define EDGE 100
#define WIDEST 9800
#define MOST_SEEDS 65536
#define TEXT(literal) ((Slice){(const u8 *)(literal), sizeof(literal) - 1})

static const u8 STREAM[] = "cgf/v1/stream\0";

INLINE void put_be64(u8 *to, u64 value) {
    for (int i = 7; i >= 0; --i, value >>= 8) to[i] = (u8)value;
}

INLINE u64 get_be64(const u8 *from) {
    u64 value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | from[i];
    return value;
}

typedef struct {
    const u8 *chain;
    u64 chain_length;
    const u8 *program;
} Place;

typedef struct {
    const u8 *player, *client_seed;
    u64 index, stake;
    u16 low, high;
} Wager;

static const u8 LENGTHS[] = {0, 32, 0, 8, 0, 4, 0, 5};
#define LENGTH_32 ((Slice){LENGTHS, 2})
#define LENGTH_8 ((Slice){LENGTHS + 2, 2})
#define LENGTH_4 ((Slice){LENGTHS + 4, 2})
#define LENGTH_5 ((Slice){LENGTHS + 6, 2})

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

// HMAC-SHA256 (RFC 2104) under a key of 32 bytes; `parts[0]` is left free for the padded key.
static void hmac(const u8 *key, Slice *parts, u64 count, u8 *digest) {
    u8 pad[64], inner[32];
    for (int i = 0; i < 64; ++i) pad[i] = (i < 32 ? key[i] : 0) ^ 0x36;
    parts[0] = (Slice){pad, 64};
    sol_sha256(parts, count, inner);
    for (int i = 0; i < 64; ++i) pad[i] ^= 0x36 ^ 0x5c;
    Slice outer[] = {{pad, 64}, {inner, 32}};
    sol_sha256(outer, 2, digest);
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

// Whether `commit` stands at `position` among `count` leaves under `root`.
static bool proves(const u8 *root, const u8 *commit, u64 position, u64 count, Slice proof) {
    static const u8 LEAF[] = {0}, NODE[] = {1};
    u64 depth = proof.length / 32;
    if (position >= count || depth > 16 || (u64)1 << depth < count) return false;
    if (depth != 0 && (u64)1 << (depth - 1) >= count) return false;
    u8 found[32];
    Slice leaf[] = {{LEAF, 1}, {commit, 32}};
    sol_sha256(leaf, 2, found);
    for (u64 height = 0; height < depth; ++height) {
        Slice sibling = {proof.bytes + height * 32, 32}, own = {found, 32};
        bool right = position >> height & 1;
        Slice node[] = {{NODE, 1}, right ? sibling : own, right ? own : sibling};
        u8 parent[32];
        sol_sha256(node, 3, parent);
        copy32(found, parent);
    }
    return same(found, root);
}
