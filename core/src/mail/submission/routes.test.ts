import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Account } from '@pochard/plugin-sdk';
import type { MailParts } from '../mail-parts.ts';
import { type MailResolver, Routes } from './routes.ts';
import { RelayFailure } from './smtp-client.ts';

type Answer<T> = T | string;
function routes(answers: {
  readonly mx?: Answer<{ exchange: string; priority: number }[]>;
  readonly a?: Answer<string[]>;
  readonly aaaa?: Answer<string[]>;
}) {
  const answer = async <T>(value: Answer<T> | undefined): Promise<T> => {
    if (value === undefined || typeof value === 'string') throw Object.assign(new Error('dns'), { code: value ?? 'ENODATA' });
    return value;
  };
  const asked: string[] = [];
  const resolver: MailResolver = {
    resolveMx(domain) {
      asked.push(domain);
      return answer(answers.mx);
    },
    resolve4: () => answer(answers.a),
    resolve6: () => answer(answers.aaaa),
  };
  const parts = { hooks: { has: () => false }, settings: {} } as unknown as MailParts;
  let n = 0;
  const all = new Routes({ parts, resolver, random: () => (n += 0.1) });
  const hosts = async (domain: string) =>
    (await all.hostsFor(domain, '', {} as Account, new AbortController().signal)).map(({ host, port, tls }) => `${host}:${port} ${tls}`);
  return { hosts, asked };
}
const failure = (scope: RelayFailure['scope'], status: string) => (error: unknown) =>
  error instanceof RelayFailure && error.scope === scope && error.reply.status === status;

test('what the name system says for good, and what it says for now', async () => {
  await assert.rejects(routes({ mx: 'ENOTFOUND' }).hosts('nowhere.test'), failure('final', '5.1.2'));
  await assert.rejects(routes({ mx: 'ESERVFAIL' }).hosts('x.test'), failure('host', '4.4.3'));
  await assert.rejects(routes({ mx: 'ECONNREFUSED' }).hosts('x.test'), failure('host', '4.4.3'));
  await assert.rejects(routes({ mx: [{ exchange: '', priority: 0 }] }).hosts('null.test'), failure('final', '5.1.10'));
  await assert.rejects(routes({}).hosts('empty.test'), failure('final', '5.4.4'));
  await assert.rejects(routes({ aaaa: 'ETIMEOUT' }).hosts('slow.test'), failure('host', '4.4.3'));
  await assert.rejects(routes({}).hosts('a b'), failure('final', '5.1.2'));
});

test('by preference, equal ones in random order, five at most; without MX the domain itself; literals as they are', async () => {
  const mx = [30, 10, 20, 10, 40, 50].map((priority, n) => ({ exchange: `mx${n}.test`, priority }));
  assert.deepEqual(
    await routes({ mx }).hosts('many.test'),
    ['mx1', 'mx3', 'mx2', 'mx0', 'mx4'].map((name) => `${name}.test:25 opportunistic`),
  );
  assert.deepEqual(await routes({ mx: 'ENODATA', aaaa: ['::1'] }).hosts('bare.test'), ['bare.test:25 opportunistic']);
  assert.deepEqual(await routes({}).hosts('[192.0.2.1]'), ['192.0.2.1:25 opportunistic']);
  assert.deepEqual(await routes({}).hosts('[ipv6:2001:db8::1]'), ['2001:db8::1:25 opportunistic']);
  const unicode = routes({ mx: [{ exchange: 'mx.test', priority: 1 }] });
  await unicode.hosts('пример.test');
  assert.deepEqual(unicode.asked, ['xn--e1afmkfd.test']);
});
