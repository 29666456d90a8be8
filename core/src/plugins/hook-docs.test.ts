import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { specs } from '@pochard/plugin-sdk';
import { declarationsIn, hooksPage, page } from '../../../docs/generate-hooks.ts';

const source = await readFile(join(import.meta.dirname, '../../../plugin-sdk/src/hooks.ts'), 'utf8');

test('each hook has its type and its text in Hooks, in the order of specs', () => {
  const declarations = declarationsIn(source);
  assert.deepEqual([...declarations.keys()].sort(), Object.keys(specs).sort());
  for (const [name, { type, text }] of declarations) {
    assert(type.length > 5, name);
    assert(text.length > 10, `${name} has no docstring`);
  }
});

test('docs/hooks.md is what docs/generate-hooks.ts makes of the declarations', async () => {
  assert.equal(await readFile(page, 'utf8'), hooksPage(source), 'run: node docs/generate-hooks.ts');
});
