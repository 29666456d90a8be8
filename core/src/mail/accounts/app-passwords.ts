/** App passwords as they are kept: random, shown once, each with its own scope. They lie beside the main password and leave with the account. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { AddressSet } from '../../net/address.ts';
import type { RecordRow } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { AppPassword, NewAppPassword, ProtocolName } from '../services.ts';

export const APP_PASSWORD = 'app-';
/** Of one account: all of them are looked at by every login of it. */
export const MAX_APP_PASSWORDS = 50;
const MAX_NETWORKS = 32;
const MAX_LABEL_CHARS = 100;
const PROTOCOLS: readonly ProtocolName[] = ['imap', 'submission', 'http'];
/** 32 signs that are hard to take for each other when read aloud. */
const SIGNS = 'abcdefghijkmnpqrstuvwxyz23456789';
const GROUPS = 6;
const GROUP_SIGNS = 5;

/** 150 random bits, so that a fast digest of it is safe to keep. */
export function newAppPassword(): string {
  const octets = randomBytes(GROUPS * GROUP_SIGNS);
  const signs = [...octets].map((octet) => SIGNS[octet % SIGNS.length] ?? ''); // 256 is a multiple of 32
  return Array.from({ length: GROUPS }, (_, n) => signs.slice(n * GROUP_SIGNS, (n + 1) * GROUP_SIGNS).join('')).join('-');
}
export function newAppPasswordId(): string {
  return `${APP_PASSWORD}${randomBytes(8).toString('hex')}`;
}

/** @throws MailError invalid */
export function checkedAppPassword({ label, scope, networks = [], expiresAt }: NewAppPassword, now: number): Omit<AppPassword, 'id'> {
  if (label.length === 0 || label.length > MAX_LABEL_CHARS || /[\0-\x1f\x7f]/.test(label))
    throw new MailError('invalid', 'Not a valid label');
  const wanted = PROTOCOLS.filter((name) => scope.includes(name));
  if (wanted.length === 0 || wanted.length < new Set(scope).size) throw new MailError('invalid', `The scope is of ${PROTOCOLS.join(', ')}`);
  if (networks.length > MAX_NETWORKS) throw new MailError('invalid', `More than ${MAX_NETWORKS} address ranges`);
  try {
    new AddressSet(networks);
  } catch (error) {
    throw new MailError('invalid', error instanceof Error ? error.message : 'Not an address range', { cause: error });
  }
  if (expiresAt !== undefined && !(Number.isSafeInteger(expiresAt) && expiresAt > now))
    throw new MailError('invalid', 'The end is not in the future');
  return { label, scope: wanted, networks: [...networks], createdAt: now, expiresAt };
}

/** The value of its record. */
export function appPasswordValue(password: string, { id: _id, ...info }: AppPassword): Readonly<Record<string, unknown>> {
  const known = Object.fromEntries(Object.entries(info).filter(([, value]) => value !== undefined));
  return { ...known, digest: digestOf(Buffer.from(password, 'utf8')).toString('base64') };
}

/** `undefined`: the row is no app password. */
export function appPasswordOf({ key, value }: RecordRow): AppPassword | undefined {
  if (!key.startsWith(APP_PASSWORD) || typeof value !== 'object' || value === null) return undefined;
  const row: Readonly<Record<string, unknown>> = { ...value };
  const expiresAt = row['expiresAt'];
  return {
    id: key,
    label: typeof row['label'] === 'string' ? row['label'] : '',
    scope: PROTOCOLS.filter((name) => strings(row['scope']).includes(name)),
    networks: strings(row['networks']),
    createdAt: typeof row['createdAt'] === 'number' ? row['createdAt'] : 0,
    // What cannot be read has ended: a row edited by hand must not open more than before.
    expiresAt: expiresAt === undefined ? undefined : typeof expiresAt === 'number' ? expiresAt : 0,
  };
}

export function isAppPassword({ value }: RecordRow, secret: Uint8Array): boolean {
  const digest = typeof value === 'object' && value !== null && 'digest' in value ? value.digest : undefined;
  if (typeof digest !== 'string') return false;
  const kept = Buffer.from(digest, 'base64');
  const given = digestOf(secret);
  return kept.length === given.length && timingSafeEqual(kept, given);
}

export interface CredentialUse {
  readonly protocol: ProtocolName;
  readonly remoteAddress: string;
  /** ms since 1970. */
  readonly now: number;
}
/** Scope, end and address range. */
export function mayBeUsed({ scope, networks, expiresAt }: AppPassword, { protocol, remoteAddress, now }: CredentialUse): boolean {
  if (!scope.includes(protocol) || (expiresAt !== undefined && now >= expiresAt)) return false;
  return networks.length === 0 || new AddressSet(networks).has(remoteAddress);
}

function digestOf(secret: Uint8Array): Buffer {
  return createHash('sha256').update(secret).digest();
}
function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
