/** The scripts of Apache James in the mail corpus, where it lies beside the checkout. That server's tags, texts, dates and order of items do not bind us. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { imapHouse } from './imap-house.fixture.ts';

const corpus = join(import.meta.dirname, '../../../../shared/corpus');
const stepsFile = join(corpus, 'expected/james-imap-steps.json');

interface Script {
  readonly origin: string;
  readonly messages: readonly string[];
  readonly steps: readonly { readonly command: string; readonly append?: number; readonly expect_literal?: readonly string[] }[];
}

/** Octets of literals and STATUS items: what must be equal. */
function essence(text: string): string[] {
  const found: string[] = [];
  for (const [, name, size] of text.matchAll(/([A-Z0-9.[\]<>]+) \{(\d+)\}\r\n/g)) found.push(`${name} ${size}`);
  for (const [, items] of text.matchAll(/\* STATUS \S+ \((.*)\)/g))
    found.push(...((items ?? '').match(/(MESSAGES|UNSEEN|UIDNEXT) \d+/g)?.sort() ?? []));
  return found;
}

if (!existsSync(stepsFile)) {
  test('James scripts', { skip: 'the mail corpus is not here' }, () => undefined);
} else {
  for (const { origin, messages, steps } of JSON.parse(readFileSync(stepsFile, 'utf8')) as readonly Script[]) {
    const needsPartial = steps.some(({ command }) => command.includes('PARTIAL'));
    test(`James: ${origin}`, { skip: needsPartial ? 'PARTIAL (RFC 9394) is not offered' : false }, async (t) => {
      const client = await (await imapHouse(t)).login();
      // Named by the script's own APPEND.
      const mailbox = /APPEND (\S+)/.exec(steps.find(({ append }) => append !== undefined)?.command ?? '')?.[1] ?? 'testmailbox';
      await client.run(`CREATE ${mailbox}`);
      await client.run(`SELECT ${mailbox}`);
      for (const { command, append, expect_literal } of steps) {
        if (append !== undefined) {
          const octets = readFileSync(join(corpus, messages[append - 1] ?? ''), 'latin1');
          const options = /\S+ \S+ (.*) ?\{/.exec(command)?.[1]?.trim() ?? '';
          assert.match((await client.append(mailbox, octets, options)).at(-1) ?? '', /^\$ OK/);
          continue;
        }
        const responses = await client.run(command);
        const wanted = /^\S+ (NO|BAD)/.exec(expect_literal?.at(-1) ?? '')?.[1] ?? (command.includes('notfound') ? 'NO' : 'OK');
        assert.equal(/^\$ ([A-Z]+)/.exec(responses.at(-1) ?? '')?.[1], wanted, command);
        if (expect_literal === undefined) continue;
        assert.deepEqual(essence(responses.join('\r\n')), essence(expect_literal.join('\r\n')), command);
      }
    });
  }
}
