// What a program says: an event under construction, said in the log and by a call of the program to itself.
#pragma once
#include "account.h"
#include "reader.h"

#ifndef EVENT_ROOM
#define EVENT_ROOM 160
#endif

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

// The program's own words come back to it here, and mean something to readers alone.
static u64 heard(Input *input) {
    u8 bump;
    NEED(input->count == 1, WrongAccount);
    NEED(at(input, 0)->signer, MissingSignature);
    NEED(is_voice(at(input, 0), input->program, &bump), WrongAccount);
    return 0;
}

// Every verb ends with the accounts that Anchor appends for events: who signs them, and this program.
static bool take_voice(Input *input) {
    if (input->count < 2) return false;
    input->count -= 2;
    input->voice = at(input, input->count);
    return same(at(input, input->count + 1)->key, input->program) &&
           is_voice(input->voice, input->program, &input->voice_bump);
}
