/** Where mail for a domain goes: `submission.relay`, then the configured relay, then the domain's MX (RFC 5321 §5.1, RFC 7505). */
import { domainToASCII } from 'node:url';
import type { Account } from '@pochard/plugin-sdk';
import { guarded } from '../hook-errors.ts';
import type { MailParts } from '../mail-parts.ts';
import { RelayFailure, type RelayHost } from './smtp-client.ts';

/** What is asked of the name system; `node:dns/promises` has it. */
export interface MailResolver {
  resolveMx(domain: string): Promise<readonly { readonly exchange: string; readonly priority: number }[]>;
  resolve4(domain: string): Promise<readonly string[]>;
  resolve6(domain: string): Promise<readonly string[]>;
}
export interface RoutesOptions {
  readonly parts: MailParts;
  readonly resolver: MailResolver;
  /** Where MX hosts listen; another one only in tests. */
  readonly port?: number;
  /** From 0 to 1. */
  readonly random: () => number;
}

const SMTP_PORT = 25;
/** RFC 5321 §5.1 wants at least two tried. */
const MAX_HOSTS = 5;

export class Routes {
  readonly #parts: MailParts;
  readonly #resolver: MailResolver;
  readonly #port: number;
  readonly #random: () => number;

  constructor({ parts, resolver, port = SMTP_PORT, random }: RoutesOptions) {
    this.#parts = parts;
    this.#resolver = resolver;
    this.#port = port;
    this.#random = random;
  }

  /** Whether everything goes to one relay, whatever its domain. */
  get isOneWay(): boolean {
    return this.#parts.settings.submission?.relay !== undefined && !this.#parts.hooks.has('submission.relay');
  }

  /** @throws RelayFailure, MailError policy (a plugin's refusal), unavailable */
  async hostsFor(domain: string, reversePath: string, account: Account, signal: AbortSignal): Promise<readonly RelayHost[]> {
    const { hooks, actors, settings } = this.#parts;
    if (hooks.has('submission.relay')) {
      const context = { actor: actors.delivery, account, listener: 'submission', signal };
      const answer = await guarded(() => hooks.decide('submission.relay', { domain, reversePath }, context));
      if (answer !== undefined) return [answer];
    }
    const relay = settings.submission?.relay;
    return relay === undefined ? this.#mx(domain) : [relay];
  }

  async #mx(domain: string): Promise<readonly RelayHost[]> {
    const literal = /^\[(?:ipv6:)?([0-9a-f.:]+)\]$/i.exec(domain)?.[1];
    if (literal !== undefined) return [this.#host(literal)];
    const name = domainToASCII(domain);
    if (name === '') throw failure('5.1.2', 'The domain is not a name', 'final');
    let found: Awaited<ReturnType<MailResolver['resolveMx']>>;
    try {
      found = await this.#resolver.resolveMx(name);
    } catch (error) {
      if (isNoName(error)) throw failure('5.1.2', 'The domain does not exist', 'final', error);
      if (!isNoData(error)) throw failure('4.4.3', 'The name system does not answer', 'host', error);
      found = [];
    }
    if (found.length === 0) {
      await this.#requireAddress(name);
      return [this.#host(name)];
    }
    if (found.length === 1 && (found[0]?.exchange === '' || found[0]?.exchange === '.'))
      throw failure('5.1.10', 'The domain takes no mail', 'final');
    // Equal ones in any order (RFC 5321 §5.1).
    return found
      .map((mx) => ({ ...mx, order: this.#random() }))
      .sort((a, b) => a.priority - b.priority || a.order - b.order)
      .slice(0, MAX_HOSTS)
      .map(({ exchange }) => this.#host(exchange));
  }

  #host(host: string): RelayHost {
    return { host, port: this.#port, tls: 'opportunistic' };
  }

  /** A domain without MX is its own (RFC 5321 §5.1), if it has an address. */
  async #requireAddress(name: string): Promise<void> {
    let isUnknown = true;
    let cause: unknown;
    for (const ask of [this.#resolver.resolve4, this.#resolver.resolve6]) {
      try {
        if ((await ask.call(this.#resolver, name)).length > 0) return;
      } catch (error) {
        cause = error;
        if (!isNoData(error) && !isNoName(error)) isUnknown = false;
      }
    }
    if (isUnknown) throw failure('5.4.4', 'The domain has no mail server', 'final', cause);
    throw failure('4.4.3', 'The name system does not answer', 'host', cause);
  }
}

function failure(status: string, text: string, scope: RelayFailure['scope'], cause?: unknown): RelayFailure {
  return new RelayFailure({ code: 0, status, text }, scope, cause === undefined ? undefined : { cause });
}
function isNoName(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOTFOUND' || error.code === 'NOTFOUND');
}
function isNoData(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENODATA' || error.code === 'NODATA');
}
