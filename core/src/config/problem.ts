import type { Path } from './located.ts';

/** One thing that is wrong with the configuration, told so that it can be found and mended. */
export interface Problem {
  /** `file:line:column`, the environment variable, or the flag. */
  readonly where: string;
  /** Dotted, as in `imap.listeners[0].port`; empty when the file as a whole is meant. */
  readonly key: string;
  readonly message: string;
}

/** Thrown by `loadConfig`; its message has one line for each problem. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(problemText).join('\n'));
    this.problems = problems;
  }
}

export function problemText({ where, key, message }: Problem): string {
  return key === '' ? `${where}: ${message}` : `${where}: ${key}: ${message}`;
}

export function keyText(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number' || /^\d+$/.test(step)) text += `[${step}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}
