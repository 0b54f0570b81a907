/** Verdict: one sentence over all steps, which never says more than was checked. */

import type { Status, Step } from "../steps.ts";

export interface Verdict {
  status: Status;
  says: string;
}

export function verdict(steps: Step[], titles: (step: Step) => string): Verdict {
  const count = (status: Status) => steps.filter((step) => step.status === status).length;
  const failing = steps.find((step) => step.status === "failed");
  const [failed, open] = [count("failed"), count("unchecked")];
  if (failing) {
    const more = failed > 1 ? `, and ${failed - 1} more` : "";
    return { status: "failed", says: `This proof does not hold. ${titles(failing)} No${more}.` };
  }
  if (open) {
    const says =
      `Nothing failed, and this is not proved yet: ${steps.length - open} of ${steps.length} steps ` +
      `hold, ${open} could not be checked.`;
    return { status: "unchecked", says };
  }
  return { status: "ok", says: `This proof holds: all ${steps.length} steps were checked and are right.` };
}
