import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeadView } from './head-view.ts';
import { foldHeader } from './header-fold.ts';
import { shownAddresses } from './shown-addresses.ts';

function shown(raw: string): string | undefined {
  return shownAddresses(raw, foldHeader(raw));
}

test('an address that stands in its field as it is shown needs no second look', () => {
  for (const raw of [
    '',
    'bob@example.org',
    'Bob <bob@example.org>, "Doe, John" <j.doe@example.org>',
    'bob@example.org (Bob Example)',
    'Friends: a@b.example, c@d.example;',
  ])
    assert.equal(shown(raw), undefined, raw);
});

test('comments, white space and quoting inside an address do not hide it', () => {
  assert.match(shown('Bob <bob(his mail)@example.org>') ?? '', /bob@example\.org/);
  assert.match(shown('bob @ example.org') ?? '', /bob@example\.org/);
  assert.match(shown('"bob"@example.org') ?? '', /bob@example\.org/);
  assert.match(shown('"Bob \\"the\\" Builder" <bob@example.org>') ?? '', /bob "the" builder/);
  assert.match(shown('bob . builder@example.org') ?? '', /bob\.builder@example\.org/);
});

test('a search for an address looks at what ENVELOPE shows, one for a header field at its text', () => {
  const view = new HeadView(['from', 'from:', 'to:']);
  view.read(Buffer.from('From: Bob <bob(his)@example.org>\r\nTo: ada @ example.test\r\nSubject: x\r\n\r\n'));
  assert.deepEqual([view.contains(0, 'bob@example.org'), view.contains(1, 'bob@example.org')], [false, true]);
  assert.deepEqual([view.contains(0, '(his)'), view.contains(1, '(his)')], [true, true]);
  assert.deepEqual([view.contains(2, 'ada@example.test'), view.contains(2, 'bob'), view.contains(2, '')], [true, false, true]);
  view.read(Buffer.from('Subject: x\r\n\r\n'));
  assert.deepEqual([view.contains(1, ''), view.contains(2, 'a')], [false, false]);
});

test('a long field of dots and spaces is looked at in linear time', () => {
  const raw = `${'. '.repeat(100_000)}(`;
  const started = performance.now();
  shown(raw);
  assert(performance.now() - started < 2_000);
});
