import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { appendRequest } from './append.ts';
import { args, optional, optionalList } from './args.ts';
import { commandOf, REV1 } from './command.fixture.ts';
import { Cursor, type Reader } from './cursor.ts';
import { fetchRequest, storeRequest } from './fetch.ts';
import { statusItems } from './list.ts';
import { selectParameters } from './mailbox-arguments.ts';
import { mailboxName } from './mailbox-name.ts';
import { searchProgram } from './search.ts';
import { messageSet } from './sequence-set.ts';
import { commandHead } from './session-arguments.ts';
import { sortProgram, threadProgram } from './sort.ts';
import { string } from './strings.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../../..');
const corpus = process.env['POCHARD_CORPUS'] ?? join(root, '../shared/corpus');

const grammar = new Map<string, Reader<unknown>>([
  ['FETCH', args({ messages: messageSet, request: fetchRequest })],
  ['STORE', args({ messages: messageSet, request: storeRequest })],
  ['SEARCH', args({ program: searchProgram })],
  ['SORT', args({ program: sortProgram })],
  ['THREAD', args({ program: threadProgram })],
  ['STATUS', args({ mailbox: mailboxName, items: statusItems })],
  ['SELECT', args({ mailbox: mailboxName, parameters: optionalList(selectParameters) })],
  ['APPEND', args({ request: appendRequest })],
  ['CANCELUPDATE', args({ tag: string, more: optional(string) })],
  ['EXPUNGE', args({})],
]);

interface Script {
  readonly origin: string;
  readonly steps?: readonly { readonly command?: string; readonly append?: unknown }[];
}

/** A script's variables, and the message that an APPEND leaves to the player. */
function filledIn(step: string): string | undefined {
  // `append` and `append $mailbox (\seen)` stand for an action of the player and not for a line.
  if (/^append( \$mailbox.*)?$/i.test(step)) return undefined;
  const line = step
    .replaceAll('$$', '\u0001')
    .replaceAll(/\$(mailbox|searchtag)/g, 'box')
    .replaceAll(/\$\w+/g, '42')
    .replaceAll('\u0001', '$');
  return line.replace(/\{(\d+)\+\}$/, (marker: string, size: string) => `${marker}\r\n${'x'.repeat(Number(size))}`);
}

for (const name of ['imaptest-steps', 'james-imap-steps', 'peer-imap']) {
  const path = join(corpus, 'expected', `${name}.json`);
  test(`every command that ${name}.json has a client say is understood`, {
    skip: existsSync(path) ? false : `SKIPPED: no corpus at ${corpus}, set POCHARD_CORPUS`,
  }, (t) => {
    const scripts: readonly Script[] = JSON.parse(readFileSync(path, 'utf8'));
    let lines = 0;
    for (const { origin, steps } of scripts) {
      for (const { command } of steps ?? []) {
        const line = command === undefined ? undefined : filledIn(command);
        if (line === undefined) continue;
        lines += 1;
        const cursor = new Cursor(commandOf(`a1 ${line}`), REV1);
        const head = commandHead(cursor);
        const reader = grammar.get(head.name);
        assert(reader !== undefined, `${origin}: ${line}`);
        assert.doesNotThrow(() => reader(cursor), `${origin}: ${line}`);
      }
    }
    t.diagnostic(`${lines} lines`);
  });
}
