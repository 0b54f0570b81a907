// The Solana runtime as this program meets it: its types, its syscalls and the layout of its input.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define INLINE static inline __attribute__((always_inline))

typedef struct { const u8 *bytes; u64 length; } Slice;
typedef struct { const u8 *key; u8 writable; u8 signer; } Meta;
typedef struct { const u8 *program; Meta *metas; u64 metas_length; u8 *data; u64 data_length; } Call;
typedef struct { const Slice *seeds; u64 length; } SignerSeeds;
typedef struct {
    const u8 *key;
    u64 *lamports;
    u64 data_length;
    u8 *data;
    const u8 *owner;
    u64 rent_epoch;
    u8 signer, writable, executable;
} Info;
typedef struct { u64 slot; i64 epoch_start; u64 epoch, leader_epoch; i64 unix_time; } Clock;
typedef struct { u64 lamports_per_byte; u64 threshold_bits; u8 burn_percent; u8 pad[7]; } Rent;

extern u64 sol_sha256(const Slice *parts, u64 count, u8 *digest);
extern u64 sol_keccak256(const Slice *parts, u64 count, u8 *digest);
extern u64 sol_secp256k1_recover(const u8 *digest, u64 recovery, const u8 *signature, u8 *point);
extern u64 sol_log_data(const Slice *fields, u64 count);
extern u64 sol_invoke_signed_c(const Call *call, const Info *infos, u64 infos_length, const SignerSeeds *signers, u64 signers_length);
extern u64 sol_try_find_program_address(const Slice *seeds, u64 count, const u8 *program, u8 *address, u8 *bump);
extern u64 sol_create_program_address(const Slice *seeds, u64 count, const u8 *program, u8 *address);
extern u64 sol_get_clock_sysvar(Clock *clock);
extern u64 sol_get_rent_sysvar(Rent *rent);
extern u64 sol_memcpy_(u8 *to, const u8 *from, u64 length);
extern u64 sol_memset_(u8 *to, u8 value, u64 length);
extern u64 sol_memcmp_(const u8 *a, const u8 *b, u64 length, int *result);

#define KEY 32
#ifndef MOST_ACCOUNTS
#define MOST_ACCOUNTS 8
#endif
#define SPARE 10240

INLINE bool same(const u8 *a, const u8 *b) {
    const u64 *left = (const u64 *)a, *right = (const u64 *)b;
    return left[0] == right[0] && left[1] == right[1] && left[2] == right[2] && left[3] == right[3];
}

INLINE bool zeros(const u8 *a) {
    const u64 *words = (const u64 *)a;
    return (words[0] | words[1] | words[2] | words[3]) == 0;
}

INLINE void copy32(u8 *to, const u8 *from) {
    u64 *left = (u64 *)to;
    const u64 *right = (const u64 *)from;
    left[0] = right[0], left[1] = right[1], left[2] = right[2], left[3] = right[3];
}

typedef struct {
    Info accounts[MOST_ACCOUNTS];
    u64 count;
    const u8 *data;
    u64 length;
    const u8 *program;
    const Info *voice;
    u8 voice_bump;
} Input;

// Reads the input buffer; false when it holds more accounts than any instruction takes.
static bool parse(u8 *at, Input *input) {
    u64 count = *(u64 *)at;
    at += 8;
    if (count > MOST_ACCOUNTS) return false;
    input->count = count;
    for (u64 i = 0; i < count; ++i) {
        Info *account = &input->accounts[i];
        if (at[0] != 0xff) {
            const Info *first = &input->accounts[at[0]];
            account->key = first->key, account->lamports = first->lamports;
            account->data_length = first->data_length, account->data = first->data;
            account->owner = first->owner, account->rent_epoch = first->rent_epoch;
            account->signer = first->signer, account->writable = first->writable;
            account->executable = first->executable;
            at += 8;
            continue;
        }
        account->signer = at[1], account->writable = at[2], account->executable = at[3];
        account->key = at + 8, account->owner = at + 40;
        account->lamports = (u64 *)(at + 72);
        account->data_length = *(u64 *)(at + 80);
        account->data = at + 88;
        at += 88 + account->data_length + SPARE;
        at = (u8 *)(((u64)at + 7) & ~(u64)7);
        account->rent_epoch = *(u64 *)at;
        at += 8;
    }
    input->length = *(u64 *)at;
    input->data = at + 8;
    input->program = input->data + input->length;
    return true;
}
