// An instruction's arguments, read one after the other, and how a verb refuses.
#pragma once
#include "sol.h"

#define NEED(condition, error) \
    do { if (!(condition)) return error; } while (0)

typedef struct { const u8 *bytes; u64 left; bool whole; } Reader;

static const u8 *take(Reader *reader, u64 length) {
    static const u8 NOTHING[32] = {0};
    if (length > reader->left) {
        reader->whole = false;
        return NOTHING;
    }
    const u8 *at = reader->bytes;
    reader->bytes += length, reader->left -= length;
    return at;
}

INLINE u16 take16(Reader *r) { const u8 *at = take(r, 2); return (u16)(at[0] | at[1] << 8); }
INLINE u32 take32(Reader *r) { u32 low = take16(r); return low | (u32)take16(r) << 16; }
INLINE u64 take64(Reader *r) { return *(const u64 *)take(r, 8); }
INLINE bool spent(const Reader *r) { return r->whole && r->left == 0; }
INLINE Info *at(Input *input, u64 place) { return &input->accounts[place]; }
