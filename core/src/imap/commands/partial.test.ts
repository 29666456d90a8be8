import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';
import type { WireClient } from '../wire-client.fixture.ts';

/** UIDs 1 to 10 but for 3 and 7; even ones are \Seen. */
async function eight(t: TestContext): Promise<{ readonly client: WireClient; readonly other: WireClient }> {
  const house = await imapHouse(t);
  const client = await house.select();
  for (let n = 1; n <= 10; n++) await client.append('INBOX', HELLO, n % 2 === 0 ? '(\\Seen)' : '');
  await client.run('UID STORE 3,7 +FLAGS.SILENT (\\Deleted)');
  await client.run('EXPUNGE');
  return { client, other: await house.select() };
}

test('PARTIAL with zero, with mixed signs or beside ALL is BAD', async (t) => {
  const { client } = await eight(t);
  assert((await client.run('CAPABILITY'))[0]?.split(' ').includes('PARTIAL'));
  await client.expect('UID FETCH 1:* UID (PARTIAL 0:1)', '$ BAD Number must not be zero');
  await client.expect('UID FETCH 1:* UID (PARTIAL -1:1)', '$ BAD Both ends of a partial range must have the same sign');
  await client.expect('UID SEARCH RETURN (PARTIAL 1:2 ALL) ALL', '$ BAD ALL and PARTIAL exclude each other');
  await client.expect('UID SEARCH RETURN (PARTIAL) ALL', '$ BAD Space expected');
});

test('UID FETCH with PARTIAL shows a page of the messages that are there', async (t) => {
  const { client } = await eight(t);
  const shows = async (command: string, ...uids: number[]): Promise<void> => {
    const found = (await client.run(command))
      .filter((line) => line.startsWith('* ') && line.includes(' FETCH ('))
      .map((line) => Number(/UID (\d+)/.exec(line)?.[1]));
    assert.deepEqual(found, uids, command);
  };
  await shows('UID FETCH 1:* UID (PARTIAL 1:3)', 1, 2, 4);
  await shows('UID FETCH 1:* UID (PARTIAL -1:-2)', 9, 10);
  await shows('UID FETCH 1:* UID (PARTIAL -8:-7)', 1, 2);
  await shows('UID FETCH 2:9 UID (PARTIAL -1:-1)', 9);
  await shows('UID FETCH 1:* UID (PARTIAL 8:100)', 10);
  await shows('UID FETCH 1:* UID (PARTIAL 9:100)');
  await shows('UID FETCH 1:* UID (PARTIAL 1:2 CHANGEDSINCE 5)', 5, 6);
  await client.expect(
    'UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)]) (PARTIAL -1:-1)',
    '* 8 FETCH (UID 10 BODY[HEADER.FIELDS (SUBJECT)] {18}\r\nSubject: hello\r\n\r\n)',
    '$ OK FETCH done',
  );
});

test('SEARCH with PARTIAL answers a page, NIL when there is none, and SAVE keeps the page', async (t) => {
  const { client } = await eight(t);
  const said = async (options: string, answer: string): Promise<void> =>
    client.expect(`UID SEARCH RETURN (${options}) SEEN`, `* ESEARCH (TAG "$") UID${answer}`, '$ OK SEARCH done');
  await said('PARTIAL 1:2', ' PARTIAL (1:2 2,4)');
  await said('PARTIAL -1:-2', ' PARTIAL (-1:-2 8,10)');
  await said('PARTIAL 6:9', ' PARTIAL (6:9 NIL)');
  await said('MIN COUNT PARTIAL 2:3', ' MIN 2 PARTIAL (2:3 4,6) COUNT 5');
  await client.run('UID SEARCH RETURN (SAVE PARTIAL 2:3) SEEN');
  await client.expect('UID FETCH $ UID', '* 3 FETCH (UID 4)', '* 5 FETCH (UID 6)', '$ OK FETCH done');
});

test('messages that have gone for others keep their place in a page until that is told', async (t) => {
  const { client, other } = await eight(t);
  await client.run('UID STORE 2 +FLAGS.SILENT (\\Deleted)');
  await client.run('EXPUNGE');
  await other.expect('FETCH 1:* UID (PARTIAL 2:3)', '* 2 FETCH (UID 2)', '* 3 FETCH (UID 4)', '$ OK FETCH done');
  await other.run('NOOP');
  await other.expect('FETCH 1:* UID (PARTIAL 2:3)', '* 2 FETCH (UID 4)', '* 3 FETCH (UID 5)', '$ OK FETCH done');
});
