/** What a plugin's author does first: `pochard plugin new`, and the example of docs/writing-plugins.md, in a folder outside of the repository. */
import assert from 'node:assert/strict';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runProgram } from './support/run-program.ts';
import { temporaryFolder } from './support/server.ts';

const ROOT = join(import.meta.dirname, '..');
const MAIN = join(ROOT, 'core/src/main.ts');

/** What `npm install` makes of the `file:` dependencies, without a network. */
async function install(folder: string): Promise<void> {
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, '@pochard'), { recursive: true });
  await symlink(join(ROOT, 'core'), join(modules, '@pochard/core'));
  await symlink(join(ROOT, 'plugin-sdk'), join(modules, '@pochard/plugin-sdk'));
  await symlink(join(ROOT, 'node_modules/@types'), join(modules, '@types'));
}
/** As `npm run typecheck` and `npm test` do. */
async function check(folder: string): Promise<void> {
  const types = await runProgram(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json'], { cwd: folder });
  assert.equal(types.code, 0, types.stdout + types.stderr);
  // The runner tells its children by a variable that they are children; these are not.
  const runner = ['-u', 'NODE_TEST_CONTEXT', process.execPath, '--test', '--test-reporter=tap', 'src/**/*.test.ts'];
  const tests = await runProgram('env', runner, { cwd: folder });
  assert.equal(tests.code, 0, tests.stdout + tests.stderr);
  assert.match(tests.stdout, /^# pass [1-9]/m);
  assert.match(tests.stdout, /^# fail 0$/m);
}

test('pochard plugin new makes a plugin that type-checks and passes its own test', async (t) => {
  const parent = await temporaryFolder(t);
  const made = await runProgram(process.execPath, [MAIN, 'plugin', 'new', 'no-spam'], { cwd: parent });
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stdout, /no-spam\/src\/index\.test\.ts/);
  const folder = join(parent, 'no-spam');
  const { devDependencies } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  assert.equal(devDependencies['@pochard/plugin-sdk'], `file:${ROOT}/plugin-sdk`);
  await install(folder);
  await check(folder);
  const again = await runProgram(process.execPath, [MAIN, 'plugin', 'new', 'no-spam'], { cwd: parent });
  assert.equal(again.code, 2);
  assert.match(again.stderr, /is there already/);
  assert.equal((await runProgram(process.execPath, [MAIN, 'plugin', 'new', 'No Spam'], { cwd: parent })).code, 2);
});

test('the example of docs/writing-plugins.md type-checks and passes its own test', async (t) => {
  const parent = await temporaryFolder(t);
  const made = await runProgram(process.execPath, [MAIN, 'plugin', 'new', 'quiet-hours'], { cwd: parent });
  assert.equal(made.code, 0, made.stderr);
  const folder = join(parent, 'quiet-hours');
  const text = await readFile(join(ROOT, 'docs/writing-plugins.md'), 'utf8');
  const files = [...text.matchAll(/^```ts file=(\S+)\n([\s\S]*?)^```$/gm)];
  assert.deepEqual(
    files.map(([, file]) => file),
    ['src/clock-hours.ts', 'src/index.ts', 'src/index.test.ts'],
  );
  for (const [, file = '', content = ''] of files) await writeFile(join(folder, file), content);
  await install(folder);
  await check(folder);
});
