// Accounts as every program of ours makes, knows and funds them.
#pragma once
#include "fairness.h"

static const u8 SYSTEM[KEY] = {0};

INLINE bool kind_is(const u8 *data, const u8 *kind) { return *(const u64 *)data == *(const u64 *)kind; }
INLINE void set_kind(u8 *data, const u8 *kind) { *(u64 *)data = *(const u64 *)kind; }

static u64 now(void) {
    Clock clock;
    sol_get_clock_sysvar(&clock);
    return (u64)clock.unix_time;
}

// The rent-exempt minimum. The threshold is a double that holds a small whole number; a fraction rounds up.
static u64 rent(u64 size) {
    Rent rate;
    sol_get_rent_sysvar(&rate);
    u64 bits = rate.threshold_bits, exponent = (bits >> 52) & 0x7ff;
    u64 mantissa = (bits & 0xfffffffffffffULL) | 0x10000000000000ULL, years = 1;
    if (exponent >= 1023 && exponent <= 1023 + 20) {
        u64 shift = 52 - (exponent - 1023);
        years = (mantissa >> shift) + ((mantissa & (((u64)1 << shift) - 1)) != 0);
    }
    return (128 + size) * rate.lamports_per_byte * years;
}

static u64 transfer(const Info *from, const Info *to, u64 amount, const Info *infos, u64 count) {
    u8 data[12] = {2, 0, 0, 0};
    *(u64 *)(data + 4) = amount;
    Meta metas[] = {{from->key, 1, 1}, {to->key, 1, 0}};
    Call call = {SYSTEM, metas, 2, data, 12};
    return sol_invoke_signed_c(&call, infos, count, NULL, 0);
}

// Makes a program-owned account at a derived address, also where somebody sent lamports there first.
typedef struct { const Info *payer; Info *account; u64 size; SignerSeeds seeds; } Birth;

static u64 create(const Birth *birth, const Input *input) {
    Info *account = birth->account;
    u64 least = rent(birth->size), result;
    if (*account->lamports < least) {
        result = transfer(birth->payer, account, least - *account->lamports, input->accounts, input->count);
        if (result) return result;
    }
    Meta metas[] = {{account->key, 1, 1}};
    if (birth->size) {
        u8 allocate[12] = {8, 0, 0, 0};
        *(u64 *)(allocate + 4) = birth->size;
        Call call = {SYSTEM, metas, 1, allocate, 12};
        result = sol_invoke_signed_c(&call, input->accounts, input->count, &birth->seeds, 1);
        if (result) return result;
    }
    u8 assign[36] = {1, 0, 0, 0};
    copy32(assign + 4, input->program);
    Call call = {SYSTEM, metas, 1, assign, 36};
    return sol_invoke_signed_c(&call, input->accounts, input->count, &birth->seeds, 1);
}

INLINE bool derived(const Info *account, const Slice *seeds, u64 count, const u8 *program) {
    u8 address[KEY];
    return sol_create_program_address(seeds, count, program, address) == 0 && same(address, account->key);
}

// Whether an account may hold that much more: the runtime refuses what would leave one below its rent.
INLINE bool bears(const Info *account, u64 more) { return *account->lamports + more >= rent(account->data_length); }

static const u8 LOADER_V3[KEY] = {2, 168, 246, 145, 78, 136, 161, 176, 226, 16, 21, 62, 247, 99, 174, 43,
                                  0, 194, 185, 61, 22, 193, 36, 210, 192, 83, 122, 16, 4, 128, 0, 0};

// Only who may upgrade the program can be first to initialize it: otherwise anybody could take a fresh deployment.
static bool is_authority(const Info *authority, const Info *program_data, const Input *input) {
    u8 address[KEY], bump;
    Slice seed = {input->program, KEY};
    if (sol_try_find_program_address(&seed, 1, LOADER_V3, address, &bump)) return false;
    const u8 *data = program_data->data;
    return same(address, program_data->key) && same(program_data->owner, LOADER_V3) && program_data->data_length >= 45 &&
           data[0] == 3 && data[12] == 1 && same(data + 13, authority->key);
}
