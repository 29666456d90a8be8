import { existsSync, statSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const scheme = 'pochard-plugin:';
const sdk = '@pochard/plugin-sdk';

/** Finds a plugin's module by what the configuration calls it. */
export class PluginResolver {
  readonly #folder: string;
  /** Modification times of what was imported, so that a reload after an edit gets the new text. */
  readonly #imported = new Map<string, number>();

  /** `folder`: that of the configuration file; relative paths and packages are looked up from it. */
  constructor(folder: string) {
    this.#folder = resolve(folder);
    mapSdk();
  }
  /**
   * `use` is a path (`./plugin.ts`, absolute), a plugin of this repository (`sent-copy`, `examples/stamp-header`) or a package.
   * @throws what `import` throws
   */
  async load(use: string): Promise<Readonly<Record<string, unknown>>> {
    const path = this.#pathOf(use);
    if (path === undefined) {
      const from = encodeURIComponent(pathToFileURL(join(this.#folder, 'plugins.js')).href);
      try {
        return await import(`${scheme}${encodeURIComponent(use)}?from=${from}`);
      } catch (error) {
        throw this.#isMissing(use, error) ? new Error(this.#missing(use), { cause: error }) : error;
      }
    }
    const url = pathToFileURL(path).href;
    const modified = statSync(path).mtimeMs;
    const before = this.#imported.get(path);
    if (before === undefined) this.#imported.set(path, modified);
    return import(before === undefined || before === modified ? url : `${url}?modified=${modified}`);
  }
  #isMissing(use: string, error: unknown): boolean {
    return error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes(`'${use}'`);
  }
  #missing(use: string): string {
    const example = this.#pathOf(`examples/${use}`) === undefined ? '' : ` (did you mean "examples/${use}"?)`;
    return `there is no such package in ${this.#folder} or above, and no such plugin comes with the server${example}`;
  }
  #pathOf(use: string): string | undefined {
    if (isAbsolute(use)) return use;
    if (use.startsWith('./') || use.startsWith('../')) return resolve(this.#folder, use);
    if (!/^[a-z0-9][a-z0-9-]*(\/[a-z0-9][a-z0-9-]*)?$/.test(use)) return undefined;
    const own = join(repository, 'plugins', use, 'src', 'index.ts');
    return existsSync(own) ? own : undefined;
  }
}

let isMapped = false; // resolution is the process's own; the hook holds no state, so one is enough for all servers in it
/** Plugin files anywhere import our copy of the SDK: another copy's `Refusal` would not be ours. Packages resolve from the configuration's folder. */
function mapSdk(): void {
  if (isMapped) return;
  isMapped = true;
  registerHooks({
    resolve(specifier, context, nextResolve) {
      if (specifier === sdk || specifier.startsWith(`${sdk}/`)) return nextResolve(specifier, { ...context, parentURL: import.meta.url });
      if (!specifier.startsWith(scheme)) return nextResolve(specifier, context);
      const { pathname, searchParams } = new URL(specifier);
      return nextResolve(decodeURIComponent(pathname), { ...context, parentURL: searchParams.get('from') ?? context.parentURL });
    },
  });
}
