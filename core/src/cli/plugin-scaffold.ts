/** `pochard plugin new`: a plugin that type-checks and passes its own test, to begin from. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from './output.ts';

/** Where this server's own packages lie: the new plugin is built and tested against them. */
const installation = join(import.meta.dirname, '../../..');

/**
 * Writes the files below `folder`, which must not exist, and returns their names.
 * @throws UsageError for a name that is not kebab-case or a folder that is there
 */
export async function scaffoldPlugin(name: string, folder: string): Promise<readonly string[]> {
  if (!/^[a-z][a-z0-9]{0,30}(-[a-z0-9]{1,30}){0,5}$/.test(name) || name === 'core') {
    throw new UsageError(`"${name}": a plugin's name is lower case with dashes, like sent-copy`);
  }
  try {
    await mkdir(folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') throw new UsageError(`${folder} is there already`);
    throw error;
  }
  await mkdir(join(folder, 'src'));
  const files = filesOf(name);
  for (const [file, text] of files) await writeFile(join(folder, file), text, { flag: 'wx' });
  return [...files.keys()];
}

function filesOf(name: string): ReadonlyMap<string, string> {
  return new Map([
    ['package.json', packageJson(name)],
    ['tsconfig.json', tsconfig],
    ['README.md', readme(name)],
    ['src/index.ts', source(name)],
    ['src/index.test.ts', tests(name)],
  ]);
}

function packageJson(name: string): string {
  const description = {
    name,
    version: '0.1.0',
    private: true,
    type: 'module',
    exports: './src/index.ts',
    scripts: { test: 'node --test "src/**/*.test.ts"', typecheck: 'tsc -p tsconfig.json' },
    engines: { node: '>=24' },
    devDependencies: {
      '@pochard/core': `file:${installation}/core`,
      '@pochard/plugin-sdk': `file:${installation}/plugin-sdk`,
      '@types/node': '^24.0.0',
      node: '^24.0.0', // brings the Node that runs the tests, whatever the system has
      typescript: '>=5.9',
    },
  };
  return `${JSON.stringify(description, undefined, 2)}\n`;
}

const tsconfig = `{
  "compilerOptions": {
    "target": "es2024",
    "lib": ["es2024", "esnext.disposable", "esnext.iterator", "esnext.collection", "esnext.array"],
    "module": "nodenext",
    "types": ["node"],
    "noEmit": true,
    "strict": true,
    "exactOptionalPropertyTypes": true,
    "noUncheckedIndexedAccess": true,
    "erasableSyntaxOnly": true,
    "verbatimModuleSyntax": true,
    "allowImportingTsExtensions": true,
    "skipLibCheck": true
  },
  "include": ["src"]
}
`;

function readme(name: string): string {
  return `# ${name}

Refuses mail from the senders that it is told of.

\`\`\`yaml
plugins:
  - use: ./${name}/src/index.ts
    config: { senders: [spammer@example.org] }
\`\`\`

\`npm install && npm test\` runs it in a whole server in memory. \`kill -HUP\` makes a running server take the new text.
`;
}

function source(name: string): string {
  return `import { definePlugin, Refusal, Type } from '@pochard/plugin-sdk';

/** Refuses mail from the senders that it is told of. Needs no permission: it sees names, never content. */
export const plugin = definePlugin({
  name: '${name}',
  config: Type.Object({
    senders: Type.Array(Type.String(), { default: [], description: 'reverse-paths that are refused' }),
  }),
  apply({ hooks, counter }, { senders }) {
    const unwanted = new Set(senders.map((sender) => sender.toLowerCase()));
    const refused = counter('refused_total', 'Messages refused');

    hooks.rcpt.accept.gate(({ reversePath }) => {
      if (!unwanted.has(reversePath.toLowerCase())) return;
      refused.add();
      throw new Refusal('policy', 'No mail from you, please');
    });
  },
});
`;
}

function tests(name: string): string {
  return `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conformance, startHost } from '@pochard/plugin-sdk/testing';
import { plugin } from './index.ts';

const accounts = { 'ada@example.test': 'secret' };
const raw = 'Subject: hello\\n\\nHi Ada\\n';

test('unwanted senders are refused, others are delivered', async () => {
  await using host = await startHost({ plugins: [[plugin, { senders: ['spammer@example.org'] }]], accounts });
  await assert.rejects(host.deliver({ from: 'Spammer@example.org', to: 'ada@example.test', raw }), /No mail from you/);
  const [message] = await host.deliver({ from: 'bob@example.org', to: 'ada@example.test', raw });
  assert(message);
  const ada = await host.login('ada@example.test', 'secret');
  assert.match(await ada.read(message), /Hi Ada/);
});

test('a server whose ${name} goes wrong keeps serving everybody else', async () => {
  const { notReached } = await conformance(plugin);
  assert.deepEqual(notReached, []);
});
`;
}
