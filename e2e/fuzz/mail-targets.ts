/** Messages and the fields in them, as anybody may send them. */
import assert from 'node:assert/strict';
import { baseSubject } from '../../core/src/mail/sorting/base-subject.ts';
import { collationKey } from '../../core/src/mail/sorting/collation-key.ts';
import { messageIds } from '../../core/src/mail/sorting/message-ids.ts';
import { parseAddressList } from '../../core/src/mime/address.ts';
import { Base64Analyser } from '../../core/src/mime/base64-recipe.ts';
import { decodeCharset } from '../../core/src/mime/charset.ts';
import { CrlfNormaliser, normaliseCrlf } from '../../core/src/mime/crlf.ts';
import { parseDate } from '../../core/src/mime/date.ts';
import { decodeHeaderText, parameterText } from '../../core/src/mime/header-text.ts';
import { htmlText } from '../../core/src/mime/html-text.ts';
import { MessageParser, type ParsedMessage } from '../../core/src/mime/message-parser.ts';
import { parseContentType, parseLanguages, parseTokenWithParameters } from '../../core/src/mime/parameters.ts';
import { walkParts } from '../../core/src/mime/part.ts';
import { preview } from '../../core/src/mime/preview.ts';
import { bodyText, headerText, headerTexts } from '../../core/src/mime/search-text.ts';
import { parseWire } from '../../core/src/mime/testing-wire.ts';
import { decodeTransfer, transferDecoder } from '../../core/src/mime/transfer-encoding.ts';
import { pieces, type Target } from './target.ts';

function parsed(chunks: readonly Buffer[]): ParsedMessage {
  const parser = new MessageParser();
  for (const chunk of chunks) parser.push(chunk);
  return parser.finish();
}

const message: Target = {
  name: 'message',
  seeds: [
    'From: a@b\r\nSubject: x\r\n\r\nbody\r\n',
    'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\npre\r\n--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--b--\r\n--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n--a--\r\npost\r\n',
    "Content-Type: text/plain; charset*0=utf; charset*1=-8; name*=utf-8''%C3%A9\r\nContent-Transfer-Encoding: quoted-printable\r\nDate: Mon, 5 Jan 2026 10:00:00 +0100 (x)\r\nReferences: <a@b> <c@d>\r\n\r\na=3Db=\r\nc\r\n",
    'Content-Type: multipart/digest; boundary="=_ x"\r\n\r\n--=_ x\r\n\r\nFrom: x\r\n\r\ny\r\n--=_ x--\r\n',
  ],
  words: [
    '--a\r\n',
    '--b\r\n',
    '--a--\r\n',
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    'Content-Type: ',
    'message/rfc822\r\n\r\n',
    'multipart/mixed; boundary=',
    'boundary="',
    ' ',
    '\t',
    ';',
    '(',
    '"',
    '\\',
    '=?utf-8?B?',
    '?=',
    '<',
    '>',
    ',',
    'x'.repeat(80),
    '\0',
    '\xff',
  ],
  mostOctets: 524_288,
  run(octets, dice) {
    const whole = parsed([octets]);
    assert.deepEqual(parsed(pieces(octets, dice)), whole, 'how the octets are cut makes a difference');
    assert.equal(whole.sizeOctets, octets.length);
    for (const part of walkParts(whole.parts))
      assert.ok(part.headerStart <= part.bodyStart && part.bodyStart <= part.bodyEnd && part.bodyEnd <= octets.length);
    for (const wire of [whole.envelope, whole.bodyStructure, whole.body]) parseWire(wire);
    preview(octets, whole.parts);
    headerTexts(whole.head);
    headerText(whole.head);
    bodyText(octets, whole.parts, { scope: 'text' });
  },
};

const fields: Target = {
  name: 'header-fields',
  seeds: [
    'Bob <bob@example.org>, "A \\"B\\"" <a@b>, group: x@y, z@w;, (comment) c@d (e(f))',
    'Mon, 5 Jan 2026 10:00:00 +0100 (CET)',
    '=?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?iso-2022-jp?B?GyRCJDMbKEI=?= =?x?Q?y?=',
    'text/plain; charset="utf-8"; name*0*=utf-8\'en\'%C3%A9; name*1="b"; x=(c)y',
    'Re: Fwd: [list] re[2]: hello (fwd)',
    '<a@b> <c"d@e"> <<f@g>> junk <h@i',
    'en, de-AT, (x) fr',
  ],
  words: [
    '(',
    ')',
    '<',
    '>',
    '"',
    '\\',
    ',',
    ';',
    ':',
    '@',
    '=?',
    '?=',
    '?Q?',
    '?B?',
    '=?utf-8?B?',
    '=?utf-8?Q?=C3?=',
    '*0*=',
    '*=',
    "''",
    '%',
    'Re: ',
    '[',
    ']',
    '(fwd)',
    ' ',
    '\r\n ',
    '\t',
    '\0',
    '\xff',
  ],
  mostOctets: 262_144,
  run(octets) {
    const text = octets.toString('latin1');
    parseAddressList(text);
    parseDate(text);
    decodeHeaderText(text);
    parseContentType(text);
    const disposition = parseTokenWithParameters(text);
    if (disposition !== undefined) for (const { name } of disposition.parameters) parameterText(disposition.parameters, name);
    parseLanguages(text);
    const base = baseSubject(text).text;
    assert.equal(baseSubject(base).text, base, 'the base of a base subject is another');
    collationKey(text.slice(0, 4_000));
    messageIds(octets, 0, octets.length);
  },
};

const CHARSETS = ['utf-8', 'iso-8859-1', 'iso-2022-jp', 'gb18030', 'euc-kr', 'utf-16', 'utf-7', 'x-unknown', undefined];

const encodings: Target = {
  name: 'encodings',
  seeds: [
    'AAEC/w==',
    'QUJD\r\nREVG\r\n',
    'a=3Db=\r\nc =20\r\n=C3=A9',
    '<html><p>x &amp; y &#233;<script>z</script><!-- c -->',
    'caf\xc3\xa9 \x1b$B$3\x1b(B',
  ],
  words: [
    '=',
    '==',
    '=3D',
    '=\r\n',
    '\r\n',
    '\n',
    '\r',
    'AAAA',
    '+',
    '/',
    '<',
    '>',
    '&',
    '&#',
    ';',
    '<!--',
    '-->',
    '<script>',
    '"',
    '\x1b$B',
    '\x1b(B',
    '\xc3',
    '\xed\xa0\x80',
    '\xff\xfe',
  ],
  mostOctets: 524_288,
  run(octets, dice) {
    const cut = pieces(octets, dice);
    for (const encoding of ['base64', 'quoted-printable', '8bit']) {
      const decoder = transferDecoder(encoding);
      const inPieces = Buffer.concat([...cut.map((piece) => decoder.push(piece)), decoder.finish()]);
      assert.deepEqual(inPieces, decodeTransfer(octets, encoding), `${encoding}: how the octets are cut makes a difference`);
    }
    const normaliser = new CrlfNormaliser();
    const once = normaliseCrlf(octets);
    assert.deepEqual(Buffer.concat([...cut.map((piece) => normaliser.push(piece))]), once, 'CRLF: cutting makes a difference');
    assert.deepEqual(normaliseCrlf(once), once, 'CRLF twice is not CRLF once');
    const analyser = new Base64Analyser();
    for (const piece of cut) analyser.push(piece);
    for (const charset of CHARSETS) decodeCharset(octets, charset);
    htmlText(octets.toString('latin1'));
  },
};

export const mailTargets: readonly Target[] = [message, fields, encodings];
