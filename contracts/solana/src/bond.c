// The bond of scheduled rounds on Solana, the sibling of contracts/evm/src/Bond.sol: same verbs, events, arithmetic.
// It keeps the commitments of pairs too, for which nothing is locked.
#define MOST_ACCOUNTS 12
#define EVENT_ROOM 1024
#include "tables.h"
#include "event.h"
#include "reader.h"

#define DRAND 1
#define BLOCK 2
#define SHORTEST_WINDOW 10
#define LONGEST_WINDOW 86400
#define FARTHEST (30 * 86400)
#define MOST_ANCHORED 20
// A slashed deposit is burned but for a tenth, so that showing one's own contradiction costs nine.
#define REWARD_PART 10
#define DO(step) \
    do { u64 failed = (step); if (failed) return failed; } while (0)

// 1nc1nerator11111111111111111111111111111111: what lies there when a slot ends is gone.
static const u8 INCINERATOR[KEY] = {0, 51, 144, 114, 141, 52, 17, 96, 121, 189, 201, 17, 191, 255, 0, 219, 212, 77, 46, 205, 204,
                                      247, 156, 166, 225, 0, 56, 225, 0, 0, 0, 0};

typedef struct { Slice table; u64 first; } Which;

INLINE Slice take_text(Reader *args, u64 most) {
    u32 length = take32(args);
    if (length > most) args->whole = false;
    u64 taken = length > most ? 0 : length;
    return (Slice){take(args, taken), taken};
}

INLINE Slice take_list(Reader *args, u64 most, u64 size) {
    u64 count = take32(args);
    if (count > most) args->whole = false, count = 0;
    return (Slice){take(args, count * size), count};
}

INLINE Slice take_proof(Reader *args) {
    Slice list = take_list(args, 16, 32);
    return (Slice){list.bytes, list.length * 32};
}

INLINE Which take_which(Reader *args) {
    Slice table = take_text(args, MOST_NAME);
    return (Which){table, take64(args)};
}

static void put_text(Event *event, Slice text) {
    put32(event, (u32)text.length);
    sol_memcpy_(event->bytes + event->length, text.bytes, text.length);
    event->length += text.length;
}

static void put_signer(Event *event, const u8 *signer) {
    sol_memcpy_(event->bytes + event->length, signer, SIGNER);
    event->length += SIGNER;
}

INLINE void begin_at(Event *event, const u8 *kind, Slice table, u64 number) {
    begin(event, kind), put_text(event, table), put64(event, number);
}

static bool no_signer(const u8 *signer) {
    for (int i = 0; i < SIGNER; ++i) if (signer[i]) return false;
    return true;
}

static void say_keeper(Bond *bond, const u8 *keeper, const Input *input) {
    Event event;
    copy32(bond->keeper, keeper);
    begin(&event, EVENT_KEEPER_SET), put_key(&event, keeper), emit(&event, input);
}

static void say_signer(Bond *bond, const u8 *signer, const Input *input) {
    Event event;
    sol_memcpy_(bond->signer, signer, SIGNER);
    begin(&event, EVENT_SIGNER_SET), put_signer(&event, signer), emit(&event, input);
}

static u64 initialize(Input *input, Reader *args) {
    const u8 *keeper = take(args, KEY), *signer = take(args, SIGNER);
    u64 window = take64(args);
    Slice chain = take_text(args, MOST_CHAIN);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 4, WrongAccount);
    Info *authority = at(input, 0), *account = at(input, 1);
    NEED(authority->signer, MissingSignature);
    NEED(is_authority(authority, at(input, 2), input), NotAuthority);
    NEED(same(at(input, 3)->key, SYSTEM) && same(account->owner, SYSTEM), WrongAccount);
    NEED(window >= SHORTEST_WINDOW && window <= FARTHEST && chain.length, BadSetting);
    NEED(!zeros(keeper) && !no_signer(signer), BadSetting);
    u8 address[KEY], bump;
    Slice seeds[] = {TEXT("bond"), {&bump, 1}};
    NEED(!sol_try_find_program_address(seeds, 1, input->program, address, &bump), WrongAccount);
    NEED(same(address, account->key), WrongAccount);
    Birth birth = {authority, account, sizeof(Bond), {seeds, 2}};
    DO(create(&birth, input));
    Bond *bond = (Bond *)account->data;
    set_kind(bond->kind, ACCOUNT_BOND);
    copy32(bond->owner, authority->key);
    bond->claim_window = window, bond->bump = bump, bond->chain_length = (u8)chain.length;
    sol_memcpy_(bond->chain, chain.bytes, chain.length);
    say_keeper(bond, keeper, input), say_signer(bond, signer, input);
    return 0;
}

// The bond with its owner, who signs.
static u64 owned(Input *input, Bond **bond) {
    NEED(input->count == 2, WrongAccount);
    *bond = bond_of(at(input, 1), input);
    NEED(*bond && at(input, 1)->writable, WrongAccount);
    NEED(at(input, 0)->signer, MissingSignature);
    NEED(same(at(input, 0)->key, (*bond)->owner), NotOwner);
    return 0;
}

static u64 set_keeper(Input *input, Reader *args) {
    Bond *bond;
    const u8 *keeper = take(args, KEY);
    NEED(spent(args), BadInstruction);
    DO(owned(input, &bond));
    NEED(!zeros(keeper), BadSetting);
    say_keeper(bond, keeper, input);
    return 0;
}

static u64 set_signer(Input *input, Reader *args) {
    Bond *bond;
    const u8 *signer = take(args, SIGNER);
    NEED(spent(args), BadInstruction);
    DO(owned(input, &bond));
    NEED(!no_signer(signer), BadSetting);
    say_signer(bond, signer, input);
    return 0;
}

static u64 set_paused(Input *input, Reader *args) {
    Bond *bond;
    u8 paused = *take(args, 1);
    NEED(spent(args) && paused <= 1, BadInstruction);
    DO(owned(input, &bond));
    bond->paused = paused;
    Event event;
    begin(&event, EVENT_PAUSE_SET), put8(&event, paused), emit(&event, input);
    return 0;
}

static u64 fund(Input *input, Reader *args) {
    u64 amount = take64(args);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 3, WrongAccount);
    Info *funder = at(input, 0), *account = at(input, 1);
    NEED(bond_of(account, input) && same(at(input, 2)->key, SYSTEM), WrongAccount);
    NEED(funder->signer, MissingSignature);
    NEED(amount, NothingToMove);
    DO(transfer(funder, account, amount, input->accounts, input->count));
    Event event;
    begin(&event, EVENT_BOND_FUNDED), put_key(&event, funder->key), put64(&event, amount), emit(&event, input);
    return 0;
}

static u64 withdraw(Input *input, Reader *args) {
    Bond *bond;
    u64 amount = take64(args);
    NEED(spent(args), BadInstruction);
    DO(owned(input, &bond));
    Info *owner = at(input, 0), *account = at(input, 1);
    NEED(owner->writable, WrongAccount);
    NEED(amount, NothingToMove);
    NEED(free_part(account, bond) >= amount, BondTooSmall);
    NEED(bears(owner, amount), BelowRent);
    Event event;
    begin(&event, EVENT_BOND_WITHDRAWN), put_key(&event, owner->key), put64(&event, amount), emit(&event, input);
    *account->lamports -= amount;
    *owner->lamports += amount;
    return 0;
}

// 1 to 32 of a-z, 0-9 and the dash.
static bool is_name(Slice text) {
    for (u64 i = 0; i < text.length; ++i) {
        u8 letter = text.bytes[i];
        if (!(letter >= 'a' && letter <= 'z') && !(letter >= '0' && letter <= '9') && letter != '-') return false;
    }
    return text.length != 0;
}

typedef struct { u64 opens, count; u32 period, lead, reveal_window; } Schedule;

// A batch begins ahead, keeps its times within bounds and begins not before the last one ends.
static u64 check_schedule(const Schedule *schedule, u64 time, u64 ends) {
    NEED(schedule->opens > time, LateCommit);
    NEED(schedule->opens <= time + FARTHEST && schedule->period <= LONGEST_WINDOW, BadSchedule);
    NEED(schedule->lead < schedule->period, BadSchedule);
    NEED(schedule->reveal_window >= SHORTEST_WINDOW && schedule->reveal_window <= LONGEST_WINDOW, BadSchedule);
    NEED(schedule->opens + schedule->period * schedule->count <= time + FARTHEST, BadSchedule);
    NEED(schedule->opens >= ends, Overlap);
    return 0;
}

// The account that numbers a table's rounds; made with the first of them.
static u64 table_of(Input *input, Slice name, Table **table) {
    Info *account = at(input, 2);
    u8 address[KEY], bump;
    Slice seeds[] = {TEXT("table"), name, {&bump, 1}};
    NEED(!sol_try_find_program_address(seeds, 2, input->program, address, &bump), WrongAccount);
    NEED(same(address, account->key) && account->writable, WrongAccount);
    *table = (Table *)account->data;
    if (same(account->owner, input->program)) return kind_is((*table)->kind, ACCOUNT_TABLE) ? 0 : WrongAccount;
    Birth birth = {at(input, 0), account, sizeof(Table), {seeds, 3}};
    DO(create(&birth, input));
    set_kind((*table)->kind, ACCOUNT_TABLE);
    return 0;
}

static u64 new_batch(Input *input, const Which *which, u64 count, Batch **batch) {
    Info *account = at(input, 3);
    u8 address[KEY], bump;
    Slice seeds[] = {TEXT("batch"), which->table, {(const u8 *)&which->first, 8}, {&bump, 1}};
    NEED(!sol_try_find_program_address(seeds, 3, input->program, address, &bump), WrongAccount);
    NEED(same(address, account->key), WrongAccount);
    Birth birth = {at(input, 0), account, sizeof(Batch) + count * 32, {seeds, 4}};
    DO(create(&birth, input));
    *batch = (Batch *)account->data;
    set_kind((*batch)->kind, ACCOUNT_BATCH);
    copy32((*batch)->payer, at(input, 0)->key);
    (*batch)->name_length = (u8)which->table.length, (*batch)->first = which->first;
    sol_memcpy_((*batch)->name, which->table.bytes, which->table.length);
    return 0;
}

static void say_commit(const Batch *batch, Slice table, const Input *input) {
    Event event;
    begin_at(&event, EVENT_ROUNDS_COMMITTED, table, batch->first), put32(&event, batch->count);
    put8(&event, batch->beacon), put_key(&event, batch->root), put64(&event, batch->opens);
    put32(&event, batch->period), put32(&event, batch->lead), put32(&event, batch->reveal_window);
    put64(&event, batch->max_liability), put_signer(&event, batch->signer), emit(&event, input);
}

static u64 commit(Input *input, Reader *args) {
    Slice name = take_text(args, ~(u32)0);
    const u8 *root = take(args, 32);
    Which which = {name, take64(args)};
    u32 count = take32(args);
    u8 beacon = *take(args, 1);
    Schedule schedule = {.opens = take64(args), .count = count};
    schedule.period = take32(args), schedule.lead = take32(args), schedule.reveal_window = take32(args);
    u64 most = take64(args);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 5, WrongAccount);
    Info *keeper = at(input, 0), *account = at(input, 1);
    Bond *bond = bond_of(account, input);
    NEED(bond && account->writable && same(at(input, 4)->key, SYSTEM), WrongAccount);
    NEED(keeper->signer, MissingSignature);
    NEED(same(keeper->key, bond->keeper), NotKeeper);
    NEED(!bond->paused, IsPaused);
    NEED(name.length <= MOST_NAME && is_name(name), BadTable);
    NEED(beacon == DRAND || beacon == BLOCK, BadKind);
    NEED(count >= 1 && count <= MOST_ROUNDS, BadCount);
    NEED(!zeros(root), BadRoot);
    NEED(most, BadLiability);
    Table *table;
    DO(table_of(input, name, &table));
    NEED(which.first == table->next, IndexGap);
    NEED(which.first + count > which.first, Overflow);
    DO(check_schedule(&schedule, now(), table->ends));
    NEED(most <= free_part(account, bond) / (2 * (u64)count), BondTooSmall);
    u64 needed = 2 * (u64)count * most;
    Batch *batch;
    DO(new_batch(input, &which, count, &batch));
    table->next += count, table->ends = schedule.opens + (u64)count * schedule.period;
    bond->locked += needed;
    copy32(batch->root, root);
    sol_memcpy_(batch->signer, bond->signer, SIGNER);
    batch->beacon = beacon, batch->count = (u16)count, batch->opens = schedule.opens;
    batch->period = schedule.period, batch->lead = schedule.lead, batch->reveal_window = schedule.reveal_window;
    batch->max_liability = most, batch->held = needed;
    say_commit(batch, name, input);
    return 0;
}

// Bond, batch and the round's place in it, as the verbs about one round take them from `from` on.
typedef struct { Bond *bond; Batch *batch; u64 place; Round round; } Found;

static u64 find(Input *input, u64 from, const Which *which, u64 number, Found *found) {
    found->bond = bond_of(at(input, from), input);
    NEED(found->bond, WrongAccount);
    DO(batch_of(at(input, from + 1), input, which->table, which->first, &found->batch));
    NEED(number >= which->first && number - which->first < found->batch->count, NoSuchRound);
    found->place = number - which->first;
    Place place = {found->bond->chain, found->bond->chain_length, input->program};
    found->round = (Round){place, which->table, number};
    return 0;
}

INLINE void unlock(Found *found, u64 amount) { found->batch->held -= amount, found->bond->locked -= amount; }

// Takes down what was signed for one round, from its close until its seed is due.
static u64 fix(Found *found, const SignedRoot *said) {
    u64 due = due_at(found->batch, found->place), time = now();
    u8 *kept = anchored_at(found->batch, found->place);
    NEED(time >= due - found->batch->reveal_window, RoundOpen);
    NEED(time < due, DeadlinePassed);
    NEED(said->count <= MOST_BETS, BadCount);
    NEED((said->count == 0) == zeros(said->root), BadRoot);
    NEED(said->liability <= (said->count ? found->batch->max_liability : 0), BadLiability);
    NEED(zeros(kept), AlreadyAnchored);
    root_digest(&found->round, said, kept);
    return 0;
}

static void say_anchor(const Round *round, const SignedRoot *said, u64 count, const Input *input) {
    Event event;
    begin_at(&event, EVENT_ROOTS_ANCHORED, round->table, round->number), put32(&event, (u32)count);
    for (u64 i = 0; i < count; ++i) put_key(&event, said[i].root);
    put32(&event, (u32)count);
    for (u64 i = 0; i < count; ++i) put32(&event, (u32)said[i].count);
    put32(&event, (u32)count);
    for (u64 i = 0; i < count; ++i) put64(&event, said[i].liability);
    emit(&event, input);
}

static u64 anchor(Input *input, Reader *args) {
    Which which = take_which(args);
    u64 start = take64(args);
    Slice roots = take_list(args, MOST_ANCHORED, 32), counts = take_list(args, MOST_ANCHORED, 4);
    Slice liabilities = take_list(args, MOST_ANCHORED, 8);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 3, WrongAccount);
    NEED(bond_of(at(input, 1), input), WrongAccount);
    NEED(at(input, 0)->signer, MissingSignature);
    NEED(same(at(input, 0)->key, bond_of(at(input, 1), input)->keeper), NotKeeper);
    NEED(roots.length && counts.length == roots.length && liabilities.length == roots.length, BadCount);
    Found found;
    SignedRoot said[MOST_ANCHORED];
    Reader of_counts = {counts.bytes, counts.length * 4, true}, of_liabilities = {liabilities.bytes, liabilities.length * 8, true};
    DO(find(input, 1, &which, start, &found));
    NEED(roots.length <= found.batch->count - found.place, NoSuchRound);
    for (u64 i = 0; i < roots.length; ++i) {
        said[i].root = roots.bytes + i * 32;
        said[i].count = take32(&of_counts), said[i].liability = take64(&of_liabilities);
        DO(fix(&found, &said[i]));
        ++found.place, ++found.round.number;
    }
    found.round.number = start;
    say_anchor(&found.round, said, roots.length, input);
    return 0;
}

static u64 reveal(Input *input, Reader *args) {
    Which which = take_which(args);
    u64 number = take64(args);
    const u8 *seed = take(args, 32);
    Slice proof = take_proof(args);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 2 && at(input, 0)->writable, WrongAccount);
    Found found;
    DO(find(input, 0, &which, number, &found));
    NEED(!has(found.batch->revealed, found.place), AlreadyRevealed);
    NEED(!zeros(anchored_at(found.batch, found.place)), NotAnchored);
    NEED(now() < due_at(found.batch, found.place), DeadlinePassed);
    u8 hidden[32];
    round_commit(&found.round, seed, hidden);
    Path path = {found.place, found.batch->count, proof};
    NEED(proves(found.batch->root, hidden, &path), SeedRefused);
    set(found.batch->revealed, found.place);
    unlock(&found, found.batch->max_liability);
    Event event;
    begin_at(&event, EVENT_ROUND_REVEALED, which.table, number), put_key(&event, seed), emit(&event, input);
    return 0;
}

static u64 check_signed(const u8 *digest, Slice signature, const u8 *signer) {
    u8 found[SIGNER];
    NEED(signer_of(digest, signature, found), BadSignature);
    for (int i = 0; i < SIGNER; ++i) NEED(found[i] == signer[i], WrongSigner);
    return 0;
}

// The root must be the one that is fixed; the first signed one that is claimed by becomes that.
static u64 hear(Found *found, const SignedRoot *said, Slice signature, bool *first) {
    u8 digest[32], *kept = anchored_at(found->batch, found->place);
    root_digest(&found->round, said, digest);
    *first = zeros(kept);
    if (!*first) return same(kept, digest) ? 0 : AnotherRoot;
    NEED(said->count <= MOST_BETS, BadCount);
    DO(check_signed(digest, signature, found->batch->signer));
    copy32(kept, digest);
    return 0;
}

// What was paid of a void round so far; its account is made with the first claim.
static u64 void_of(Input *input, const Round *round, Void **paid) {
    Info *account = at(input, 3);
    u8 address[KEY], bump;
    Slice seeds[] = {TEXT("void"), round->table, {(const u8 *)&round->number, 8}, {&bump, 1}};
    NEED(!sol_try_find_program_address(seeds, 3, input->program, address, &bump), WrongAccount);
    NEED(same(address, account->key) && account->writable, WrongAccount);
    *paid = (Void *)account->data;
    if (same(account->owner, input->program)) return kind_is((*paid)->kind, ACCOUNT_VOID) ? 0 : WrongAccount;
    Birth birth = {at(input, 0), account, sizeof(Void), {seeds, 4}};
    DO(create(&birth, input));
    set_kind((*paid)->kind, ACCOUNT_VOID);
    return 0;
}

// Marks a bet as paid: its account can be made once.
static u64 mark(Input *input, const Round *round, u32 position, u64 amount) {
    Info *account = at(input, 4);
    u8 address[KEY], bump;
    Slice seeds[] = {TEXT("claim"), round->table, {(const u8 *)&round->number, 8}, {(const u8 *)&position, 4}, {&bump, 1}};
    NEED(!sol_try_find_program_address(seeds, 4, input->program, address, &bump), WrongAccount);
    NEED(same(address, account->key), WrongAccount);
    NEED(!same(account->owner, input->program), AlreadyClaimed);
    NEED(amount, NothingLeft);
    Birth birth = {at(input, 0), account, sizeof(Claim), {seeds, 5}};
    DO(create(&birth, input));
    Claim *claim = (Claim *)account->data;
    set_kind(claim->kind, ACCOUNT_CLAIM), claim->amount = amount;
    return 0;
}

typedef struct { SignedRoot said; Slice signature, proof; RoundBet bet; } Ticket;

static void take_ticket(Reader *args, const Info *payee, Ticket *ticket) {
    ticket->said.root = take(args, 32);
    ticket->said.count = take32(args), ticket->said.liability = take64(args);
    ticket->signature = take_text(args, 65);
    ticket->bet.position = take32(args), ticket->bet.id = take(args, 32), ticket->bet.payee = payee->key;
    ticket->bet.stake = take64(args), ticket->bet.stake_high = take64(args);
    ticket->bet.liability = take64(args), ticket->bet.details = take(args, 32);
    ticket->proof = take_proof(args);
}

static u64 claim(Input *input, Reader *args) {
    Ticket ticket;
    Found found;
    NEED(input->count == 7, WrongAccount);
    Info *claimant = at(input, 0), *account = at(input, 1), *payee = at(input, 5);
    Which which = take_which(args);
    u64 number = take64(args), time = now();
    take_ticket(args, payee, &ticket);
    NEED(spent(args), BadInstruction);
    NEED(account->writable && payee->writable && same(at(input, 6)->key, SYSTEM), WrongAccount);
    NEED(claimant->signer, MissingSignature);
    DO(find(input, 1, &which, number, &found));
    u64 due = due_at(found.batch, found.place);
    NEED(!has(found.batch->revealed, found.place), AlreadyRevealed);
    NEED(time >= due, DeadlineAhead);
    NEED(time < due + found.bond->claim_window, DeadlinePassed);
    bool first;
    DO(hear(&found, &ticket.said, ticket.signature, &first));
    NEED(!zeros(payee->key), BadRecipient);
    u8 leaf[32];
    bet_leaf(&found.round, &ticket.bet, leaf);
    Path path = {ticket.bet.position, ticket.said.count, ticket.proof};
    NEED(proves(ticket.said.root, leaf, &path), BetRefused);
    NEED(ticket.bet.liability, NothingToMove);
    Void *paid;
    DO(void_of(input, &found.round, &paid));
    u64 left = found.batch->max_liability - paid->paid;
    u64 amount = ticket.bet.liability < left ? ticket.bet.liability : left;
    DO(mark(input, &found.round, (u32)ticket.bet.position, amount));
    NEED(bears(payee, amount), BelowRent);
    paid->paid += amount;
    unlock(&found, amount);
    if (first) say_anchor(&found.round, &ticket.said, 1, input);
    Event event;
    begin_at(&event, EVENT_BOND_CLAIMED, which.table, number), put32(&event, (u32)ticket.bet.position);
    put_key(&event, ticket.bet.id), put_key(&event, payee->key), put64(&event, amount), emit(&event, input);
    *account->lamports -= amount;
    *payee->lamports += amount;
    return 0;
}

// Two different signed roots of one round, the first of them perhaps the anchored one.
static u64 contradict(Found *found, const Ticket *one, const Ticket *other) {
    u8 said[32], contradicted[32];
    root_digest(&found->round, &one->said, said);
    root_digest(&found->round, &other->said, contradicted);
    if (one->signature.length) {
        DO(check_signed(said, one->signature, found->batch->signer));
    } else {
        NEED(same(said, anchored_at(found->batch, found->place)), AnotherRoot);
    }
    DO(check_signed(contradicted, other->signature, found->batch->signer));
    NEED(!same(said, contradicted), NoContradiction);
    return 0;
}

static void take_signed_root(Reader *args, Ticket *ticket) {
    ticket->said.root = take(args, 32);
    ticket->said.count = take32(args), ticket->said.liability = take64(args);
    ticket->signature = take_text(args, 65);
}

static u64 slash(Input *input, Reader *args) {
    Ticket one, other;
    Found found;
    Which which = take_which(args);
    u64 number = take64(args);
    take_signed_root(args, &one), take_signed_root(args, &other);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 4, WrongAccount);
    Info *witness = at(input, 0), *account = at(input, 1), *incinerator = at(input, 3);
    NEED(account->writable && witness->writable && incinerator->writable, WrongAccount);
    NEED(same(incinerator->key, INCINERATOR), WrongAccount);
    NEED(witness->signer, MissingSignature);
    DO(find(input, 1, &which, number, &found));
    NEED(!has(found.batch->slashed, found.place), AlreadySlashed);
    DO(contradict(&found, &one, &other));
    u64 deposit = found.batch->max_liability, reward = deposit / REWARD_PART;
    NEED(bears(witness, reward), BelowRent);
    set(found.batch->slashed, found.place);
    unlock(&found, deposit);
    Event event;
    begin_at(&event, EVENT_BOND_SLASHED, which.table, number), put_key(&event, witness->key);
    put64(&event, reward), put64(&event, deposit - reward), emit(&event, input);
    *account->lamports -= deposit;
    *witness->lamports += reward;
    *incinerator->lamports += deposit - reward;
    return 0;
}

// Ends a batch; its account is gone afterwards, and its rent goes back to who paid it.
static u64 release(Input *input, Reader *args) {
    Which which = take_which(args);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 3, WrongAccount);
    Info *account = at(input, 1), *payer = at(input, 2);
    Found found;
    NEED(at(input, 0)->writable, WrongAccount);
    DO(find(input, 0, &which, which.first, &found));
    Batch *batch = found.batch;
    NEED(payer->writable && same(payer->key, batch->payer), WrongAccount);
    NEED(now() >= due_at(batch, batch->count - 1) + found.bond->claim_window, DeadlineAhead);
    u64 amount = batch->held;
    unlock(&found, amount);
    Event event;
    begin_at(&event, EVENT_BATCH_RELEASED, which.table, which.first), put64(&event, amount), emit(&event, input);
    *payer->lamports += *account->lamports;
    *account->lamports = 0;
    sol_memset_((u8 *)batch, 0, sizeof(Batch));
    return 0;
}

// The account that numbers commitments of pairs; made with the first of them.
static u64 numbering_of(Input *input, Numbering **numbering) {
    Info *account = at(input, 2);
    u8 address[KEY], bump;
    Slice seeds[] = {TEXT("pairs"), {&bump, 1}};
    NEED(!sol_try_find_program_address(seeds, 1, input->program, address, &bump), WrongAccount);
    NEED(same(address, account->key) && account->writable, WrongAccount);
    *numbering = (Numbering *)account->data;
    if (same(account->owner, input->program)) return kind_is((*numbering)->kind, ACCOUNT_NUMBERING) ? 0 : WrongAccount;
    Birth birth = {at(input, 0), account, sizeof(Numbering), {seeds, 2}};
    DO(create(&birth, input));
    set_kind((*numbering)->kind, ACCOUNT_NUMBERING);
    return 0;
}

static u64 new_pairs(Input *input, u64 number, Pairs **pairs) {
    Info *account = at(input, 3);
    u8 address[KEY], bump;
    Slice seeds[] = {TEXT("pairs"), {(const u8 *)&number, 8}, {&bump, 1}};
    NEED(!sol_try_find_program_address(seeds, 2, input->program, address, &bump), WrongAccount);
    NEED(same(address, account->key), WrongAccount);
    Birth birth = {at(input, 0), account, sizeof(Pairs), {seeds, 3}};
    DO(create(&birth, input));
    *pairs = (Pairs *)account->data;
    set_kind((*pairs)->kind, ACCOUNT_PAIRS);
    (*pairs)->number = number;
    return 0;
}

static u64 commit_pairs(Input *input, Reader *args) {
    u64 number = take64(args);
    const u8 *root = take(args, 32);
    u16 count = take16(args);
    u8 beacon = *take(args, 1);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 5, WrongAccount);
    Info *keeper = at(input, 0);
    Bond *bond = bond_of(at(input, 1), input);
    NEED(bond && same(at(input, 4)->key, SYSTEM), WrongAccount);
    NEED(keeper->signer, MissingSignature);
    NEED(same(keeper->key, bond->keeper), NotKeeper);
    NEED(!bond->paused, IsPaused);
    NEED(beacon == DRAND || beacon == BLOCK, BadKind);
    NEED(count >= 1 && count <= MOST_PAIRS, BadCount);
    NEED(!zeros(root), BadRoot);
    Numbering *numbering;
    DO(numbering_of(input, &numbering));
    NEED(number == numbering->next, IndexGap);
    NEED(number + 1 > number, Overflow);
    Pairs *pairs;
    DO(new_pairs(input, number, &pairs));
    numbering->next = number + 1;
    copy32(pairs->root, root);
    pairs->count = count, pairs->beacon = beacon;
    Event event;
    begin(&event, EVENT_PAIRS_COMMITTED), put64(&event, number), put_key(&event, root);
    put16(&event, count), put8(&event, beacon), emit(&event, input);
    return 0;
}

// 1 to 160 visible ASCII characters.
static bool is_account(Slice text) {
    for (u64 i = 0; i < text.length; ++i) if (text.bytes[i] < '!' || text.bytes[i] > '~') return false;
    return text.length != 0 && text.length <= MOST_WORDS;
}

static u64 reveal_pair(Input *input, Reader *args) {
    u64 number = take64(args), place = take16(args);
    Slice account = take_text(args, ~(u32)0);
    u64 epoch = take64(args);
    const u8 *seed = take(args, 32);
    Slice proof = take_proof(args);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 2, WrongAccount);
    Bond *bond = bond_of(at(input, 0), input);
    NEED(bond, WrongAccount);
    NEED(is_account(account), BadAccount);
    Pairs *pairs;
    DO(pairs_of(at(input, 1), input, number, &pairs));
    NEED(place < pairs->count, NoSuchPair);
    NEED(!has(pairs->revealed, place), AlreadyRevealed);
    u8 hidden[32];
    Pair pair = {{bond->chain, bond->chain_length}, account, epoch};
    pair_commit(&pair, seed, hidden);
    Path path = {place, pairs->count, proof};
    NEED(proves(pairs->root, hidden, &path), SeedRefused);
    set(pairs->revealed, place);
    Event event;
    begin(&event, EVENT_PAIR_REVEALED), put64(&event, number), put16(&event, (u16)place);
    put_text(&event, account), put64(&event, epoch), put_key(&event, seed), emit(&event, input);
    return 0;
}

u64 entrypoint(u8 *memory) {
    Input input;
    NEED(parse(memory, &input), WrongAccount);
    NEED(input.length >= 8, BadInstruction);
    if (kind_is(input.data, EVENT_TAG)) return heard(&input);
    Reader args = {input.data + 8, input.length - 8, true};
    NEED(take_voice(&input), WrongAccount);
    if (kind_is(input.data, VERB_REVEAL)) return reveal(&input, &args);
    if (kind_is(input.data, VERB_ANCHOR)) return anchor(&input, &args);
    if (kind_is(input.data, VERB_COMMIT)) return commit(&input, &args);
    if (kind_is(input.data, VERB_CLAIM)) return claim(&input, &args);
    if (kind_is(input.data, VERB_COMMIT_PAIRS)) return commit_pairs(&input, &args);
    if (kind_is(input.data, VERB_REVEAL_PAIR)) return reveal_pair(&input, &args);
    if (kind_is(input.data, VERB_SLASH)) return slash(&input, &args);
    if (kind_is(input.data, VERB_RELEASE)) return release(&input, &args);
    if (kind_is(input.data, VERB_FUND)) return fund(&input, &args);
    if (kind_is(input.data, VERB_WITHDRAW)) return withdraw(&input, &args);
    if (kind_is(input.data, VERB_SET_PAUSED)) return set_paused(&input, &args);
    if (kind_is(input.data, VERB_SET_KEEPER)) return set_keeper(&input, &args);
    if (kind_is(input.data, VERB_SET_SIGNER)) return set_signer(&input, &args);
    if (kind_is(input.data, VERB_INITIALIZE)) return initialize(&input, &args);
    return BadInstruction;
}
