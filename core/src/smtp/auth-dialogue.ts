/** The lines of an AUTH exchange (RFC 4954 §4): PLAIN (RFC 4616), LOGIN, and tokens (RFC 7628). Pure: knows no socket and no account. */
import { isUtf8 } from 'node:buffer';
import { type BearerMechanism, readBearer, SaslSyntaxError } from '../sasl/bearer.ts';

export type AuthMechanism = 'PLAIN' | 'LOGIN' | BearerMechanism;
export interface Credentials {
  readonly username: string;
  /** Own octets, to be wiped. */
  readonly secret: Uint8Array;
}
/** Sends `334 <challenge>` and gives the client's next line. */
export type Ask = (challenge: string) => Promise<Buffer>;

export class AuthSyntaxError extends Error {
  override name = 'AuthSyntaxError';
}

/** @throws AuthSyntaxError */
export type ReadCredentials = (initial: string | undefined, ask: Ask) => Promise<Credentials>;
export const mechanisms: Readonly<Record<AuthMechanism, ReadCredentials>> = {
  PLAIN: plain,
  LOGIN: login,
  OAUTHBEARER: (initial, ask) => bearer('OAUTHBEARER', initial, ask),
  XOAUTH2: (initial, ask) => bearer('XOAUTH2', initial, ask),
};

/** authzid NUL authcid NUL passwd (RFC 4616 §2). @throws AuthSyntaxError */
async function plain(initial: string | undefined, ask: Ask): Promise<Credentials> {
  const octets = initial === undefined ? decoded(await ask('')) : decoded(initial);
  try {
    const first = octets.indexOf(0);
    const second = octets.indexOf(0, first + 1);
    if (first < 0 || second < 0 || octets.includes(0, second + 1)) throw new AuthSyntaxError('Wrong PLAIN response');
    const authorize = text(octets.subarray(0, first));
    const username = text(octets.subarray(first + 1, second));
    if (username === '') throw new AuthSyntaxError('Wrong PLAIN response');
    if (authorize !== '' && authorize !== username) throw new AuthSyntaxError('You may log in as yourself only');
    return { username, secret: Uint8Array.from(octets.subarray(second + 1)) };
  } finally {
    octets.fill(0);
  }
}

const USERNAME_PROMPT = Buffer.from('Username:').toString('base64');
const PASSWORD_PROMPT = Buffer.from('Password:').toString('base64');

/** Two prompts, never standardised, and still what some clients speak. @throws AuthSyntaxError */
async function login(initial: string | undefined, ask: Ask): Promise<Credentials> {
  const username = text(decoded(initial ?? (await ask(USERNAME_PROMPT))));
  if (username === '') throw new AuthSyntaxError('Wrong LOGIN response');
  const octets = decoded(await ask(PASSWORD_PROMPT));
  const secret = Uint8Array.from(octets);
  octets.fill(0);
  return { username, secret };
}

async function bearer(mechanism: BearerMechanism, initial: string | undefined, ask: Ask): Promise<Credentials> {
  const octets = decoded(initial ?? (await ask('')));
  try {
    const { username, token } = readBearer[mechanism](octets);
    return { username, secret: token };
  } catch (error) {
    throw error instanceof SaslSyntaxError ? new AuthSyntaxError(error.message) : error;
  } finally {
    octets.fill(0);
  }
}

/** base64; `=` alone is an empty response (RFC 4954 §4), `*` cancels. @throws AuthSyntaxError */
function decoded(line: string | Buffer): Buffer {
  const encoded = (typeof line === 'string' ? line : line.toString('latin1')).trim();
  if (typeof line !== 'string') line.fill(0);
  if (encoded === '*') throw new AuthSyntaxError('Authentication cancelled');
  if (encoded === '=') return Buffer.alloc(0);
  if (encoded.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(encoded)) throw new AuthSyntaxError('Not base64');
  return Buffer.from(encoded, 'base64');
}

function text(octets: Uint8Array): string {
  if (!isUtf8(octets)) throw new AuthSyntaxError('Text is not UTF-8');
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString('utf8');
}
