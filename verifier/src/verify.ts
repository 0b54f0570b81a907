/** Verify: every step from commitment to payout, in a fixed order, each with what was found. */

import { verifyPair } from "./checks/pairs.ts";
import { verifyRound } from "./checks/rounds.ts";
import type { Facts } from "./facts.ts";
import type { Proof } from "./proofs.ts";
import { Malformed } from "./reading.ts";
import type { Step } from "./steps.ts";

/** Without facts the steps that need a chain are unchecked. Raises `Malformed` for another chain's. */
export function verify(proof: Proof, facts: Facts | null): Promise<Step[]> {
  if (facts !== null && facts.chain !== proof.chain) {
    throw new Malformed("chain", `is ${proof.chain}, and the node's is ${facts.chain}`);
  }
  return proof.of === "pair" ? verifyPair(proof, facts) : verifyRound(proof, facts);
}
