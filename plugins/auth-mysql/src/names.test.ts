import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSameName, lookupName, storedName, withoutLabel } from './names.ts';

test('control characters, line separators, lone surrogates and endless names ask nothing of the database', () => {
  for (const name of [
    '',
    'a\u0000@b.example',
    'a\n',
    'a\u0085b',
    '\ud800@b.example',
    'a\u2028b',
    'a\u202eb@c.example',
    `${'x'.repeat(321)}`,
    '@b.example',
    'a@',
    'a@b example',
  ]) {
    assert.equal(lookupName(name), undefined, JSON.stringify(name));
  }
});
test('letter case, composition and the form of the domain do not tell names apart; everything else does', () => {
  const name = lookupName('Jos\u0065\u0301@B\u00dcCHER.example');
  assert.equal(name?.full, 'jos\u00e9@b\u00fccher.example');
  assert(name !== undefined);
  assert.equal(storedName(name, 'a-label'), 'jos\u00e9@xn--bcher-kva.example');
  assert.equal(storedName(name, 'u-label'), 'jos\u00e9@b\u00fccher.example');
  for (const same of ['jos\u00e9@xn--bcher-kva.example', 'JOS\u00c9@b\u00fccher.example']) assert(isSameName(same, name), same);
  for (const other of ['jose@b\u00fccher.example', 'jos\u00e9@bucher.example', 'jos\u00e9@b\u00fccher.example ', null, 7])
    assert(!isSameName(other, name), String(other));
});
test('a label is what follows the first delimiter, and a name may begin with one', () => {
  const base = (name: string, delimiter: string) => {
    const found = lookupName(name);
    return found && withoutLabel(found, delimiter)?.full;
  };
  assert.equal(base('ada+x+y@a.example', '+'), 'ada@a.example');
  assert.equal(base('+x@a.example', '+'), undefined);
  assert.equal(base('ada@a.example', '+'), undefined);
  assert.equal(base('ada+x@a.example', ''), undefined);
});
