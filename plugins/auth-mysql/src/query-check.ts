/** Own queries of the administrator: what is not a plain prepared statement is refused before anything is connected. */

const MAX_CHARS = 10_000;
/** `%u`, `%Ln`, `%{user}`: variables of Dovecot and Postfix, which put a name into the text of a query. */
const MAIL_SERVER_VARIABLE = /%(?:\{|[A-Z]?[a-z](?![A-Za-z0-9_]))/;
/** `${name}`, `{username}`; scheme names such as {CRYPT} are in capitals and stay. */
const TEMPLATE = /\$\{|#\{|<%|\{\{?\s?[a-z_][\w.]{0,60}\s?\}|\$[A-Za-z_]\w{0,60}/;
const OTHER_PLACEHOLDER = /(?<![:\w]):[A-Za-z_]\w{0,60}|@\w/;

/** `list`: a SELECT that is run page by page. */
export type QueryKind = 'select' | 'update' | 'list';

/** Mistakes, each a sentence; none when the query is fine. `count`: exactly so many placeholders, else at least one. */
export function queryMistakes(sql: string, kind: QueryKind, count?: number): readonly string[] {
  if (sql.length > MAX_CHARS) return [`is longer than ${MAX_CHARS} characters`];
  if (/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(sql)) return ['contains a control character'];
  const mistakes: string[] = [];
  const variable = MAIL_SERVER_VARIABLE.exec(sql)?.[0] ?? TEMPLATE.exec(sql)?.[0];
  if (variable !== undefined) mistakes.push(`interpolates ${variable}: a name never becomes part of the text; write ? in its place`);
  const read = skeleton(sql);
  if (typeof read === 'string') return [...mistakes, read];
  const { code, quotedPlaceholder } = read;
  if (quotedPlaceholder) mistakes.push('has a ? within quotes, where it is only a question mark: take the quotes away');
  if (/;/.test(code)) mistakes.push('has a semicolon: one statement, without it');
  const named = OTHER_PLACEHOLDER.exec(code)?.[0];
  if (named !== undefined && variable === undefined) mistakes.push(`uses ${named}: the only placeholder is ?`);
  const placeholders = code.split('?').length - 1;
  if (count !== undefined && placeholders !== count) mistakes.push(`has ${placeholders} placeholders (?) and needs ${count}`);
  else if (placeholders === 0) mistakes.push('has no placeholder: the name is bound to each ?');
  const isRightKind = kind === 'update' ? /^\s*update\b/i.test(code) : /^\s*(?:select|with)\b/i.test(code);
  if (!isRightKind) mistakes.push(kind === 'update' ? 'must be an UPDATE' : 'must be a SELECT');
  if (kind !== 'update' && /\binto\b/i.test(code)) mistakes.push('must not write (INTO)');
  return kind === 'list' ? [...mistakes, ...listMistakes(sql, code)] : mistakes;
}

function listMistakes(sql: string, code: string): readonly string[] {
  const mistakes: string[] = [];
  if (!/\border\s+by\b/i.test(code)) mistakes.push('has no ORDER BY: pages follow the order of the login names');
  if (/\blimit\b/i.test(code)) mistakes.push('has a LIMIT: leave it out, each page gets its own');
  if (/(?:\bselect\s|\bdistinct\s|,|\.)\s*\*/i.test(code)) mistakes.push('selects *: name the columns, so that no password is read');
  if (/\bpassword\b/i.test(code) || /[`'"]password[`'"]/i.test(sql)) mistakes.push('has a password: a listing does not read it');
  return mistakes;
}

/** The text with quoted parts blanked, or what is wrong with its quoting. */
function skeleton(sql: string): { readonly code: string; readonly quotedPlaceholder: boolean } | string {
  let code = '';
  let quotedPlaceholder = false;
  for (let at = 0; at < sql.length; at += 1) {
    const character = sql.charAt(at);
    const next = sql.charAt(at + 1);
    if (character === '#' || (character === '/' && next === '*') || (character === '-' && next === '-')) {
      return 'has a comment: leave comments out';
    }
    if (character !== "'" && character !== '"' && character !== '`') {
      code += character;
      continue;
    }
    const end = endOfQuoted(sql, at);
    if (end < 0) return `has a quote (${character}) that does not end`;
    quotedPlaceholder ||= sql.slice(at, end).includes('?');
    code += `${character}${character}`;
    at = end;
  }
  return { code, quotedPlaceholder };
}

/** Where the quoted part that begins at `start` ends; -1: nowhere. */
function endOfQuoted(sql: string, start: number): number {
  const quote = sql.charAt(start);
  for (let at = start + 1; at < sql.length; at += 1) {
    const character = sql.charAt(at);
    if (character === '\\' && quote !== '`') at += 1;
    else if (character === quote && sql.charAt(at + 1) === quote) at += 1;
    else if (character === quote) return at;
  }
  return -1;
}
