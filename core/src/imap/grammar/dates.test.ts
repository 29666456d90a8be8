import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { faultOf, parse } from './command.fixture.ts';
import { DAY_MS, date, dateTime } from './dates.ts';
import { dateTimeWriter } from './write.ts';

const malformed = [
  [date, '', 'Wrong date @ 0'],
  [date, '1-Foo-2024', 'Wrong month @ 2'],
  [date, '1-Jan-24', 'Wrong date @ 8'],
  [date, '0-Jan-2024', 'No such day @ 0'],
  [date, '30-Feb-2024', 'No such day @ 0'],
  [date, '29-Feb-2023', 'No such day @ 0'],
  [date, '"1-Jan-2024', 'Wrong date @ 11'],
  [date, '1-Jan-20244', 'Unexpected text after the last argument @ 10'],
  [date, '001-Jan-2024', 'Wrong date @ 2'],
  [dateTime, '1-Jan-2024', 'Date expected @ 0'],
  [dateTime, '" 1-Jan-2024 24:00:00 +0000"', 'No such time @ 1'],
  [dateTime, '" 1-Jan-2024 00:60:00 +0000"', 'No such time @ 1'],
  [dateTime, '" 1-Jan-2024 00:00:00 +0060"', 'Wrong time zone @ 25'],
  [dateTime, '" 1-Jan-2024 00:00:00 0000"', 'Wrong time zone @ 22'],
  [dateTime, '" 1-Jan-0000 00:00:00 +0000"', 'Date out of range @ 1'],
  [dateTime, '"31-Dec-9999 23:00:00 -1400"', 'Date out of range @ 1'],
  [dateTime, '" 1-Jan-2024 00:00:00 +0000', 'Wrong date @ 27'],
] as const;
for (const [reader, wire, fault] of malformed) test(`${wire} is refused`, () => assert.equal(faultOf(reader, wire), fault));

test('a day is a day, whatever its form', () => {
  assert.equal(parse(date, '1-Jan-1970'), 0);
  assert.equal(parse(date, '"01-jan-1970"'), 0);
  assert.equal(parse(date, '29-FEB-2024') * DAY_MS, Date.UTC(2024, 1, 29));
  assert.equal(parse(date, '31-Dec-1969'), -1);
});

test('a date-time keeps instant and zone', () => {
  assert.deepEqual(parse(dateTime, '"17-Jul-1996 02:44:25 -0730"'), { epochMs: Date.UTC(1996, 6, 17, 10, 14, 25), zoneMinutes: -450 });
  assert.deepEqual(parse(dateTime, '" 1-Jan-2024 23:59:60 +0000"'), { epochMs: Date.UTC(2024, 0, 1, 23, 59, 59), zoneMinutes: 0 });
  assert.deepEqual(parse(dateTime, '"1-Jan-2024 00:00:00 -0000"'), { epochMs: Date.UTC(2024, 0, 1), zoneMinutes: 0 });
});

test('what is written is what was read, in any zone', () => {
  const write = dateTimeWriter();
  assert.equal(write(Date.UTC(1996, 6, 7, 9, 44, 25), -420), '" 7-Jul-1996 02:44:25 -0700"');
  const seconds = fc.integer({ min: -62_000_000_000, max: 253_000_000_000 });
  fc.assert(
    fc.property(seconds, fc.integer({ min: -14 * 60, max: 14 * 60 }), (second, zoneMinutes) => {
      assert.deepEqual(parse(dateTime, write(second * 1000, zoneMinutes)), { epochMs: second * 1000, zoneMinutes });
    }),
  );
  assert.throws(() => write(Number.NaN), { name: 'UnwritableText' });
});
