/** INPROGRESS: RFC 9585. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin } from '@pochard/plugin-sdk';
import { FakeClock } from '../net/fake-clock.ts';
import { TimerWheel } from '../net/timer-wheel.ts';
import { CommandProgress, PROGRESS_MS } from './command-progress.ts';
import { HELLO, imapHouse } from './imap-house.fixture.ts';
import type { Responder } from './responder.ts';

function progress() {
  const clock = new FakeClock();
  const said: string[] = [];
  const respond: Pick<Responder, 'ok' | 'flush'> = { ok: (code) => said.push(code ?? ''), flush: () => undefined };
  const wheel = new TimerWheel({ tickMs: 1000, now: clock.now, every: clock.every });
  return { clock, said, reports: new CommandProgress(respond, wheel) };
}

test('nothing is told of a quick command, nor of one that is over', () => {
  const { clock, said, reports } = progress();
  reports.begin('a');
  clock.advance(PROGRESS_MS - 1000);
  reports.end();
  clock.advance(10 * PROGRESS_MS);
  assert.deepEqual(said, []);
});

test('a slow command tells how far it is every ten seconds, but not within a line', () => {
  const { clock, said, reports } = progress();
  reports.begin('a1');
  clock.advance(PROGRESS_MS + 1000);
  reports.goal = 1000;
  reports.done = 175;
  clock.advance(PROGRESS_MS);
  reports.hold();
  clock.advance(PROGRESS_MS);
  reports.release();
  reports.done = 2000;
  clock.advance(PROGRESS_MS);
  reports.end();
  reports.begin('a2');
  clock.advance(PROGRESS_MS + 1000);
  assert.deepEqual(said, [
    'INPROGRESS ("a1" NIL NIL)',
    'INPROGRESS ("a1" 175 1000)',
    'INPROGRESS ("a1" 1000 1000)',
    'INPROGRESS ("a2" NIL NIL)',
  ]);
});

test('a search that waits says INPROGRESS before its answer, also compressed', async (t) => {
  const house = await imapHouse(t);
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const plugin = definePlugin({
    name: 'slow-search',
    permissions: ['plaintext'],
    apply({ hooks }) {
      hooks.search.rewrite.transform(async (query) => {
        asked.resolve();
        await go.promise;
        return query;
      });
    },
  });
  await house.hooks.reload([{ plugin }]);
  const client = await house.select();
  await client.append('INBOX', HELLO);
  assert.match((await client.run('CAPABILITY'))[0] ?? '', / INPROGRESS/);
  await client.run('COMPRESS DEFLATE');
  client.compressed();
  client.send('t9 SEARCH ALL\r\n');
  await asked.promise;
  house.clock.advance(PROGRESS_MS + 1000);
  await client.hears('* OK [INPROGRESS ("t9" NIL NIL)] Still working');
  go.resolve();
  await client.hears('* SEARCH 1');
  await client.hears('t9 OK SEARCH done');
  house.clock.advance(2 * PROGRESS_MS);
  await client.expectEnd('NOOP', '$ OK NOOP done');
});
