/** Steps: what was looked at, what had to be there, and what was. */

import { hex, same, type Bytes } from "./bytes.ts";
import { canonical, signerOf } from "./signatures.ts";

export type Status = "ok" | "failed" | "unchecked";

export interface Step {
  name: string;
  expected: string;
  found: string;
  status: Status;
}

export function judged(name: string, expected: string, found: string, held: boolean): Step {
  return { name, expected, found, status: held ? "ok" : "failed" };
}

export function failed(name: string, expected: string, found: string): Step {
  return judged(name, expected, found, false);
}

export function compared(name: string, expected: string, found: string): Step {
  return judged(name, expected, found, expected === found);
}

export function unchecked(name: string, expected: string, why = "needs a node: none was asked"): Step {
  return { name, expected, found: why, status: "unchecked" };
}

/** Whether the signer made this signature over the digest, in its one accepted form. */
export function signed(name: string, digest: Bytes, signature: Bytes, signer: Bytes): Step {
  const expected = `0x${hex(signer)}`;
  if (!canonical(signature)) {
    return failed(name, expected, "no signature with v of 27 or 28 and low s");
  }
  const found = signerOf(digest, signature);
  if (found === null) return failed(name, expected, "a signature of nobody");
  return judged(name, expected, `0x${hex(found)}`, same(found, signer));
}
