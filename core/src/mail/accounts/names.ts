/**
 * Names of accounts and addresses in the one form in which they are stored and compared: PRECIS UsernameCaseMapped (RFC 8265 §3.3) for
 * what stands before the @, a U-label in lower case for the domain. Homographs do not merge; what could deceive an eye is refused.
 */
import { domainToASCII, domainToUnicode } from 'node:url';
import { MailError } from '../errors.ts';

/** Octets of UTF-8. RFC 5321 §4.5.3.1 allows 64 and 255 for an address. */
const MAX_LOCAL_OCTETS = 128;
const MAX_NAME_CHARS = 320;
/** A name that is stored as it stands: nothing of the below would change it. */
const PLAIN_NAME = /^[a-z0-9!#$%&'*+/=?^_`{|}~.-]+$/;
const PLAIN_DOMAIN = /^[a-z0-9](?:[a-z0-9.-]*[a-z])?$/;
const IDENTIFIER = /^[\x21-\x7e\p{L}\p{Nd}\p{Mn}\p{Mc}]+$/u;
/** RFC 6531 lets a mailbox name hold any UTF-8; spaces are for quoted local parts, the rest hides or reorders. */
const REFUSED_IN_LOCAL = /[\p{C}\p{Zl}\p{Zp}]/u;
const DOMAIN_CHARACTERS = /^[\p{L}\p{N}\p{M}.\u3002\uff0e\uff61-]+$/u;

export interface AddressName {
  /** `local@domain`, or `local` when there is no domain. */
  readonly full: string;
  readonly local: string;
  /** '' when there is none. */
  readonly domain: string;
}

/** @throws MailError invalid */
export function normalizeUsername(typed: string): string {
  const { local, domain } = split(typed, 'username');
  const mapped = mapLocal(local);
  if (!IDENTIFIER.test(mapped)) throw invalid('username');
  // HasCompat (RFC 8264 §9.17): a letter that means another one in disguise. Width variants are mapped above.
  if (mapped.normalize('NFKC') !== mapped) throw invalid('username');
  return domain === '' ? mapped : `${mapped}@${normalizeDomain(domain)}`;
}

/** Takes what stands between < and >: quoted local parts, Unicode, A-labels; also no domain at all. @throws MailError invalid */
export function normalizeAddress(typed: string): AddressName {
  const at = typed.lastIndexOf('@');
  const typedLocal = at < 0 ? typed : typed.slice(0, at);
  const typedDomain = at < 0 ? '' : typed.slice(at + 1);
  // The way of nearly every address: nothing to map.
  if (typed.length <= MAX_LOCAL_OCTETS && PLAIN_NAME.test(typedLocal) && (at < 0 || isPlainDomain(typedDomain))) {
    return { full: typed, local: typedLocal, domain: typedDomain };
  }
  const { local, domain } = split(typed, 'address');
  const mapped = mapLocal(unquote(local));
  if (mapped.length === 0 || REFUSED_IN_LOCAL.test(mapped) || Buffer.byteLength(mapped) > MAX_LOCAL_OCTETS) throw invalid('address');
  const mappedDomain = domain === '' ? '' : normalizeDomain(domain);
  return { full: mappedDomain === '' ? mapped : `${mapped}@${mappedDomain}`, local: mapped, domain: mappedDomain };
}

/** U-label, lower case, no final dot; an address literal (`[192.0.2.1]`) in lower case. @throws MailError invalid */
export function normalizeDomain(typed: string): string {
  if (isPlainDomain(typed)) return typed;
  if (typed.length > 255) throw invalid('domain');
  if (typed.startsWith('[') && typed.endsWith(']')) {
    if (!/^\[[0-9a-z.:-]{2,64}\]$/i.test(typed)) throw invalid('domain');
    return typed.toLowerCase();
  }
  const bare = typed.endsWith('.') ? typed.slice(0, -1) : typed;
  if (!DOMAIN_CHARACTERS.test(bare)) throw invalid('domain');
  const ascii = domainToASCII(bare);
  const lastLabel = ascii.slice(ascii.lastIndexOf('.') + 1);
  // The URL rules read numbers as an IPv4 address: 1.2 is not a domain here.
  if (ascii === '' || ascii.includes('..') || ascii.startsWith('.') || /^[0-9]+$/.test(lastLabel)) throw invalid('domain');
  const unicode = domainToUnicode(ascii);
  // An A-label that does not decode stays as it is.
  if (unicode === '' || unicode.startsWith('xn--') || unicode.includes('.xn--')) throw invalid('domain');
  return unicode;
}

function isPlainDomain(domain: string): boolean {
  return domain.length <= 255 && PLAIN_DOMAIN.test(domain) && !domain.includes('..') && !domain.includes('xn--');
}

function split(typed: string, what: string): { readonly local: string; readonly domain: string } {
  if (typed.length === 0 || typed.length > MAX_NAME_CHARS) throw invalid(what);
  const at = typed.lastIndexOf('@');
  if (at < 0) return { local: typed, domain: '' };
  if (at === 0 || at === typed.length - 1) throw invalid(what);
  return { local: typed.slice(0, at), domain: typed.slice(at + 1) };
}

/** Width mapping, case mapping, NFC: the rules of UsernameCaseMapped in their order. */
function mapLocal(local: string): string {
  if (!local.isWellFormed()) throw invalid('name');
  const wide = /[\uff01-\uffee\u3000]/.test(local) ? Array.from(local, mapWidth).join('') : local;
  return wide.toLowerCase().normalize('NFC');
}

function mapWidth(character: string): string {
  const code = character.charCodeAt(0);
  return (code >= 0xff01 && code <= 0xffee) || code === 0x3000 ? character.normalize('NFKC') : character;
}

/** RFC 5321 §4.1.2 Quoted-string; anything else stays as it is. */
function unquote(local: string): string {
  if (!local.startsWith('"')) {
    if (/[\s"(),:;<>@[\\\]]/.test(local)) throw invalid('address');
    return local;
  }
  if (local.length < 3 || !local.endsWith('"')) throw invalid('address');
  let out = '';
  for (let at = 1; at < local.length - 1; at += 1) {
    const character = local.charAt(at);
    if (character === '"') throw invalid('address');
    if (character === '\\') {
      at += 1;
      if (at >= local.length - 1) throw invalid('address');
    }
    out += local.charAt(at);
  }
  return out;
}

function invalid(what: string): MailError {
  return new MailError('invalid', `Not a valid ${what}`);
}
