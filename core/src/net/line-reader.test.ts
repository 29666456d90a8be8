import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import {
  type AnnouncedLiteral,
  type ClientCommand,
  LIMITS_AFTER_LOGIN,
  LIMITS_BEFORE_LOGIN,
  LineReader,
  type LineReaderOwner,
  type LiteralDecision,
  type ReaderLimits,
  type Refusal,
} from './line-reader.ts';

/** Notes what is delivered, and answers every command at once unless `busy`. */
class Recorder implements LineReaderOwner {
  readonly events: string[] = [];
  readonly refusals: Refusal[] = [];
  readonly commands: ClientCommand[] = [];
  readonly reader: LineReader;
  busy = false;
  decide: (announced: AnnouncedLiteral) => LiteralDecision | Promise<LiteralDecision> = () => 'memory';

  constructor(limits: ReaderLimits = LIMITS_AFTER_LOGIN) {
    this.reader = new LineReader(this, limits);
  }

  command(command: ClientCommand): void {
    this.commands.push(command);
    const literals = command.literals.map(({ octets }) => octets?.toString('latin1') ?? 'streamed');
    this.events.push([`command ${command.text.toString('latin1')}`, ...literals].join('|'));
    if (!this.busy) this.reader.next();
  }
  line(line: Buffer): void {
    this.events.push(`line ${line.toString('latin1')}`);
  }
  literal(announced: AnnouncedLiteral): LiteralDecision | Promise<LiteralDecision> {
    return this.decide(announced);
  }
  continueLiteral(): void {
    this.events.push('+');
  }
  refused(refusal: Refusal): void {
    this.refusals.push(refusal);
    this.events.push(`refused ${refusal.reason}${refusal.fatal ? ' fatal' : ''}`);
    if (!refusal.fatal) this.reader.next();
  }
  readable(): void {
    this.events.push('readable');
  }
  push(text: string): boolean {
    return this.reader.push(Buffer.from(text, 'latin1'));
  }
}

function eventsOf(text: string, limits?: ReaderLimits, decide?: Recorder['decide']): string[] {
  const recorder = new Recorder(limits);
  if (decide !== undefined) recorder.decide = decide;
  recorder.push(text);
  return recorder.events;
}

const small: ReaderLimits = {
  lineOctets: 26,
  overlongLine: 'skip',
  literalOctets: 10,
  literals: 2,
  commandOctets: 50,
  nonSyncOctets: 8,
  drainOctets: 100,
};

const refused: readonly (readonly [name: string, text: string, events: readonly string[], limits?: ReaderLimits])[] = [
  ['a line that is too long', `${'x'.repeat(27)}\r\nb\r\n`, ['refused line-too-long', 'command b']],
  ['and closes before login', `${'x'.repeat(27)}\r\nb\r\n`, ['refused line-too-long fatal'], { ...small, overlongLine: 'close' }],
  ['a line that never ends', 'x'.repeat(200), ['refused line-too-long fatal']],
  ['an overlong line with a literal after it', `${'x'.repeat(27)} {3+}\r\nb\r\n\r\nc\r\n`, ['refused line-too-long', 'command c']],
  ['an overlong line whose literal waits', `${'x'.repeat(27)} {3}\r\nb\r\n`, ['refused line-too-long', 'command b']],
  ['a synchronising literal, without a continuation', 'a {11}\r\nb\r\n', ['refused literal-too-large', 'command b']],
  ['a non-synchronising literal, which is drained', 'a {9+}\r\nb\r\n567890\r\nc\r\n', ['refused literal-too-large', 'command c']],
  ['the rest of its command too', 'a {9+}\r\n123456789 {2+}\r\n\r\n x\r\nc\r\n', ['refused literal-too-large', 'command c']],
  ['a non-synchronising literal that is too far to drain', 'a {101+}\r\n', ['refused literal-too-large fatal']],
  ['a size that no number holds', 'a {99999999999999999999}\r\nb\r\n', ['refused literal-too-large', 'command b']],
  ['a size that no number holds, without waiting', 'a {99999999999999999999+}\r\n', ['refused literal-too-large fatal']],
  ['too many literals', 'a {1+}\r\nx {1+}\r\nx {1+}\r\nx\r\nb\r\n', ['refused too-many-literals', 'command b']],
  [
    'too many octets in all',
    'aaaaaaaaaaaaa {8+}\r\n12345678 aaaaaa {8+}\r\n12345678aaaaaaaa\r\nb\r\n',
    ['refused command-too-large', 'command b'],
  ],
];
for (const [name, text, events, limits = small] of refused) {
  test(`refuses ${name}`, () => {
    assert.deepEqual(eventsOf(text, limits), events);
    // The same in single octets.
    const recorder = new Recorder(limits);
    for (const octet of Buffer.from(text, 'latin1')) recorder.reader.push(Buffer.of(octet));
    assert.deepEqual(recorder.events, events);
  });
}

test('a refusal has the beginning of the command, for its tag', () => {
  const recorder = new Recorder(small);
  recorder.push('tag1 LOGIN {11}\r\n');
  assert.equal(recorder.refusals[0]?.text.toString(), 'tag1 LOGIN {11}\r\n');
  recorder.push(`tag2 ${'x'.repeat(40)}\r\n`);
  assert.match(recorder.refusals[1]?.text.toString() ?? '', /^tag2 x/);
});

const accepted: readonly (readonly [text: string, events: readonly string[]])[] = [
  ['a NOOP\r\nb NOOP\n\r\n', ['command a NOOP', 'command b NOOP', 'command ']],
  ['a\rb\0c\r\n', ['command a\rb\0c']],
  ['a {3}\r\nx\ny\r\n', ['+', 'command a {3}\r\n|x\ny']],
  ['a {3+}\nx\ny z\r\n', ['command a {3+}\n z|x\ny']],
  ['a ~{2+}\r\n\0\0\r\n', ['command a ~{2+}\r\n|\0\0']],
  ['a {0}\r\n\r\n', ['+', 'command a {0}\r\n|']],
  ['{1+}\r\nx{1+}\r\ny\r\n', ['command {1+}\r\n{1+}\r\n|x|y']],
  ['a {}\r\na {x}\r\na {1++}\r\n1}\r\n', ['command a {}', 'command a {x}', 'command a {1++}', 'command 1}']],
];
for (const [text, events] of accepted) {
  test(`reads ${JSON.stringify(text)}`, () => {
    assert.deepEqual(eventsOf(text), events);
    for (let cut = 1; cut < text.length; cut += 1) {
      const recorder = new Recorder();
      recorder.push(text.slice(0, cut));
      recorder.push(text.slice(cut));
      assert.deepEqual(recorder.events, events, `cut at ${cut}`);
    }
  });
}

test('a literal knows its place in the text', () => {
  const recorder = new Recorder();
  recorder.push('a ~{1+}\r\nx {2}\nyz)\r\n');
  const [command] = recorder.commands;
  assert.equal(command?.text.toString(), 'a ~{1+}\r\n {2}\n)');
  assert.deepEqual(
    command?.literals.map(({ at, next, sizeOctets, binary, synchronising }) => ({ at, next, sizeOctets, binary, synchronising })),
    [
      { at: 2, next: 9, sizeOctets: 1, binary: true, synchronising: false },
      { at: 10, next: 14, sizeOctets: 2, binary: false, synchronising: true },
    ],
  );
});

test('one command at a time: the next waits for next(), and push tells when to stop reading', () => {
  const recorder = new Recorder();
  recorder.busy = true;
  assert.equal(recorder.push('a\r\nb\r\nc\r\n'), false);
  assert.equal(recorder.push('d\r\n'), false);
  assert.deepEqual(recorder.events, ['command a']);
  recorder.reader.next();
  assert.deepEqual(recorder.events, ['command a', 'command b']);
  recorder.busy = false;
  recorder.reader.next();
  assert.deepEqual(recorder.events, ['command a', 'command b', 'command c', 'command d', 'readable']);
  assert.equal(recorder.push('e\r\n'), true);
});

test('ten thousand pipelined commands do not deepen the stack', () => {
  const recorder = new Recorder();
  recorder.push('a\r\n'.repeat(10_000));
  assert.equal(recorder.commands.length, 10_000);
});

test('lines of a SASL exchange and DONE come raw, announcements in them mean nothing', () => {
  const recorder = new Recorder();
  recorder.busy = true;
  recorder.push('a AUTHENTICATE PLAIN\r\nAGE=');
  recorder.reader.readLine();
  recorder.push('\r\n{5}\r\n');
  recorder.reader.readLine();
  recorder.busy = false;
  recorder.reader.next();
  recorder.push('b NOOP\r\n');
  assert.deepEqual(
    recorder.events.filter((event) => event !== 'readable'),
    ['command a AUTHENTICATE PLAIN', 'line AGE=', 'line {5}', 'command b NOOP'],
  );
});

test('an overlong raw line is refused and the connection goes on', () => {
  const recorder = new Recorder(small);
  recorder.busy = true;
  recorder.push('a IDLE\r\n');
  recorder.reader.readLine();
  recorder.push(`${'x'.repeat(30)}\r\nb\r\n`);
  assert.deepEqual(
    recorder.events.filter((event) => event !== 'readable'),
    ['command a IDLE', 'refused line-too-long', 'command b'],
  );
});

test('a streamed literal goes to its taker, with backpressure, and the command follows', async () => {
  const recorder = new Recorder();
  const taker = new PassThrough({ highWaterMark: 4 });
  recorder.decide = ({ text, literal }) => {
    assert.equal(text.toString(), 'a APPEND box {10}\r\n');
    assert.equal(literal.sizeOctets, 10);
    return { stream: taker };
  };
  recorder.push('a APPEND box {10}\r\n');
  assert.equal(recorder.push('01234'), true); // all of it is written, though the taker is full
  assert.equal(recorder.push('56789\r\nb\r\n'), false);
  assert.deepEqual(recorder.events, ['+']);
  const octets = (await taker.toArray()).join('');
  assert.equal(octets, '0123456789');
  assert.deepEqual(recorder.events, ['+', 'command a APPEND box {10}\r\n|streamed', 'command b', 'readable']);
});

test('a taker that fails does not stall the connection', async () => {
  const recorder = new Recorder();
  const taker = new Writable({ highWaterMark: 1, write: (_chunk, _encoding, done) => done(new Error('disk full')) });
  taker.on('error', () => undefined);
  recorder.decide = () => ({ stream: taker });
  recorder.push('a {10+}\r\n01234');
  await turn();
  recorder.push('56789\r\nb\r\n');
  await turn();
  assert.deepEqual(
    recorder.events.filter((event) => event !== 'readable'),
    ['command a {10+}\r\n|streamed', 'command b'],
  );
});

test('the owner may think about a literal, refuse it later, or fail', async () => {
  const recorder = new Recorder();
  recorder.decide = async ({ text }) => (text.includes('yes') ? 'memory' : { refuse: 'no mailbox' });
  assert.equal(recorder.push('yes {1+}\r\nx\r\nno {3+}\r\nx\r\n\r\nc\r\n'), false);
  await turn();
  assert.deepEqual(recorder.events, ['command yes {1+}\r\n|x', 'refused refused-by-owner', 'command c', 'readable']);
  assert.equal(recorder.refusals[0]?.because, 'no mailbox');

  const failure = new Error('down');
  recorder.decide = () => Promise.reject(failure);
  recorder.push('d {3}\r\n');
  await turn();
  assert.equal(recorder.refusals[1]?.because, failure);
});

test('close() destroys a half-read stream, and what is decided afterwards is destroyed too', async () => {
  const recorder = new Recorder();
  const half = new PassThrough();
  half.on('error', () => undefined);
  recorder.decide = () => ({ stream: half });
  recorder.push('a {10+}\r\nxx');
  recorder.reader.close();
  assert.equal(half.destroyed, true);
  assert.equal(recorder.push('b\r\n'), true);
  assert.deepEqual(recorder.events, []);

  const late = new PassThrough();
  late.on('error', () => undefined);
  const other = new Recorder();
  other.decide = async () => ({ stream: late });
  other.push('a {10+}\r\nxx');
  other.reader.close();
  await turn();
  assert.equal(late.destroyed, true);
});

test('STARTTLS: what came after it is handed out and forgotten', () => {
  const recorder = new Recorder(LIMITS_BEFORE_LOGIN);
  recorder.busy = true;
  recorder.push('a STARTTLS\r\nb LOGIN evil evil\r\n');
  assert.equal(recorder.reader.takeBuffered().toString(), 'b LOGIN evil evil\r\n');
  recorder.reader.next();
  assert.equal(recorder.commands.length, 1);
  assert.equal(recorder.reader.midCommand, false);
});

test('any octets in any pieces give the same events', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom('{3}\r\n', '{3+}\r\n', '~{2+}\n', '\r\n', 'a', ' ', '}', '{', '+', '{99}\r\n', '{9+}\r\n'),
      fc.string({ maxLength: 4 }),
    ),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(pieces, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }), (parts, sizes) => {
      const text = Buffer.from(parts.join(''), 'latin1');
      const whole = new Recorder(small);
      whole.reader.push(text);
      const cut = new Recorder(small);
      for (let at = 0, index = 0; at < text.length; index += 1) {
        const size = sizes[index % sizes.length] ?? 1;
        cut.reader.push(text.subarray(at, at + size));
        at += size;
      }
      assert.deepEqual(cut.events, whole.events);
    }),
    { numRuns: 2_000 },
  );
});

test('a line and a literal in single octets cost linear time', () => {
  const recorder = new Recorder();
  const octets = Buffer.from(`a ${'x'.repeat(60_000)} {60000}\r\n${'y'.repeat(60_000)}\r\n`);
  const started = performance.now();
  for (let at = 0; at < octets.length; at += 1) recorder.reader.push(octets.subarray(at, at + 1));
  assert.equal(recorder.commands[0]?.literals[0]?.octets?.length, 60_000);
  assert(performance.now() - started < 2_000);
});
