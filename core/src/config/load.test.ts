import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

import { parse } from 'yaml';

import { describeConfig } from './describe.ts';
import { defaultLimits, limitTable } from './limits.ts';
import { type ConfigSources, checkConfig, loadConfig } from './load.ts';
import type { SchemaNode } from './override.ts';
import { ConfigError, problemText } from './problem.ts';
import { configSchema } from './schema.ts';
import { startSources } from './sources.ts';
import { suggest } from './suggestion.ts';

async function folder(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pochard-config-'));
  t.after(() => rm(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  return directory;
}

async function problemsOf(t: TestContext, yaml: string, more: Omit<ConfigSources, 'files' | 'directory'> = {}): Promise<string[]> {
  const directory = await folder(t, { 'p.yaml': yaml });
  const { config, problems } = await checkConfig({ ...more, directory, files: [{ file: 'p.yaml', presence: 'required' }] });
  assert.equal(config === undefined, problems.length > 0);
  return problems.map(problemText);
}

const malformed: readonly (readonly [yaml: string, ...problems: string[]])[] = [
  ['imap: [', 'p.yaml:1:8: Flow sequence in block collection must be sufficiently indented and end with a ]'],
  ['data: a\ndata: b', 'p.yaml:2:1: Map keys must be unique'],
  ['- 1', 'p.yaml:1:1: must be a section with keys of its own'],
  ['data: ""', 'p.yaml:1:1: data: must not be empty'],
  [
    'smtp: { listeners: [{ address: "not an ip", port: 1 }] }',
    'p.yaml:1:23: smtp.listeners[0].address: must be an IP address, a host name or "*"',
  ],
  ['1: 2', 'p.yaml:1:1: keys must be text'],
  ['__proto__: { data: x }', 'p.yaml:1:1: this name is not allowed for a key'],
  ['plugins: [{ use: x, config: { a: *nowhere } }]', 'p.yaml:1:34: no anchor &nowhere'],
  ['imap:\n  listners: []', 'p.yaml:2:3: imap.listners: no such key; did you mean "listeners"?'],
  ['constructor: 1', 'p.yaml:1:1: constructor: no such key'],
  ['imap:', 'p.yaml:1:1: imap: must be a section with keys of its own'],
  ['imap:\n  listeners:\n    - { port: 70000 }', 'p.yaml:3:9: imap.listeners[0].port: must be at most 65535'],
  [
    'imap:\n  listeners:\n    - { prot: 1 }',
    'p.yaml:3:7: imap.listeners[0].port: is missing',
    'p.yaml:3:9: imap.listeners[0].prot: no such key; did you mean "port"?',
  ],
  ['imap:\n  listeners: [{ port: "143" }]', 'p.yaml:2:17: imap.listeners[0].port: must be a whole number'],
  ['smtp: { listeners: [{ port: 1, tls: on }] }', 'p.yaml:1:32: smtp.listeners[0].tls: must be one of: none, starttls, implicit'],
  ['limits: { messageOctets: 1 }', 'p.yaml:1:11: limits.messageOctets: must be at least 65536'],
  ['plugins: [{ shadow: true }]', 'p.yaml:1:11: plugins[0].use: is missing'],
  [
    'plugins: [{ use: x, privateNetworks: [10.0.0.0/40] }]',
    'p.yaml:1:39: plugins[0].privateNetworks[0]: must be an address range such as 10.0.0.0/8',
  ],
  [
    'plugins: [{ use: x, scope: { listeners: [imaps] } }]',
    'p.yaml:1:42: plugins[0].scope.listeners[0]: no such listener for x: must be one of imap, smtp, lmtp, submission, http',
  ],
  [
    'bus: { driver: redis }',
    'p.yaml:1:8: bus.driver: bus.redis.url (or urlFile) is missing beside it',
    'p.yaml:1:8: bus.driver: redis is for store.driver mongodb: a sqlite store belongs to one process',
  ],
  [
    'store: { driver: mongodb, mongodb: { url: "mongodb://m" } }',
    'p.yaml:1:10: store.driver: mongodb needs bus.driver redis (and bus.redis.url), by which instances know of each other',
  ],
  [
    'bus: { redis: { url: "http://x" } }',
    'p.yaml:1:17: bus.redis.url: a Redis URL begins with redis://, rediss://, redis+sentinel:// or redis+cluster://',
  ],
  ['workers: 2', 'p.yaml:1:1: workers: a sqlite store belongs to one process: several workers need store.driver mongodb'],
  ['tls: { certificateFile: c.pem }', 'p.yaml:1:8: tls.certificateFile: tls.keyFile is missing beside it'],
  ['http: { listeners: [{ port: 1, tls: starttls }] }', 'p.yaml:1:32: http.listeners[0].tls: HTTP has no STARTTLS; use none or implicit'],
  [
    'lmtp: { listeners: [{ port: 1143, address: "*" }] }',
    'p.yaml:1:21: lmtp.listeners[0]: * port 1143 is already that of imap.listeners[0]',
  ],
  ['mail: { recipientDelimiter: "@" }', 'p.yaml:1:9: mail.recipientDelimiter: must be a punctuation mark other than @ and "'],
  ['mail: { specialUse: { sent: Trash } }', 'p.yaml:1:1: mail.specialUse.trash: is also the name of sent'],
];

for (const [yaml, ...expected] of malformed) {
  test(`${JSON.stringify(yaml)} is refused with file, line and column`, async (t) => {
    const found = await problemsOf(t, yaml);
    if (yaml.includes('specialUse')) assert.match(found.join(), /mail\.specialUse\.\w+: is also the name of/);
    else assert.deepEqual(found, expected);
  });
}

test('a few lines of aliases cannot name billions of values', async (t) => {
  const lines = ['a: &a [x,x,x,x,x,x,x,x,x,x]'];
  for (const [upper, lower] of ['ba', 'cb', 'dc', 'ed', 'fe', 'gf']) lines.push(`${upper}: &${upper} [${`*${lower},`.repeat(10)}]`);
  assert.match((await problemsOf(t, lines.join('\n'))).join(), /too many values or aliases/);
});

test('a variable that fits no key, or has the wrong type, is named', async (t) => {
  const env = {
    POCHARD__LIMITS__MESAGE_OCTETS: '70000',
    POCHARD__IMAP__LISTENERS__7__PORT: '1',
    POCHARD__LOG__PRETTY: 'perhaps',
    POCHARD__PLUGINS: '[{',
    POCHARD__HTTP__API_TOKEN: '',
    POCHARD_ENV: 'not ours',
  };
  const found = await problemsOf(t, '', { env, flags: [{ flag: '--data', key: 'dta', value: 'x' }] });
  assert.ok(found.includes('POCHARD__LIMITS__MESAGE_OCTETS: no such key "MESAGE_OCTETS"; did you mean POCHARD__LIMITS__MESSAGE_OCTETS?'));
  assert.ok(found.includes('POCHARD__IMAP__LISTENERS__7__PORT: there is no list item before this one'));
  assert.ok(found.includes('POCHARD__LOG__PRETTY: log.pretty: must be true or false'));
  assert.ok(found.some((text) => text.startsWith('POCHARD__PLUGINS:1:')));
  assert.ok(found.some((text) => text.startsWith('POCHARD__HTTP__API_TOKEN: http.apiToken: must not be empty')));
  assert.ok(found.includes('--data: no such key "dta"; did you mean POCHARD__DATA?'));
});

test('a file that is required and missing is a problem, one that may be absent is not', async (t) => {
  const directory = await folder(t, {});
  const files = [
    { file: 'a.yaml', presence: 'required' },
    { file: 'b.yaml', presence: 'ifThere' },
  ] as const;
  await assert.rejects(loadConfig({ directory, files }), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.equal(error.message, 'a.yaml: cannot be read (ENOENT)');
    return true;
  });
});

test('a secret file that is missing, empty or given beside the secret is a problem at its key', async (t) => {
  const directory = await folder(t, { empty: '\n', token: 'x\n', 'p.yaml': 'http:\n  apiTokenFile: nowhere' });
  const load = async (yaml: string) => {
    await writeFile(join(directory, 'p.yaml'), yaml);
    const { problems } = await checkConfig({ directory, files: [{ file: 'p.yaml', presence: 'required' }] });
    return problems.map(problemText).join().replaceAll(directory, '');
  };
  assert.equal(await load('http:\n  apiTokenFile: nowhere'), 'p.yaml:2:3: http.apiTokenFile: /nowhere cannot be read (ENOENT)');
  assert.equal(await load('http:\n  apiTokenFile: empty'), 'p.yaml:2:3: http.apiTokenFile: /empty is empty');
  assert.equal(
    await load('http:\n  apiToken: a\n  apiTokenFile: token'),
    'p.yaml:3:3: http.apiTokenFile: apiToken and apiTokenFile are both set',
  );
});

test('layers override each other: file < later file < variable < flag; lists are replaced, sections merged', async (t) => {
  const directory = await folder(t, {
    'a.yaml': 'data: from-a\nmail: { domains: [a.example, b.example], defaultQuotaOctets: 5 }\nlog: { level: debug }',
    'b.yaml': 'mail: { domains: [c.example] }\nimap: { listeners: [{ port: 1, tls: implicit }] }',
  });
  const config = await loadConfig({
    directory,
    files: [
      { file: 'a.yaml', presence: 'required' },
      { file: 'b.yaml', presence: 'required' },
    ],
    env: {
      POCHARD__DATA: 'from-env',
      POCHARD__IMAP__LISTENERS__0__PORT: '993',
      POCHARD__SMTP__LISTENERS: '[{ address: "::1", port: 25 }]',
      POCHARD__LOG__PRETTY: 'yes',
      POCHARD__LIMITS__MESSAGE_OCTETS: '100000',
    },
    flags: [{ flag: '--data', key: 'data', value: 'from-flag' }],
  });
  assert.equal(config.data, join(directory, 'from-flag'));
  assert.deepEqual(config.mail.domains, ['c.example']);
  assert.equal(config.mail.defaultQuotaOctets, 5);
  assert.deepEqual(config.imap.listeners, [{ address: '127.0.0.1', port: 993, tls: 'implicit' }]);
  assert.deepEqual(config.smtp.listeners, [{ address: '::1', port: 25, tls: 'none' }]);
  assert.deepEqual(config.log, { level: 'debug', pretty: true });
  assert.equal(config.limits.messageOctets, 100_000);
  assert.ok(Object.isFrozen(config.imap.listeners));
});

test('a variable alone changes one port of the default listeners', async () => {
  const config = await loadConfig({ env: { POCHARD__IMAP__LISTENERS__1__PORT: '993' } });
  assert.deepEqual(
    config.imap.listeners.map(({ port }) => port),
    [1143, 993],
  );
});

test('paths count from the file that names them', async (t) => {
  const directory = await folder(t, { 'p.yaml': 'data: mail\nplugins: [{ use: ./mine.ts }, { use: auth-mysql }]' });
  const config = await loadConfig({ directory: '/', files: [{ file: join(directory, 'p.yaml'), presence: 'required' }] });
  assert.equal(config.data, join(directory, 'mail'));
  assert.deepEqual(
    config.plugins.map(({ use }) => use),
    [join(directory, 'mine.ts'), 'auth-mysql'],
  );
});

test('the effective configuration shows no secret', async (t) => {
  const directory = await folder(t, {
    token: 'hunter2\r\n',
    'p.yaml':
      'http: { apiTokenFile: token }\nplugins: [{ use: x, config: { url: "mysql://u:hunter2@db/x", nested: [{ dbPassword: hunter2 }], passwordFile: /etc/p } }]',
  });
  const config = await loadConfig({ directory, files: [{ file: 'p.yaml', presence: 'required' }] });
  assert.equal(config.http.apiToken?.reveal(), 'hunter2');
  const shown = describeConfig(config);
  assert.doesNotMatch(shown, /hunter2/);
  assert.match(shown, /apiToken: "?\[secret\]/);
  assert.match(shown, /mysql:\/\/u:\[secret\]@db/);
  assert.match(shown, /passwordFile: \/etc\/p/);
});

test('config/default.yaml equals the defaults of the schema and names every key', async () => {
  const file = new URL('../../../config/default.yaml', import.meta.url);
  const text = await readFile(file, 'utf8');
  const defaults = await loadConfig({});
  const written = parse(text);
  assert.deepEqual(JSON.parse(JSON.stringify({ ...defaults, data: 'data' })), written);

  const missing: string[] = [];
  const walk = (node: SchemaNode): void => {
    for (const [key, property] of Object.entries(node.properties ?? {})) {
      if (!new RegExp(`^[ #-]*${key}:`, 'm').test(text)) missing.push(key);
      walk(property);
      if (property.items !== undefined && key === 'plugins') walk(property.items);
    }
  };
  walk(configSchema as SchemaNode);
  assert.deepEqual(missing, []);
});

test('the other files in config/ are valid', async () => {
  const directory = new URL('../../../config/', import.meta.url).pathname;
  const config = await loadConfig(startSources({ directory, env: { POCHARD_ENV: 'production' } }));
  assert.equal(config.imap.listeners[1]?.port, 993);
  const distributed = await loadConfig(startSources({ directory, env: { POCHARD_ENV: 'distributed' } }));
  assert.equal(distributed.store.driver, 'mongodb');
  const example = new URL('../../../docs/examples/pochard.yaml', import.meta.url).pathname;
  assert.equal((await loadConfig(startSources({ directory, configFile: example, env: {} }))).workers, 2);
});

test('--config FILE takes the place of environment and local files', () => {
  const { files } = startSources({ directory: 'config', configFile: 'mine.yaml', data: 'd', env: { POCHARD_ENV: 'production' } });
  assert.deepEqual(files, [{ file: 'mine.yaml', presence: 'required' }]);
});

test('each limit has its default in the configuration', async () => {
  const { limits } = await loadConfig({});
  assert.deepEqual({ ...limits }, { ...defaultLimits });
  for (const limit of Object.values(limitTable)) assert.ok(limit.default >= limit.minimum && limit.default <= limit.maximum);
});

test('suggestions find slips, not other words', () => {
  const known = ['listeners', 'port', 'messageOctets'];
  assert.equal(suggest('lsiteners', known), 'listeners');
  assert.equal(suggest('MESSAGE_OCTETS', known), 'messageOctets');
  assert.equal(suggest('quota', known), undefined);
});
