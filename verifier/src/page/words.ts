/** Words: what every step means, and what it would mean if it failed, for people who bet. */

export interface Words {
  title: string;
  means: string;
  broken: string;
}

const EVERY: Readonly<Record<string, Words>> = {
  schedule: {
    title: "The round belongs to its batch",
    means: "The house announces rounds in batches, with their times. This round is one of them.",
    broken: "This round was never announced in that batch.",
  },
  commitment: {
    title: "The secret seed is the one that was promised",
    means:
      "Before betting, the house published a fingerprint of all its secret seeds. The seed in this proof, " +
      "with the hashes beside it, gives exactly that fingerprint.",
    broken: "The seed is not the one that was promised: it was exchanged afterwards.",
  },
  "on chain": {
    title: "The promise stands on the chain",
    means: "The contract keeps that fingerprint with these times and limits, put there by that transaction.",
    broken: "The chain does not have this promise, or has another one.",
  },
  "in time": {
    title: "The promise came before the first bet",
    means: "The fingerprint could no longer be changed when betting opened.",
    broken: "The promise came too late: the seed could have been chosen after bets were known.",
  },
  bets: {
    title: "The bets are told without contradiction",
    means: "Number, root and liability of the bets fit together and keep the limit of the bond.",
    broken: "What is said about the bets contradicts itself, or is beyond what the bond covers.",
  },
  signature: {
    title: "The house signed the list of bets",
    means: "The signer named in the promise signed exactly these bets: who changes them later loses a deposit.",
    broken: "The house did not sign this.",
  },
  anchor: {
    title: "The list of bets was fixed on the chain",
    means: "The contract has the same bets written down, from before the seed was shown.",
    broken: "The contract has another list of bets: some were added, dropped or changed.",
  },
  "beacon round": {
    title: "The outside chance is the one the rule names",
    means:
      "Part of the result comes from outside, from the first beacon later than two seconds after betting closed. " +
      "Nobody could pick another one.",
    broken: "Another beacon was used than the rule names: it could have been picked.",
  },
  beacon: {
    title: "The outside chance is genuine",
    means: "Those who make this chance signed it, or the chain it comes from has it.",
    broken: "This chance was not made by those who should have made it.",
  },
  outcome: {
    title: "The outcome follows from all of these",
    means: "Seed, bets and beacon, computed again on this device, give this outcome and no other.",
    broken: "The outcome was not computed from this seed, these bets and this beacon.",
  },
  draw: {
    title: "The result follows from the outcome",
    means: "The game's own rule, computed again on this device, draws exactly this.",
    broken: "The game draws something else from this outcome.",
  },
  reveal: {
    title: "The seed was shown on the chain, in time",
    means: "The contract was shown this very seed before its deadline.",
    broken: "The contract was shown another seed, or too late.",
  },
  bet: {
    title: "Your bet is on the list",
    means: "This bet, with account, stake and choice, stands at its place in the signed list of bets.",
    broken: "This bet, as told here, is not on the signed list.",
  },
  terms: {
    title: "Your bet was played by its own terms",
    means: "Choice and pay table are those the bet was bound to when it was accepted.",
    broken: "Choice, pay table or cover are not those that the bet was bound to.",
  },
  payout: {
    title: "The payout is right",
    means: "Stake, choice, result and pay table, computed again, give this payout.",
    broken: "The house paid something else than the terms say.",
  },
};

const PAIRS: Readonly<Record<string, Words>> = {
  "in time": {
    title: "The promise came before the chance",
    means: "The seed could no longer be changed when the outside chance became known.",
    broken: "The promise came too late: the seed could have been chosen to fit.",
  },
  "beacon round": {
    title: "The outside chance is the one the rule names",
    means: "It is the first beacon later than two seconds after the promise was final.",
    broken: "Another beacon was used than the rule names: it could have been picked.",
  },
  receipts: {
    title: "No bet is missing or counted twice",
    means: "Every receipt holds on to the one before it, from the first bet to the last.",
    broken: "A bet is missing, came twice, or was slipped in.",
  },
  signature: {
    title: "The house signed every receipt",
    means: "Each bet in this proof has the house's own signature.",
    broken: "The house did not sign this receipt.",
  },
  outcome: {
    title: "Every outcome follows from both seeds",
    means: "The house's seed, your seed, the beacon and the number of the bet give this outcome.",
    broken: "An outcome was not computed from these seeds.",
  },
  terms: {
    title: "Every bet was played by its own terms",
    means: "Choice and pay table are those the bet was bound to when it was accepted.",
    broken: "Choice or pay table are not those that a bet was bound to.",
  },
  reveal: {
    title: "The seed was shown on the chain",
    means: "The contract was shown this very seed.",
    broken: "The contract was shown another seed.",
  },
};

export function wordsFor(step: string, of: "round" | "pair"): Words {
  const words = (of === "pair" ? PAIRS[step] : undefined) ?? EVERY[step];
  return words ?? { title: step, means: "", broken: "" };
}
