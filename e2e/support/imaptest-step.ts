/** Expected lines of imaptest scripts against real responses: case, `$name`, `$!unordered`, literals with LF for CRLF. */

export type Variables = Map<string, string>;

/** Puts known values in; `$$` is a dollar. Names without a value stay. */
export function withVariables(text: string, variables: Variables): string {
  return text.replaceAll(/\$(\$|[a-z_][a-z0-9_]*)/gi, (whole, name: string) =>
    name === '$' ? '$' : (variables.get(name.toLowerCase()) ?? whole),
  );
}

/**
 * Whether the response is the expected line; names that have no value yet get theirs when it is. Of a FETCH the expected items must be
 * there, others may be (RFC 9051 §7: a server may send data at any time); text after a response code is free.
 */
export function matches(expected: string, response: string, variables: Variables): boolean {
  const wanted = withLiterals(expected);
  const fetch = /^\* (\d+) fetch \(/i.exec(wanted);
  if (fetch === null) return matchesText(wanted.trimEnd(), response.trimEnd(), variables, /^\* ok \[/i.test(wanted) ? '(?: .*)?' : '');
  const start = new RegExp(`^\\* ${fetch[1]} FETCH \\(`).exec(response);
  if (start === null) return false;
  const actual = new Map(fetchItems(response.slice(start[0].length, -1)));
  const bound = new Map(variables);
  for (const [name, value] of fetchItems(wanted.slice(fetch[0].length, -1))) {
    const found = actual.get(name);
    // \Recent is the session's own and not in the scripts.
    const text = name === 'FLAGS' ? found?.replace(/\\Recent ?/i, '').replace(' )', ')') : found;
    if (text === undefined || !matchesText(value, text, bound, '')) return false;
  }
  for (const [name, value] of bound) variables.set(name, value);
  return true;
}

/** `{{{` and `}}}` become a literal; LF inside it CRLF. */
function withLiterals(expected: string): string {
  return expected.replaceAll(/\{\{\{\n([\s\S]*?)\n\}\}\}/g, (_, body: string) => {
    const octets = body.replaceAll('\n', '\r\n');
    return `{${octets.length}}\r\n${octets}`;
  });
}

/** Names in capitals and values of `name value name value`. */
function fetchItems(text: string): [string, string][] {
  const items: [string, string][] = [];
  let at = 0;
  while (at < text.length) {
    const name = /[^ [\]]+(?:\[[^\]]*\])?(?:<\d+>)?/y;
    name.lastIndex = at;
    const found = name.exec(text)?.[0];
    if (found === undefined) throw new Error(`no item at ${at}: ${text}`);
    at += found.length + 1;
    const end = valueEnd(text, at);
    items.push([found.toUpperCase(), text.slice(at, end)]);
    at = end + 1;
  }
  return items;
}

function valueEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const char = text[at];
    if (char === '(') depth += 1;
    else if (char === ')') depth -= 1;
    else if (char === '"') {
      for (at += 1; at < text.length && text[at] !== '"'; at += 1) if (text[at] === '\\') at += 1;
    } else if (char === '{') {
      const literal = /\{(\d+)\}\r\n/y;
      literal.lastIndex = at;
      const match = literal.exec(text);
      if (match !== null) at += match[0].length + Number(match[1]) - 1;
    } else if (char === ' ' && depth === 0) return at;
  }
  return text.length;
}

function matchesText(expected: string, actual: string, variables: Variables, more: string): boolean {
  const names: string[] = [];
  let pattern = '^';
  for (const piece of expected.split(/(\$\$|\$!unordered|\$[a-z_][a-z0-9_]*)/i)) {
    const name = piece.slice(1).toLowerCase();
    const value = piece.startsWith('$') ? variables.get(name) : undefined;
    if (piece === '$$') pattern += '\\$';
    else if (name === '!unordered' && piece.startsWith('$')) pattern += '[\\s\\S]*';
    else if (value !== undefined) pattern += `"?${quoted(value)}"?`;
    else if (piece.startsWith('$') && names.includes(name)) pattern += `\\${names.indexOf(name) + 1}`;
    else if (piece.startsWith('$') && piece.length > 1) {
      names.push(name);
      pattern += '("[^"]*"|[^ ()\\]]+)';
    } else pattern += quoted(piece);
  }
  const match = new RegExp(`${pattern}${more}$`, 'i').exec(actual);
  if (match === null) return false;
  for (const [index, name] of names.entries()) variables.set(name, match[index + 1] ?? '');
  return true;
}

function quoted(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
