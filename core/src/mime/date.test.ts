import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDate } from './date.ts';

const CASES: readonly (readonly [string, string | undefined, number?])[] = [
  ['', undefined],
  ['Mon', undefined],
  ['Mon, 32 Jan 2001 00:00:00 +0000', undefined],
  ['1 Foo 2001 00:00:00 +0000', undefined],
  ['1 Jan 2001', undefined],
  ['1 Jan 2001 25:00', undefined],
  ['9'.repeat(10_000), undefined],
  ['('.repeat(10_000), undefined],
  ['Fri, 21 Nov 1997 09:55:06 -0600', '1997-11-21T15:55:06Z', -360],
  ['21 Nov 97 09:55:06 GMT', '1997-11-21T09:55:06Z', 0],
  ['21-Nov-1997 09:55 +0530', '1997-11-21T04:25:00Z', 330],
  ['Thu,\r\n 13\r\n Feb 1969 23:32 -0330 (Newfoundland Time)', '1969-02-14T03:02:00Z', -210],
  ['Fri (x(y)), 21 (z) Nov 05 09:55:06 EST', '2005-11-21T14:55:06Z', -300],
  ['Wed, 20 Sep 1995 00:19:00 (EDT) -0400', '1995-09-20T04:19:00Z', -240],
  ['Fri 1 January 101 00:00:60 Z', '2001-01-01T00:01:00Z', 0],
];

for (const [value, iso, zone] of CASES) {
  test(`date ${JSON.stringify(value.slice(0, 60))}`, () => {
    const date = parseDate(value);
    assert.equal(date === undefined ? undefined : new Date(date.ms).toISOString().replace('.000', ''), iso);
    if (iso !== undefined) assert.equal(date?.zoneMinutes, zone);
  });
}

test('any text is a date or none', () => {
  fc.assert(fc.property(fc.string(), (text) => void parseDate(text)));
});
