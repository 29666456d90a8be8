/** SEARCH=FUZZY: RFC 6203. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { imapHouse, mail } from '../imap-house.fixture.ts';
import type { WireClient } from '../wire-client.fixture.ts';

async function filled(t: TestContext): Promise<WireClient> {
  const house = await imapHouse(t);
  const client = await house.select();
  const messages = [
    ['another thing', 'Nothing here'],
    ['Invoicing in May', 'Dear Ada, an invoice was paid'],
    ['Your invoices', 'All invoices of May'],
    ['Caf\xc3\xa9', 'May: invoices'],
  ];
  for (const [subject, body] of messages)
    await client.append('INBOX', mail(`From: Bob <bob@example.org>\nSubject: ${subject}\n\n${body}\n`));
  return client;
}

test('malformed FUZZY, and RELEVANCY without it, are BAD', async (t) => {
  const client = await filled(t);
  await client.expect('SEARCH FUZZY', '$ BAD Space expected');
  await client.expect('SEARCH FUZZY FUZZIER x', '$ BAD Unknown search key');
  await client.expect('SEARCH RETURN (RELEVANCY) SUBJECT x', '$ BAD RELEVANCY needs a FUZZY key');
  await client.expect('SORT (RELEVANCY) UTF-8 SUBJECT x', '$ BAD RELEVANCY needs a FUZZY key');
  assert.match((await client.run('CAPABILITY'))[0] ?? '', / SEARCH=FUZZY/);
});

test('words count in any order and form, and only below FUZZY', async (t) => {
  const client = await filled(t);
  await client.expect('SEARCH BODY "May invoices"', '* SEARCH', '$ OK SEARCH done');
  await client.expect('SEARCH FUZZY BODY "may invoices"', '* SEARCH 3 4', '$ OK SEARCH done');
  await client.expect('SEARCH FUZZY SUBJECT "invoices"', '* SEARCH 2 3', '$ OK SEARCH done');
  await client.expect('SEARCH FUZZY SUBJECT invoices BODY "May invoices"', '* SEARCH', '$ OK SEARCH done');
  await client.expect('SEARCH FUZZY SUBJECT invoices NOT BODY paid', '* SEARCH 3', '$ OK SEARCH done');
  await client.expect('SEARCH NOT FUZZY (OR SUBJECT invoices BODY invoices)', '* SEARCH 1', '$ OK SEARCH done');
  await client.expect('UID SEARCH FUZZY ALL', '* SEARCH 1 2 3 4', '$ OK SEARCH done');
});

test('RELEVANCY tells how well each message fits, and SORT puts the best first', async (t) => {
  const client = await filled(t);
  await client.expect(
    'SEARCH RETURN (ALL RELEVANCY COUNT) FUZZY TEXT "invoices of may"',
    '* ESEARCH (TAG "$") ALL 3 COUNT 1 RELEVANCY (100)',
    '$ OK SEARCH done',
  );
  await client.expect(
    'SEARCH RETURN (RELEVANCY) FUZZY BODY "invoices"',
    '* ESEARCH (TAG "$") ALL 2:4 RELEVANCY (40 100 100)',
    '$ OK SEARCH done',
  );
  await client.expect(
    'SEARCH RETURN (RELEVANCY PARTIAL 1:1) FUZZY BODY "may invoices"',
    '* ESEARCH (TAG "$") PARTIAL (1:1 3) RELEVANCY (70)',
    '$ OK SEARCH done',
  );
  await client.expect('SORT (RELEVANCY ARRIVAL) UTF-8 FUZZY BODY "invoices"', '* SORT 3 4 2', '$ OK SORT done');
  await client.expect('SORT (REVERSE RELEVANCY) UTF-8 FUZZY BODY "invoices"', '* SORT 2 3 4', '$ OK SORT done');
  await client.expect(
    'UID SORT RETURN (RELEVANCY ALL) (RELEVANCY) UTF-8 FUZZY BODY "invoices"',
    '* ESEARCH (TAG "$") UID ALL 3:4,2 RELEVANCY (100 100 40)',
    '$ OK SORT done',
  );
});

test('ESEARCH of many mailboxes answers with a page of each, and with scores', async (t) => {
  const client = await filled(t);
  await client.expect('ESEARCH RETURN (RELEVANCY) SUBJECT x', '$ BAD RELEVANCY needs a FUZZY key');
  assert.match(
    (await client.run('ESEARCH IN (mailboxes INBOX) RETURN (RELEVANCY) FUZZY BODY "invoices"')).join(),
    /UID ALL 2:4 RELEVANCY \(40 100 100\),\$ OK/,
  );
  const other = await client.run('ESEARCH IN (mailboxes (INBOX Drafts)) RETURN (RELEVANCY PARTIAL -1:-1) FUZZY BODY "may invoices"');
  assert.match(other.join(), /UID PARTIAL \(-1:-1 4\) RELEVANCY \(70\),\$ OK/);
  assert.match(
    (await client.run('ESEARCH IN (personal) RETURN (PARTIAL -1:-2 COUNT) FUZZY BODY "invoices"')).join(),
    /UID PARTIAL \(-1:-2 3:4\) COUNT 3,\$ OK/,
  );
});
