/** Words: what every step means, and what it would mean if it failed, for people who bet. */

export interface Words {
  title: string;
  means: string;
  broken: string;
}

const EVERY: Readonly<Record<string, Words>> = {
  schedule: {
    title: "Does the round belong to its batch?",
    means: "The house announces rounds in batches, with their times. This round must be one of them.",
    broken: "This round was never announced in that batch.",
  },
  commitment: {
    title: "Is the secret seed the one that was promised?",
    means:
      "The house promises its secret seeds by a fingerprint of all of them. The seed in this proof, with the " +
      "hashes beside it, must give exactly that fingerprint.",
    broken: "The seed is not the one that was promised: it was exchanged afterwards.",
  },
  "on chain": {
    title: "Does the promise stand on the chain?",
    means: "The contract must keep that fingerprint with these times and limits, put there by that transaction.",
    broken: "The chain does not have this promise, or has another one.",
  },
  "in time": {
    title: "Did the promise come before the first bet?",
    means: "When betting opened, nobody must have been able to change the fingerprint any more.",
    broken: "The promise came too late: the seed could have been chosen after bets were known.",
  },
  bets: {
    title: "Are the bets told without contradiction?",
    means: "Number, root and liability of the bets must fit together and keep the limit of the bond.",
    broken: "What is said about the bets contradicts itself, or is beyond what the bond covers.",
  },
  signature: {
    title: "Did the house sign the list of bets?",
    means: "The signer named in the promise must have signed exactly these bets. A second list would cost the house a deposit.",
    broken: "The house did not sign this.",
  },
  anchor: {
    title: "Was the list of bets fixed on the chain?",
    means: "The contract must have the same bets written down; it takes the seed only after them.",
    broken: "The contract has another list of bets: some were added, dropped or changed.",
  },
  "beacon round": {
    title: "Is the outside chance the one the rule names?",
    means:
      "Part of the result comes from outside: from the first beacon later than two seconds after betting closed, " +
      "so that nobody can pick one.",
    broken: "Another beacon was used than the rule names: it could have been picked.",
  },
  beacon: {
    title: "Is the outside chance genuine?",
    means: "Those who make this chance must have signed it, or the chain it comes from must have it.",
    broken: "This chance was not made by those who should have made it.",
  },
  outcome: {
    title: "Does the outcome follow from all of these?",
    means: "Seed, bets and beacon, computed again on this device, must give this outcome.",
    broken: "The outcome was not computed from this seed, these bets and this beacon.",
  },
  draw: {
    title: "Does the result follow from the outcome?",
    means: "The game's own rule, computed again on this device, must draw exactly this.",
    broken: "The game draws something else from this outcome.",
  },
  reveal: {
    title: "Was the seed shown on the chain, in time?",
    means: "The contract must have been shown this very seed before its deadline.",
    broken: "The contract was shown another seed, or too late.",
  },
  bet: {
    title: "Is the bet on the list?",
    means: "The bet, with account, stake and choice, must stand at its place in the list of bets.",
    broken: "This bet, as told here, is not on the signed list.",
  },
  terms: {
    title: "Was the bet played by its own terms?",
    means: "Choice and pay table must be those that the bet was bound to when it was accepted.",
    broken: "Choice, pay table or cover are not those that the bet was bound to.",
  },
  payout: {
    title: "Is the payout right?",
    means: "Stake, choice, result and pay table, computed again, must give this payout.",
    broken: "The house paid something else than the terms say.",
  },
};

const PAIRS: Readonly<Record<string, Words>> = {
  "in time": {
    title: "Did the promise come before the chance?",
    means: "When the outside chance became known, nobody must have been able to change the seed any more.",
    broken: "The promise came too late: the seed could have been chosen to fit.",
  },
  "beacon round": {
    title: "Is the outside chance the one the rule names?",
    means: "It must be the first beacon later than two seconds after the promise was final.",
    broken: "Another beacon was used than the rule names: it could have been picked.",
  },
  receipts: {
    title: "Is no bet missing or counted twice?",
    means: "Every receipt must hold on to the one before it, from the first bet to the last.",
    broken: "A bet is missing, came twice, or was slipped in.",
  },
  signature: {
    title: "Did the house sign every receipt?",
    means: "Each bet in this proof must have the house's own signature.",
    broken: "The house did not sign this receipt.",
  },
  outcome: {
    title: "Does every outcome follow from both seeds?",
    means: "The house's seed, your seed, the beacon and the number of the bet must give each outcome.",
    broken: "An outcome was not computed from these seeds.",
  },
  terms: {
    title: "Was every bet played by its own terms?",
    means: "Choice and pay table must be those that the bet was bound to when it was accepted.",
    broken: "Choice or pay table are not those that a bet was bound to.",
  },
  reveal: {
    title: "Was the seed shown on the chain?",
    means: "The contract must have been shown this very seed.",
    broken: "The contract was shown another seed.",
  },
};

export function wordsFor(step: string, of: "round" | "pair"): Words {
  const words = (of === "pair" ? PAIRS[step] : undefined) ?? EVERY[step];
  return words ?? { title: step, means: "", broken: "" };
}
