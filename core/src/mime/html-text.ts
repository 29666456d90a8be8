/** Elements whose content is not shown. */
const HIDDEN = new Set(['head', 'style', 'script', 'title', 'template', 'noscript']);

/** Elements that do not separate words. */
const INLINE = new Set([
  'a',
  'abbr',
  'b',
  'bdi',
  'bdo',
  'big',
  'cite',
  'code',
  'em',
  'font',
  'i',
  'mark',
  's',
  'small',
  'span',
  'strong',
  'sub',
  'sup',
  'tt',
  'u',
  'wbr',
]);

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
  ['nbsp', ' '],
  ['zwnj', ''],
  ['zwj', ''],
  ['shy', ''],
  ['ndash', '\u2013'],
  ['mdash', '\u2014'],
  ['hellip', '\u2026'],
  ['lsquo', '\u2018'],
  ['rsquo', '\u2019'],
  ['ldquo', '\u201c'],
  ['rdquo', '\u201d'],
  ['bull', '\u2022'],
  ['copy', '\u00a9'],
  ['reg', '\u00ae'],
  ['euro', '\u20ac'],
  ['auml', '\u00e4'],
  ['ouml', '\u00f6'],
  ['uuml', '\u00fc'],
  ['Auml', '\u00c4'],
  ['Ouml', '\u00d6'],
  ['Uuml', '\u00dc'],
  ['szlig', '\u00df'],
  ['eacute', '\u00e9'],
  ['egrave', '\u00e8'],
  ['agrave', '\u00e0'],
  ['ccedil', '\u00e7'],
]);

/** Text of HTML for a preview, not for display: tags, comments and hidden elements dropped. Linear and tolerant; never gives markup that it did not understand to a renderer. */
export function htmlText(html: string): string {
  let text = '';
  let at = 0;
  while (at < html.length) {
    const open = html.indexOf('<', at);
    if (open < 0) return text + entities(html.slice(at));
    text += entities(html.slice(at, open));
    if (html.startsWith('<!--', open)) {
      const end = html.indexOf('-->', open + 4);
      if (end < 0) return text;
      at = end + 3;
      continue;
    }
    const isClosing = html.charCodeAt(open + 1) === 0x2f;
    const name = tagName(html, open + (isClosing ? 2 : 1));
    if (name === '' && !isClosing && html.charCodeAt(open + 1) !== 0x21 && html.charCodeAt(open + 1) !== 0x3f) {
      text += '<'; // as in "a < b"
      at = open + 1;
      continue;
    }
    const close = html.indexOf('>', open);
    if (close < 0) return text;
    at = close + 1;
    if (!INLINE.has(name)) text += ' ';
    if (!isClosing && HIDDEN.has(name)) {
      const end = endOfHidden(html, name, at);
      if (end < 0) return text;
      at = end;
    }
  }
  return text;
}

function tagName(html: string, from: number): string {
  let at = from;
  while (at < html.length && at < from + 12) {
    const code = html.charCodeAt(at) | 0x20;
    if (code < 0x61 || code > 0x7a) break;
    at++;
  }
  return html.slice(from, at).toLowerCase();
}

/** After the end tag of a hidden element, or -1 if it never ends. Looks only ahead, so the whole stays linear. */
function endOfHidden(html: string, name: string, from: number): number {
  for (let at = html.indexOf('</', from); at >= 0; at = html.indexOf('</', at + 2)) {
    if (tagName(html, at + 2) !== name) continue;
    const close = html.indexOf('>', at);
    return close < 0 ? -1 : close + 1;
  }
  return -1;
}

function entities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replaceAll(/&(#?[A-Za-z0-9]{1,10});/g, (whole, name: string) => {
    if (!name.startsWith('#')) return ENTITIES.get(name) ?? whole;
    const code = /^#[xX]/.test(name) ? Number.parseInt(name.slice(2), 16) : Number.parseInt(name.slice(1), 10);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
