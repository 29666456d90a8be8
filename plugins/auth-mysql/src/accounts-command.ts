/** `pochard auth-mysql accounts`: who is in the database, a line each. */
import { parseArgs } from 'node:util';
import { type CliCommand, Refusal } from '@pochard/plugin-sdk';
import type { AccountListing, ListedAccount, ListFilter } from './account-listing.ts';
import { lookupDomain } from './names.ts';

const USAGE = 'pochard auth-mysql accounts [--domain DOMAIN] [--like PREFIX] [--limit N] [--after USER]';
const DEFAULT_LIMIT = 1_000;
/** Below the lines that a command may print. */
const MAX_LIMIT = 50_000;
/** A longer name is cut on the screen. */
const MAX_SHOWN_CHARS = 1_000;

/** `listing` is undefined where own queries have none. */
export function accountsCommand(listing: Pick<AccountListing, 'accounts'> | undefined): CliCommand {
  return {
    name: 'auth-mysql',
    summary: 'accounts: the users of the database, with state, protocols and quota',
    async run(args, { print, signal }) {
      if (args.length === 0) {
        print(USAGE);
        return;
      }
      const { limit, ...filter } = requestOf(args);
      if (listing === undefined) throw new Refusal('unsupported', 'The configuration of auth-mysql has no queries.list');
      let count = 0;
      let last = '';
      for await (const account of listing.accounts(filter, signal)) {
        if (count === limit) {
          print(`# more: --after ${shellWord(shownName(last))}`);
          return;
        }
        print(accountLine(account));
        count += 1;
        last = account.login;
      }
    },
  };
}

/** @throws Refusal saying what is wrong with the arguments */
function requestOf(args: readonly string[]): ListFilter & { readonly limit: number } {
  const { domain, like, after, limit } = optionsOf(args);
  const wanted = limit === undefined ? DEFAULT_LIMIT : /^\d{1,6}$/.test(limit) ? Number(limit) : 0;
  if (wanted < 1 || wanted > MAX_LIMIT) throw new Refusal('unsupported', `--limit is a number from 1 to ${MAX_LIMIT}`);
  const name = domain === undefined ? undefined : lookupDomain(domain.toLowerCase());
  if (domain !== undefined && name === undefined) throw new Refusal('unsupported', '--domain is not a domain');
  return { domain: name, like, after: after === undefined ? undefined : storedText(after), limit: wanted };
}
function optionsOf(args: readonly string[]): Readonly<Record<'domain' | 'like' | 'after' | 'limit', string | undefined>> {
  const type = 'string' as const;
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { domain: { type }, like: { type }, after: { type }, limit: { type } },
      allowPositionals: true,
    });
    if (positionals.length === 1 && positionals[0] === 'accounts') {
      const { domain, like, after, limit } = values;
      return { domain, like, after, limit };
    }
  } catch (error) {
    // What was typed stays out of the answer.
    throw new Refusal('unsupported', `Usage: ${USAGE}`, { cause: error });
  }
  throw new Refusal('unsupported', `Usage: ${USAGE}`);
}

/** Login name, address, state, protocols, quota; between tabs, which are in none of them. */
export function accountLine(account: ListedAccount): string {
  const { login, address, user } = account;
  const quota = user?.seed.quotaOctets;
  const quotaText = quota === undefined ? '-' : typeof quota === 'number' ? `${quota} octets` : quota;
  const protocols = user?.seed.allow ?? [];
  return [shownName(login), shownName(address), stateOf(account), protocols.join(',') || '-', quotaText].join('\t');
}

function stateOf({ user, domain }: ListedAccount): string {
  if (user === undefined) return 'disabled (no usable name)';
  if (domain === 'disabled') return 'disabled (domain disabled)';
  if (domain === 'unlisted') return 'disabled (domain not listed)';
  const { mayLogIn, receives, seed } = user;
  if (!mayLogIn) return receives ? 'disabled (no login), gets mail' : 'disabled (not active)';
  const state = seed.allow?.length === 0 ? 'disabled (no protocol)' : 'enabled';
  return receives ? state : `${state}, gets no mail`;
}

/** A name may hold what a shell would run. */
function shellWord(text: string): string {
  return /^[\w.@+-]+$/.test(text) && !text.startsWith('-') ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Controls, line ends, and what hides or reorders text never reach a terminal; `storedText` reads the result. */
export function shownName(text: string): string {
  const name = text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text;
  return name.replace(/[\\\p{C}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}
/** The name that `shownName` shows so. */
export function storedText(shown: string): string {
  return shown.replace(/\\u\{([0-9a-f]{1,6})\}/g, (whole, digits: string) => {
    const code = Number.parseInt(digits, 16);
    return code > 0x10_ffff ? whole : String.fromCodePoint(code);
  });
}
