import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { type HookSpec, plaintextHooks, specs } from './index.ts';

const closed: ReadonlySet<string> = new Set<string>(plaintextHooks);
function row([name, spec]: readonly [string, HookSpec<string>]): string {
  const stages =
    spec.stages === undefined ? '' : ` ${spec.stages.map((stage) => (stage === spec.unstaged ? `*${stage}` : stage)).join('|')}`;
  return `${name} ${spec.kind} ${spec.deadlineMs} ${spec.onFault}${closed.has(name) ? ' plaintext' : ''}${stages}`;
}

test('the hooks are those that were promised: a row that changes or goes is a new major version of the SDK', async () => {
  const promised = await readFile(new URL('./specs.snapshot.txt', import.meta.url), 'utf8');
  assert.deepEqual(Object.entries(specs).map(row), promised.trim().split('\n'));
});
