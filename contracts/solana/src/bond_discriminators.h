// Written from contracts/idl/bond.json by contracts/solana/build.py.
#pragma once
#include "sol.h"

static const u8 VERB_INITIALIZE[8] __attribute__((aligned(8))) = {175, 175, 109, 31, 13, 152, 155, 237};
static const u8 VERB_SET_KEEPER[8] __attribute__((aligned(8))) = {102, 94, 23, 78, 157, 222, 243, 214};
static const u8 VERB_SET_SIGNER[8] __attribute__((aligned(8))) = {127, 120, 252, 184, 97, 4, 88, 68};
static const u8 VERB_SET_PAUSED[8] __attribute__((aligned(8))) = {91, 60, 125, 192, 176, 225, 166, 218};
static const u8 VERB_FUND[8] __attribute__((aligned(8))) = {218, 188, 111, 221, 152, 113, 174, 7};
static const u8 VERB_WITHDRAW[8] __attribute__((aligned(8))) = {183, 18, 70, 156, 148, 109, 161, 34};
static const u8 VERB_COMMIT[8] __attribute__((aligned(8))) = {223, 140, 142, 165, 229, 208, 156, 74};
static const u8 VERB_ANCHOR[8] __attribute__((aligned(8))) = {65, 255, 82, 66, 225, 61, 206, 237};
static const u8 VERB_REVEAL[8] __attribute__((aligned(8))) = {9, 35, 59, 190, 167, 249, 76, 115};
static const u8 VERB_CLAIM[8] __attribute__((aligned(8))) = {62, 198, 214, 193, 213, 159, 108, 210};
static const u8 VERB_SLASH[8] __attribute__((aligned(8))) = {204, 141, 18, 161, 8, 177, 92, 142};
static const u8 VERB_RELEASE[8] __attribute__((aligned(8))) = {253, 249, 15, 206, 28, 127, 193, 241};
static const u8 VERB_COMMIT_PAIRS[8] __attribute__((aligned(8))) = {108, 173, 194, 126, 120, 5, 73, 198};
static const u8 VERB_REVEAL_PAIR[8] __attribute__((aligned(8))) = {177, 92, 57, 228, 255, 135, 132, 180};
static const u8 EVENT_ROUNDS_COMMITTED[8] __attribute__((aligned(8))) = {76, 132, 237, 64, 233, 215, 161, 23};
static const u8 EVENT_ROOTS_ANCHORED[8] __attribute__((aligned(8))) = {128, 45, 239, 76, 221, 223, 235, 32};
static const u8 EVENT_ROUND_REVEALED[8] __attribute__((aligned(8))) = {99, 213, 118, 5, 55, 211, 57, 71};
static const u8 EVENT_BOND_CLAIMED[8] __attribute__((aligned(8))) = {4, 151, 48, 253, 112, 78, 238, 101};
static const u8 EVENT_BOND_SLASHED[8] __attribute__((aligned(8))) = {59, 7, 252, 195, 234, 156, 42, 54};
static const u8 EVENT_PAIRS_COMMITTED[8] __attribute__((aligned(8))) = {114, 128, 171, 190, 116, 217, 219, 77};
static const u8 EVENT_PAIR_REVEALED[8] __attribute__((aligned(8))) = {5, 116, 128, 227, 86, 50, 136, 118};
static const u8 EVENT_BATCH_RELEASED[8] __attribute__((aligned(8))) = {113, 80, 243, 104, 145, 61, 180, 21};
static const u8 EVENT_BOND_FUNDED[8] __attribute__((aligned(8))) = {127, 112, 28, 221, 193, 31, 236, 237};
static const u8 EVENT_BOND_WITHDRAWN[8] __attribute__((aligned(8))) = {111, 192, 154, 231, 58, 115, 130, 103};
static const u8 EVENT_PAUSE_SET[8] __attribute__((aligned(8))) = {175, 57, 198, 136, 192, 66, 204, 73};
static const u8 EVENT_KEEPER_SET[8] __attribute__((aligned(8))) = {116, 85, 200, 22, 76, 163, 56, 243};
static const u8 EVENT_SIGNER_SET[8] __attribute__((aligned(8))) = {137, 203, 187, 74, 141, 187, 226, 95};
static const u8 ACCOUNT_BATCH[8] __attribute__((aligned(8))) = {156, 194, 70, 44, 22, 88, 137, 44};
static const u8 ACCOUNT_BOND[8] __attribute__((aligned(8))) = {224, 128, 48, 251, 182, 246, 111, 196};
static const u8 ACCOUNT_CLAIM[8] __attribute__((aligned(8))) = {155, 70, 22, 176, 123, 215, 246, 102};
static const u8 ACCOUNT_NUMBERING[8] __attribute__((aligned(8))) = {9, 74, 12, 53, 157, 36, 158, 92};
static const u8 ACCOUNT_PAIRS[8] __attribute__((aligned(8))) = {143, 17, 187, 25, 71, 65, 58, 69};
static const u8 ACCOUNT_TABLE[8] __attribute__((aligned(8))) = {34, 100, 138, 97, 236, 129, 230, 112};
static const u8 ACCOUNT_VOID[8] __attribute__((aligned(8))) = {215, 46, 151, 20, 99, 49, 43, 188};

enum { NotOwner = 6000, NotKeeper = 6001, NotAuthority = 6002, IsPaused = 6003, BadSetting = 6004, BadTable = 6005, BadKind = 6006, BadCount = 6007, BadRoot = 6008, BadSchedule = 6009, BadLiability = 6010, IndexGap = 6011, LateCommit = 6012, Overlap = 6013, BondTooSmall = 6014, NoSuchBatch = 6015, NoSuchRound = 6016, RoundOpen = 6017, DeadlinePassed = 6018, DeadlineAhead = 6019, NotAnchored = 6020, AlreadyAnchored = 6021, AlreadyRevealed = 6022, AlreadyClaimed = 6023, AlreadySlashed = 6024, SeedRefused = 6025, BetRefused = 6026, BadSignature = 6027, WrongSigner = 6028, AnotherRoot = 6029, NoContradiction = 6030, NothingLeft = 6031, NothingToMove = 6032, BadRecipient = 6033, WrongAccount = 6034, MissingSignature = 6035, BadInstruction = 6036, Overflow = 6037, BelowRent = 6038, BadAccount = 6039, NoSuchPair = 6040 };
