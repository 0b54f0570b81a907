/** Reading: JSON taken strictly, so that a proof means one thing or is refused by the field's name. */

import { unhex, type Bytes } from "./bytes.ts";

const DECIMAL = /^(?:0|[1-9][0-9]{0,77})$/;
const HEX = /^(?:[0-9a-f]{2})*$/;
const WORDS = /^[!-~]{1,160}$/;

/** What cannot be read; `field` is where, such as `schedule.first`. */
export class Malformed extends Error {
  constructor(
    readonly field: string,
    readonly reason: string,
  ) {
    super(`${field}: ${reason}`);
  }
}

export type Read<T> = (value: unknown, path: string) => T;

/** One object, with exactly the fields it must have. */
export class Fields {
  private readonly value: Record<string, unknown>;

  constructor(
    value: unknown,
    private readonly at: string,
    names: readonly string[],
  ) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new Malformed(at || "proof", "is no object");
    }
    this.value = value as Record<string, unknown>;
    for (const name of names) {
      if (!Object.hasOwn(value, name)) throw new Malformed(this.path(name), "is missing");
    }
    for (const name of Object.keys(value)) {
      if (!names.includes(name)) throw new Malformed(this.path(name.slice(0, 40)), "is no field of it");
    }
  }

  path(name: string): string {
    return this.at ? `${this.at}.${name}` : name;
  }

  take<T>(name: string, read: Read<T>): T {
    return read(this.value[name], this.path(name));
  }

  /** Null where the file says null. */
  maybe<T>(name: string, read: Read<T>): T | null {
    return this.value[name] === null ? null : this.take(name, read);
  }

  inner(name: string, names: readonly string[]): Fields {
    return this.take(name, (value, path) => new Fields(value, path, names));
  }

  text(name: string, pattern: RegExp = WORDS): string {
    return this.take(name, text(pattern));
  }

  number(name: string, bits = 64): bigint {
    return this.take(name, whole(bits));
  }

  bytes(name: string, least: number, most: number = least): Bytes {
    return this.take(name, raw(least, most));
  }

  hash(name: string): Bytes {
    return this.bytes(name, 32);
  }

  rows<T>(name: string, read: Read<T>, most: number): T[] {
    return this.take(name, rows(read, most));
  }
}

export function text(pattern: RegExp): Read<string> {
  return (value, path) => {
    if (typeof value !== "string") throw new Malformed(path, "is no text");
    if (!pattern.test(value)) throw new Malformed(path, `does not read ${pattern.source}`);
    return value;
  };
}

export function whole(bits: number): Read<bigint> {
  return (value, path) => {
    if (typeof value !== "string" || !DECIMAL.test(value)) {
      throw new Malformed(path, "is no number as decimal digits without sign or leading zeros");
    }
    const read = BigInt(value);
    if (read >> BigInt(bits)) throw new Malformed(path, `is beyond 2^${bits}-1`);
    return read;
  };
}

/** Lower-case hex digits of so many bytes. */
export function raw(least: number, most: number): Read<Bytes> {
  return (value, path) => {
    if (typeof value !== "string") throw new Malformed(path, "is no text of hex digits");
    const size = value.length / 2;
    if (!Number.isInteger(size) || size < least || size > most) {
      const told = least === most ? `${least}` : `${least}..${most}`;
      throw new Malformed(path, `has ${told} bytes, not ${value.length} hex digits`);
    }
    if (!HEX.test(value)) throw new Malformed(path, "is not in lower-case hex digits");
    return unhex(value);
  };
}

export function rows<T>(read: Read<T>, most: number): Read<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw new Malformed(path, "is no list");
    if (value.length > most) {
      throw new Malformed(path, `has at most ${most} entries, not ${value.length}`);
    }
    return value.map((entry: unknown, at) => read(entry, `${path}[${at}]`));
  };
}
