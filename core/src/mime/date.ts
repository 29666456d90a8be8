/** A Date header field: the instant, and the zone it was written in (SENTON and its kin compare the written day, RFC 9051 §6.4.4). */
export interface HeaderDate {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  readonly ms: number;
  /** Minutes east of UTC. */
  readonly zoneMinutes: number;
}

const MONTHS = 'janfebmaraprmayjunjulaugsepoctnovdec';

/** Obsolete zones (RFC 5322 §4.3) in minutes; other letters, the military ones included, mean "unknown" and count as UTC. */
const ZONES: ReadonlyMap<string, number> = new Map([
  ['est', -300],
  ['edt', -240],
  ['cst', -360],
  ['cdt', -300],
  ['mst', -420],
  ['mdt', -360],
  ['pst', -480],
  ['pdt', -420],
]);

const MINUTE_MS = 60_000;

/** Reads a Date field value (RFC 5322 §3.3, obsolete forms of §4.3, comments anywhere). Undefined if it is no date. */
export function parseDate(value: string): HeaderDate | undefined {
  const words = dateWords(value);
  let at = 0;
  // Optional day name; some senders leave out the comma, so words tell and not punctuation.
  if (words[at] !== undefined && !isDigit(words[at])) at++;
  const day = number(words[at++], 2);
  const month = monthOf(words[at++]);
  const year = yearOf(words[at++]);
  const time = timeOf(words[at++]);
  if (day === undefined || month === undefined || year === undefined || time === undefined) return undefined;
  if (day < 1 || day > 31) return undefined;
  const zoneMinutes = zoneOf(words[at]);
  return { ms: Date.UTC(year, month, day) + time - zoneMinutes * MINUTE_MS, zoneMinutes };
}

/** Words without comments and separators; a date has few, so more than 12 are not looked at. */
function dateWords(value: string): string[] {
  const words: string[] = [];
  let word = '';
  let level = 0;
  for (let at = 0; at <= value.length && words.length < 12; at++) {
    const code = at < value.length ? value.charCodeAt(at) : 0x20;
    if (code === 0x28) level++;
    const inWord = level === 0 && code > 0x20 && code !== 0x2c && code !== 0x28;
    if (code === 0x29 && level > 0) level--;
    if (inWord) word += value[at];
    else if (word !== '') {
      words.push(...splitDay(word.toLowerCase()));
      word = '';
    }
    if (word.length > 64) return words;
  }
  return words;
}

/** `21-Nov-97` counts as three words. A zone such as `-0500` is not split. */
function splitDay(word: string): string[] {
  return word.includes('-') && isDigit(word) ? word.split('-') : [word];
}

function isDigit(word: string | undefined): boolean {
  const code = word?.charCodeAt(0) ?? 0;
  return code >= 0x30 && code <= 0x39;
}

function number(word: string | undefined, digits: number): number | undefined {
  if (word === undefined || word.length === 0 || word.length > digits) return undefined;
  let result = 0;
  for (let at = 0; at < word.length; at++) {
    const digit = word.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    result = result * 10 + digit;
  }
  return result;
}

function monthOf(word: string | undefined): number | undefined {
  if (word === undefined || word.length < 3) return undefined;
  const at = MONTHS.indexOf(word.slice(0, 3));
  return at >= 0 && at % 3 === 0 ? at / 3 : undefined;
}

/** RFC 5322 §4.3: two digits mean 1950 to 2049, three digits mean 1900 plus. */
function yearOf(word: string | undefined): number | undefined {
  const year = number(word, 4);
  if (year === undefined || word === undefined || word.length < 2) return undefined;
  if (word.length === 2) return year < 50 ? 2000 + year : 1900 + year;
  return word.length === 3 ? 1900 + year : year;
}

function timeOf(word: string | undefined): number | undefined {
  if (word === undefined) return undefined;
  const fields = word.split(/[:.]/, 4);
  const hour = number(fields[0], 2);
  const minute = number(fields[1], 2);
  const second = fields.length > 2 ? number(fields[2], 2) : 0;
  if (hour === undefined || minute === undefined || second === undefined || hour > 24 || minute > 59 || second > 60) return undefined;
  return ((hour * 60 + minute) * 60 + second) * 1000;
}

function zoneOf(word: string | undefined): number {
  if (word === undefined) return 0;
  const sign = word.charCodeAt(0);
  if (sign !== 0x2b && sign !== 0x2d) return ZONES.get(word) ?? 0;
  const digits = number(word.slice(1).replace(':', ''), 4);
  if (digits === undefined || word.length < 4) return 0;
  const minutes = Math.trunc(digits / 100) * 60 + (digits % 100);
  return sign === 0x2d ? -minutes : minutes;
}
