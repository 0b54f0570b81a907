// The casino on Solana, the sibling of contracts/evm: same verbs, same events, same arithmetic.
#include "house.h"
#include "reader.h"

#define SHORTEST_WINDOW 10

static void say_limits(const House *house, const Input *input) {
    Event event;
    begin(&event, EVENT_LIMITS_SET), put64(&event, house->smallest_stake);
    put16(&event, house->largest_share_bp), emit(&event, input);
}

static u64 initialize(Input *input, Reader *args) {
    const u8 *keeper = take(args, KEY);
    u64 window = take64(args);
    u16 penalty = take16(args);
    u32 length = take32(args);
    const u8 *chain = take(args, length <= MOST_CHAIN ? length : 0);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 5, WrongAccount);
    Info *authority = at(input, 0), *house_info = at(input, 1), *vault = at(input, 2);
    NEED(authority->signer, MissingSignature);
    NEED(is_authority(authority, at(input, 3), input), NotAuthority);
    NEED(same(at(input, 4)->key, SYSTEM), WrongAccount);
    NEED(window >= SHORTEST_WINDOW && window < ((u64)1 << 32) && penalty <= 10000 && !zeros(keeper) && length, BadSetting);
    NEED(same(house_info->owner, SYSTEM), WrongAccount);
    u8 address[KEY], house_bump, vault_bump;
    Slice house_seeds[] = {TEXT("house"), {&house_bump, 1}}, vault_seeds[] = {TEXT("vault"), {&vault_bump, 1}};
    NEED(!sol_try_find_program_address(house_seeds, 1, input->program, address, &house_bump), WrongAccount);
    NEED(same(address, house_info->key), WrongAccount);
    NEED(!sol_try_find_program_address(vault_seeds, 1, input->program, address, &vault_bump), WrongAccount);
    NEED(same(address, vault->key), WrongAccount);
    Birth birth = {authority, house_info, sizeof(House), {house_seeds, 2}};
    u64 result = create(&birth, input);
    if (result) return result;
    Birth vault_birth = {authority, vault, 0, {vault_seeds, 2}};
    result = create(&vault_birth, input);
    if (result) return result;
    House *house = (House *)house_info->data;
    set_kind(house->kind, ACCOUNT_HOUSE);
    copy32(house->owner, authority->key), copy32(house->keeper, keeper);
    house->reveal_window = window, house->penalty_bp = penalty;
    house->bump = house_bump, house->vault_bump = vault_bump;
    house->chain_length = (u8)length;
    sol_memcpy_(house->chain, chain, length);
    house->smallest_stake = 1, house->largest_share_bp = 10000;
    Event event;
    begin(&event, EVENT_KEEPER_SET), put_key(&event, keeper), emit(&event, input);
    say_limits(house, input);
    return 0;
}

// The house, with `who` its owner and a signer; NULL otherwise.
static House *owned(Input *input, u64 *error) {
    House *house = house_of(at(input, 1), input);
    *error = !house || !at(input, 1)->writable ? WrongAccount
             : !at(input, 0)->signer           ? MissingSignature
             : !same(at(input, 0)->key, house->owner) ? NotOwner
                                                      : 0;
    return house;
}

static u64 set_keeper(Input *input, Reader *args) {
    const u8 *keeper = take(args, KEY);
    u64 error;
    NEED(spent(args), BadInstruction);
    NEED(input->count == 2, WrongAccount);
    House *house = owned(input, &error);
    if (error) return error;
    NEED(!zeros(keeper), BadSetting);
    copy32(house->keeper, keeper);
    Event event;
    begin(&event, EVENT_KEEPER_SET), put_key(&event, keeper), emit(&event, input);
    return 0;
}

static u64 set_paused(Input *input, Reader *args) {
    u8 paused = *take(args, 1);
    u64 error;
    NEED(spent(args) && paused <= 1, BadInstruction);
    NEED(input->count == 2, WrongAccount);
    House *house = owned(input, &error);
    if (error) return error;
    house->paused = paused;
    Event event;
    begin(&event, EVENT_PAUSE_SET), put8(&event, paused), emit(&event, input);
    return 0;
}

static u64 set_limits(Input *input, Reader *args) {
    u64 smallest_stake = take64(args);
    u16 largest_share_bp = take16(args);
    u64 error;
    NEED(spent(args), BadInstruction);
    NEED(input->count == 2, WrongAccount);
    House *house = owned(input, &error);
    if (error) return error;
    NEED(smallest_stake && largest_share_bp && largest_share_bp <= 10000, BadSetting);
    house->smallest_stake = smallest_stake, house->largest_share_bp = largest_share_bp;
    say_limits(house, input);
    return 0;
}

// Drops the batches that are used up or can no longer be revealed in time, and moves the next index past them.
static void drop_late(House *house, u64 deadline) {
    u8 kept = 0;
    for (u8 i = 0; i < house->pending; ++i) {
        Batch *batch = &house->batches[i];
        u64 end = batch->first + batch->count;
        if (kept == 0 && (house->next_index >= end || batch->reveal_by < deadline)) {
            if (house->next_index < end) house->next_index = end;
            continue;
        }
        if (kept != i) sol_memcpy_((u8 *)&house->batches[kept], (u8 *)batch, sizeof(Batch));
        ++kept;
    }
    house->pending = kept;
}

static u64 commit(Input *input, Reader *args) {
    const u8 *root = take(args, 32);
    u64 first = take64(args);
    u32 count = take32(args);
    u8 kind = *take(args, 1);
    u64 reveal_by = take64(args);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 2, WrongAccount);
    House *house = house_of(at(input, 1), input);
    NEED(house && at(input, 1)->writable, WrongAccount);
    NEED(at(input, 0)->signer, MissingSignature);
    NEED(same(at(input, 0)->key, house->keeper), NotKeeper);
    NEED(kind == 0, BadKind);
    NEED(count >= 1 && count <= MOST_SEEDS, BadCount);
    NEED(!zeros(root), BadRoot);
    NEED(first == house->committed_up_to, IndexGap);
    u64 deadline = now() + house->reveal_window;
    NEED(reveal_by > deadline, DeadlinePassed);
    drop_late(house, deadline);
    NEED(house->pending < BATCHES, TooManyBatches);
    Batch *batch = &house->batches[house->pending++];
    copy32(batch->root, root);
    batch->first = first, batch->count = count, batch->reveal_by = reveal_by;
    house->committed_up_to = first + count;
    Event event;
    begin(&event, EVENT_SEED_COMMITTED), put64(&event, first), put32(&event, count), put8(&event, kind);
    put_key(&event, root), put64(&event, reveal_by), emit(&event, input);
    return 0;
}

// stake * factor / divisor without overflow in between; all ones when it does not fit.
INLINE u64 scaled(u64 stake, u64 factor, u64 divisor) {
    u64 whole = stake / divisor, part = stake % divisor * factor / divisor;
    if (factor && whole > (~(u64)0 - part) / factor) return ~(u64)0;
    return whole * factor + part;
}

INLINE u64 prize_of(u64 stake, u16 low, u16 high) { return scaled(stake, FACES - EDGE, high - low); }
INLINE u64 penalty_of(u64 stake, u64 basis_points) { return scaled(stake, basis_points, 10000); }

static u64 place_bet(Input *input, Reader *args) {
    const u8 *client_seed = take(args, 32);
    u16 low = take16(args), high = take16(args);
    u64 stake = take64(args);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 5, WrongAccount);
    Info *player = at(input, 0), *vault = at(input, 2), *account = at(input, 3);
    House *house = house_of(at(input, 1), input);
    NEED(house && at(input, 1)->writable && is_vault(vault, house, input) && same(at(input, 4)->key, SYSTEM), WrongAccount);
    NEED(player->signer, MissingSignature);
    NEED(!house->paused, IsPaused);
    NEED(low < high && high <= FACES && high - low <= WIDEST, BadRange);
    NEED(stake, BadStake);
    NEED(stake >= house->smallest_stake, StakeTooSmall);
    u64 prize = prize_of(stake, low, high), back = stake + penalty_of(stake, house->penalty_bp);
    NEED(prize != ~(u64)0 && back >= stake, Overflow);
    u64 reserve = prize > back ? prize : back, deadline = now() + house->reveal_window;
    u64 available = free_part(vault, house) + stake;
    NEED(available >= reserve, VaultTooPoor);
    NEED(scaled(available, house->largest_share_bp, 10000) >= reserve, PrizeTooLarge);
    drop_late(house, deadline);
    NEED(house->pending, NoSeedsLeft);
    u8 address[KEY], bump;
    Slice seeds[] = {TEXT("bet"), {player->key, KEY}, {client_seed, 32}, {&bump, 1}};
    NEED(!sol_try_find_program_address(seeds, 3, input->program, address, &bump), WrongAccount);
    NEED(same(address, account->key) && same(account->owner, SYSTEM), WrongAccount);
    Birth birth = {player, account, sizeof(Bet), {seeds, 4}};
    u64 result = create(&birth, input);
    if (result) return result;
    result = transfer(player, vault, stake, input->accounts, input->count);
    if (result) return result;
    Batch *batch = &house->batches[0];
    Bet *bet = (Bet *)account->data;
    set_kind(bet->kind, ACCOUNT_BET);
    copy32(bet->player, player->key), copy32(bet->client_seed, client_seed), copy32(bet->root, batch->root);
    bet->index = house->next_index++, bet->first = batch->first, bet->count = batch->count;
    bet->stake = stake, bet->reserve = reserve, bet->deadline = deadline;
    bet->low = low, bet->high = high, bet->bump = bump;
    house->locked += reserve;
    Event event;
    begin(&event, EVENT_BET_PLACED), put64(&event, bet->index), put_key(&event, player->key);
    put_key(&event, client_seed), put16(&event, low), put16(&event, high), put64(&event, stake);
    put64(&event, prize), put64(&event, deadline), emit(&event, input);
    return 0;
}

// Pays from the vault and gives the bet's rent back; the account is gone afterwards.
static u64 close_bet(Input *input, House *house, Bet *bet, u64 amount) {
    Info *vault = at(input, 1), *account = at(input, 2), *player = at(input, 3);
    house->locked -= bet->reserve;
    NEED(*vault->lamports >= amount + rent(0), VaultTooPoor);
    *vault->lamports -= amount;
    *player->lamports += amount + *account->lamports;
    *account->lamports = 0;
    sol_memset_((u8 *)bet, 0, sizeof(Bet));
    return 0;
}

// House, vault, bet and its player, as settle_bet and refund_bet take them.
static u64 open_bet(Input *input, House **house, Bet **bet) {
    NEED(input->count == 4, WrongAccount);
    *house = house_of(at(input, 0), input);
    *bet = bet_of(at(input, 2), input);
    NEED(*house && at(input, 0)->writable && is_vault(at(input, 1), *house, input), WrongAccount);
    NEED(*bet && at(input, 2)->writable, WrongAccount);
    NEED(at(input, 3)->writable && same(at(input, 3)->key, (*bet)->player), WrongAccount);
    return 0;
}

static u64 settle_bet(Input *input, Reader *args) {
    House *house;
    Bet *bet;
    const u8 *seed = take(args, 32);
    u32 count = take32(args);
    NEED(count <= 16, BadInstruction);
    Slice proof = {take(args, (u64)count * 32), (u64)count * 32};
    NEED(spent(args), BadInstruction);
    u64 error = open_bet(input, &house, &bet);
    if (error) return error;
    NEED(now() < bet->deadline, DeadlinePassed);
    Place place = {house->chain, house->chain_length, input->program};
    Wager wager = {bet->player, bet->client_seed, bet->index, bet->stake, bet->low, bet->high};
    u8 digest[32], outcome[32];
    bet_commit(&place, bet->index, seed, digest);
    Path path = {bet->index - bet->first, bet->count, proof};
    NEED(proves(bet->root, digest, &path), SeedRefused);
    bet_hash(&place, &wager, digest);
    bet_outcome(&place, bet->index, seed, digest, outcome);
    u16 roll = (u16)below(outcome, FACES);
    u64 payout = roll >= bet->low && roll < bet->high ? prize_of(bet->stake, bet->low, bet->high) : 0;
    Event event;
    begin(&event, EVENT_SEED_REVEALED), put64(&event, bet->index), put_key(&event, seed), emit(&event, input);
    begin(&event, EVENT_BET_SETTLED), put64(&event, bet->index), put_key(&event, bet->player);
    put16(&event, roll), put64(&event, payout), put_key(&event, outcome), emit(&event, input);
    return close_bet(input, house, bet, payout);
}

static u64 refund_bet(Input *input, Reader *args) {
    House *house;
    Bet *bet;
    NEED(spent(args), BadInstruction);
    u64 error = open_bet(input, &house, &bet);
    if (error) return error;
    NEED(now() >= bet->deadline, DeadlineAhead);
    u64 penalty = penalty_of(bet->stake, house->penalty_bp);
    Event event;
    begin(&event, EVENT_BET_REFUNDED), put64(&event, bet->index), put_key(&event, bet->player);
    put64(&event, bet->stake), put64(&event, penalty), emit(&event, input);
    return close_bet(input, house, bet, bet->stake + penalty);
}

static u64 deposit(Input *input, Reader *args) {
    u64 amount = take64(args);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 4, WrongAccount);
    House *house = house_of(at(input, 1), input);
    NEED(house && is_vault(at(input, 2), house, input) && same(at(input, 3)->key, SYSTEM), WrongAccount);
    NEED(at(input, 0)->signer, MissingSignature);
    NEED(!house->paused, IsPaused);
    NEED(amount, NothingToMove);
    u64 result = transfer(at(input, 0), at(input, 2), amount, input->accounts, input->count);
    if (result) return result;
    Event event;
    begin(&event, EVENT_DEPOSITED), put_key(&event, at(input, 0)->key), put64(&event, amount), emit(&event, input);
    return 0;
}

static u64 withdraw(Input *input, Reader *args) {
    u64 amount = take64(args);
    const u8 *request = take(args, 32);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 6, WrongAccount);
    Info *keeper = at(input, 0), *vault = at(input, 2), *player = at(input, 3), *account = at(input, 4);
    House *house = house_of(at(input, 1), input);
    NEED(house && is_vault(vault, house, input) && player->writable && same(at(input, 5)->key, SYSTEM), WrongAccount);
    NEED(keeper->signer, MissingSignature);
    NEED(same(keeper->key, house->keeper), NotKeeper);
    NEED(amount, NothingToMove);
    u8 address[KEY], bump;
    Slice seeds[] = {TEXT("withdrawal"), {request, 32}, {&bump, 1}};
    NEED(!sol_try_find_program_address(seeds, 2, input->program, address, &bump), WrongAccount);
    NEED(same(address, account->key), WrongAccount);
    NEED(!same(account->owner, input->program), AlreadyPaid);
    NEED(free_part(vault, house) >= amount, VaultTooPoor);
    NEED(bears(player, amount), BelowRent);
    Birth birth = {keeper, account, sizeof(Withdrawal), {seeds, 3}};
    u64 result = create(&birth, input);
    if (result) return result;
    Withdrawal *withdrawal = (Withdrawal *)account->data;
    set_kind(withdrawal->kind, ACCOUNT_WITHDRAWAL), withdrawal->amount = amount;
    Event event;
    begin(&event, EVENT_WITHDRAWN), put_key(&event, player->key), put64(&event, amount), put_key(&event, request);
    emit(&event, input);
    *vault->lamports -= amount;
    *player->lamports += amount;
    return 0;
}

static u64 fund_vault(Input *input, Reader *args) {
    u64 amount = take64(args);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 3, WrongAccount);
    Info *funder = at(input, 0), *vault = at(input, 1);
    u8 address[KEY], bump;
    Slice seed = TEXT("vault");
    NEED(!sol_try_find_program_address(&seed, 1, input->program, address, &bump), WrongAccount);
    NEED(same(address, vault->key) && same(vault->owner, input->program), WrongAccount);
    NEED(same(at(input, 2)->key, SYSTEM), WrongAccount);
    NEED(funder->signer, MissingSignature);
    NEED(amount, NothingToMove);
    u64 result = transfer(funder, vault, amount, input->accounts, input->count);
    if (result) return result;
    Event event;
    begin(&event, EVENT_VAULT_FUNDED), put_key(&event, funder->key), put64(&event, amount), emit(&event, input);
    return 0;
}

static u64 defund_vault(Input *input, Reader *args) {
    u64 amount = take64(args);
    NEED(spent(args), BadInstruction);
    NEED(input->count == 3, WrongAccount);
    Info *owner = at(input, 0), *vault = at(input, 2);
    House *house = house_of(at(input, 1), input);
    NEED(house && is_vault(vault, house, input) && owner->writable, WrongAccount);
    NEED(owner->signer, MissingSignature);
    NEED(same(owner->key, house->owner), NotOwner);
    NEED(amount, NothingToMove);
    NEED(free_part(vault, house) >= amount, VaultTooPoor);
    NEED(bears(owner, amount), BelowRent);
    Event event;
    begin(&event, EVENT_VAULT_DEFUNDED), put_key(&event, owner->key), put64(&event, amount), emit(&event, input);
    *vault->lamports -= amount;
    *owner->lamports += amount;
    return 0;
}

u64 entrypoint(u8 *memory) {
    Input input;
    NEED(parse(memory, &input), WrongAccount);
    NEED(input.length >= 8, BadInstruction);
    if (kind_is(input.data, EVENT_TAG)) return heard(&input);
    Reader args = {input.data + 8, input.length - 8, true};
    NEED(take_voice(&input), WrongAccount);
    if (kind_is(input.data, VERB_PLACE_BET)) return place_bet(&input, &args);
    if (kind_is(input.data, VERB_SETTLE_BET)) return settle_bet(&input, &args);
    if (kind_is(input.data, VERB_REFUND_BET)) return refund_bet(&input, &args);
    if (kind_is(input.data, VERB_COMMIT)) return commit(&input, &args);
    if (kind_is(input.data, VERB_DEPOSIT)) return deposit(&input, &args);
    if (kind_is(input.data, VERB_WITHDRAW)) return withdraw(&input, &args);
    if (kind_is(input.data, VERB_FUND_VAULT)) return fund_vault(&input, &args);
    if (kind_is(input.data, VERB_DEFUND_VAULT)) return defund_vault(&input, &args);
    if (kind_is(input.data, VERB_SET_PAUSED)) return set_paused(&input, &args);
    if (kind_is(input.data, VERB_SET_LIMITS)) return set_limits(&input, &args);
    if (kind_is(input.data, VERB_SET_KEEPER)) return set_keeper(&input, &args);
    if (kind_is(input.data, VERB_INITIALIZE)) return initialize(&input, &args);
    return BadInstruction;
}
