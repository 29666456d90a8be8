import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAddressList } from './address.ts';

function show(value: string): string[] {
  return parseAddressList(value).map(({ name, route, mailbox, host }) =>
    [name, route, mailbox, host].map((part) => part ?? 'NIL').join('|'),
  );
}

const CASES: readonly (readonly [string, readonly string[]])[] = [
  ['', []],
  ['  (only a comment', []],
  ['<', ['NIL|NIL|MISSING_MAILBOX|MISSING_DOMAIN']],
  ['<>', ['NIL|NIL|MISSING_MAILBOX|MISSING_DOMAIN']],
  ['user', ['NIL|NIL|user|MISSING_DOMAIN']],
  ['Some One', ['Some One|NIL|MISSING_MAILBOX|MISSING_DOMAIN']],
  ['"unclosed <a@b>', ['NIL|NIL|MISSING_MAILBOX|MISSING_DOMAIN']],
  ['A <a@b', ['A|NIL|a|b']],
  ['A <a b@c>', ['A|NIL|a|SYNTAX_ERROR']],
  ['a@b,', ['NIL|NIL|a|b']],
  ['a@b, (c', ['NIL|NIL|a|b', ' (c|NIL|MISSING_MAILBOX|MISSING_DOMAIN']],
  ['undisclosed-recipients:;', ['NIL|NIL|undisclosed-recipients|NIL', 'NIL|NIL|NIL|NIL']],
  ['g: a@b, C <c@d>; , e@f', ['NIL|NIL|g|NIL', 'NIL|NIL|a|b', 'C|NIL|c|d', 'NIL|NIL|NIL|NIL', 'NIL|NIL|e|f']],
  ['a@b (Name)', ['Name|NIL|a|b']],
  ['"Q, \\"x\\"" <q@x>', ['Q, "x"|NIL|q|x']],
  ['J. R. Dobbs <jr@x.y>', ['J. R. Dobbs|NIL|jr|x.y']],
  ['<@r1,@r2:u@h>', ['NIL|@r1,@r2|u|h']],
  ['u@[192.0.2.1]', ['NIL|NIL|u|[192.0.2.1]']],
  ['u . v @ h . i', ['NIL|NIL|u.v|h.i']],
  ['=?utf-8?q?A?= B <a@b>', ['=?utf-8?q?A?= B|NIL|a|b']],
  ['\u00e9 <a@b>', ['\u00e9|NIL|a|b']],
];

for (const [value, expected] of CASES) {
  test(`address list ${JSON.stringify(value)}`, () => assert.deepEqual(show(value), expected));
}

test('any text gives addresses, and only group marks lack a host', () => {
  const text = fc.array(
    fc.constantFrom('a', ' ', '"', '<', '>', '@', ',', ';', ':', '(', ')', '\\', '.', '[', ']', '\r\n ', '\0', '\u00e9'),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(text, (parts) => {
      for (const { name, route, mailbox, host } of parseAddressList(parts.join(''))) {
        if (host === undefined) assert.ok(name === undefined && route === undefined);
        else assert.ok(mailbox !== undefined && host !== '');
      }
    }),
    { numRuns: 3_000 },
  );
});
