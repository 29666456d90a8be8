import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseImapUrl } from './imap-url.ts';

test('what names no message, or needs URLAUTH, is no URL for CATENATE', () => {
  for (const text of [
    '',
    '/',
    'INBOX',
    '/INBOX',
    '/INBOX/',
    '/INBOX;UID=1',
    'INBOX/;UID=1',
    '/INBOX/;UID=0',
    '/INBOX/;UID=4294967296',
    '/INBOX/;UID=1/',
    '/INBOX/;UID=x',
    '/INBOX/;UID=1:2',
    '/INBOX/;UID=*',
    '/INBOX;UIDVALIDITY=0/;UID=1',
    '/INBOX;UIDVALIDITY=1;UIDVALIDITY=1/;UID=1',
    '/IN%00BOX/;UID=1',
    '/IN%0D%0ABOX/;UID=1',
    '/%FF/;UID=1',
    '/%/;UID=1',
    '/IN BOX/;UID=1',
    '/INBOX/;UID=1/;SECTION=',
    '/INBOX/;UID=1/;SECTION=0',
    '/INBOX/;UID=1/;SECTION=MIME',
    '/INBOX/;UID=1/;SECTION=1]<0.1>[',
    '/INBOX/;UID=1/;SECTION=1/;SECTION=1',
    '/INBOX/;UID=1/;PARTIAL=0.1/;SECTION=1',
    '/INBOX/;UID=1/;PARTIAL=',
    '/INBOX/;UID=1/;PARTIAL=1.0',
    '/INBOX/;UID=1/;PARTIAL=1.2.3',
    '/INBOX/;UID=1;URLAUTH=anonymous:internal:00',
    '/INBOX/;UID=1;EXPIRE=2030-01-01T00:00:00Z',
    'imap://host',
    'imap://host/;UID=1',
    'imap:///INBOX/;UID=1',
    'http://host/INBOX/;UID=1',
    'imaps://host/INBOX/;UID=1',
    `/${'x'.repeat(5000)}/;UID=1`,
    `/INBOX/;UID=1/;SECTION=${'1.'.repeat(500)}1`,
  ])
    assert.equal(parseImapUrl(text), undefined, text);
});

test('a message, a section, a range', () => {
  assert.deepEqual(parseImapUrl('/inbox/;UID=7'), {
    server: undefined,
    mailbox: 'INBOX',
    uidValidity: undefined,
    uid: 7,
    section: { part: [], text: 'ALL', fields: [] },
    partial: undefined,
  });
  const part = parseImapUrl('/Work%2FGr%C3%BCn;uidvalidity=385759045/;uid=20/;section=1.2.MIME/;partial=10.20');
  assert.deepEqual(part?.section, { part: [1, 2], text: 'MIME', fields: [] });
  assert.deepEqual([part?.mailbox, part?.uidValidity, part?.partial], ['Work/Grün', 385759045, { offset: 10, length: 20 }]);
  const fields = parseImapUrl('/a/b/;UID=1/;SECTION=HEADER.FIELDS%20(From%20To)/;PARTIAL=5');
  assert.deepEqual(fields?.section, { part: [], text: 'HEADER.FIELDS', fields: ['From', 'To'] });
  assert.deepEqual([fields?.mailbox, fields?.partial], ['a/b', { offset: 5, length: undefined }]);
  assert.deepEqual(parseImapUrl('/INBOX;UIDVALIDITY=785799047/;UID=113330;section=1.5.9')?.section.part, [1, 5, 9]);
});

test('a message of the selected mailbox', () => {
  assert.equal(parseImapUrl(';UID=3')?.mailbox, undefined);
  assert.equal(parseImapUrl('/;UID=3/;SECTION=1')?.uid, 3);
});

test('the server of an absolute URL', () => {
  assert.deepEqual(parseImapUrl('imap://Mail.Example/INBOX/;UID=1')?.server, { host: 'mail.example', user: undefined });
  assert.deepEqual(parseImapUrl('IMAP://ada%40example.test;AUTH=*@mail.example:143/INBOX/;UID=1')?.server, {
    host: 'mail.example',
    user: 'ada@example.test',
  });
  assert.equal(parseImapUrl('imap://@h/INBOX/;UID=1')?.server?.user, undefined);
});
