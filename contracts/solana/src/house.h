// What the program keeps: its accounts as they lie in memory, and how money and events leave it.
#pragma once
#include "discriminators.h"
#include "fairness.h"

#define BATCHES 16
#define MOST_CHAIN 64
#define EVENT_ROOM 160

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

static const u8 SYSTEM[KEY] = {0};

INLINE bool kind_is(const u8 *data, const u8 *kind) { return *(const u64 *)data == *(const u64 *)kind; }
INLINE void set_kind(u8 *data, const u8 *kind) { *(u64 *)data = *(const u64 *)kind; }

// What Anchor's emit_cpi! puts before an event that a program says by calling itself.
static const u8 EVENT_TAG[8] __attribute__((aligned(8))) = {228, 69, 165, 46, 81, 203, 154, 29};

// An event under construction; fields follow its discriminator in Borsh.
typedef struct { u8 tag[8], bytes[EVENT_ROOM]; u64 length; } Event;

INLINE void begin(Event *event, const u8 *kind) { set_kind(event->tag, EVENT_TAG), set_kind(event->bytes, kind), event->length = 8; }
INLINE void put8(Event *event, u8 value) { event->bytes[event->length++] = value; }
INLINE void put16(Event *event, u16 value) { put8(event, (u8)value), put8(event, (u8)(value >> 8)); }
INLINE void put32(Event *event, u32 value) { put16(event, (u16)value), put16(event, (u16)(value >> 16)); }
INLINE void put64(Event *event, u64 value) { *(u64 *)(event->bytes + event->length) = value, event->length += 8; }
INLINE void put_key(Event *event, const u8 *key) { copy32(event->bytes + event->length, key), event->length += KEY; }

// Whether this is the account that signs for the program's events; only the program itself can make it sign.
static bool is_voice(const Info *account, const u8 *program, u8 *bump) {
    u8 address[KEY];
    Slice seed = TEXT("__event_authority");
    return !sol_try_find_program_address(&seed, 1, program, address, bump) && same(address, account->key);
}

// Says an event twice. The log is cheap to read and may be cut by whoever fills it in the same transaction; the
// call of itself stays among the inner instructions whatever happens to the log. A failing call ends everything.
static void emit(Event *event, const Input *input) {
    Slice field = {event->bytes, event->length}, seeds[] = {TEXT("__event_authority"), {&input->voice_bump, 1}};
    sol_log_data(&field, 1);
    Meta metas[] = {{input->voice->key, 0, 1}};
    Call call = {input->program, metas, 1, event->tag, event->length + 8};
    SignerSeeds signer = {seeds, 2};
    sol_invoke_signed_c(&call, input->voice, 1, &signer, 1);
}

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

// Whether an account may hold that much more: the runtime refuses what would leave one below its rent.
INLINE bool bears(const Info *account, u64 more) { return *account->lamports + more >= rent(account->data_length); }

// What no open bet can claim and rent does not need.
INLINE u64 free_part(const Info *vault, const House *house) {
    u64 kept = house->locked + rent(0);
    return *vault->lamports > kept ? *vault->lamports - kept : 0;
}
