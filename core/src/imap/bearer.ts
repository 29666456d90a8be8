/** OAUTHBEARER (RFC 7628) and XOAUTH2: a user and a token for a plugin to judge, and the error challenge that ends a refusal. */
import { isUtf8 } from 'node:buffer';
import { MailError } from '../mail/errors.ts';
import { ImapBad } from './errors.ts';
import type { ImapSession } from './session.ts';

interface BearerResponse {
  /** Empty when the client gave none. */
  readonly username: string;
  /** Own octets. */
  readonly token: Uint8Array;
}

const KEY_SEPARATOR = '\x01';

/** `key=value` pairs between ^A, and nothing behind the last, empty one. @throws ImapBad */
function pairsOf(text: string, mechanism: string): ReadonlyMap<string, string> {
  const fields = text.split(KEY_SEPARATOR);
  const pairs = new Map<string, string>();
  const wrong = new ImapBad(`Wrong ${mechanism} response`);
  if (fields.length < 3 || fields.pop() !== '' || fields.pop() !== '') throw wrong;
  for (const field of fields) {
    const equals = field.indexOf('=');
    const key = field.slice(0, Math.max(equals, 0)).toLowerCase();
    if (!/^[a-z]{1,32}$/.test(key) || pairs.has(key)) throw wrong;
    pairs.set(key, field.slice(equals + 1));
  }
  return pairs;
}

/** b64token behind `Bearer` in any case (RFC 6750 §2.1). @throws ImapBad */
function tokenOf(auth: string | undefined, mechanism: string): Uint8Array {
  const match = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(auth ?? '');
  if (match?.[1] === undefined) throw new ImapBad(`Wrong ${mechanism} response`);
  return Uint8Array.from(Buffer.from(match[1], 'latin1'));
}

function textOf(octets: Buffer, mechanism: string): string {
  if (!isUtf8(octets)) throw new ImapBad(`Wrong ${mechanism} response`);
  return octets.toString('utf8');
}

/** gs2-header, then pairs (RFC 7628 §3.1). Channel binding is not part of the mechanism. @throws ImapBad */
export function readOauthBearer(octets: Buffer): BearerResponse {
  const text = textOf(octets, 'OAUTHBEARER');
  const match = /^[ny],(?:a=([^,\x01]{1,1024}))?,\x01/.exec(text);
  if (match === null) throw new ImapBad('Wrong OAUTHBEARER response');
  const pairs = pairsOf(text.slice(match[0].length), 'OAUTHBEARER');
  // saslname: comma and equals sign are spelt out (RFC 5801 §4).
  const username = (match[1] ?? '').replaceAll(/=(2C|3D|.{0,2})/gi, (_, code: string) => {
    if (code.toUpperCase() === '2C') return ',';
    if (code.toUpperCase() === '3D') return '=';
    throw new ImapBad('Wrong OAUTHBEARER response');
  });
  return { username, token: tokenOf(pairs.get('auth'), 'OAUTHBEARER') };
}

/** `user=...^Aauth=Bearer ...^A^A`. @throws ImapBad */
export function readXoauth2(octets: Buffer): BearerResponse {
  const pairs = pairsOf(textOf(octets, 'XOAUTH2'), 'XOAUTH2');
  const username = pairs.get('user');
  if (username === undefined || username === '') throw new ImapBad('Wrong XOAUTH2 response');
  return { username, token: tokenOf(pairs.get('auth'), 'XOAUTH2') };
}

/** What a client is told before NO, so that it can fetch another token (RFC 7628 §3.2.2). */
function challenge(mechanism: 'OAUTHBEARER' | 'XOAUTH2', error: MailError): string {
  const isTokens = error.code === 'credentials';
  const status = mechanism === 'XOAUTH2' ? (isTokens ? '401' : '403') : isTokens ? 'invalid_token' : 'insufficient_scope';
  return Buffer.from(JSON.stringify({ status, schemes: 'bearer', scope: '' })).toString('base64');
}

function exchange(mechanism: 'OAUTHBEARER' | 'XOAUTH2', read: (octets: Buffer) => BearerResponse) {
  return async (session: ImapSession, octets: Buffer): Promise<void> => {
    let given: BearerResponse;
    try {
      given = read(octets);
    } finally {
      octets.fill(0);
    }
    try {
      await session.logIn(given.username, given.token, mechanism);
    } catch (error) {
      if (!(error instanceof MailError) || (error.code !== 'credentials' && error.code !== 'disabled' && error.code !== 'policy'))
        throw error;
      // Whatever the client says to it (^A, nothing, a cancel) ends the exchange.
      await session.wire.ask(challenge(mechanism, error));
      throw error;
    }
  };
}

export const bearerMechanisms: ReadonlyMap<string, (session: ImapSession, octets: Buffer) => Promise<void>> = new Map([
  ['OAUTHBEARER', exchange('OAUTHBEARER', readOauthBearer)],
  ['XOAUTH2', exchange('XOAUTH2', readXoauth2)],
]);
