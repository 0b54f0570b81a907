/** Node: the one that the player chose, asked over JSON-RPC; nothing else is ever asked. */

const PATIENCE_MS = 20_000;

/** The node did not answer, or not with what was asked for. */
export class NodeError extends Error {}

export class Node {
  private asked = 0;

  constructor(readonly url: string) {
    if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
      throw new NodeError("a node's address begins with http:// or https://");
    }
  }

  /** The result of one call; null is one, too. Raises `NodeError`. */
  async ask(method: string, params: unknown[]): Promise<unknown> {
    const body = JSON.stringify({ jsonrpc: "2.0", id: ++this.asked, method, params });
    const answer = await this.post(method, body);
    if (typeof answer !== "object" || answer === null) throw unclear(method);
    const { result, error } = answer as { result?: unknown; error?: { message?: unknown } };
    if (error) throw new NodeError(`the node refused ${method}: ${String(error.message).slice(0, 200)}`);
    if (result === undefined) throw unclear(method);
    return result;
  }

  private async post(method: string, body: string): Promise<unknown> {
    try {
      const answer = await fetch(this.url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
        credentials: "omit",
        referrerPolicy: "no-referrer",
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      return await answer.json();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new NodeError(`the node cannot be reached for ${method}: ${why}`);
    }
  }
}

export function unclear(method: string): NodeError {
  return new NodeError(`the node's answer to ${method} cannot be read`);
}
