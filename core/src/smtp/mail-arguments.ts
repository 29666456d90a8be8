/** The arguments of MAIL and RCPT: a path and parameters (RFC 5321 §4.1.2, with the UTF-8 of RFC 6531). Each pattern is linear. */

export interface MailArguments {
  /** Without the angle brackets and without a source route; '' for the null path. */
  readonly address: string;
  /** By keyword in upper case; '' for one without value. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** FROM or TO, a colon, which some clients follow with a space, and all the rest. */
const ARGUMENTS = /^(FROM|TO): {0,3}(.*)$/i;
/** A source route is to be ignored (RFC 5321 §4.1.1.3); a local part may be quoted; the domain is missing in `<postmaster>` and, in LMTP, in user names. */
const PATH =
  /^<(?:@[^:<>"\s\x00-\x1f\x7f]{1,255}:)?((?:"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"|[^\s<>"@(),:;[\]\\\x00-\x1f\x7f]+)(?:@[^\s<>"@(),;\\\x00-\x1f\x7f]+)?)?>(.*)$/;
const PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]{0,63})(?:=([^\s=\x00-\x1f\x7f]+))?$/;
const MAX_PARAMETERS = 20;

/** What follows the command's name; `undefined` for bad syntax. */
export function readMailArguments(text: string, keyword: 'FROM' | 'TO'): MailArguments | undefined {
  const [, name, rest = ''] = ARGUMENTS.exec(text) ?? [];
  if (name?.toUpperCase() !== keyword) return undefined;
  const [whole, address = '', tail = ''] = PATH.exec(rest) ?? [];
  if (whole === undefined) return undefined;
  const parameters = readParameters(tail);
  return parameters === undefined ? undefined : { address, parameters };
}

const NONE: ReadonlyMap<string, string> = new Map();

function readParameters(tail: string): ReadonlyMap<string, string> | undefined {
  const text = tail.trim();
  if (text === '') return NONE;
  if (!tail.startsWith(' ')) return undefined;
  const parameters = new Map<string, string>();
  for (const word of text.split(' ')) {
    if (word === '') continue;
    const [, keyword, value = ''] = PARAMETER.exec(word) ?? [];
    if (keyword === undefined || parameters.size === MAX_PARAMETERS || parameters.has(keyword.toUpperCase())) return undefined;
    parameters.set(keyword.toUpperCase(), value);
  }
  return parameters;
}
