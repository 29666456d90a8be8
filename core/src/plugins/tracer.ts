/** Watches the hooks of one piece of work: which taps ran, in what order, and what each decided. For `pochard explain` and `auth test`. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type HookName, specs } from '@pochard/plugin-sdk';
import { HookUnavailable } from './errors.ts';
import { redactedLog } from './log.ts';

export interface TracedTap {
  readonly hook: HookName;
  readonly plugin: string; // 'core' for the core's own steps
  readonly label: string | undefined;
  /** Without secrets and mail, at most 300 characters. */
  readonly decided: string;
}
type Done = (error: Error | null, answer?: unknown) => void;

export class Tracer {
  readonly #taps = new AsyncLocalStorage<TracedTap[]>();
  #active = 0;

  /** Runs `work`; the taps are in the order in which they ended. Never rejects. */
  async trace<T>(
    work: () => Promise<T>,
  ): Promise<{ readonly taps: readonly TracedTap[]; readonly outcome: { readonly value: T } | { readonly error: unknown } }> {
    const taps: TracedTap[] = [];
    this.#active += 1;
    try {
      const value = await this.#taps.run(taps, work);
      return { taps, outcome: { value } };
    } catch (error) {
      return { taps, outcome: { error } };
    } finally {
      this.#active -= 1;
    }
  }

  /** `done` itself when nobody watches, which costs one comparison. */
  watched(tap: { readonly hook: HookName; readonly plugin: string; readonly label: string | undefined }, about: unknown, done: Done): Done {
    const taps = this.#active === 0 ? undefined : this.#taps.getStore();
    if (taps === undefined) return done;
    const { hook, plugin, label } = tap;
    return (error, answer) => {
      taps.push({ hook, plugin, label, decided: decision(hook, about, error, answer).slice(0, 300) });
      done(error, answer);
    };
  }
}

function decision(hook: HookName, about: unknown, error: Error | null, answer: unknown): string {
  if (error instanceof HookUnavailable) {
    const { cause } = error;
    return `could not answer: ${error.message}${cause instanceof Error ? ` (${cause.message})` : ''}`;
  }
  if (error !== null && error !== undefined) return `said no: ${error.message}`;
  switch (specs[hook].kind) {
    case 'decide':
      return answer === undefined ? 'not mine' : shown(answer);
    case 'collect':
      return shown(answer ?? []);
    case 'transform':
      if (answer === undefined || answer === about) return 'unchanged';
      return typeof answer === 'string' || Array.isArray(answer) ? `changed to ${shown(answer)}` : 'changed';
    case 'gate':
      return 'let pass';
    default:
      return 'was told';
  }
}
/** As the log would show it: secrets hide themselves, mail is replaced. */
function shown(value: unknown): string {
  let text = '';
  const keep = (_message: string, fields?: Readonly<Record<string, unknown>>) => {
    text = JSON.stringify(fields?.['value']) ?? 'nothing';
  };
  redactedLog({ debug: keep, info: keep, warn: keep, error: keep }).info('', { value });
  return text;
}
