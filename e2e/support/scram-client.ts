/** The client's side of SCRAM-SHA-256 (RFC 5802 §3, RFC 7677), with every step open to be done wrongly. */
import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import type { ImapScript } from './imap-script.ts';

export interface ScramOptions {
  readonly mechanism?: string;
  /** gs2-header. */
  readonly header?: string;
  /** Channel binding data after the header. */
  readonly binding?: Uint8Array;
  /** The last message before its proof. */
  change?(final: string): string;
  /** The octets of the proof. */
  spoil?(proof: Buffer): Buffer;
  /** Send the first message after a continuation request instead of with the command. */
  readonly initialResponse?: 'none';
}

/** @returns the tagged response without its tag; checks the server's signature on the way */
export async function scramLogin(imap: ImapScript, username: string, password: string, options: ScramOptions = {}): Promise<string> {
  const { mechanism = 'SCRAM-SHA-256', header = 'n,,', binding = new Uint8Array(0) } = options;
  const bare = `n=${username.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${randomBytes(18).toString('base64')}`;
  const first = Buffer.from(header + bare).toString('base64');
  const begun = await imap.command(`AUTHENTICATE ${mechanism}${options.initialResponse === 'none' ? '' : ` ${first}`}`);
  let answer = begun.done;
  const tag = `t${Number(imap.nextTag.slice(1)) - 1}`;
  const next = async (line: string): Promise<string> => {
    imap.socket.write(`${line}\r\n`, 'latin1');
    const response = await imap.response();
    return response.startsWith(`${tag} `) ? response.slice(tag.length + 1) : response;
  };
  if (options.initialResponse === 'none' && answer.startsWith('+')) answer = await next(first);
  if (!answer.startsWith('+ ')) return answer;

  const serverFirst = Buffer.from(answer.slice(2), 'base64').toString();
  const [, nonce = '', salt = '', count = ''] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(serverFirst) ?? [];
  assert.ok(nonce.startsWith(bare.slice(bare.indexOf(',r=') + 3)), 'the nonce goes on with ours');
  assert.ok(Number(count) >= 4096, `${count} rounds`);
  const hmac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(count), 32, 'sha256');
  const clientKey = hmac(salted, 'Client Key');
  const channel = Buffer.concat([Buffer.from(header), binding]).toString('base64');
  const withoutProof = (options.change ?? String)(`c=${channel},r=${nonce}`);
  const message = `${bare},${serverFirst},${withoutProof}`;
  const signature = hmac(createHash('sha256').update(clientKey).digest(), message);
  const proof = (options.spoil ?? Buffer.from)(Buffer.from(clientKey.map((octet, at) => octet ^ (signature[at] ?? 0))));
  const last = await next(Buffer.from(`${withoutProof},p=${proof.toString('base64')}`).toString('base64'));
  if (!last.startsWith('+ ')) return last;
  const verifier = `v=${hmac(hmac(salted, 'Server Key'), message).toString('base64')}`;
  assert.equal(Buffer.from(last.slice(2), 'base64').toString(), verifier, 'the server proves that it knows the key');
  return next('');
}
