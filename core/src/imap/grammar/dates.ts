/** date and date-time (RFC 9051 §9). Days that the calendar does not have are refused. */
import { type Cursor, QUOTE, type Reader, SPACE } from './cursor.ts';
import type { DateTime, DayNumber } from './syntax-tree.ts';

export const MONTHS: readonly string[] = Object.freeze([
  'Jan',
  'Feb',
  'Mar',
  'Apr',
  'May',
  'Jun',
  'Jul',
  'Aug',
  'Sep',
  'Oct',
  'Nov',
  'Dec',
]);

const MINUTE_MS = 60_000;
export const DAY_MS = 86_400_000;
const FIRST_MS = new Date(0).setUTCFullYear(1, 0, 1);
const LAST_MS = Date.UTC(9998, 11, 31);
const MINUS = 0x2d;
const PLUS = 0x2b;
const COLON = 0x3a;

const months = new Map(MONTHS.map((name, index) => [name.toLowerCase(), index]));

function digitAt(cursor: Cursor): number {
  const digit = cursor.peek() - 0x30;
  return digit >= 0 && digit <= 9 ? digit : -1;
}

/** Exactly `count` digits. */
function fixedDigits(cursor: Cursor, count: number): number {
  let value = 0;
  for (let index = 0; index < count; index += 1) {
    const digit = digitAt(cursor);
    if (digit < 0) cursor.fail('Wrong date');
    value = value * 10 + digit;
    cursor.offset += 1;
  }
  return value;
}

/** `-Mon-yyyy` after a day of the month. @returns midnight UTC, in ms */
function monthAndYear(cursor: Cursor, day: number, start: number): number {
  cursor.expect(MINUS, 'Wrong date');
  const from = cursor.offset;
  cursor.offset += 3;
  const month = months.get(cursor.since(from).toLowerCase());
  if (month === undefined) return cursor.fail('Wrong month', from);
  cursor.expect(MINUS, 'Wrong date');
  const year = fixedDigits(cursor, 4);
  // setUTCFullYear, because Date.UTC reads years below 100 as 19xx.
  const date = new Date(0);
  const epochMs = date.setUTCFullYear(year, month, day);
  return date.getUTCDate() === day && day > 0 ? epochMs : cursor.fail('No such day', start);
}

/** date: `1-Feb-1994`, quoted or not. */
export const date: Reader<DayNumber> = (cursor) => {
  const quoted = cursor.take(QUOTE);
  const start = cursor.offset;
  let day = fixedDigits(cursor, 1);
  const digit = digitAt(cursor);
  if (digit >= 0) {
    day = day * 10 + digit;
    cursor.offset += 1;
  }
  const epochMs = monthAndYear(cursor, day, start);
  if (quoted) cursor.expect(QUOTE, 'Wrong date');
  return epochMs / DAY_MS;
};

/** date-time: `" 1-Feb-1994 02:44:25 -0700"`, always quoted. A leap second is the second before it. */
export const dateTime: Reader<DateTime> = (cursor) => {
  cursor.expect(QUOTE, 'Date expected');
  const start = cursor.offset;
  let day = cursor.take(SPACE) ? 0 : fixedDigits(cursor, 1) * 10;
  // One digit without the space before it is wrong, and common.
  if (digitAt(cursor) >= 0) day += fixedDigits(cursor, 1);
  else day /= 10;
  const midnight = monthAndYear(cursor, day, start);
  cursor.expect(SPACE, 'Wrong date');
  const hour = fixedDigits(cursor, 2);
  cursor.expect(COLON, 'Wrong date');
  const minute = fixedDigits(cursor, 2);
  cursor.expect(COLON, 'Wrong date');
  const second = fixedDigits(cursor, 2);
  cursor.expect(SPACE, 'Wrong date');
  const west = cursor.take(MINUS);
  if (!west) cursor.expect(PLUS, 'Wrong time zone');
  const zone = fixedDigits(cursor, 2) * 60 + zoneMinutes(cursor);
  cursor.expect(QUOTE, 'Wrong date');
  if (hour > 23 || minute > 59 || second > 60) cursor.fail('No such time', start);
  const offset = west && zone > 0 ? -zone : zone;
  const seconds = hour * 3600 + minute * 60 + Math.min(second, 59);
  const epochMs = midnight + seconds * 1000 - offset * MINUTE_MS;
  // Four digits of a year must do in every zone that the date may be written in.
  if (epochMs < FIRST_MS || epochMs > LAST_MS) cursor.fail('Date out of range', start);
  return { epochMs, zoneMinutes: offset };
};

function zoneMinutes(cursor: Cursor): number {
  const start = cursor.offset;
  const minutes = fixedDigits(cursor, 2);
  return minutes > 59 ? cursor.fail('Wrong time zone', start) : minutes;
}
