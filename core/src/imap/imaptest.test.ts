/** The scripts of Dovecot's imaptest in the mail corpus, where it lies beside the checkout. Skipped, and said so, where it does not. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { imapHouse } from './imap-house.fixture.ts';
import type { WireClient } from './wire-client.fixture.ts';

const corpus = join(import.meta.dirname, '../../../../shared/corpus');
const stepsFile = join(corpus, 'expected/imaptest-steps.json');

interface Script {
  readonly origin: string;
  readonly mailbox: string;
  readonly header: readonly string[];
  readonly steps: readonly { readonly command: string; readonly result: string; readonly expect: readonly string[] }[];
}
type Value = string | readonly Value[];

/** Extensions that are not offered yet. */
const MISSING = /SORT|THREAD|CONTEXT/;

/** Answers that differ, and why. Keyed by script and command. */
const DIFFERENCES: ReadonlyMap<string, string> = new Map([
  [
    'dovecot/imaptest search-addresses: search from user-from@domain.org',
    'mail/search looks in the text of the field; comments inside an address (`user (x)@ (y) domain`) hide what the envelope would show',
  ],
]);

function messagesOf(mbox: string): string[] {
  return mbox
    .split(/^From .*\n/m)
    .slice(1)
    .map((text, at, all) => (at < all.length - 1 ? text.replace(/\n$/, '') : text).replaceAll(/\r?\n/g, '\r\n'));
}

/** Lists, strings and atoms; everything that is not a literal's content in lower case. */
function parse(text: string): Value[] {
  const stack: Value[][] = [[]];
  const add = (value: Value) => stack.at(-1)?.push(value);
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at);
    const literal = /^~?\{(\d+)\}\r\n/.exec(rest);
    if (rest.startsWith('{{{\n')) {
      const end = rest.indexOf('\n}}}');
      add(rest.slice(4, end).replaceAll('\n', '\r\n').toLowerCase());
      at += end + 4;
    } else if (literal !== null) {
      const start = at + literal[0].length;
      add(text.slice(start, start + Number(literal[1])).toLowerCase());
      at = start + Number(literal[1]);
    } else if (/^[([]/.test(rest)) {
      stack.push([]);
      at += 1;
    } else if (/^[)\]]/.test(rest)) {
      add(stack.pop() ?? []);
      at += 1;
    } else if (rest.startsWith('"')) {
      const quoted = /^"((?:[^"\\]|\\.)*)"/.exec(rest);
      add((quoted?.[1] ?? '').replaceAll(/\\(.)/g, '$1').toLowerCase());
      at += quoted?.[0].length ?? 1;
    } else if (/^\s/.test(rest)) at += 1;
    else {
      const atom = /^[^\s()[\]"]+/.exec(rest)?.[0] ?? rest;
      add(atom.toLowerCase());
      at += atom.length;
    }
  }
  return stack[0] ?? [];
}

type Bound = Map<string, Value>;

function matches(expected: Value, actual: Value | undefined, bound: Bound): boolean {
  if (actual === undefined) return false;
  if (typeof expected === 'string') {
    if (expected.startsWith('$$')) return actual === expected.slice(1);
    if (!/^\$[a-z]/.test(expected)) return typeof actual === 'string' && resolved(expected, bound) === actual;
    const known = bound.get(expected);
    if (known !== undefined) return JSON.stringify(known) === JSON.stringify(actual);
    bound.set(expected, actual);
    return true;
  }
  if (typeof actual === 'string') return false;
  if (expected[0] === '$!unordered') {
    const left = [...actual];
    return expected.slice(1).every((item) => {
      const found = left.findIndex((candidate) => matches(item, candidate, bound));
      if (found >= 0) left.splice(found, 1);
      return found >= 0;
    });
  }
  const items = actual.filter((item) => item !== '\\recent'); // the scripts come from a server without it
  return expected.length === items.length && expected.every((item, index) => matches(item, items[index], bound));
}

/** `$uid1:$uid3` inside an atom. */
function resolved(text: string, bound: Bound): string {
  return text.replaceAll(/\$[a-z_0-9]+/g, (name) => {
    const value = bound.get(name);
    return typeof value === 'string' ? value : name;
  });
}

/** FETCH: the items that are expected must be there, others may. OK: what follows the code does not count. */
function matchesResponse(expected: readonly Value[], actual: readonly Value[], bound: Bound): boolean {
  const attempt: Bound = new Map(bound);
  let isMatch: boolean;
  if (expected[2] === 'fetch' && actual[2] === 'fetch') {
    const wanted = expected[3] ?? [];
    const given = actual[3] ?? [];
    isMatch = expected[1] === actual[1] && typeof wanted !== 'string' && typeof given !== 'string' && hasPairs(wanted, given, attempt);
  } else if (expected[1] === 'ok') isMatch = expected.every((item, index) => matches(item, actual[index], attempt));
  else isMatch = matches(expected, actual, attempt);
  if (isMatch) for (const [name, value] of attempt) bound.set(name, value);
  return isMatch;
}

/** Names may be followed by brackets, so a pair is found by comparing at every place. */
function hasPairs(wanted: readonly Value[], given: readonly Value[], bound: Bound): boolean {
  for (let start = 0; start + wanted.length <= given.length; start++) {
    const attempt: Bound = new Map(bound);
    if (wanted.every((item, index) => matches(item, given[start + index], attempt))) {
      for (const [name, value] of attempt) bound.set(name, value);
      return true;
    }
  }
  return false;
}

async function runStep(
  client: WireClient,
  step: Script['steps'][number],
  bound: Bound,
  append: () => Promise<string[]>,
): Promise<string | undefined> {
  bound.delete('$tag');
  const command = resolved(step.command.replaceAll('$$', '\0'), bound).replaceAll('\0', '$');
  const responses = step.command === 'append' ? await append() : await client.run(command);
  bound.set('$tag', '$');
  const end = responses.at(-1) ?? '';
  if (!end.toLowerCase().startsWith(`$ ${step.result}`)) return `${command}: ${end}`;
  const actual = responses.slice(0, -1).map(parse);
  for (const line of step.expect) {
    const isForbidden = line.startsWith('! ');
    const expected = parse(line.replace('! ', '* '));
    const at = actual.findIndex((response) => matchesResponse(expected, response, bound));
    if (isForbidden) {
      if (at >= 0) return `${command}: unwanted ${line}`;
      continue;
    }
    if (at < 0) return `${command}: expected ${line}, got ${JSON.stringify(responses)}`;
    actual.splice(at, 1);
  }
  return undefined;
}

if (!existsSync(stepsFile)) {
  test('imaptest scripts', { skip: 'the mail corpus is not here' }, () => undefined);
} else {
  const scripts = JSON.parse(readFileSync(stepsFile, 'utf8')) as readonly Script[];
  for (const { origin, mailbox, header, steps } of scripts) {
    const needs = header.find((line) => line.startsWith('capabilities:')) ?? '';
    test(`imaptest: ${origin}`, { skip: MISSING.test(needs) ? `${needs} not offered` : false }, async (t) => {
      const house = await imapHouse(t, { limits: { imapBadCommands: 1000 } });
      const client = await house.login();
      await client.run('CREATE imaptest');
      const messages = messagesOf(readFileSync(join(corpus, mailbox), 'latin1'));
      const count = header.includes('messages: all') ? messages.length : Number(/messages: (\d+)/.exec(header.join('\n'))?.[1] ?? 0);
      for (const message of messages.slice(0, count)) await client.append('imaptest', message);
      await client.run('SELECT imaptest');
      const bound: Bound = new Map([['$mailbox', 'imaptest']]);
      let next = count;
      const faults: string[] = [];
      for (const step of steps) {
        const fault = await runStep(client, step, bound, () => client.append('imaptest', messages[next++] ?? ''));
        if (fault === undefined) continue;
        const reason = DIFFERENCES.get(`${origin}: ${step.command}`);
        if (reason === undefined) faults.push(fault);
        else t.diagnostic(`${step.command}: ${reason}`);
      }
      assert.deepEqual(faults, []);
    });
  }
}
