import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ListedAccount, ListFilter } from './account-listing.ts';
import { accountLine, accountsCommand, shownName, storedText } from './accounts-command.ts';
import type { DirectoryUser } from './directory.ts';

const ada: DirectoryUser = {
  login: 'ada@a.example',
  password: undefined,
  mayLogIn: true,
  receives: true,
  seed: { username: 'ada@a.example', allow: ['imap', 'submission', 'http'] },
};
function account(user: Partial<DirectoryUser>, over: Partial<ListedAccount> = {}): ListedAccount {
  return { login: 'ada@a.example', address: 'ada@a.example', user: { ...ada, ...user }, domain: 'active', ...over };
}
/** What the command prints where `count` users are. */
async function printed(
  args: readonly string[],
  count = 0,
): Promise<{ readonly lines: readonly string[]; readonly filter: ListFilter | undefined }> {
  const lines: string[] = [];
  let filter: ListFilter | undefined;
  const command = accountsCommand({
    async *accounts(wanted) {
      filter = wanted;
      for (let at = 0; at < count; at += 1) yield account({}, { login: `it's ${at}` });
    },
  });
  const call = { print: (line: string) => lines.push(line), signal: AbortSignal.timeout(10_000) } as unknown as Parameters<
    typeof command.run
  >[1];
  await command.run(args, call);
  return { lines, filter };
}

for (const [why, args, expected] of [
  ['another word', ['users'], /^Refusal: Usage: pochard auth-mysql accounts/],
  ['two words', ['accounts', 'more'], /Usage/],
  ['an unknown option', ['accounts', '--password', 'x'], /Usage/],
  ['an option without its value', ['accounts', '--like'], /Usage/],
  ['a limit of nothing', ['accounts', '--limit', '0'], /--limit is a number/],
  ['a limit that is none', ['accounts', '--limit', '1e3'], /--limit is a number/],
  ['a limit beyond what may be printed', ['accounts', '--limit', '50001'], /--limit is a number/],
  ['what is no domain', ['accounts', '--domain', 'a b'], /--domain is not a domain/],
] as const) {
  test(`refused: ${why}`, async () => assert.rejects(printed(args), expected));
}
test('own queries without a list say so', async () => {
  const command = accountsCommand(undefined);
  const call = { print: assert.fail, signal: AbortSignal.timeout(10_000) } as unknown as Parameters<typeof command.run>[1];
  await assert.rejects(async () => command.run(['accounts'], call), /has no queries\.list/);
});
test('without arguments it says what there is', async () =>
  assert.match((await printed([])).lines.join(), /^pochard auth-mysql accounts \[/));

test('as many as the limit, and how to go on only when there are more', async () => {
  assert.deepEqual((await printed(['accounts', '--limit', '2'], 2)).lines.length, 2);
  const { lines } = await printed(['accounts', '--limit', '2'], 3);
  assert.equal(lines.length, 3);
  assert.equal(lines[2], "# more: --after 'it'\\''s 1'");
});
test('a domain is folded, and a name is taken as it was shown', async () => {
  const { filter } = await printed(['accounts', '--domain', 'XN--BCHER-KVA.example', '--like', 'a', '--after', 'x\\u{1b}\\u{5c}']);
  assert.deepEqual(filter, { domain: 'bücher.example', like: 'a', after: 'x\u001b\\' });
});

test('every state is told with its reason', () => {
  const state = (listed: ListedAccount) => accountLine(listed).split('\t')[2];
  assert.equal(state(account({})), 'enabled');
  assert.equal(state(account({ receives: false })), 'enabled, gets no mail');
  assert.equal(state(account({ mayLogIn: false, receives: false })), 'disabled (not active)');
  assert.equal(state(account({ mayLogIn: false })), 'disabled (no login), gets mail');
  assert.equal(state(account({ seed: { ...ada.seed, allow: [] } })), 'disabled (no protocol)');
  assert.equal(state(account({}, { domain: 'disabled' })), 'disabled (domain disabled)');
  assert.equal(state(account({}, { domain: 'unlisted' })), 'disabled (domain not listed)');
  assert.equal(state({ login: '\t', address: '', user: undefined, domain: 'active' }), 'disabled (no usable name)');
});
test('a line is five fields, whatever the names hold, and no password is among them', () => {
  const line = accountLine(
    account({ password: '{PLAIN}s3cret', seed: { ...ada.seed, quotaOctets: 4096 } }, { login: 'a\tb\nc', address: 'd\te' }),
  );
  assert.equal(line, 'a\\u{9}b\\u{a}c\td\\u{9}e\tenabled\timap,submission,http\t4096 octets');
});
test('what moves a cursor, hides or reorders is spelled out and read again', () => {
  const name = 'a\u001b[2J\u0085\u202e\u2028\u200b\u00ad\ue000\\é€😀 b';
  const shown = shownName(name);
  assert.equal(shown, 'a\\u{1b}[2J\\u{85}\\u{202e}\\u{2028}\\u{200b}\\u{ad}\\u{e000}\\u{5c}é€😀 b');
  assert.equal(storedText(shown), name);
  assert.equal(storedText('\\u{ffffff}'), '\\u{ffffff}');
  assert.equal(shownName('x'.repeat(5_000)).length, 1_001);
});
