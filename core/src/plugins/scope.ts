import type { Account, Delivery, HookName, PluginEntry } from '@pochard/plugin-sdk';
import type { CallContext } from './hook-calls.ts';

/** Where a plugin's taps are: what the administrator said, and what of it follows from the plugin. */
export class Scope {
  readonly #domains: ReadonlySet<string> | undefined;
  readonly #accounts: ReadonlySet<string> | undefined;
  readonly #listeners: ReadonlySet<string> | undefined;
  #skipsSealed: boolean;
  /** Nothing is outside: the check that idle scopes cost. */
  isEverywhere: boolean;

  /** `skipsSealed`: the plugin has `plaintext`, and the entry does not allow sealed accounts. */
  constructor(scope: PluginEntry['scope'], skipsSealed: boolean) {
    this.#domains = scope?.domains && new Set(scope.domains.map(fold));
    this.#accounts = scope?.accounts && new Set(scope.accounts.map(fold));
    this.#listeners = scope?.listeners && new Set(scope.listeners);
    this.#skipsSealed = skipsSealed;
    this.isEverywhere = this.#isUnlimited();
  }
  /** The plugin declares the codec that seals: it must see what it seals, with this and all its other taps. */
  includeSealed(): void {
    this.#skipsSealed = false;
    this.isEverywhere = this.#isUnlimited();
  }
  #isUnlimited(): boolean {
    return !this.#skipsSealed && this.#domains === undefined && this.#accounts === undefined && this.#listeners === undefined;
  }
  /** `about` is the tap's first argument: before there is an account, it names one. */
  covers(hook: HookName, about: unknown, context: CallContext): boolean {
    if (this.#skipsSealed && context.account?.sealed === true && !inTransit.has(hook)) return false;
    if (this.#listeners !== undefined) {
      const listener = context.session?.listener ?? context.listener;
      // Work without a connection (the journal, schedules) has no listener to be outside of.
      if (listener !== undefined && !this.#listeners.has(listener)) return false;
    }
    if (this.#domains === undefined && this.#accounts === undefined) return true;
    if (context.account !== undefined) return this.coversAccount(context.account);
    const names = namesIn(hook, about, context);
    return names === undefined || names.some((name) => this.coversName(name));
  }
  coversAccount(account: Account): boolean {
    return this.coversName(account.username);
  }
  /** A username or address; one without a domain is in no domain. */
  coversName(name: string): boolean {
    if (this.#domains === undefined && this.#accounts === undefined) return true;
    const folded = fold(name);
    const at = folded.lastIndexOf('@');
    return this.#accounts?.has(folded) === true || (at >= 0 && this.#domains?.has(folded.slice(at + 1)) === true);
  }
}

/** Mail on its way in is plain for every scanner, also when the account seals it a moment later. */
const inTransit: ReadonlySet<HookName> = new Set<HookName>(['delivery.received', 'delivery.scan']);

function fold(name: string): string {
  return name.normalize('NFC').toLowerCase();
}

/** Whom a call without an account concerns; undefined: no one in particular (the greeting, a health check), so no account is outside. */
function namesIn(hook: HookName, about: unknown, context: CallContext): readonly string[] | undefined {
  switch (hook) {
    case 'auth.normalize':
      return [String(about)];
    case 'rcpt.expand':
      return named((context as { readonly address?: unknown }).address);
    case 'auth.verify':
    case 'auth.failed':
    case 'auth.mechanism':
    case 'account.lookup':
    case 'account.provision':
      return named((about as { readonly username?: unknown }).username);
    case 'rcpt.resolve':
      return named((about as { readonly address?: unknown }).address);
    case 'delivery.received':
    case 'delivery.scan':
      return (about as Delivery<unknown>).recipients; // any of them: the message is one
    default:
      return undefined;
  }
}
function named(name: unknown): readonly string[] {
  return typeof name === 'string' ? [name] : [];
}

/** The account for which an answer vouches, if the hook's answers do. */
export function vouchedName(hook: HookName, answer: unknown): string | undefined {
  const seed = hook === 'account.lookup' || hook === 'account.provision' ? answer : (answer as { readonly account?: unknown }).account;
  if (hook !== 'auth.verify' && hook !== 'rcpt.resolve' && seed !== answer) return undefined;
  const username = (seed as { readonly username?: unknown } | undefined)?.username;
  return typeof username === 'string' ? username : undefined;
}
