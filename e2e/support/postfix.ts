/** A Postfix of its own in a temporary folder: takes mail for example.org into maildirs. Needs root, as Postfix does. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { generate } from 'selfsigned';
import { mustRun, runProgram } from './run-program.ts';
import { temporaryFolder } from './server.ts';
import { needsProgram, skipLoudly } from './skip.ts';

const SERVICES = `pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;

export class Postfix {
  readonly port: number;
  /** PEM: what its certificate descends from. */
  readonly caFile: string;
  readonly #folder: string;
  constructor(folder: string, port: number) {
    this.#folder = folder;
    this.port = port;
    this.caFile = join(folder, 'cert.pem');
  }
  async start(): Promise<void> {
    const ran = await runProgram('postfix', ['-c', join(this.#folder, 'etc'), 'start']);
    if (ran.code !== 0) throw new Error(`postfix did not start: ${ran.stderr}${await this.log()}`);
  }
  async stop(): Promise<void> {
    await runProgram('postfix', ['-c', join(this.#folder, 'etc'), 'stop']);
  }
  async log(): Promise<string> {
    return readFile(join(this.#folder, 'postfix.log'), 'latin1').catch(() => 'no log');
  }
  async logged(what: RegExp): Promise<void> {
    for (const end = Date.now() + 10_000; !what.test(await this.log()); ) {
      if (Date.now() > end) throw new Error(`Postfix has not logged ${what}:\n${await this.log()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  /** Messages as Postfix stored them (LF line ends), once there are `count`. */
  async messages(count: number): Promise<readonly string[]> {
    const folder = join(this.#folder, 'mail', 'all', 'new');
    for (const end = Date.now() + 20_000; ; ) {
      const names = await readdir(folder).catch((): string[] => []);
      if (names.length >= count) return Promise.all(names.sort().map((name) => readFile(join(folder, name), 'latin1')));
      if (Date.now() > end) throw new Error(`Postfix has ${names.length} of ${count} messages\n${await this.log()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** `undefined`, and the test is skipped, when there is no Postfix here. */
export async function startPostfix(t: TestContext): Promise<Postfix | undefined> {
  if (!needsProgram(t, 'postfix')) return undefined;
  if (process.getuid?.() !== 0) {
    skipLoudly(t, 'Postfix starts as root only');
    return undefined;
  }
  const folder = await temporaryFolder(t);
  await chmod(folder, 0o755);
  for (const name of ['etc', 'queue', 'data', 'mail']) await mkdir(join(folder, name));
  const owner = (what: '-u' | '-g') => execFileSync('id', [what, 'postfix'], { encoding: 'utf8' }).trim();
  execFileSync('chown', ['postfix', join(folder, 'data'), join(folder, 'mail')]);
  const port = await freePort();
  const pem = await generate([{ name: 'commonName', value: 'relay.example.org' }], {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });
  await writeFile(join(folder, 'cert.pem'), pem.cert);
  await writeFile(join(folder, 'key.pem'), pem.private, { mode: 0o600 });
  await writeFile(
    join(folder, 'etc', 'main.cf'),
    `compatibility_level = 3.6
queue_directory = ${folder}/queue
data_directory = ${folder}/data
maillog_file = ${folder}/postfix.log
maillog_file_prefixes = ${folder}
myhostname = relay.example.org
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = example.org
virtual_mailbox_base = ${folder}/mail
virtual_mailbox_maps = static:all/
virtual_minimum_uid = 1
virtual_uid_maps = static:${owner('-u')}
virtual_gid_maps = static:${owner('-g')}
smtpd_tls_security_level = may
smtpd_tls_cert_file = ${folder}/cert.pem
smtpd_tls_key_file = ${folder}/key.pem
smtpd_recipient_restrictions = check_recipient_access inline:{{never@example.org = REJECT}, {later@example.org = DEFER}}, permit_mynetworks, reject
`,
  );
  await writeFile(join(folder, 'etc', 'master.cf'), `127.0.0.1:${port} inet n - n - - smtpd\n${SERVICES}`);
  const postfix = new Postfix(folder, port);
  t.after(() => postfix.stop());
  await mustRun('postfix', ['-c', join(folder, 'etc'), 'check']);
  await postfix.start();
  return postfix;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
