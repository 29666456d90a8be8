/** The server's side of SCRAM-SHA-256 and -PLUS (RFC 5802 §5-§7; RFC 7677): the messages; keys come from the services. */
import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { checkScramProof, type ScramKeys } from '../passwords/scram-keys.ts';
import { ImapBad, ImapNo } from './errors.ts';

export interface ScramFirst {
  readonly username: string;
  /** `n`: the client binds nothing; `y`: it would, but thinks that we cannot; else the type that it binds to, as it wrote it. */
  readonly binding: string;
  /** `n,,` as the client sent it: comes back in its final message. */
  readonly gs2Header: string;
  /** Without the gs2-header. */
  readonly bare: string;
  readonly nonce: string;
}

const NONCE_OCTETS = 18;
const NOTHING = Buffer.alloc(0);

function wrong(): ImapBad {
  return new ImapBad('Wrong SCRAM message');
}

function textOf(octets: Buffer): string {
  if (octets.length > 4096 || !isUtf8(octets) || octets.includes(0)) throw wrong();
  return octets.toString('utf8');
}

/** saslname: comma and equals sign are spelt out. */
function unescaped(name: string): string {
  return name.replaceAll(/=(.{0,2})/gs, (_, code: string) => {
    if (code === '2C') return ',';
    if (code === '3D') return '=';
    throw wrong();
  });
}

/** client-first-message. @throws ImapBad, ImapNo AUTHORIZATIONFAILED when somebody else is to be logged in */
export function readClientFirst(octets: Buffer): ScramFirst {
  const text = textOf(octets);
  const header = /^(?:([ny])|p=([A-Za-z0-9.-]{1,64})),(?:a=([^,]{1,1024}))?,/.exec(text);
  if (header === null) throw wrong();
  const bare = text.slice(header[0].length);
  // An `m=` in front is an extension that must be understood.
  const match = /^n=([^,]{1,1024}),r=([\x21-\x2b\x2d-\x7e]{1,512})(?:,|$)/.exec(bare);
  if (match?.[1] === undefined || match[2] === undefined) throw wrong();
  const username = unescaped(match[1]);
  if (header[3] !== undefined && unescaped(header[3]) !== username)
    throw new ImapNo('AUTHORIZATIONFAILED', 'You may log in as yourself only');
  return { username, binding: header[1] ?? header[2] ?? 'n', gs2Header: header[0], bare, nonce: match[2] };
}

/**
 * One exchange after the client's first message. `send` sends a server message and gives the client's answer, both decoded. `bound`: the data
 * of the channel that the client says it binds to, nothing without a binding.
 */
export async function scramExchange(
  first: ScramFirst,
  keys: ScramKeys,
  send: (text: string) => Promise<Buffer>,
  bound: Buffer = NOTHING,
): Promise<boolean> {
  const nonce = first.nonce + randomBytes(NONCE_OCTETS).toString('base64');
  const serverFirst = `r=${nonce},s=${keys.salt.toString('base64')},i=${keys.iterations}`;
  const final = textOf(await send(serverFirst));
  const at = final.lastIndexOf(',p=');
  if (at < 0) throw wrong();
  const withoutProof = final.slice(0, at);
  const [binding, echoed] = withoutProof.split(',', 2);
  if (echoed !== `r=${nonce}`) throw wrong();
  if (binding !== `c=${Buffer.concat([Buffer.from(first.gs2Header, 'utf8'), bound]).toString('base64')}`) {
    // Another channel than ours: somebody sits between (RFC 5802 §6). Looks like a wrong password, and is counted as one.
    if (bound.length > 0) return false;
    throw wrong();
  }
  const signature = checkScramProof(keys, `${first.bare},${serverFirst},${withoutProof}`, Buffer.from(final.slice(at + 3), 'base64'));
  if (signature === undefined) return false;
  const last = await send(`v=${signature.toString('base64')}`);
  if (last.length > 0) throw wrong();
  return true;
}
