/** What an administrator asks about plugins: which run, which taps a login, a delivery or a fetch meets, and what each decides. */
import { type Actor, type HookName, type HookSpec, specs, Unavailable } from '@pochard/plugin-sdk';
import { HookUnavailable } from '../plugins/errors.ts';
import type { ExplainedTap } from '../plugins/hook-calls.ts';
import type { PluginHost } from '../plugins/plugin-host.ts';
import type { TracedTap } from '../plugins/tracer.ts';
import { MailError } from './errors.ts';
import type { Explainable } from './explainable.ts';
import { guarded } from './hook-errors.ts';
import { runOf } from './journal/uid-runs.ts';
import type { MailServices } from './services.ts';

export interface PluginInfo {
  readonly id: string;
  readonly version: string; // of the SDK that it was built with
  readonly permissions: readonly string[];
  readonly state: 'live' | 'shadow' | 'open breaker';
  readonly hooks: readonly string[];
}

/** The hooks that each meets, in the order of running. */
const met: Readonly<Record<Explainable, readonly HookName[]>> = {
  login: [
    'imap.capabilities',
    'auth.normalize',
    'auth.mechanism',
    'auth.verify',
    'account.provision',
    'account.mailboxes',
    'account.creating',
    'auth.succeeded',
    'auth.failed',
    'session.ended',
  ],
  deliver: [
    'rcpt.resolve',
    'rcpt.expand',
    'account.lookup',
    'rcpt.accept',
    'quota.limits',
    'delivery.received',
    'delivery.scan',
    'delivery.route',
    'store.before',
    'store.codec',
    'journal',
  ],
  fetch: ['fetch.authorize', 'store.codec', 'search.rewrite', 'search.plan'],
};

const MAX_OUTPUT_LINES = 100_000;
const NEVER = new AbortController().signal;

export class PluginAdministration {
  readonly #hooks: PluginHost;
  readonly #services: MailServices;
  readonly #administrator: Actor;

  constructor(options: { readonly hooks: PluginHost; readonly services: MailServices; readonly administrator: Actor }) {
    this.#hooks = options.hooks;
    this.#services = options.services;
    this.#administrator = options.administrator;
  }

  list(): readonly PluginInfo[] {
    const names = Object.keys(specs) as HookName[];
    return this.#hooks.plugins().map(({ id, name, sdk, permissions, isShadow }) => {
      const taps = names.flatMap((hook) =>
        this.#hooks
          .explain(hook)
          .filter(({ plugin, shadow }) => plugin === name && shadow === isShadow)
          .map((tap) => ({ hook, tap })),
      );
      const isBroken = taps.some(({ tap }) => tap.breaker !== 'closed');
      const hooks = [...new Set(taps.map(({ hook }) => hook))];
      return { id, version: sdk, permissions, hooks, state: isBroken ? 'open breaker' : isShadow ? 'shadow' : 'live' };
    });
  }

  /**
   * The taps in their order, a line each. With a name, what can be asked without a password or a message is asked, and the answers follow.
   * Nothing is changed: no session opens, nothing is stored.
   */
  async explain(what: Explainable, name: string | undefined): Promise<readonly string[]> {
    const lines = met[what].flatMap((hook) => {
      const taps = this.#hooks.explain(hook);
      return taps.length === 0 ? [] : [hookLine(hook), ...taps.map(tapLine)];
    });
    if (lines.length === 0) lines.push('no taps: the core does all of it');
    if (name === undefined) return lines;
    const { taps, outcome } = await this.#hooks.tracer.trace(() => this.#ask(what, name));
    return [...lines, '', `${what} ${name}:`, ...taps.map(decisionLine), 'value' in outcome ? outcome.value : failureLine(outcome.error)];
  }
  async #ask(what: Explainable, name: string): Promise<string> {
    const { accounts, delivery } = this.#services;
    const context = { actor: this.#administrator, signal: NEVER };
    if (what === 'login') {
      const typed = await guarded(() => this.#hooks.transform('auth.normalize', name, context));
      const record = await accounts.find(typed);
      const known = record === undefined ? 'no account yet' : `account ${record.username}${record.disabled ? ', disabled' : ''}`;
      return `${known}; what the verifiers say needs a password: pochard auth test ${name}`;
    }
    if (what === 'deliver') {
      const session = { id: 'explain', listener: 'explain', remoteAddress: '127.0.0.1' };
      const { targets } = await delivery.resolve(name, { reversePath: '', declaredOctets: undefined }, session);
      return `would be delivered to ${targets.map(({ account }) => account.username).join(', ')}`;
    }
    const record = await accounts.find(name);
    if (record === undefined) throw new MailError('no-such-account', 'No such account');
    const access = await accounts.access(record.id, this.#administrator);
    const inbox = access.mail.byName('INBOX');
    if (inbox === undefined) throw new MailError('no-such-mailbox', 'No such mailbox');
    await access.authorize(inbox.id, runOf(1, 0xffff_ffff), 'content');
    for (const codec of this.#hooks.declared('store.codec')) await codec.appliesTo(access.account, context);
    return 'content may be read';
  }

  /** A login like any other (throttled, provisioning), ended at once. The password is wiped and in no line. */
  async testLogin(username: string, password: Uint8Array): Promise<{ readonly accepted: boolean; readonly lines: readonly string[] }> {
    const session = { id: 'auth-test', protocol: 'imap', listener: 'auth-test', remoteAddress: '127.0.0.1' } as const;
    const { taps, outcome } = await this.#hooks.tracer.trace(() =>
      this.#services.accounts.login({ username, secret: password, mechanism: 'PLAIN', session }, NEVER),
    );
    if ('value' in outcome) outcome.value.end('logout');
    const last = 'value' in outcome ? `accepted as ${outcome.value.account.username}` : failureLine(outcome.error);
    return { accepted: 'value' in outcome, lines: [...taps.map(decisionLine), last] };
  }

  /** @throws MailError unsupported when no plugin has declared the command, unavailable with the plugin's words when its backend is down */
  async run(name: string, args: readonly string[], print: (line: string) => void): Promise<void> {
    const command = this.#hooks.declared('cli.command').find((declared) => declared.name === name);
    if (command === undefined) throw new MailError('unsupported', `no such command: ${name}`);
    let count = 0;
    const bounded = (line: string): void => {
      count += 1;
      if (count > MAX_OUTPUT_LINES) throw new RangeError(`more than ${MAX_OUTPUT_LINES} lines`);
      print(String(line));
    };
    try {
      await guarded(() => command.run(args, { actor: this.#administrator, print: bounded }));
    } catch (error) {
      throw outageTold(error);
    }
  }

  /** The `health.check` of plugins, all at once. @throws the first that is unwell */
  async requireHealthy(): Promise<void> {
    await Promise.all(this.#hooks.declared('health.check').map((health) => health.check({ actor: this.#administrator })));
  }
}

/** The administrator hears what does not answer, where a client hears that it is unavailable. */
function outageTold(error: unknown): unknown {
  const hookError = error instanceof MailError ? error.cause : undefined;
  if (!(hookError instanceof HookUnavailable && hookError.cause instanceof Unavailable)) return error;
  const reason = hookError.cause.message.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ').slice(0, 200);
  return new MailError('unavailable', `${hookError.plugin} is unavailable: ${reason}`, { cause: error });
}

function hookLine(hook: HookName): string {
  const { kind, onFault }: HookSpec<string> = specs[hook];
  return `${hook} (${kind}; a fault means ${onFault})`;
}
function tapLine({ plugin, label, stage, deadlineMs, shadow, breaker }: ExplainedTap): string {
  const details = [
    stage === 'normal' ? '' : stage,
    deadlineMs === undefined ? '' : `${deadlineMs} ms`,
    shadow ? 'shadow' : '',
    breaker === 'closed' ? '' : `breaker ${breaker}`,
  ].filter((detail) => detail !== '');
  return `  ${plugin}${label === undefined ? '' : ` ${label}`}${details.length === 0 ? '' : ` (${details.join(', ')})`}`;
}
function decisionLine({ hook, plugin, label, decided }: TracedTap): string {
  return `  ${hook} ${plugin}${label === undefined ? '' : ` ${label}`}: ${decided}`;
}
function failureLine(error: unknown): string {
  if (error instanceof MailError || error instanceof HookUnavailable) return `refused: ${error.message}`;
  return `failed: ${error instanceof Error ? error.message : String(error)}`;
}
