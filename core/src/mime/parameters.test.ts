import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_MIME_PARAMETERS } from './limits.ts';
import { parseContentType, parseLanguages, parseToken, parseTokenWithParameters } from './parameters.ts';

/** Field value, then `type/subtype` and the parameters as `name=value`. */
const CASES: readonly (readonly [string, ...string[]])[] = [
  ['', '/'],
  ['text', 'text/'],
  ['; a=b', '/'],
  ['text /plain', 'text/plain'],
  ['text/plain (comment) ; (x) charset = us-ascii', 'text/plain', 'charset=us-ascii'],
  ['text/plain; charset="unclosed', 'text/plain'],
  ['text/plain; =x; ;; a=b', 'text/plain', 'a=b'],
  ['text/plain; a=b c=d; e=f', 'text/plain', 'a=b', 'e=f'],
  ['TEXT/Plain; Charset="US-\\"ASCII"', 'TEXT/Plain', 'Charset=US-"ASCII'],
  ['a/b; n==?utf-8?q?x?=; m=1', 'a/b', 'n==?utf-8?q?x?=', 'm=1'],
  ['a/b; n*1=two; m=0; n*0=one', 'a/b', 'm=0', 'n=onetwo'],
  ["a/b; n*0*=utf-8''%41; n*1=%b", 'a/b', "n*=utf-8''%41%25b"],
  ['a/b; n*0=%a; n*1*=%41', 'a/b', "n*=''%25a%41"],
  ['a/b; n*0=a; n*2=c', 'a/b', 'n*0=a', 'n*2=c'],
  ["a/b; n*=utf-8''x", 'a/b', "n*=utf-8''x"],
  ['a/b; n*x=1', 'a/b', 'n*x=1'],
  ['a/b; __proto__=x', 'a/b', '__proto__=x'],
];

for (const [value, ...expected] of CASES) {
  test(`Content-Type ${JSON.stringify(value)}`, () => {
    const { type, subtype, parameters } = parseContentType(value);
    assert.deepEqual([`${type}/${subtype}`, ...parameters.map(({ name, value: text }) => `${name}=${text}`)], expected);
  });
}

test('parameters beyond the limit are ignored', () => {
  assert.equal(parseContentType(`a/b${'; c=d'.repeat(1_000)}`).parameters.length, MAX_MIME_PARAMETERS);
  assert.equal(parseContentType(`a/b${'; c*1=d'.repeat(1_000)}`).parameters.length, MAX_MIME_PARAMETERS);
});

test('tokens and languages', () => {
  assert.equal(parseToken(' (x) BASE64 (y)'), 'BASE64');
  for (const broken of ['', '8bit; x', '"q"', 'a b']) assert.equal(parseToken(broken), undefined, broken);
  assert.equal(parseTokenWithParameters('"inline"'), undefined);
  assert.equal(parseTokenWithParameters('inline')?.token, 'inline');
  assert.deepEqual(parseLanguages('en, de (German), '), ['en', 'de']);
});
