import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SearchQuery } from '@pochard/plugin-sdk';
import { expandFuzzy } from './fuzzy.ts';

function fuzzy(of: SearchQuery): SearchQuery {
  return { op: 'fuzzy', of };
}

function texts(query: SearchQuery): string[] {
  if (query.op === 'and' || query.op === 'or') return query.of.flatMap(texts);
  if (query.op === 'not' || query.op === 'fuzzy') return texts(query.of);
  return 'contains' in query ? [query.contains] : [];
}

test('what is not fuzzy, or has no words, stays as it is', () => {
  const exact: SearchQuery = { op: 'subject', contains: 'Annual meetings' };
  assert.deepEqual(expandFuzzy(exact, 'stems'), exact);
  for (const query of [
    { op: 'all' },
    { op: 'flag', flag: '\\Seen' },
    { op: 'body', contains: '' },
    { op: 'body', contains: ' -- !' },
  ] as const)
    assert.deepEqual(expandFuzzy(fuzzy(query), 'stems'), query);
});

test('each word is a key of its own, without its ending', () => {
  assert.deepEqual(expandFuzzy(fuzzy({ op: 'header', name: 'X-Y', contains: 'Invoices of May' }), 'stems'), {
    op: 'and',
    of: [
      { op: 'header', name: 'X-Y', contains: 'invoic' },
      { op: 'header', name: 'X-Y', contains: 'of' },
      { op: 'header', name: 'X-Y', contains: 'may' },
    ],
  });
  assert.deepEqual(texts(expandFuzzy(fuzzy({ op: 'body', contains: 'Invoices of May' }), 'words')), ['invoices', 'of', 'may']);
  assert.deepEqual(texts(expandFuzzy(fuzzy({ op: 'body', contains: 'a b a 12345678 会議室予約確認' }), 'stems')), [
    'a',
    'b',
    '12345678',
    '会議室予約確認',
  ]);
});

test('accents that are asked for may be missing', () => {
  assert.deepEqual(texts(expandFuzzy(fuzzy({ op: 'body', contains: 'Élan' }), 'stems')), ['e\u0301lan', 'elan']);
});

test('groups, NOT and nested FUZZY are followed; many words are cut', () => {
  const query = fuzzy({
    op: 'or',
    of: [
      { op: 'not', of: { op: 'from', contains: 'Robert' } },
      { op: 'fuzzy', of: { op: 'to', contains: 'Robert' } },
    ],
  });
  assert.deepEqual(texts(expandFuzzy({ op: 'and', of: [query, { op: 'cc', contains: 'Robert' }] }, 'stems')), ['robe', 'robe', 'Robert']);
  const many = Array.from({ length: 100 }, (_, n) => `w${n}`).join(' ');
  assert.equal(texts(expandFuzzy(fuzzy({ op: 'text', contains: many }), 'stems')).length, 16);
});
