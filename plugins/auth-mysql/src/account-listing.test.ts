import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AccountListing, type ListFilter } from './account-listing.ts';
import type { Row } from './database.ts';
import { Directory } from './directory.ts';
import { type ListPage, statementsOf } from './statements.ts';

/** Pages as `answer` gives them; the questions of a real database are in the whole-server test. */
function listing(answer: (page: ListPage) => readonly Row[]) {
  const statements = statementsOf({ preset: 'modoboa', rehash: 'never' } as Parameters<typeof statementsOf>[0]);
  const { list } = statements;
  assert(list);
  const asked: ListPage[] = [];
  const database = {
    async list(_statement: unknown, page: ListPage) {
      asked.push(page);
      return answer(page);
    },
  };
  const config = { domainForm: 'a-label' as const, delimiter: '+', ignoreTargets: [] };
  const directory = new Directory(database as never, { ...statements, domain: undefined }, config);
  const accounts = new AccountListing(database, directory, list, 'a-label');
  return {
    asked,
    async names(filter: Partial<ListFilter> = {}) {
      const all = accounts.accounts({ after: undefined, like: undefined, domain: undefined, ...filter }, AbortSignal.timeout(10_000));
      return (await Array.fromAsync(all)).map(({ login }) => login);
    },
  };
}
const user = (at: number): Row => ({ username: `u${String(at).padStart(4, '0')}@a.example`, active: 1 });
const users = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => user(from + at));

test('a query that does not go on after a name is stopped', async () => {
  await assert.rejects(listing(() => users(0, 200)).names(), /does not come forward/);
  await assert.rejects(listing(() => Array.from({ length: 200 }, () => ({ username: null }))).names(), /does not come forward/);
});
test('pages overlap by what equals the last name, and nobody comes twice', async () => {
  const { names, asked } = listing(({ after }) =>
    after === '' ? users(0, 200) : after === 'u0199@a.example' ? users(198, 398) : users(397, 400),
  );
  const found = await names();
  assert.deepEqual(
    found,
    users(0, 400).map(({ username }) => username),
  );
  assert.deepEqual(
    asked.map(({ after }) => after),
    ['', 'u0199@a.example', 'u0397@a.example'],
  );
});
test('names that only the collation takes for what was asked are left out', async () => {
  const rows = ['ada@a.example', '\u00e1da@a.example', 'Adb@A.example', 'adc@\u00e1.example'].map((username) => ({ username, active: 1 }));
  const { names, asked } = listing(() => rows);
  assert.deepEqual(await names({ like: 'AD', domain: 'a.example', after: 'ada@a.example' }), ['Adb@A.example']);
  assert.deepEqual(asked, [{ after: 'ada@a.example', login: 'AD%', address: '%@a.example' }]);
  await names({ domain: 'b\u00fccher.example' });
  assert.equal(asked[1]?.address, '%@xn--bcher-kva.example');
});
