import { stringify } from 'yaml';

import type { Config } from './schema.ts';
import { Secret } from './secret.ts';

/** Plugins have schemas of their own, which core does not know here, so their secrets are recognised by name. */
const secretName = /passw|secret|token|passphrase|apikey|api_key|privatekey|private_key|credential/i;
const urlPassword = /(:\/\/[^/\s:@]{0,200}):[^/\s@]{0,500}@/g;

/** The effective configuration as YAML that may be shown: no secret is in it, neither ours nor what looks like one in `plugins[].config`. */
export function describeConfig(config: Config): string {
  const plugins = config.plugins.map((entry) => ({ ...entry, config: withoutSecrets(entry.config) }));
  return stringify({ ...config, plugins }, { aliasDuplicateObjects: false, lineWidth: 0 });
}

function withoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll(urlPassword, '$1:[secret]@');
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== 'object' || value === null || value instanceof Secret) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, secretName.test(key) && !/file$/i.test(key) ? '[secret]' : withoutSecrets(item)]),
  );
}
