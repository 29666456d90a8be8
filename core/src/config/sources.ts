import { join } from 'node:path';

import type { ConfigFile, ConfigSources } from './load.ts';

/** The environment of this process. Nothing else reads `process.env`: two servers must live in one test process. */
export function processEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

export interface StartOptions {
  /** `--config FILE`: takes the place of the environment file and the local file. */
  readonly configFile?: string | undefined;
  /** `--data DIR`. */
  readonly data?: string | undefined;
  /** The folder that holds `default.yaml`, `<environment>.yaml` and `local.yaml`. */
  readonly directory: string;
  /** `POCHARD_ENV` names the environment file, e.g. `production`. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The layers of a start, lowest first: `default.yaml` (equal to the defaults in the schema, so it is not read), then `FILE` or else
 * the environment file and `local.yaml`, then `POCHARD__...` variables, then flags.
 */
export function startSources({ configFile, data, directory, env }: StartOptions): ConfigSources {
  const files: ConfigFile[] = [];
  const { POCHARD_ENV: environment } = env;
  if (configFile !== undefined) files.push({ file: configFile, presence: 'required' });
  else {
    if (environment !== undefined && environment !== '') files.push({ file: join(directory, `${environment}.yaml`), presence: 'required' });
    files.push({ file: join(directory, 'local.yaml'), presence: 'ifThere' });
  }
  return { files, env, flags: data === undefined ? [] : [{ flag: '--data', key: 'data', value: data }] };
}
