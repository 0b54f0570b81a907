/** Hashes: SHA-256 and HMAC by the browser itself where it lets us, and fields under a name. */

import { hmac as nobleHmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";

import { ascii, big, join, type Bytes } from "./bytes.ts";

// A page that came over plain HTTP from another machine has no WebCrypto; its own code does it then.
const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;

export async function sha256(...parts: Uint8Array[]): Promise<Bytes> {
  const message = join(...parts);
  if (!subtle) return join(nobleSha256(message));
  return new Uint8Array(await subtle.digest("SHA-256", message));
}

export async function hmac(key: Bytes, message: Bytes): Promise<Bytes> {
  if (!subtle) return join(nobleHmac(nobleSha256, key, message));
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return new Uint8Array(await subtle.sign("HMAC", imported, message));
}

/** `cgf/v1/<name> 00`, then each field behind its length as two bytes, big-endian. */
export function tag(name: string, ...fields: Uint8Array[]): Bytes {
  const prefixed = fields.flatMap((field) => [big(BigInt(field.length), 2), field]);
  return join(ascii(`cgf/v1/${name}\0`), ...prefixed);
}

export function tagged(name: string, ...fields: Uint8Array[]): Promise<Bytes> {
  return sha256(tag(name, ...fields));
}
