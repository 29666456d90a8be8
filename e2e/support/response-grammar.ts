/** A strict reader of every response a server may send (RFC 9051 §9 and the extensions): what it refuses, a careful client refuses. */
import { type ImapValue, ResponseReader, readFetchWith } from './fetch-response.ts';

const ATOM = /[^\x00-\x20(){%*"\\\]\x7f-\xff]+/y;
const NUMBER = /0|[1-9]\d*/y;
const NZ_NUMBER = /[1-9]\d*/y;
const SET = /[1-9]\d*(?::[1-9]\d*)?(?:,[1-9]\d*(?::[1-9]\d*)?)*/y;
const CODE_TEXT = /[^\]\r\n\0]*/y;
const FLAG = /\\?[^\x00-\x20(){%*"\\\]\x7f-\xff]+|\\\*/y;
const MAILBOX_ATTRIBUTE = /\\[^\x00-\x20(){%*"\\\]\x7f-\xff]+/y;

type Rule = (reader: ResponseReader) => void;

function space(reader: ResponseReader): void {
  reader.take(/ /y);
}

/** Items with one space between, in parentheses. */
function inParentheses(item: Rule): Rule {
  return (reader) => {
    reader.take(/\(/y);
    while (!reader.sees(')')) {
      item(reader);
      if (!reader.sees(')')) space(reader);
    }
    reader.take(/\)/y);
  };
}
function pattern(expression: RegExp): Rule {
  return (reader) => void reader.take(expression);
}
function string(reader: ResponseReader): void {
  if (typeof reader.value() !== 'string') throw new Error(`no string before ${reader.at}`);
}
function nstring(reader: ResponseReader): void {
  const value = reader.value();
  if (value !== null && typeof value !== 'string') throw new Error(`no string and no NIL before ${reader.at}`);
}
function astring(reader: ResponseReader): void {
  if (reader.sees('"') || reader.sees('{')) string(reader);
  else reader.take(/[^\x00-\x20(){%*"\\\x7f-\xff]+/y);
}

const statusText: Rule = (reader) => {
  if (reader.sees('[')) {
    reader.take(/\[/y);
    const name = reader.take(ATOM)[0].toUpperCase();
    const rule = codes.get(name);
    if (rule !== undefined) {
      space(reader);
      rule(reader);
    } else if (bareCodes.has(name)) {
      // nothing follows
    } else if (reader.sees(' ')) reader.take(CODE_TEXT);
    reader.take(/\] /y);
  }
  reader.take(/[^\r\n\0\x80-\xff]+/y);
};

const flagList = inParentheses(pattern(FLAG));
const capabilities: Rule = (reader) => {
  reader.take(/[^\x00-\x20(){%*"\\\]\x7f-\xff]+(?: [^\x00-\x20(){%*"\\\]\x7f-\xff]+)*/y);
};

const bareCodes = new Set(
  'ALERT PARSE READ-ONLY READ-WRITE TRYCREATE CLOSED UNAVAILABLE AUTHENTICATIONFAILED AUTHORIZATIONFAILED EXPIRED PRIVACYREQUIRED CONTACTADMIN NOPERM INUSE EXPUNGEISSUED CORRUPTION SERVERBUG CLIENTBUG CANNOT LIMIT OVERQUOTA ALREADYEXISTS NONEXISTENT NOTSAVED HASCHILDREN UNKNOWN-CTE TOOBIG USEATTR COMPRESSIONACTIVE NOMODSEQ UIDNOTSTICKY UIDREQUIRED NOTIFICATIONOVERFLOW'.split(
    ' ',
  ),
);
const codes: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['CAPABILITY', capabilities],
  ['PERMANENTFLAGS', flagList],
  ['UIDNEXT', pattern(NZ_NUMBER)],
  ['UIDVALIDITY', pattern(NZ_NUMBER)],
  ['UNSEEN', pattern(NZ_NUMBER)],
  ['HIGHESTMODSEQ', pattern(NZ_NUMBER)],
  ['APPENDUID', pattern(/[1-9]\d* [1-9]\d*(?::[1-9]\d*)?(?:,[1-9]\d*(?::[1-9]\d*)?)*(?=\])/y)],
  [
    'COPYUID',
    (reader) => {
      reader.take(NZ_NUMBER);
      space(reader);
      reader.take(SET);
      space(reader);
      reader.take(SET);
    },
  ],
  ['MODIFIED', pattern(SET)],
  ['MAILBOXID', inParentheses(pattern(/[A-Za-z0-9_-]{1,255}/y))],
  ['BADCHARSET', inParentheses(astring)],
  ['BADEVENT', inParentheses(pattern(ATOM))],
]);

const delimiter: Rule = (reader) => {
  if (reader.sees('"')) reader.take(/"(?:[^"\\\r\n]|\\["\\])"/y);
  else reader.take(/NIL/y);
};
const list: Rule = (reader) => {
  inParentheses(pattern(MAILBOX_ATTRIBUTE))(reader);
  space(reader);
  delimiter(reader);
  space(reader);
  astring(reader);
  if (reader.isAtEnd) return;
  space(reader);
  inParentheses((item) => {
    astring(item);
    space(item);
    item.value();
  })(reader);
};
const statusItems = inParentheses((reader) => {
  const name = reader.take(/[A-Z0-9-]+/y)[0];
  space(reader);
  if (name === 'MAILBOXID') inParentheses(pattern(/[A-Za-z0-9_-]+/y))(reader);
  else if (name === 'APPENDLIMIT') reader.take(/NIL|\d+/y);
  else reader.take(NUMBER);
});
const esearch: Rule = (reader) => {
  if (reader.sees('(')) {
    reader.take(/\(TAG /y);
    string(reader);
    if (!reader.sees(')')) {
      reader.take(/ MAILBOX /y);
      astring(reader);
      reader.take(/ UIDVALIDITY [1-9]\d*/y);
    }
    reader.take(/\)/y);
    if (reader.isAtEnd) return;
    space(reader);
  }
  if (reader.takes(/UID(?= |$)/y)) {
    if (reader.isAtEnd) return;
    space(reader);
  }
  for (;;) {
    const name = reader.take(/[A-Z]+/y)[0];
    space(reader);
    if (name === 'ALL') reader.take(SET);
    else if (name === 'COUNT') reader.take(NUMBER);
    else if (name === 'MIN' || name === 'MAX' || name === 'MODSEQ') reader.take(NZ_NUMBER);
    else if (name === 'PARTIAL') reader.take(/\(-?[1-9]\d*:-?[1-9]\d* (?:NIL|[1-9]\d*(?::[1-9]\d*)?(?:,[1-9]\d*(?::[1-9]\d*)?)*)\)/y);
    else if (name === 'RELEVANCY') inParentheses(pattern(/100|[1-9]\d?/y))(reader);
    else throw new Error(`ESEARCH ${name} is not known`);
    if (reader.isAtEnd) return;
    space(reader);
  }
};
const numbers: Rule = (reader) => {
  while (!reader.isAtEnd) {
    space(reader);
    if (reader.sees('(')) reader.take(/\(MODSEQ [1-9]\d*\)$/y);
    else reader.take(NZ_NUMBER);
  }
};
/** RFC 5256 §5: a list of threads, each members and then perhaps several lists. */
const threadList: Rule = (reader) => {
  reader.take(/\(/y);
  let members = 0;
  while (reader.takes(/[1-9]\d*/y)) {
    members += 1;
    if (!reader.takes(/ (?=[1-9(])/y)) break;
  }
  let lists = 0;
  while (reader.sees('(')) {
    threadList(reader);
    lists += 1;
  }
  if (members === 0 && lists < 2) throw new Error(`thread without members at ${reader.at}`);
  reader.take(/\)/y);
};

const responses: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...(['OK', 'NO', 'BAD', 'BYE', 'PREAUTH'] as const).map((name): [string, Rule] => [
    name,
    (reader) => {
      space(reader);
      statusText(reader);
    },
  ]),
  ['CAPABILITY', after(capabilities)],
  [
    'ENABLED',
    (reader) => {
      if (!reader.isAtEnd) after(capabilities)(reader);
    },
  ],
  ['FLAGS', after(flagList)],
  ['LIST', after(list)],
  ['LSUB', after(list)],
  ['SEARCH', numbers],
  ['SORT', numbers],
  [
    'THREAD',
    (reader) => {
      if (reader.isAtEnd) return;
      space(reader);
      while (!reader.isAtEnd) threadList(reader);
    },
  ],
  [
    'ESEARCH',
    (reader) => {
      if (!reader.isAtEnd) after(esearch)(reader);
    },
  ],
  [
    'STATUS',
    after((reader) => {
      astring(reader);
      space(reader);
      statusItems(reader);
    }),
  ],
  [
    'NAMESPACE',
    (reader) => {
      for (let count = 0; count < 3; count += 1) {
        space(reader);
        const value: ImapValue = reader.value();
        if (value !== null && !Array.isArray(value)) throw new Error('namespace is neither NIL nor a list');
      }
    },
  ],
  [
    'ID',
    after((reader) => {
      if (reader.takes(/NIL/y)) return;
      inParentheses((pair) => {
        string(pair);
        space(pair);
        nstring(pair);
      })(reader);
    }),
  ],
  [
    'QUOTA',
    after((reader) => {
      astring(reader);
      space(reader);
      inParentheses(pattern(/[A-Z-]+ \d+ \d+/y))(reader);
    }),
  ],
  [
    'QUOTAROOT',
    after((reader) => {
      astring(reader);
      while (!reader.isAtEnd) after(astring)(reader);
    }),
  ],
  [
    'METADATA',
    after((reader) => {
      astring(reader);
      space(reader);
      if (!reader.sees('(')) {
        astring(reader);
        while (!reader.isAtEnd) after(astring)(reader);
        return;
      }
      inParentheses((pair) => {
        astring(pair);
        space(pair);
        nstring(pair);
      })(reader);
    }),
  ],
  [
    'VANISHED',
    (reader) => {
      reader.takes(/ \(EARLIER\)/y);
      space(reader);
      reader.take(SET);
    },
  ],
  ['MYRIGHTS', astrings(2, 2)],
  ['ACL', astrings(1, Number.POSITIVE_INFINITY)], // RFC 4314 §3.6
  ['LISTRIGHTS', astrings(3, Number.POSITIVE_INFINITY)],
]);

function astrings(least: number, most: number): Rule {
  return (reader) => {
    let count = 0;
    for (; !reader.isAtEnd && count < most; count += 1) after(astring)(reader);
    if (count < least) throw new Error(`${count} strings of ${least}`);
  };
}

function after(rule: Rule): Rule {
  return (reader) => {
    space(reader);
    rule(reader);
  };
}

/**
 * A response without its CRLF, literals in it, tagged or not.
 * @throws Error at the first octet that the grammar does not allow
 */
export function checkResponse(line: string, strings: 'ascii' | 'utf8' = 'ascii'): void {
  if (/^\* \d+ FETCH \(/.test(line)) {
    readFetchWith(line, strings);
    return;
  }
  if (/^\* (?:0|[1-9]\d*) (?:EXISTS|RECENT)$/.test(line) || /^\* [1-9]\d* EXPUNGE$/.test(line)) return;
  if (/^\* [1-9]\d* UIDFETCH \(/.test(line)) {
    readFetchWith(line.replace('UIDFETCH', 'FETCH'), strings);
    return;
  }
  if (/^\+ [^\r\n]*$/.test(line)) return;
  const reader = new ResponseReader(line);
  reader.strings = strings;
  const start = reader.take(/(\S+) ([A-Z]+)/y);
  const isTagged = start[1] !== '*';
  const name = start[2] ?? '';
  const rule = responses.get(name);
  if (rule === undefined || (isTagged && !['OK', 'NO', 'BAD'].includes(name))) throw new Error(`unknown response ${line.slice(0, 80)}`);
  rule(reader);
  if (!reader.isAtEnd)
    throw new Error(`octets after the response at ${reader.at}: ${JSON.stringify(line.slice(reader.at, reader.at + 40))}`);
}
