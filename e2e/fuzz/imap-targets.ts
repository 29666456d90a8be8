/** The command grammar, names, dates and searches, as commands bring them. */
import assert from 'node:assert/strict';
import { features } from '../../core/src/imap/capabilities.ts';
import { commandTable } from '../../core/src/imap/command-table.ts';
import { Cursor, type Reader } from '../../core/src/imap/grammar/cursor.ts';
import { date, dateTime } from '../../core/src/imap/grammar/dates.ts';
import { listMatcher } from '../../core/src/imap/grammar/list-match.ts';
import { decodeModifiedUtf7, encodeModifiedUtf7 } from '../../core/src/imap/grammar/modified-utf7.ts';
import { searchProgram } from '../../core/src/imap/grammar/search.ts';
import { resolveSet } from '../../core/src/imap/grammar/sequence-set.ts';
import { commandName, commandTag } from '../../core/src/imap/grammar/session-arguments.ts';
import { BadCharset, ImapSyntaxError } from '../../core/src/imap/grammar/syntax-error.ts';
import { CommandRegistry } from '../../core/src/imap/registry.ts';
import { searchQuery } from '../../core/src/imap/search-query.ts';
import { runOf } from '../../core/src/mail/journal/uid-runs.ts';
import { TestMailbox } from '../../core/src/mail/search/mailbox.fixture.ts';
import { naiveSearch } from '../../core/src/mail/search/naive-search.fixture.ts';
import { searchMailbox } from '../../core/src/mail/search/search.ts';
import { type ClientCommand, LIMITS_AFTER_LOGIN, LineReader } from '../../core/src/net/line-reader.ts';
import { pieces, type Target } from './target.ts';

const registry = new CommandRegistry(commandTable, features);
const CONTEXTS = [{ utf8: false }, { utf8: true }];

/** Whether it is a declared refusal; everything else is a find. */
function isRefusal(error: unknown): boolean {
  return error instanceof ImapSyntaxError || error instanceof BadCharset;
}
function refusedOr<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

interface Delivered {
  readonly text: string;
  readonly literals: readonly string[];
}

/** What the reader makes of the octets: commands and refusals, in order. */
function delivered(chunks: readonly Buffer[], commands: ClientCommand[]): readonly (Delivered | string)[] {
  const found: (Delivered | string)[] = [];
  const reader: LineReader = new LineReader(
    {
      command(command) {
        commands.push({ text: Buffer.from(command.text), literals: command.literals });
        found.push({
          text: command.text.toString('latin1'),
          literals: command.literals.map(({ octets }) => octets?.toString('latin1') ?? ''),
        });
        reader.next();
      },
      line: () => undefined,
      literal: () => 'memory',
      continueLiteral: () => undefined,
      refused({ reason, fatal }) {
        found.push(`${reason} ${fatal}`);
        if (!fatal) reader.next();
      },
      readable: () => undefined,
    },
    LIMITS_AFTER_LOGIN,
  );
  for (const chunk of chunks) reader.push(chunk);
  reader.close();
  return found;
}

function readCommand(command: ClientCommand, context: { readonly utf8: boolean }): void {
  refusedOr(() => {
    const cursor = new Cursor(command, context);
    commandTag(cursor);
    const { name, uid } = commandName(cursor);
    registry.find(uid ? `UID ${name}` : name)?.args(cursor);
  });
}

const ATOMS = [
  '(',
  ')',
  ' ',
  '"',
  '\\',
  '{3}\r\nabc',
  '{3+}\r\n',
  '~{2}\r\n',
  '*',
  '%',
  '$',
  ':',
  ',',
  '1:*',
  '4294967295',
  '99999999999999999999',
  'NIL',
  '()',
  '[]',
  '<0.1>',
  '\0',
  '\xff',
  '&AOk-',
  'UID ',
];

const COMMANDS: readonly string[] = [
  'a LOGIN ada "secret"',
  'a AUTHENTICATE PLAIN AGFkYQBzZWNyZXQ=',
  'a ID ("name" "x" "version" NIL)',
  'a ENABLE CONDSTORE QRESYNC IMAP4rev2',
  'a SELECT INBOX (QRESYNC (1 2 1:5 (1:2 1,5)) CONDSTORE)',
  'a CREATE "x" (USE (\\Junk \\Sent))',
  'a RENAME x &AOk-',
  'a LIST (SUBSCRIBED RECURSIVEMATCH) "" ("*" %) RETURN (CHILDREN STATUS (MESSAGES SIZE) METADATA (/private/a))',
  'a LSUB "" *',
  'a STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE HIGHESTMODSEQ)',
  'a APPEND INBOX (\\Seen kw) "01-Feb-2024 03:04:05 +0200" {4}\r\nabcd (\\Draft) {2+}\r\nab',
  'a APPEND INBOX CATENATE (URL "/INBOX/;UID=1" TEXT {2+}\r\nab)',
  'a APPEND INBOX UTF8 (~{2+}\r\nab)',
  'a REPLACE 4 INBOX {2+}\r\nab',
  'a FETCH 1:*,5 (UID FLAGS BODY.PEEK[1.2.HEADER.FIELDS (From "To")]<0.100> BINARY.SIZE[1] PREVIEW (LAZY)) (CHANGEDSINCE 5 VANISHED)',
  'a UID STORE 1,2:9 (UNCHANGEDSINCE 7) +FLAGS.SILENT (\\Seen $Junk)',
  'a UID SEARCH RETURN (MIN MAX COUNT ALL SAVE PARTIAL 1:50) CHARSET UTF-8 OR (FROM "x" NOT SEEN) HEADER Subject {1+}\r\ny SINCE 1-Feb-2024 LARGER 5 MODSEQ "/flags/\\\\Seen" all 5 UID 1:*',
  'a SORT (REVERSE DATE SUBJECT) UTF-8 ALL',
  'a THREAD REFERENCES UTF-8 (OR ANSWERED FLAGGED)',
  'a ESEARCH IN (MAILBOXES (a b) SUBTREE c SELECTED) RETURN (COUNT) TEXT x',
  'a UID COPY 1:4 Sent',
  'a MOVE 1 "x y"',
  'a GETMETADATA (MAXSIZE 5 DEPTH infinity) INBOX (/private/a /shared/b)',
  'a SETMETADATA INBOX (/private/a "x" /private/b NIL)',
  'a NOTIFY SET STATUS (SELECTED (MessageNew (UID FLAGS) MessageExpunge)) (PERSONAL (MailboxName)) (SUBTREE a NONE)',
  'a SETQUOTA "" (STORAGE 5 MESSAGE 7)',
  'a SETACL INBOX bob lrs',
];

const commands: Target = {
  name: 'imap-command',
  seeds: COMMANDS,
  words: [...ATOMS, ...COMMANDS.flatMap((command) => command.split(' ').slice(1))],
  mostOctets: 64 * 1024,
  run(octets, dice) {
    const wire = Buffer.concat([octets, Buffer.from('\r\n')]);
    const found: ClientCommand[] = [];
    const whole = delivered([wire], found);
    assert.deepEqual(delivered(pieces(wire, dice), []), whole, 'how the octets are cut makes a difference');
    for (const command of found) for (const context of CONTEXTS) readCommand(command, context);
  },
};

const modifiedUtf7: Target = {
  name: 'modified-utf7',
  seeds: ['INBOX', '&AOk-', '~peter/mail/&U,BTFw-/&ZeVnLIqe-', 'Tom&-Jerry', '&2D3eAA-', 'a*b%c', '*%*%*'],
  words: ['&', '-', '&-', '&AOk-', '&2D3eAA-', '&2D0-', ',', '+', '*', '%', '/', 'a'],
  mostOctets: 64 * 1024,
  run(octets) {
    const name = decodeModifiedUtf7(octets);
    if (typeof name === 'string') assert.equal(encodeModifiedUtf7(name), octets.toString('latin1'), 'one name has two encodings');
    const text = octets.toString('latin1');
    assert.equal(encodeModifiedUtf7(text) === '', text === '');
    listMatcher('', text.slice(0, 2_000))('a/'.repeat(200));
    listMatcher('a/', text.slice(0, 2_000))(text);
  },
};

function literalFree(octets: Buffer): ClientCommand {
  return { text: octets, literals: [] };
}
const dateReaders: readonly Reader<unknown>[] = [date, dateTime];

const dates: Target = {
  name: 'imap-dates',
  seeds: ['1-Feb-2024', '"01-Feb-2024"', '" 1-Feb-2024 02:44:25 -0700"', '"31-Dec-9999 23:59:60 +1400"', '"29-Feb-2000 00:00:00 +0000"'],
  words: ['-', ':', '"', ' ', '+', '0', '9999', 'Feb', 'dec', '29', '60', '-0000', '+9959'],
  mostOctets: 1_000,
  run(octets) {
    for (const reader of dateReaders) {
      const value = refusedOr(() => reader(new Cursor(literalFree(octets), { utf8: false })));
      if (typeof value === 'number') assert.ok(Number.isInteger(value));
    }
  },
};

const MESSAGES = [
  'From: Bob <bob@example.org>\r\nTo: ada@example.test\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= apple\r\nDate: Mon, 5 Jan 2026 10:00:00 +0100\r\n\r\nsweet apple pie\r\n',
  'From: "Zed (x)" <zed@example.org>\r\nCc: a@b, "c, d" <e@f>\r\nX-Spam: no\r\nSubject: re: apple\r\n\r\nyellow\r\n',
  'Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nYXBwbGUgY2Fmw6k=\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner apple\r\n\r\nx\r\n--b--\r\n',
  '\r\nno header\r\n',
];
const box = new TestMailbox();
for (const [index, raw] of MESSAGES.entries())
  box.add({ raw, flags: index % 2 === 0 ? ['\\Seen'] : ['\\Flagged', 'kw'], date: 1_700_000_000 + 86_400 * index });
const EVERYTHING = runOf(1, 0xffff_ffff);

const search: Target = {
  name: 'search',
  seeds: [
    'ALL',
    'OR (FROM "bob" NOT SEEN) SUBJECT apple',
    'NOT (TEXT apple OR BODY pie CC c)',
    'HEADER X-Spam "" UNSEEN',
    'SINCE 1-Feb-2024 SENTON 5-Jan-2026 LARGER 50',
    'UID 1:* KEYWORD kw 2,4 MODSEQ 2',
    'OR TO ada OR BCC x OLDER 5',
    'BODY "caf\xc3\xa9" TEXT "Gr\xc3\xbc\xc3\x9fe"',
  ],
  words: [
    'NOT ',
    'OR ',
    '(',
    ')',
    'ALL ',
    'SEEN ',
    'apple',
    'FROM ',
    'BODY ',
    'TEXT ',
    'HEADER ',
    'SUBJECT ',
    '""',
    '"',
    '1:*',
    '*',
    'UID ',
    '\xc3\xa9',
    '\\',
    ' ',
  ],
  mostOctets: 16 * 1024,
  async run(octets) {
    const program = refusedOr(() => searchProgram(new Cursor(literalFree(octets), { utf8: true })));
    if (program === undefined) return;
    const view = {
      resolveLoosely: (set: Parameters<typeof resolveSet>[0]) => (set.saved ? new Uint32Array(0) : resolveSet(set, MESSAGES.length)),
      recentUids: () => runOf(2, 3),
      ownEmailId: (id: string) => id,
    };
    const query = searchQuery(program.key, view, 1_700_100_000_000);
    const found = await searchMailbox({ content: box.content }, query, box.state, EVERYTHING, new AbortController().signal);
    assert.deepEqual([...found], naiveSearch(box, query, EVERYTHING), 'the planner and the naive search differ');
  },
};

export const imapTargets: readonly Target[] = [commands, modifiedUtf7, dates, search];
