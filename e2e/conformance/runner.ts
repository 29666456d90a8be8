/** Runs the tables of this folder: one server, one account a group, four ways to talk to it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ImapScript } from '../support/imap-script.ts';
import { checkResponse } from '../support/response-grammar.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { type Check, type Group, type Mode, Patterns, textFor } from './check.ts';
import { groups } from './groups.ts';

const PASSWORD = 'correct horse';
/** Nothing that a check asks for takes longer; what hangs must not hang the whole suite. */
const CHECK_MS = 10_000;

/** Extensions whose checks stand here before the extension does. When it is offered, it must leave this list. */
const NOT_YET: ReadonlySet<string> = new Set(['CONTEXT=SEARCH']);

/** Malformed forms are what many checks are; the limits have tests of their own. */
const LIMITS = { imapBadCommands: 100_000, imapBadCommandsBeforeLogin: 1_000, loginFailuresPerSession: 100, loginDelayMaxMs: 0 };

interface Failure {
  readonly check: string;
  readonly why: string;
}

export function runConformance(mode: Mode): void {
  test(`conformance, ${mode}`, { timeout: 300_000 }, async (t) => {
    const server = await startServer(t, { config: { limits: LIMITS } });
    const offered = await capabilities(server);
    let checks = 0;
    for (const [index, group] of groups.entries()) {
      if (!runsIn(group, mode)) continue;
      const missing = (group.needs ?? []).filter((name) => !offered.has(name));
      const unexpected = missing.filter((name) => !NOT_YET.has(name));
      assert.deepEqual(unexpected, [], `${group.name} needs what is not offered`);
      for (const name of group.needs ?? [])
        assert.ok(!NOT_YET.has(name) || !offered.has(name), `${name} is offered now: take it off NOT_YET`);
      if (missing.length > 0) {
        t.diagnostic(`not offered yet: ${missing.join(' ')}: ${group.checks.length} checks wait`);
        continue;
      }
      await t.test(group.name, async (subtest) => {
        const own =
          group.limits === undefined ? server : await startServer(subtest, { config: { limits: { ...LIMITS, ...group.limits } } });
        const run = new GroupRun(subtest, own, group, mode, `group${index}@example.test`);
        const failures = await run.all();
        checks += run.count;
        if (failures.length > 0) throw new Error(failures.map(({ check, why }) => `${JSON.stringify(check)}: ${why}`).join('\n'));
      });
    }
    t.diagnostic(`${checks} checks`);
    console.error(`conformance, ${mode}: ${checks} checks`);
    assert.ok(checks >= 500, `only ${checks} checks ran`);
  });
}

function runsIn({ login, only }: Group, mode: Mode): boolean {
  if (login === 'none') return mode === 'plain';
  return only === undefined || (only === 'rev2') === (mode === 'rev2');
}

async function capabilities(server: TestServer): Promise<ReadonlySet<string>> {
  await server.createAccount('capability@example.test', PASSWORD);
  const imap = await ImapScript.login(undefined, server.port('imap'), 'capability@example.test', PASSWORD);
  const { untagged } = await imap.command('CAPABILITY');
  imap.close();
  return new Set(untagged.join(' ').split(' '));
}

class GroupRun {
  count = 0;
  readonly #t: TestContext;
  readonly #server: TestServer;
  readonly #group: Group;
  readonly #mode: Mode;
  readonly #username: string;
  readonly #patterns = new Patterns();
  readonly #sessions = new Map<string, ConformanceSession>();
  /** One on each instance, where there are several. */
  #observers: readonly ImapScript[] | undefined;
  #spokeLast = '';

  constructor(t: TestContext, server: TestServer, group: Group, mode: Mode, username: string) {
    this.#t = t;
    this.#server = server;
    this.#group = group;
    this.#mode = mode;
    this.#username = username;
  }

  get #revision(): 'rev1' | 'rev2' {
    return this.#mode === 'rev2' ? 'rev2' : 'rev1';
  }

  async all(): Promise<Failure[]> {
    await this.#server.createAccount(this.#username, PASSWORD, this.#group.account);
    const failures: Failure[] = [];
    for (const send of this.#group.setup ?? []) {
      const why = await this.#run(['setup', send, 'OK', '…']);
      if (why !== undefined) return [{ check: `setup: ${send}`, why }];
    }
    for (const check of this.#group.checks) {
      const send = textFor(check[1], this.#revision);
      if (send === undefined) continue;
      this.count += 1;
      const why = await this.#run(check);
      if (why !== undefined) failures.push({ check: `${check[0]}: ${send}`, why });
    }
    for (const session of this.#sessions.values()) session.script.close();
    for (const observer of this.#observers ?? []) observer.close();
    return failures;
  }

  /** News of other instances is told when it has come, or after a look at the store: NOOP looks for the whole instance. */
  async #settled(name: string): Promise<void> {
    const { instances } = this.#server;
    const isOther = this.#spokeLast !== name;
    this.#spokeLast = name;
    if (!isOther || instances.length === 1 || this.#group.login === 'none') return;
    this.#observers ??= await Promise.all(
      instances.map((instance) => ImapScript.login(this.#t, instance.port('imap'), this.#username, PASSWORD)),
    );
    for (const observer of this.#observers) await observer.command('NOOP');
  }

  /** @returns what is wrong */
  async #run([, sent, end, ...untagged]: Check): Promise<string | undefined> {
    const text = textFor(sent, this.#revision) ?? '';
    const [, name = 'A', line = ''] = /^(?:([A-Z]): )?([\s\S]*)$/.exec(text) ?? [];
    const timer = AbortSignal.timeout(CHECK_MS);
    try {
      const session = await this.#session(name);
      await this.#settled(name);
      const wanted = untagged.flatMap((pattern) => sortedFlags(textFor(pattern, this.#revision) ?? '')).filter((pattern) => pattern !== '');
      const responses = await Promise.race([
        line === 'hear' ? session.hear(wanted.length) : session.send(this.#patterns.fill(line)),
        new Promise<never>((_, reject) => timer.addEventListener('abort', () => reject(new Error('no answer')))),
      ]);
      for (const response of responses) checkResponse(response, session.strings);
      const heard = responses.flatMap((response) => this.#compared(response));
      const last = line === 'hear' ? undefined : heard.pop();
      const endText = textFor(end, this.#revision) ?? 'OK';
      return (
        this.#differs(wanted, heard, session.tag) ?? (last === undefined ? undefined : this.#endDiffers(endText, last, session.tag, heard))
      );
    } catch (error) {
      this.#sessions.get(name)?.script.close();
      this.#sessions.delete(name);
      return error instanceof Error ? error.message : String(error);
    }
  }

  async #session(name: string): Promise<ConformanceSession> {
    const known = this.#sessions.get(name);
    if (known !== undefined) return known;
    // Each instance counts \Recent for itself: who was first among all "is not possible to determine" (RFC 3501 §2.3.2).
    const server = this.#group.recent === 'counts' ? (this.#server.instances[0] ?? this.#server) : this.#server;
    const script =
      this.#mode === 'tls'
        ? await ImapScript.connectTls(this.#t, server.port('imap', 'implicit'))
        : await ImapScript.connect(this.#t, server.port('imap'));
    if (this.#group.login !== 'none') {
      const { done } = await script.command(`LOGIN ${this.#username} "${PASSWORD}"`);
      assert.match(done, /^OK/);
      if (this.#mode === 'compress') await script.compress();
      if (this.#mode === 'rev2') assert.match((await script.command('ENABLE IMAP4rev2')).done, /^OK/);
    }
    const session = new ConformanceSession(script, name.toLowerCase(), this.#mode === 'rev2' ? 'utf8' : 'ascii');
    this.#sessions.set(name, session);
    this.#patterns.values.set('user', this.#username);
    return session;
  }

  /** The response as it is compared; none for RECENT where it does not count. */
  #compared(response: string): string[] {
    const text = unquotedName(response.replace(/^\* /, ''));
    if (this.#group.recent === 'counts') return [sortedFlags(text)];
    if (/^\d+ RECENT$/.test(text)) return [];
    return [/^\d+ (?:UID)?FETCH /.test(text) ? sortedFlags(text.replace(/\\Recent ?/, '').replace(' ) ', ') ')) : text];
  }

  #differs(wanted: readonly string[], heard: readonly string[], tag: string): string | undefined {
    const mayBeMore = wanted.includes('…') || wanted.some((pattern) => pattern.startsWith('!'));
    const rest = [...heard];
    for (const pattern of wanted) {
      if (pattern === '…') continue;
      if (pattern.startsWith('!')) {
        if (heard.some((line) => this.#patterns.match(pattern.slice(1), line, tag) !== undefined))
          return `unwanted ${pattern}; got ${show(heard)}`;
        continue;
      }
      let found: ReadonlyMap<string, string> | undefined;
      while (found === undefined) {
        const line = rest.shift();
        if (line === undefined) return `missing ${JSON.stringify(pattern)}; got ${show(heard)}`;
        found = this.#patterns.match(pattern, line, tag);
        if (found === undefined && !mayBeMore) return `wanted ${JSON.stringify(pattern)}; got ${show(heard)}`;
      }
      this.#patterns.remember(found);
    }
    return rest.length > 0 && !mayBeMore ? `not expected: ${show(rest)}` : undefined;
  }

  #endDiffers(wanted: string, last: string, tag: string, heard: readonly string[]): string | undefined {
    const isBare = /^(?:OK|NO|BAD|\+)$/.test(wanted);
    const text = last.startsWith(`${tag} `) ? last.slice(tag.length + 1) : last;
    if (isBare) return text === wanted || text.startsWith(`${wanted} `) ? undefined : `ended with ${show([...heard, last])}`;
    const found = this.#patterns.match(wanted.endsWith(']') ? `${wanted} …` : wanted, text, tag);
    if (found === undefined) return `wanted ${wanted}, ended with ${show([last])}`;
    this.#patterns.remember(found);
    return undefined;
  }
}

/** The order of flags in a FETCH means nothing. */
function sortedFlags(text: string): string {
  return text.replace(
    /^(\d+ (?:UID)?FETCH \((?:UID \d+ )?FLAGS \()([^)…]*)\)/,
    (_, head: string, flags: string) => `${head}${flags.trim().split(' ').sort().join(' ')})`,
  );
}

/** Names that need no quotes may have them: compared without. */
function unquotedName(text: string): string {
  return text
    .replace(/^((?:LIST|LSUB) \([^)]*\) "\/") "([\w~/&,.-]+)"/, '$1 $2')
    .replace(/^(STATUS|METADATA|QUOTAROOT) "([\w~/&,.-]+)"/, '$1 $2')
    .replace(/^(ESEARCH \(TAG "\w+" MAILBOX) "([\w~/&,.-]+)"/, '$1 $2');
}

function show(lines: readonly string[]): string {
  return lines.map((line) => JSON.stringify(line.slice(0, 600))).join(' | ');
}

class ConformanceSession {
  readonly script: ImapScript;
  tag = '';
  strings: 'ascii' | 'utf8';
  readonly #prefix: string;
  #count = 0;

  constructor(script: ImapScript, prefix: string, strings: 'ascii' | 'utf8') {
    this.script = script;
    this.strings = strings;
    this.#prefix = prefix;
  }

  /** Up to the tagged response, a continuation that nothing is left for, or BYE and the end. */
  async send(line: string): Promise<string[]> {
    let text = line;
    if (line.startsWith('raw: ')) text = line.slice(5);
    else if (line.startsWith('= ')) text = line.slice(2);
    else if (line !== 'DONE') {
      this.#count += 1;
      this.tag = `${this.#prefix}${this.#count}`;
      text = `${this.tag} ${line}`;
    }
    if (/^ENABLE .*(?:UTF8=ACCEPT|IMAP4rev2)/i.test(line)) this.strings = 'utf8';
    const pieces = splitAtLiterals(text);
    const heard: string[] = [];
    this.script.socket.write(pieces.shift() ?? '', 'latin1');
    for (;;) {
      const response = await this.script.response();
      heard.push(response);
      if (response.startsWith('+')) {
        const next = pieces.shift();
        if (next === undefined) return heard;
        heard.pop();
        this.script.socket.write(next, 'latin1');
        continue;
      }
      if (response.startsWith(`${this.tag} `) && this.tag !== '') return heard;
      if (line.startsWith('raw: ') && !/^\* (?:OK|\d)/.test(response)) return heard;
      if (response.startsWith('* BYE') && !/^logout$/i.test(line)) return heard;
    }
  }

  async hear(count: number): Promise<string[]> {
    const heard: string[] = [];
    while (heard.length < count) {
      const line = await this.script.response();
      if (!/^\* \d+ RECENT$/.test(line)) heard.push(line);
    }
    return heard;
  }
}

/** Pieces that are sent one after another, each after a continuation: cut behind every synchronising literal's announcement. */
function splitAtLiterals(text: string): string[] {
  const pieces: string[] = [];
  let start = 0;
  for (let at = 0; ; ) {
    const end = text.indexOf('\r\n', at);
    if (end === -1) break;
    const announced = /\{(\d+)(\+?)\}$/.exec(text.slice(at, end));
    at = end + 2;
    if (announced === null) continue;
    if (announced[2] === '') {
      pieces.push(text.slice(start, at));
      start = at;
    }
    at += Number(announced[1]);
  }
  pieces.push(`${text.slice(start)}\r\n`);
  return pieces;
}
