// Written from contracts/idl/casino.json by contracts/solana/build.py.
#pragma once
#include "sol.h"

static const u8 VERB_INITIALIZE[8] __attribute__((aligned(8))) = {175, 175, 109, 31, 13, 152, 155, 237};
static const u8 VERB_SET_KEEPER[8] __attribute__((aligned(8))) = {102, 94, 23, 78, 157, 222, 243, 214};
static const u8 VERB_SET_PAUSED[8] __attribute__((aligned(8))) = {91, 60, 125, 192, 176, 225, 166, 218};
static const u8 VERB_SET_LIMITS[8] __attribute__((aligned(8))) = {207, 50, 250, 67, 211, 33, 70, 91};
static const u8 VERB_COMMIT[8] __attribute__((aligned(8))) = {223, 140, 142, 165, 229, 208, 156, 74};
static const u8 VERB_PLACE_BET[8] __attribute__((aligned(8))) = {222, 62, 67, 220, 63, 166, 126, 33};
static const u8 VERB_SETTLE_BET[8] __attribute__((aligned(8))) = {115, 55, 234, 177, 227, 4, 10, 67};
static const u8 VERB_REFUND_BET[8] __attribute__((aligned(8))) = {209, 182, 226, 96, 55, 121, 83, 183};
static const u8 VERB_DEPOSIT[8] __attribute__((aligned(8))) = {242, 35, 198, 137, 82, 225, 242, 182};
static const u8 VERB_WITHDRAW[8] __attribute__((aligned(8))) = {183, 18, 70, 156, 148, 109, 161, 34};
static const u8 VERB_FUND_VAULT[8] __attribute__((aligned(8))) = {26, 33, 207, 242, 119, 108, 134, 73};
static const u8 VERB_DEFUND_VAULT[8] __attribute__((aligned(8))) = {16, 136, 143, 2, 31, 225, 243, 50};
static const u8 EVENT_SEED_COMMITTED[8] __attribute__((aligned(8))) = {224, 239, 12, 205, 163, 28, 63, 9};
static const u8 EVENT_BET_PLACED[8] __attribute__((aligned(8))) = {88, 88, 145, 226, 126, 206, 32, 0};
static const u8 EVENT_SEED_REVEALED[8] __attribute__((aligned(8))) = {28, 28, 203, 69, 255, 141, 240, 236};
static const u8 EVENT_BET_SETTLED[8] __attribute__((aligned(8))) = {57, 145, 224, 160, 62, 119, 227, 206};
static const u8 EVENT_BET_REFUNDED[8] __attribute__((aligned(8))) = {32, 234, 173, 102, 106, 4, 2, 203};
static const u8 EVENT_DEPOSITED[8] __attribute__((aligned(8))) = {111, 141, 26, 45, 161, 35, 100, 57};
static const u8 EVENT_WITHDRAWN[8] __attribute__((aligned(8))) = {20, 89, 223, 198, 194, 124, 219, 13};
static const u8 EVENT_VAULT_FUNDED[8] __attribute__((aligned(8))) = {192, 119, 245, 193, 55, 223, 195, 50};
static const u8 EVENT_VAULT_DEFUNDED[8] __attribute__((aligned(8))) = {47, 14, 77, 134, 33, 194, 197, 198};
static const u8 EVENT_PAUSE_SET[8] __attribute__((aligned(8))) = {175, 57, 198, 136, 192, 66, 204, 73};
static const u8 EVENT_LIMITS_SET[8] __attribute__((aligned(8))) = {53, 198, 194, 145, 146, 149, 189, 127};
static const u8 EVENT_KEEPER_SET[8] __attribute__((aligned(8))) = {116, 85, 200, 22, 76, 163, 56, 243};
static const u8 ACCOUNT_BET[8] __attribute__((aligned(8))) = {147, 23, 35, 59, 15, 75, 155, 32};
static const u8 ACCOUNT_HOUSE[8] __attribute__((aligned(8))) = {21, 145, 94, 109, 254, 199, 210, 151};
static const u8 ACCOUNT_WITHDRAWAL[8] __attribute__((aligned(8))) = {10, 45, 211, 182, 129, 235, 90, 82};

enum { NotOwner = 6000, NotKeeper = 6001, NotAuthority = 6002, IsPaused = 6003, BadSetting = 6004, BadKind = 6005, BadCount = 6006, BadRoot = 6007, IndexGap = 6008, DeadlinePassed = 6009, TooManyBatches = 6010, BadRange = 6011, BadStake = 6012, NoSeedsLeft = 6013, VaultTooPoor = 6014, SeedRefused = 6015, DeadlineAhead = 6016, NothingToMove = 6017, AlreadyPaid = 6018, WrongAccount = 6019, MissingSignature = 6020, BadInstruction = 6021, Overflow = 6022, StakeTooSmall = 6023, PrizeTooLarge = 6024, BelowRent = 6025 };
