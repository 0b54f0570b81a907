// The arithmetic of scheduled rounds: commitments to seeds, bets under a root, what is signed, what comes out.
#pragma once
#include "fairness.h"

// A round of a table, as the bond program of a chain knows it.
typedef struct {
    Place place;
    Slice table;
    u64 number;
} Round;

// What is signed when a round closes: these bets, so many, so much at stake for the house.
typedef struct {
    const u8 *root;
    u64 count, liability;
} SignedRoot;

typedef struct {
    const u8 *id, *payee, *details;
    u64 position, stake_high, stake, liability;
} RoundBet;

// Room for the fields that are numbers, while their hash is computed.
typedef struct { u8 chain_length[2], table_length[2], number[8], other[8], stake[32], liability[32]; } Room;

// The fields that tell a round from every other.
static u64 put_round(Slice *parts, const Round *round, bool program, Room *room) {
    u64 count = 0;
    room->chain_length[0] = 0, room->chain_length[1] = (u8)round->place.chain_length;
    room->table_length[0] = 0, room->table_length[1] = (u8)round->table.length;
    put_be64(room->number, round->number);
    parts[count++] = (Slice){room->chain_length, 2};
    parts[count++] = (Slice){round->place.chain, round->place.chain_length};
    if (program) parts[count++] = LENGTH_32, parts[count++] = (Slice){round->place.program, KEY};
    parts[count++] = (Slice){room->table_length, 2}, parts[count++] = round->table;
    parts[count++] = LENGTH_8, parts[count++] = (Slice){room->number, 8};
    return count;
}

INLINE u64 put_32(Slice *parts, const u8 *bytes) {
    parts[0] = LENGTH_32, parts[1] = (Slice){bytes, 32};
    return 2;
}

INLINE void put_be256(u8 *to, u64 high, u64 low) {
    put_be64(to, 0), put_be64(to + 8, 0), put_be64(to + 16, high), put_be64(to + 24, low);
}

// The commitment to the seed of one scheduled round.
static void round_commit(const Round *round, const u8 *seed, u8 *digest) {
    Room room;
    Slice parts[12] = {TEXT("cgf/v1/round-commit\0")};
    u64 count = 1 + put_round(parts + 1, round, false, &room);
    count += put_32(parts + count, seed);
    sol_sha256(parts, count, digest);
}

// The leaf of one bet under the root of its round's bets.
static void bet_leaf(const Round *round, const RoundBet *bet, u8 *digest) {
    Room room;
    Slice parts[24] = {TEXT("cgf/v1/round-bet\0")};
    u64 count = 1 + put_round(parts + 1, round, true, &room);
    put_be64(room.other, bet->position);
    put_be256(room.stake, bet->stake_high, bet->stake), put_be256(room.liability, 0, bet->liability);
    parts[count++] = LENGTH_8, parts[count++] = (Slice){room.other, 8};
    count += put_32(parts + count, bet->id), count += put_32(parts + count, bet->payee);
    count += put_32(parts + count, room.stake), count += put_32(parts + count, room.liability);
    count += put_32(parts + count, bet->details);
    sol_sha256(parts, count, digest);
}

// What the batch's signer signs, as it is.
static void root_digest(const Round *round, const SignedRoot *said, u8 *digest) {
    Room room;
    Slice parts[16] = {TEXT("cgf/v1/bets-root\0")};
    u64 count = 1 + put_round(parts + 1, round, true, &room);
    put_be64(room.other, said->count), put_be256(room.liability, 0, said->liability);
    count += put_32(parts + count, said->root);
    parts[count++] = LENGTH_8, parts[count++] = (Slice){room.other, 8};
    count += put_32(parts + count, room.liability);
    sol_sha256(parts, count, digest);
}

// HMAC-SHA256 keyed by the seed over the round, its bets and the beacon after them.
static inline void round_outcome(const Round *round, const u8 *seed, const u8 *bets_root, const u8 *beacon, u8 *digest) {
    Room room;
    Slice parts[14] = {{NULL, 0}, TEXT("cgf/v1/round-out\0")};
    u64 count = 2 + put_round(parts + 2, round, false, &room);
    count += put_32(parts + count, bets_root), count += put_32(parts + count, beacon);
    hmac(seed, parts, count, digest);
}

// Half of the curve's order: a signature with a larger s could be written in two ways.
static const u8 HALF_ORDER[32] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4,
                                  0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0};

// Who signed a digest with r, s and v, as the 20 bytes of an Ethereum address; false where that is no signature.
static bool signer_of(const u8 *digest, Slice signature, u8 *address) {
    if (signature.length != 65) return false;
    u8 v = signature.bytes[64], point[64], hash[32];
    if (v != 27 && v != 28) return false;
    for (int i = 0; i < 32; i += 8) {
        u64 word = get_be64(signature.bytes + 32 + i), half = get_be64(HALF_ORDER + i);
        if (word > half) return false;
        if (word < half) break;
    }
    if (sol_secp256k1_recover(digest, v - 27, signature.bytes, point)) return false;
    Slice whole = {point, 64};
    sol_keccak256(&whole, 1, hash);
    for (int i = 0; i < 20; ++i) address[i] = hash[12 + i];
    return true;
}
