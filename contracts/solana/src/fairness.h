// Encodings, HMAC and Merkle proofs, byte for byte what games/fairness computes (contracts/vectors.json).
#pragma once
#include "sol.h"

#define TEXT(literal) ((Slice){(const u8 *)(literal), sizeof(literal) - 1})

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

static const u8 LENGTHS[] = {0, 32, 0, 8, 0, 4, 0, 5};
#define LENGTH_32 ((Slice){LENGTHS, 2})
#define LENGTH_8 ((Slice){LENGTHS + 2, 2})
#define LENGTH_4 ((Slice){LENGTHS + 4, 2})
#define LENGTH_5 ((Slice){LENGTHS + 6, 2})

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

typedef struct { u64 position, count; Slice proof; } Path;

// Whether `commit` stands at a position among so many leaves under `root`.
static bool proves(const u8 *root, const u8 *commit, const Path *path) {
    static const u8 LEAF[] = {0}, NODE[] = {1};
    u64 depth = path->proof.length / 32;
    if (path->position >= path->count || depth > 16 || (u64)1 << depth < path->count) return false;
    if (depth != 0 && (u64)1 << (depth - 1) >= path->count) return false;
    u8 found[32];
    Slice leaf[] = {{LEAF, 1}, {commit, 32}};
    sol_sha256(leaf, 2, found);
    for (u64 height = 0; height < depth; ++height) {
        Slice sibling = {path->proof.bytes + height * 32, 32}, own = {found, 32};
        bool right = path->position >> height & 1;
        Slice node[] = {{NODE, 1}, right ? sibling : own, right ? own : sibling};
        u8 parent[32];
        sol_sha256(node, 3, parent);
        copy32(found, parent);
    }
    return same(found, root);
}
