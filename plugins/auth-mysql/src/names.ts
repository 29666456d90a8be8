/** Names in the one form in which they are compared: lower case, NFC, U-label domain (the form in which the core asks). */
import { domainToASCII, domainToUnicode } from 'node:url';

const MAX_CHARS = 320;
/** NUL, line ends, escapes, what hides and what reorders: none of it reaches a query. */
const REFUSED = /[\p{C}\p{Zl}\p{Zp}]/u;

export interface LookupName {
  /** `local@domain`, or `local` alone. */
  readonly full: string;
  readonly local: string;
  /** '' when there is none. */
  readonly domain: string;
}

/** How a database writes domains that are not ASCII. */
export type DomainForm = 'a-label' | 'u-label';

/** `undefined`: nobody can be called so. */
export function lookupName(text: string): LookupName | undefined {
  if (text.length === 0 || text.length > MAX_CHARS || !text.isWellFormed() || REFUSED.test(text)) return undefined;
  const folded = text.toLowerCase().normalize('NFC');
  const at = folded.lastIndexOf('@');
  if (at < 0) return { full: folded, local: folded, domain: '' };
  const local = folded.slice(0, at);
  const domain = lookupDomain(folded.slice(at + 1));
  return local === '' || domain === undefined ? undefined : { full: `${local}@${domain}`, local, domain };
}

/** U-label, lower case. `undefined`: not a domain. */
export function lookupDomain(text: string): string | undefined {
  if (text.length === 0 || text.length > 255 || !text.isWellFormed() || REFUSED.test(text)) return undefined;
  if (/^[a-z0-9.-]+$/.test(text) && !text.includes('xn--')) return text;
  const unicode = domainToUnicode(domainToASCII(text.toLowerCase()));
  return unicode === '' ? undefined : unicode;
}

/** The domain as the database writes it. */
export function storedDomain(domain: string, form: DomainForm): string {
  return form === 'u-label' || /^[\x21-\x7e]*$/.test(domain) ? domain : domainToASCII(domain);
}
/** The name as the database writes it. */
export function storedName({ full, local, domain }: LookupName, form: DomainForm): string {
  return domain === '' ? full : `${local}@${storedDomain(domain, form)}`;
}

/** A collation may take é for e, ß for ss, or ignore spaces at the end: what it found counts only when this is true. */
export function isSameName(stored: unknown, name: LookupName): boolean {
  return typeof stored === 'string' && lookupName(stored)?.full === name.full;
}

/** `ada+label@example` without its label. */
export function withoutLabel({ local, domain }: LookupName, delimiter: string): LookupName | undefined {
  const at = delimiter === '' ? -1 : local.indexOf(delimiter);
  if (at <= 0) return undefined;
  const base = local.slice(0, at);
  return { full: domain === '' ? base : `${base}@${domain}`, local: base, domain };
}
