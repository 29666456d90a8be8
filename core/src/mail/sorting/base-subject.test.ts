import assert from 'node:assert/strict';
import { test } from 'node:test';
import { baseSubject } from './base-subject.ts';

test('subjects made to be slow take linear time', () => {
  const n = 50_000;
  const slow = [
    '[a]'.repeat(n),
    '['.repeat(n),
    '[fwd:'.repeat(n) + ']'.repeat(n),
    '[fwd: '.repeat(n) + ' ]'.repeat(n),
    '[fwd:[a]re:'.repeat(n) + '(fwd)]'.repeat(n),
    're [a'.repeat(n),
    're[a]:'.repeat(n),
    `${'re:'.repeat(n)}x${'(fwd)'.repeat(n)}`,
    `x${' '.repeat(n)}y`,
    `${' '.repeat(n)}(fwd)${' '.repeat(n)}`,
  ];
  for (const subject of slow) {
    const start = performance.now();
    baseSubject(subject);
    assert(performance.now() - start < 500, subject.slice(0, 20));
  }
});

test('base subject of RFC 5256 §2.1', () => {
  for (const [subject, text, isReply] of [
    ['', '', false],
    [' \t ', '', false],
    ['Hello', 'Hello', false],
    ['Re: Hello', 'Hello', true],
    ['RE :\tHello', 'Hello', true],
    ['Fw: Hello', 'Hello', true],
    ['FWD: Hello', 'Hello', true],
    ['Fwdd: Hello', 'Fwdd: Hello', false],
    ['Re Hello', 'Re Hello', false],
    ['Reply: Hello', 'Reply: Hello', false],
    ['Re[2]: Hello', 'Hello', true],
    ['Re [2] : Hello', 'Hello', true],
    ['Re[2][3]: Hello', 'Re[2][3]: Hello', false],
    ['Re: re: fwd: fw: Hello', 'Hello', true],
    ['[list] Hello', 'Hello', false],
    ['[list][other] Hello', 'Hello', false],
    ['[list] Re: [other] Hello', 'Hello', true],
    ['[list]', '[list]', false],
    ['[list] [other]', '[other]', false],
    ['Re: [list]', '[list]', true],
    ['[list] Re:', '', true],
    ['[a [b] Hello', '[a [b] Hello', false],
    ['[list] ] Hello', '] Hello', false],
    ['Hello (fwd)', 'Hello', true],
    ['Hello (FWD) (fwd)', 'Hello', true],
    ['(fwd)', '', true],
    ['Hello (fwd) there', 'Hello (fwd) there', false],
    ['[Fwd: Hello]', 'Hello', true],
    ['[fwd: Re: Hello (fwd)]', 'Hello', true],
    ['[fwd: [fwd: Hello]]', 'Hello', true],
    ['[fwd: Hello', '[fwd: Hello', false],
    ['[fwd: Hello] there', 'there', false],
    ['[fwd:]', '', true],
    ['Re: [fwd: [list] Hello] (fwd)', 'Hello', true],
    ['a  b\tc\r\n d', 'a b c d', false],
    ['R\u00e9: Hello', 'R\u00e9: Hello', false],
  ] as const) {
    assert.deepEqual(baseSubject(subject), { text, isReply }, subject);
  }
});

test('a base subject has itself as base subject, whatever the subject', () => {
  const pieces = ['re:', 'Fwd :', 'fw[x]:', '[list]', '[', ']', '[fwd:', ' ', '\t', '(fwd)', 'word', ':', 're', '\u00e4', '[fwd: a]'];
  let seed = 7;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 20_000; round++) {
    let subject = '';
    for (let n = random(9); n >= 0; n--) subject += pieces[random(pieces.length)] as string;
    const { text } = baseSubject(subject);
    assert.equal(text, naive(subject), JSON.stringify(subject));
    // Steps 2 to 6 end where nothing matches any more, except that a blob may be all that there is.
    assert.deepEqual(baseSubject(text), { text, isReply: false }, JSON.stringify(subject));
  }
});

/** Step by step, one match at a time. */
function naive(subject: string): string {
  let text = subject.replace(/[\t\r\n ]+/g, ' ');
  for (;;) {
    for (let before = ''; before !== text; ) {
      before = text;
      text = text.replace(/(?:\(fwd\)|[\t ])$/i, '');
    }
    for (let before = ''; before !== text; ) {
      before = text;
      text = text.replace(/^(?:(?:\[[^[\]]*\][\t ]*)*(?:re|fwd?)[\t ]*(?:\[[^[\]]*\][\t ]*)?:|[\t ])/i, '');
      const without = text.replace(/^\[[^[\]]*\][\t ]*/, '');
      if (without !== '') text = without;
    }
    const inner = /^\[fwd:(.*)\]$/is.exec(text);
    if (inner === null) return text;
    text = inner[1] as string;
  }
}
