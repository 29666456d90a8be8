/** Tests that need a program or data which is not here are skipped loudly; `.ci/run` fails on a skip that the README does not list. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const ROOT = join(import.meta.dirname, '..', '..');
/** Real mail with expected answers; not part of the repository. */
export const CORPUS = process.env['POCHARD_CORPUS'] ?? join(ROOT, '..', 'shared', 'corpus');

/** Returns false, and skips the test, when the program is not installed. */
export function needsProgram(t: TestContext, program: string, debianPackage = program): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    skipLoudly(t, `${program} is not installed (Debian: apt-get install ${debianPackage})`);
    return false;
  }
}

export function needsPythonModule(t: TestContext, module: string, debianPackage: string): boolean {
  try {
    execFileSync('python3', ['-c', `import ${module}`], { stdio: 'ignore' });
    return true;
  } catch {
    skipLoudly(t, `Python module ${module} is not installed (Debian: apt-get install ${debianPackage})`);
    return false;
  }
}

export function needsCorpus(t: TestContext): boolean {
  if (existsSync(join(CORPUS, 'manifest.json'))) return true;
  skipLoudly(t, 'the mail corpus is not here (POCHARD_CORPUS names its folder)');
  return false;
}

export function skipLoudly(t: TestContext, why: string): void {
  console.error(`SKIPPED: ${t.name}: ${why}`);
  t.skip(why);
}
