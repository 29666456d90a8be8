import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS_AFTER_LOGIN, LineReader, type LiteralDecision } from '../../net/line-reader.ts';
import { appendRequest, appendSoFar } from './append.ts';
import { args, optional, optionalList } from './args.ts';
import { CHARSETS } from './charset.ts';
import { commandOf, faultOf, parse, REV1, UTF8 } from './command.fixture.ts';
import { Cursor, type Reader } from './cursor.ts';
import { fetchRequest, storeRequest } from './fetch.ts';
import { flag, flagList } from './flags.ts';
import { listRequest, statusItems } from './list.ts';
import { createSpecialUse, quotaLimits, selectParameters } from './mailbox-arguments.ts';
import { mailboxName } from './mailbox-name.ts';
import { searchProgram } from './search.ts';
import { messageSet } from './sequence-set.ts';
import { authenticateRequest, capabilityNames, commandHead, idFields } from './session-arguments.ts';
import { sortProgram, threadProgram } from './sort.ts';
import { astring } from './strings.ts';
import { BadCharset, ImapSyntaxError } from './syntax-error.ts';
import type { SearchKey } from './syntax-tree.ts';

const deep = (open: string, inner: string, close: string, times: number) => open.repeat(times) + inner + close.repeat(times);

const malformed = [
  [flag, '\\Recent', 'Not a flag that can be set @ 0'],
  [flag, '\\', 'Not a flag that can be set @ 0'],
  [flag, 'a'.repeat(256), 'Keyword too long @ 0'],
  [flagList, '(\\Seen', 'Space or closing parenthesis expected @ 6'],
  [flagList, '(\\Seen\\Draft)', 'Space or closing parenthesis expected @ 6'],
  [fetchRequest, '', 'FETCH item expected @ 0'],
  [fetchRequest, '()', 'Empty list @ 1'],
  [fetchRequest, '(ALL)', 'Unknown FETCH item @ 1'],
  [fetchRequest, 'FLAGS UID', 'List expected @ 6'],
  [fetchRequest, 'BODY.PEEK', 'Unknown FETCH item @ 0'],
  [fetchRequest, 'RFC822[]', 'Unknown FETCH item @ 0'],
  [fetchRequest, 'BODY[', 'Unknown section @ 5'],
  [fetchRequest, 'BODY[0]', 'Number must not be zero @ 5'],
  [fetchRequest, 'BODY[1.]', 'Part number expected @ 7'],
  [fetchRequest, 'BODY[1TEXT]', 'Closing bracket expected @ 6'],
  [fetchRequest, 'BODY[MIME]', 'MIME needs a part number @ 5'],
  [fetchRequest, 'BODY[HEADER.FIELDS]', 'Space expected @ 18'],
  [fetchRequest, 'BODY[HEADER.FIELDS ()]', 'Empty list @ 20'],
  [fetchRequest, 'BODY[HEADER.FIELDS ("a\\"\r")]', 'Control character in a quoted string @ 24'],
  [fetchRequest, 'BODY[]<0>', 'Length expected @ 8'],
  [fetchRequest, 'BODY[]<0.0>', 'Number must not be zero @ 9'],
  [fetchRequest, 'BINARY[HEADER]', 'Closing bracket expected @ 7'],
  [fetchRequest, `BODY[${Array(200).fill('1').join('.')}]`, 'Part number too deep @ 262'],
  [fetchRequest, `(${Array(300).fill('UID').join(' ')})`, 'Too many FETCH items @ 1201'],
  [fetchRequest, 'UID (CHANGEDSINCE 0)', 'Number must not be zero @ 18'],
  [fetchRequest, 'UID (FOO 1)', 'Unknown modifier @ 5'],
  [storeRequest, 'FLAG (\\Seen)', 'FLAGS expected @ 0'],
  [storeRequest, '+FLAGS', 'Space expected @ 6'],
  [storeRequest, '(UNCHANGEDSINCE) FLAGS ()', 'Space expected @ 15'],
  [storeRequest, 'FLAGS (\\Recent)', 'Not a flag that can be set @ 7'],
  [searchProgram, '', 'Unknown search key @ 0'],
  [searchProgram, '()', 'Unknown search key @ 1'],
  [searchProgram, 'FOO', 'Unknown search key @ 0'],
  [searchProgram, 'SUBJECT', 'Space expected @ 7'],
  [searchProgram, 'OR ALL', 'Space expected @ 6'],
  [searchProgram, 'NOT', 'Space expected @ 3'],
  [searchProgram, '(ALL', 'Closing parenthesis expected @ 4'],
  [searchProgram, 'ALL)', 'Unexpected text after the last argument @ 3'],
  [searchProgram, 'OLDER 0', 'Number must not be zero @ 6'],
  [searchProgram, 'SUBJECT "\xff"', 'Text is not in the given charset @ 8'],
  [searchProgram, 'CHARSET KOI9 ALL', 'Charset is not supported @ 8'],
  [searchProgram, 'CHARSET UTF-8', 'Space expected @ 13'],
  [searchProgram, 'RETURN ALL ALL', 'List expected @ 7'],
  [searchProgram, 'RETURN (FOO) ALL', 'Unknown RETURN option @ 8'],
  [searchProgram, 'RETURN (ALL PARTIAL 1:2) ALL', 'ALL and PARTIAL exclude each other @ 0'],
  [searchProgram, 'MODSEQ "/flags/\\\\Recent" all 1', 'Unknown entry name @ 7'],
  [searchProgram, 'MODSEQ "/other/x" all 1', 'Unknown entry name @ 7'],
  [searchProgram, 'EMAILID "a b"', 'Wrong object id @ 8'],
  [searchProgram, 'HEADER "" x', 'Empty header field name @ 7'],
  [searchProgram, deep('(', 'ALL', ')', 51), 'Nested too deeply @ 51'],
  [searchProgram, `${'NOT '.repeat(1_000)}ALL`, 'Nested too deeply @ 204'],
  [searchProgram, `${'OR '.repeat(1000)}`, 'Nested too deeply @ 153'],
  [searchProgram, Array(1_001).fill('ALL').join(' '), 'Too many search keys @ 4000'],
  [sortProgram, '() UTF-8 ALL', 'Empty list @ 1'],
  [sortProgram, '(REVERSE) UTF-8 ALL', 'Space expected @ 8'],
  [sortProgram, '(REVERSE REVERSE) UTF-8 ALL', 'Sort key expected @ 16'],
  [sortProgram, '(FROM) UTF-8', 'Space expected @ 12'],
  [threadProgram, 'REFERENCES x-none ALL', 'Charset is not supported @ 11'],
  [statusItems, '()', 'Empty list @ 1'],
  [statusItems, '(FOO)', 'Unknown STATUS item @ 1'],
  [listRequest, '""', 'Space expected @ 2'],
  [listRequest, '(RECURSIVEMATCH) "" *', 'RECURSIVEMATCH needs another selection option @ 0'],
  [listRequest, '(RECURSIVEMATCH REMOTE) "" *', 'RECURSIVEMATCH needs another selection option @ 0'],
  [listRequest, '"" () RETURN ()', 'Empty list @ 4'],
  [listRequest, '"" * RETURN (STATUS)', 'Space expected @ 19'],
  [selectParameters, '()', 'Empty list @ 1'],
  [selectParameters, '(QRESYNC)', 'Space expected @ 8'],
  [selectParameters, '(QRESYNC (1 0))', 'Number must not be zero @ 12'],
  [selectParameters, '(QRESYNC (1 2 1:*))', 'Numbers expected @ 14'],
  [selectParameters, '(QRESYNC (1 2 1:5 (1,2 1)))', 'Sets of different length @ 18'],
  [createSpecialUse, '(USE Drafts)', 'List expected @ 5'],
  [quotaLimits, '(STORAGE)', 'Space expected @ 8'],
  [authenticateRequest, 'PLAIN AGE', 'Wrong base64 @ 6'],
  [authenticateRequest, 'PLAIN A===', 'Wrong base64 @ 6'],
  [idFields, '("a")', 'Space expected @ 4'],
  [idFields, `("${'a'.repeat(31)}" NIL)`, 'Field name too long @ 1'],
  [idFields, `(${Array(31).fill('"a" "b"').join(' ')})`, 'Too many fields @ 248'],
  [appendRequest, 'box', 'Space expected @ 3'],
  [appendRequest, 'box (\\Seen)', 'Space expected @ 11'],
  [appendRequest, 'box "x" {1+}\r\nx', 'Wrong date @ 5'],
  [appendRequest, 'box UTF8 (~{1+}\r\nx', 'Closing parenthesis expected @ 17'],
  [appendRequest, 'box CATENATE ()', 'URL or TEXT expected @ 14'],
  [commandHead, '* NOOP', 'Tag expected @ 0'],
  [commandHead, 'a', 'Space expected @ 1'],
  [commandHead, 'a (', 'Command expected @ 2'],
  [commandHead, `${'a'.repeat(300)} NOOP`, 'Tag too long @ 0'],
  [args({}), ' x', 'Unexpected text after the last argument @ 1'],
  [args({ name: astring }), '', 'Argument missing @ 0'],
  [args({ name: astring }), 'x', 'Space expected @ 0'],
  [args({ name: astring }), '  ', 'Argument missing @ 2'],
  [args({ name: astring, more: optional(astring) }), ' a b c', 'Unexpected text after the last argument @ 5'],
] as const satisfies readonly (readonly [Reader<unknown>, string, string])[];
for (const [index, [reader, wire, fault]] of malformed.entries()) {
  test(`malformed ${index}: ${JSON.stringify(wire.slice(0, 50))}`, () => assert.equal(faultOf(reader, wire), fault));
}

test('an unknown charset says which ones there are', () => {
  assert.throws(
    () => parse(searchProgram, 'CHARSET x ALL'),
    (error) => error instanceof BadCharset && error.charsets === CHARSETS,
  );
  for (const name of CHARSETS) assert.equal(parse(searchProgram, `CHARSET ${name} SUBJECT a`).charset, name);
});

const seen: SearchKey = { op: 'flag', flag: '\\Seen', set: true };
const searches: readonly (readonly [wire: string, key: SearchKey])[] = [
  ['ALL', { op: 'all' }],
  ['(((ALL)))', { op: 'all' }],
  [
    'UNSEEN UNKEYWORD $Junk',
    {
      op: 'and',
      of: [
        { ...seen, set: false },
        { op: 'flag', flag: '$Junk', set: false },
      ],
    },
  ],
  [
    'NEW',
    {
      op: 'and',
      of: [
        { op: 'recent', set: true },
        { ...seen, set: false },
      ],
    },
  ],
  ['OLD', { op: 'recent', set: false }],
  ['OR seen NOT (seen ALL)', { op: 'or', of: [seen, { op: 'not', of: { op: 'and', of: [seen, { op: 'all' }] } }] }],
  ['FUZZY BODY {3+}\r\na\r\n', { op: 'fuzzy', of: { op: 'body', contains: 'a\r\n' } }],
  ['HEADER Message-ID ""', { op: 'header', name: 'Message-ID', contains: '' }],
  ['SENTSINCE 2-Jan-1970', { op: 'date', field: 'sent', relation: 'since', day: 1 }],
  ['SAVEDON "2-Jan-1970"', { op: 'date', field: 'saved', relation: 'on', day: 1 }],
  ['BEFORE 2-jan-1970', { op: 'date', field: 'internal', relation: 'before', day: 1 }],
  ['SAVEDATESUPPORTED', { op: 'saveDateSupported' }],
  ['YOUNGER 60', { op: 'younger', seconds: 60 }],
  ['LARGER 4294967296', { op: 'larger', octets: 4_294_967_296 }],
  ['MODSEQ 5', { op: 'modSeq', atLeast: 5, entry: undefined }],
  ['MODSEQ "/flags/\\\\seen" priv 5', { op: 'modSeq', atLeast: 5, entry: { flag: '\\Seen', type: 'priv' } }],
  ['MODSEQ "/flags/$Junk" all 5', { op: 'modSeq', atLeast: 5, entry: { flag: '$Junk', type: 'all' } }],
  ['EMAILID M1_-x', { op: 'emailId', is: 'M1_-x' }],
  ['UID $', { op: 'uid', in: { ranges: new Uint32Array(0), saved: true } }],
  ['1:*', { op: 'sequence', in: { ranges: Uint32Array.of(1, 0), saved: false } }],
  ['CHARSET KOI8-R TEXT "\xd4\xc5\xd3\xd4"', { op: 'text', contains: 'тест' }],
  ['CHARSET iso-8859-1 FROM {1+}\r\n\xfc', { op: 'from', contains: 'ü' }],
  ['CHARSET ISO-2022-JP SUBJECT {8+}\r\n\x1b$B$"\x1b(B', { op: 'subject', contains: 'あ' }],
  ['SUBJECT "\xc3\xbc"', { op: 'subject', contains: 'ü' }],
];
for (const [wire, key] of searches) test(`SEARCH ${JSON.stringify(wire)}`, () => assert.deepEqual(parse(searchProgram, wire).key, key));

test('fifty levels of nesting are understood', () => assert.equal(faultOf(searchProgram, deep('(', 'ALL', ')', 50)), undefined));

test('RETURN without a result is ALL, but SAVE alone asks for none', () => {
  const returns = (wire: string) => {
    const options = parse(searchProgram, `${wire} ALL`).returns;
    return options === undefined ? undefined : Object.entries(options).flatMap(([name, value]) => (value ? [name] : []));
  };
  assert.equal(returns('CHARSET UTF-8'), undefined);
  assert.deepEqual(returns('RETURN ()'), ['all']);
  assert.deepEqual(returns('RETURN (SAVE)'), ['save']);
  assert.deepEqual(returns('RETURN (min SAVE count)'), ['min', 'count', 'save']);
  assert.deepEqual(parse(searchProgram, 'RETURN (PARTIAL -1:-10) ALL').returns?.partial, { first: -1, last: -10 });
});

test('SORT and THREAD have their criteria, charset and keys', () => {
  const { criteria, charset, key } = parse(sortProgram, 'RETURN (COUNT) (REVERSE DATE SUBJECT) utf-8 SEEN');
  assert.deepEqual(criteria, [
    { key: 'DATE', reverse: true },
    { key: 'SUBJECT', reverse: false },
  ]);
  assert.equal(charset, 'UTF-8');
  assert.deepEqual(key, seen);
  assert.equal(parse(threadProgram, 'references us-ascii all').algorithm, 'REFERENCES');
});

test('FETCH items', () => {
  const items = (wire: string) => parse(fetchRequest, wire).items;
  assert.deepEqual(
    items('FULL').map(({ name }) => name),
    ['FLAGS', 'INTERNALDATE', 'RFC822.SIZE', 'ENVELOPE', 'BODY'],
  );
  assert.deepEqual(items('(uid flags UID BODY)'), [{ name: 'UID' }, { name: 'FLAGS' }, { name: 'BODY' }]);
});

test('sections, ranges and previews', () => {
  const item = (wire: string) => parse(fetchRequest, wire).items[0];
  assert.deepEqual(item('body.peek[1.2.header.fields.not (From {1+}\r\nz )]<5.10>'), {
    name: 'BODY[]',
    peek: true,
    section: { part: [1, 2], text: 'HEADER.FIELDS.NOT', fields: ['From', 'z'] },
    range: { offset: 5, length: 10 },
  });
  assert.deepEqual(item('BODY[]'), { name: 'BODY[]', peek: false, section: { part: [], text: 'ALL', fields: [] }, range: undefined });
  assert.deepEqual(item('BINARY.PEEK[2]<0.1>'), { name: 'BINARY[]', peek: true, part: [2], range: { offset: 0, length: 1 } });
  assert.deepEqual(item('BINARY.SIZE[2.1]'), { name: 'BINARY.SIZE[]', part: [2, 1] });
  assert.deepEqual(item('PREVIEW (LAZY)'), { name: 'PREVIEW', lazy: true });
  const both = parse(fetchRequest, 'PREVIEW (CHANGEDSINCE 9 VANISHED)');
  assert.deepEqual(both, { items: [{ name: 'PREVIEW', lazy: false }], changedSince: 9, vanished: true, partial: undefined });
  assert.deepEqual(parse(fetchRequest, '(PREVIEW (LAZY) UID) (PARTIAL 1:2)').partial, { first: 1, last: 2 });
});

test('STORE', () => {
  assert.deepEqual(parse(storeRequest, '(UNCHANGEDSINCE 0) -flags.silent \\seen $X \\Seen'), {
    mode: 'remove',
    silent: true,
    flags: ['\\Seen', '$X'],
    unchangedSince: 0,
  });
  assert.deepEqual(parse(storeRequest, 'FLAGS ()'), { mode: 'replace', silent: false, flags: [], unchangedSince: undefined });
});

test('LIST, basic and extended', () => {
  const basic = parse(listRequest, '"" %');
  assert.equal(basic.extended, false);
  assert.deepEqual(basic.patterns, ['%']);
  const extended = parse(
    listRequest,
    '(SUBSCRIBED RECURSIVEMATCH) "" ("INBOX" &AOk-*) RETURN (CHILDREN STATUS (MESSAGES UNSEEN) SPECIAL-USE)',
  );
  assert.deepEqual([...extended.selection], ['SUBSCRIBED', 'RECURSIVEMATCH']);
  assert.deepEqual(extended.patterns, ['INBOX', 'é*']);
  assert.deepEqual(extended.returns, {
    subscribed: false,
    children: true,
    specialUse: true,
    myRights: false,
    metadata: [],
    status: ['MESSAGES', 'UNSEEN'],
  });
});

test('SELECT parameters, CREATE special use, quota, ID, ENABLE, AUTHENTICATE', () => {
  const { qresync } = parse(selectParameters, '(QRESYNC (67890007 90060115194045000 41:211,214 (1,2:3 41:43)))');
  assert.equal(qresync?.modSeq, Number.MAX_SAFE_INTEGER);
  assert.deepEqual([...(qresync?.knownUids?.ranges ?? [])], [41, 211, 214, 214]);
  assert.deepEqual([...(qresync?.sequenceMatch?.uids.ranges ?? [])], [41, 43]);
  assert.deepEqual(parse(selectParameters, '(QRESYNC (1 2) CONDSTORE)'), {
    condstore: true,
    qresync: { uidValidity: 1, modSeq: 2, knownUids: undefined, sequenceMatch: undefined },
  });
  assert.deepEqual(parse(createSpecialUse, '(USE (\\drafts \\X))'), ['\\Drafts', '\\X']);
  assert.deepEqual(parse(quotaLimits, '(storage 512)'), [{ resource: 'STORAGE', limit: 512 }]);
  assert.deepEqual(
    [...parse(idFields, '("Name" "x" "__proto__" NIL)')],
    [
      ['name', 'x'],
      ['__proto__', null],
    ],
  );
  assert.deepEqual([...parse(idFields, 'NIL')], []);
  assert.deepEqual(parse(capabilityNames, 'condstore X-Y'), ['CONDSTORE', 'X-Y']);
  assert.deepEqual(parse(authenticateRequest, 'plain'), { mechanism: 'PLAIN', initialResponse: undefined });
  assert.equal(parse(authenticateRequest, 'plain =').initialResponse?.length, 0);
  assert.equal(parse(authenticateRequest, 'plain AGEAYg==').initialResponse?.toString(), '\0a\0b');
});

test('APPEND: flags, date, several messages, UTF8 and CATENATE', () => {
  const { mailbox, messages } = parse(
    appendRequest,
    'inbox (\\Seen) " 1-Jan-1970 00:00:00 +0000" {3+}\r\nabc UTF8 (~{2+}\r\n\0\0) CATENATE (URL "x" TEXT {1+}\r\ny)',
  );
  assert.equal(mailbox, 'INBOX');
  assert.deepEqual(messages[0]?.flags, ['\\Seen']);
  assert.equal(messages[0]?.internalDate?.epochMs, 0);
  assert.deepEqual(
    messages.map(({ utf8 }) => utf8),
    [false, true, false],
  );
  assert(Array.isArray(messages[2]?.content));
});

test('APPEND is judged when its literal is announced', () => {
  const announced: string[] = [];
  const reader = new LineReader(
    {
      command: () => undefined,
      line: () => undefined,
      literal: (soFar): LiteralDecision => {
        const cursor = new Cursor(soFar, REV1);
        const { name } = commandHead(cursor);
        const { request } = args({ request: appendSoFar })(cursor);
        announced.push(`${name} ${request.mailbox} ${request.messages.length}`);
        assert.equal(Array.isArray(request.messages.at(-1)?.content), false);
        return 'memory';
      },
      continueLiteral: () => undefined,
      refused: () => undefined,
      readable: () => undefined,
    },
    LIMITS_AFTER_LOGIN,
  );
  reader.push(Buffer.from('a APPEND x {2+}\r\nab'));
  reader.push(Buffer.from(' (\\Seen) UTF8 (~{2+}\r\nab)\r\n'));
  assert.deepEqual(announced, ['APPEND x 1', 'APPEND x 2']);
});

test('a declaration gives typed arguments; optional lists may stand before others', () => {
  const move = args({ messages: messageSet, destination: mailboxName });
  const { messages, destination } = parse(move, ' 1:5 inbox ');
  assert.deepEqual([...messages.ranges], [1, 5]);
  assert.equal(destination, 'INBOX');
  const search = args({ selection: optionalList(flagList), name: astring, more: optional(astring) });
  assert.deepEqual(parse(search, ' x'), { selection: undefined, name: 'x', more: undefined });
  assert.deepEqual(parse(search, ' (a) x y'), { selection: ['a'], name: 'x', more: 'y' });
  assert.deepEqual(parse(args({}), ''), {});
  assert.deepEqual(parse(commandHead, 'a uid fetch'), { tag: 'a', name: 'FETCH', uid: true });
});

const readers: readonly Reader<unknown>[] = [
  commandHead,
  fetchRequest,
  storeRequest,
  searchProgram,
  sortProgram,
  threadProgram,
  listRequest,
  statusItems,
  selectParameters,
  createSpecialUse,
  quotaLimits,
  authenticateRequest,
  idFields,
  capabilityNames,
  appendRequest,
  appendSoFar,
  mailboxName,
];
const seeds = [...searches.map(([wire]) => wire), ...malformed.map(([, wire]) => wire.slice(0, 200))];

/** Nothing but a value inside the text, or ImapSyntaxError at an offset inside it. */
function survives(text: Buffer): void {
  const command = { text, literals: [] };
  for (const reader of readers) {
    for (const context of [REV1, UTF8]) {
      const cursor = new Cursor(command, context);
      try {
        reader(cursor);
        assert(cursor.offset <= text.length);
      } catch (error) {
        if (!(error instanceof ImapSyntaxError)) throw error;
        assert(error.offset >= 0 && error.offset <= text.length, `${error.message} @ ${error.offset}`);
      }
    }
  }
}

test('random octets are a value or a syntax error, never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (octets) => survives(Buffer.from(octets))),
    { numRuns: 500 },
  );
});

test('mutated commands too', () => {
  const mutation = fc.record({
    seed: fc.constantFrom(...seeds),
    at: fc.nat(),
    drop: fc.nat(4),
    put: fc.constantFrom('', '(', ')', '"', '{', '{1}', ' ', '[', ']', '\\', '\0', '\r', 'NIL', '$', '*', ':', '-', '\xff', '1'),
  });
  fc.assert(
    fc.property(mutation, ({ seed, at, drop, put }) => {
      const cut = at % (seed.length + 1);
      survives(Buffer.from(seed.slice(0, cut) + put + seed.slice(cut + drop), 'latin1'));
    }),
    { numRuns: 2_000 },
  );
});

test('a literal that was streamed or is binary cannot stand for a string', () => {
  assert.equal(faultOf(astring, '{1+}\r\nx'), undefined);
  const command = commandOf('{1+}\r\nx');
  const literals = command.literals.map((literal) => ({ ...literal, octets: undefined }));
  assert.throws(() => astring(new Cursor({ text: command.text, literals }, REV1)), { message: 'Literal not allowed here' });
});
