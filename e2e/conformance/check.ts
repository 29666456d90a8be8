/**
 * A check is one row: what the RFC says, what is sent, how it ends, what comes before. The tables beside this file hold nothing else.
 *
 * `send`: a command without its tag. `B: ` before it names another session of the account (the first is A). A literal stands in it as
 * `lit(text)` makes it and is sent after the continuation. `raw: ` sends the line as it is; `DONE` and `= ` lines go on with the command
 * before; `hear` sends nothing and waits for as many responses as are named.
 *
 * Patterns: `…` is any text, `#` a number, `<name>` a value that is remembered, must be the same next time and can be sent; `"$"` the tag.
 * Of the tagged response a bare word means any code and text. Untagged patterns are complete and in order, without the `* `; a pattern
 * `…` alone lets others come between, `!pattern` must not come.
 */

export type Mode = 'plain' | 'tls' | 'compress' | 'rev2';
/** `undefined`: nothing in that revision. */
export interface ByRevision {
  readonly rev1: string | undefined;
  readonly rev2: string | undefined;
}
export type Pattern = string | ByRevision;
export type Check = readonly [section: string, send: Pattern, end: Pattern, ...untagged: Pattern[]];

export interface Group {
  /** `RFC 6851: MOVE`. */
  readonly name: string;
  /** Capabilities that must be offered; also those that ENABLE needs. */
  readonly needs?: readonly string[];
  /** Without: nobody logs in, and `plain` only. */
  readonly login?: 'none';
  /** `\Recent` and RECENT count; else they are left out of what is compared. */
  readonly recent?: 'counts';
  readonly only?: 'rev1' | 'rev2';
  /** Limits other than the usual ones: a server of its own. */
  readonly limits?: Readonly<Record<string, number>>;
  /** Of the account. */
  readonly account?: Readonly<Record<string, unknown>>;
  /** Commands that must end with OK before the checks. */
  readonly setup?: readonly string[];
  readonly checks: readonly Check[];
}

export function byRevision(rev1: string | undefined, rev2: string | undefined): ByRevision {
  return { rev1, rev2 };
}

export function textFor(pattern: Pattern, revision: 'rev1' | 'rev2'): string | undefined {
  return typeof pattern === 'string' ? pattern : pattern[revision];
}

/** What an untagged SEARCH says in rev1, ESEARCH in rev2; `set` as `1:3,5`, '' for nothing. */
export function found(set: string, form: '' | 'UID' = ''): ByRevision {
  const numbers: number[] = [];
  for (const range of set.split(',')) {
    const [from = 0, to = from] = range.split(':').map(Number);
    for (let number = from; set !== '' && number <= to; number += 1) numbers.push(number);
  }
  return {
    rev1: ['SEARCH', ...numbers].join(' '),
    rev2: `ESEARCH (TAG "$")${form === '' ? '' : ' UID'}${set === '' ? '' : ` ALL ${set}`}`,
  };
}

/** A literal, in a command or in a response. */
export function lit(text: string, kind: '' | '+' = '', prefix: '' | '~' = ''): string {
  return `${prefix}{${Buffer.byteLength(text, 'latin1')}${kind}}\r\n${text}`;
}

export function append(mailbox: string, message: string, options = ''): string {
  return `APPEND ${mailbox} ${options === '' ? '' : `${options} `}${lit(message)}`;
}

/** LF becomes CRLF. */
export function mail(text: string): string {
  return text.replaceAll('\n', '\r\n');
}

/** Sections of malformed commands that all end with BAD. */
export function bad(section: string, ...sends: readonly string[]): Check[] {
  return sends.map((send) => [section, send, 'BAD'] as const);
}

export class Patterns {
  readonly values = new Map<string, string>();

  /** Undefined, or the names that are new. */
  match(pattern: string, actual: string, tag: string): ReadonlyMap<string, string> | undefined {
    const names: string[] = [];
    let source = '^';
    for (const piece of pattern.replaceAll('"$"', `"${tag}"`).split(/(…|#|<[a-z]\w*>)/)) {
      const name = /^<([a-z]\w*)>$/.exec(piece)?.[1];
      const value = name === undefined ? undefined : this.values.get(name);
      if (piece === '…') source += '[\\s\\S]*?';
      else if (piece === '#') source += '\\d+';
      else if (value !== undefined) source += quoted(value);
      else if (name !== undefined && names.includes(name)) source += `\\${names.indexOf(name) + 1}`;
      else if (name !== undefined) {
        names.push(name);
        source += '([^ ()\\]]+)';
      } else source += quoted(piece);
    }
    const found = new RegExp(`${source}$`).exec(actual);
    if (found === null) return undefined;
    return new Map(names.map((name, index) => [name, found[index + 1] ?? '']));
  }

  remember(found: ReadonlyMap<string, string>): void {
    for (const [name, value] of found) this.values.set(name, value);
  }

  /** @throws Error for a name that has no value */
  fill(text: string): string {
    return text.replaceAll(/<([a-z]\w*)>/g, (whole, name: string) => this.values.get(name) ?? whole);
  }
}

function quoted(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
