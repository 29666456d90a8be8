/** The client's side of OAUTHBEARER (RFC 7628) and XOAUTH2 as octets: a user and a token for a plugin to judge. Pure; for every protocol. */
import { isUtf8 } from 'node:buffer';

export type BearerMechanism = 'OAUTHBEARER' | 'XOAUTH2';
export interface BearerResponse {
  /** Empty when the client gave none. */
  readonly username: string;
  /** Own octets. */
  readonly token: Uint8Array;
}
/** What the client said makes no sense. */
export class SaslSyntaxError extends Error {
  override name = 'SaslSyntaxError';
}

const KEY_SEPARATOR = '\x01';

/** `key=value` pairs between ^A, and nothing behind the last, empty one. @throws SaslSyntaxError */
function pairsOf(text: string, mechanism: BearerMechanism): ReadonlyMap<string, string> {
  const fields = text.split(KEY_SEPARATOR);
  const pairs = new Map<string, string>();
  const wrong = wrongResponse(mechanism);
  if (fields.length < 3 || fields.pop() !== '' || fields.pop() !== '') throw wrong;
  for (const field of fields) {
    const equals = field.indexOf('=');
    const key = field.slice(0, Math.max(equals, 0)).toLowerCase();
    if (!/^[a-z]{1,32}$/.test(key) || pairs.has(key)) throw wrong;
    pairs.set(key, field.slice(equals + 1));
  }
  return pairs;
}

/** b64token behind `Bearer` in any case (RFC 6750 §2.1). @throws SaslSyntaxError */
function tokenOf(auth: string | undefined, mechanism: BearerMechanism): Uint8Array {
  const match = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(auth ?? '');
  if (match?.[1] === undefined) throw wrongResponse(mechanism);
  return Uint8Array.from(Buffer.from(match[1], 'latin1'));
}

function textOf(octets: Buffer, mechanism: BearerMechanism): string {
  if (!isUtf8(octets)) throw wrongResponse(mechanism);
  return octets.toString('utf8');
}

function wrongResponse(mechanism: BearerMechanism): SaslSyntaxError {
  return new SaslSyntaxError(`Wrong ${mechanism} response`);
}

/** gs2-header, then pairs (RFC 7628 §3.1). Channel binding is not part of the mechanism. @throws SaslSyntaxError */
function readOauthBearer(octets: Buffer): BearerResponse {
  const text = textOf(octets, 'OAUTHBEARER');
  const match = /^[ny],(?:a=([^,\x01]{1,1024}))?,\x01/.exec(text);
  if (match === null) throw wrongResponse('OAUTHBEARER');
  const pairs = pairsOf(text.slice(match[0].length), 'OAUTHBEARER');
  // saslname: comma and equals sign are spelt out (RFC 5801 §4).
  const username = (match[1] ?? '').replaceAll(/=(2C|3D|.{0,2})/gi, (_, code: string) => {
    if (code.toUpperCase() === '2C') return ',';
    if (code.toUpperCase() === '3D') return '=';
    throw wrongResponse('OAUTHBEARER');
  });
  return { username, token: tokenOf(pairs.get('auth'), 'OAUTHBEARER') };
}

/** `user=...^Aauth=Bearer ...^A^A`. @throws SaslSyntaxError */
function readXoauth2(octets: Buffer): BearerResponse {
  const pairs = pairsOf(textOf(octets, 'XOAUTH2'), 'XOAUTH2');
  const username = pairs.get('user');
  if (username === undefined || username === '') throw wrongResponse('XOAUTH2');
  return { username, token: tokenOf(pairs.get('auth'), 'XOAUTH2') };
}

/** By mechanism; the octets are the caller's to wipe. @throws SaslSyntaxError */
export const readBearer: Readonly<Record<BearerMechanism, (octets: Buffer) => BearerResponse>> = {
  OAUTHBEARER: readOauthBearer,
  XOAUTH2: readXoauth2,
};

/** base64 of what a client is told before it is refused, so that it can fetch another token (RFC 7628 §3.2.2). */
export function bearerChallenge(mechanism: BearerMechanism, why: 'token' | 'other'): string {
  const isToken = why === 'token';
  const status = mechanism === 'XOAUTH2' ? (isToken ? '401' : '403') : isToken ? 'invalid_token' : 'insufficient_scope';
  return Buffer.from(JSON.stringify({ status, schemes: 'bearer', scope: '' })).toString('base64');
}
