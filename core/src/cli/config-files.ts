/** What `pochard config check` looks at beyond the configuration itself: the files that it names, as `pochard start` will meet them. */
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Problem } from '../config/problem.ts';
import type { Config } from '../config/schema.ts';
import { checkEntries } from '../plugins/plugin-loader.ts';

export async function configFileProblems({ tls, plugins }: Config, configFolder: string): Promise<readonly Problem[]> {
  const problems: Problem[] = [];
  const { certificateFile, keyFile } = tls;
  if (certificateFile !== undefined && keyFile !== undefined) {
    try {
      createSecureContext({ cert: await readFile(certificateFile), key: await readFile(keyFile) });
    } catch (error) {
      problems.push({ where: 'tls', key: '', message: `${certificateFile} with ${keyFile}: ${textOf(error)}` });
    }
  }
  for (const { index, error } of await checkEntries(plugins, configFolder))
    problems.push({ where: `plugins[${index}]`, key: plugins[index]?.use ?? '', message: textOf(error) });
  return problems;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
