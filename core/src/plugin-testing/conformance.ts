/** `conformance` of `@pochard/plugin-sdk/testing`: a day of mail, again and again, with everything of one plugin going wrong. */
import { type HookName, type PluginEntry, specs } from '@pochard/plugin-sdk';
import { type Answer, type Conformance, faults, type SentRequest, type TestSession } from '@pochard/plugin-sdk/testing';
import { isAdministrators, PASSWORD, runErrands } from './conformance-errands.ts';
import { MemoryTestHost } from './test-host.ts';

const INSIDE = 'ada@inside.test';
const OUTSIDE = 'eve@outside.test';
const MESSAGE = 'From: Bob <bob@example.org>\nTo: you@example.test\nSubject: conformance\nMessage-ID: <c@example.org>\n\nan ocelot\n';
/** Within this much of the host's time everything must have an answer: the longest deadline, some of them one after another. */
const LIMIT_MS = 20 * 60_000;

export const conformance: Conformance = async (plugin, config, { entry = {}, answer = fine } = {}) => {
  const inside: PluginEntry = { ...entry, scope: { ...entry.scope, domains: ['inside.test'] } };
  const host = await MemoryTestHost.start({ plugins: [[plugin, config, inside]] });
  const problems: string[] = [];
  const hooks = new Map<HookName, number>();
  const reached = new Set<HookName>();
  const tapped = host.tappedBy(plugin.name);
  let isClosed = false;
  const onRejection = (error: unknown) => problems.push(`a promise that nobody awaits was rejected: ${errorText(error)}`);
  process.on('unhandledRejection', onRejection);
  try {
    const { accounts } = host.life.services;
    for (const username of [INSIDE, OUTSIDE]) await accounts.create({ username, password: Buffer.from(PASSWORD) });
    host.onHttp(answer);
    for (const problem of await day(host, 'strict', undefined)) problems.push(`without faults: ${problem}`);
    for (const hook of tapped) if (host.calls(hook).length > 0 || specs[hook].kind === 'declare') reached.add(hook);

    for (const hook of tapped) {
      for (const how of faults) {
        // A new generation: the breaker of the one before is open.
        await host.reload([[plugin, config, inside]]);
        host.faults.plan(plugin.name, hook, how, 1_000);
        const title = `${hook}, ${how}`;
        const mood = how === 'twice' ? 'strict' : how === 'busy' ? 'blocked' : 'lenient';
        for (const problem of await day(host, mood, hook)) problems.push(`${title}: ${problem}`);
        host.faults.clear();
      }
      hooks.set(hook, host.faults.injected.get(`${plugin.name} ${hook}`) ?? 0);
      if ((hooks.get(hook) ?? 0) > 0) reached.add(hook);
    }
    for (const [title, down] of outages) {
      await host.reload([[plugin, config, inside]]);
      host.onHttp(() => down);
      for (const problem of await day(host, 'lenient', 'journal')) problems.push(`${title}: ${problem}`);
    }
    host.onHttp(answer);
    await host.reload([[plugin, config, inside]]);
    for (const problem of await day(host, 'strict', 'journal')) problems.push(`well again: ${problem}`);

    const before = host.logged.length;
    await host.whileWaiting(host.life.hooks.reload([]).then(({ formerClosed }) => formerClosed));
    for (const line of host.logged.slice(before)) {
      if (/onClose failed|still run after/.test(line)) problems.push(`closing: ${line}`);
    }
    isClosed = true;
  } finally {
    process.off('unhandledRejection', onRejection);
    try {
      await host[Symbol.asyncDispose]();
    } catch (error) {
      if (isClosed) problems.push(errorText(error)); // else the first failure says more
    }
  }
  if (problems.length > 0) throw new Error(`${plugin.name} does not conform:\n  ${[...new Set(problems)].join('\n  ')}`);
  return {
    plugin: plugin.name,
    hooks: [...hooks].map(([hook, count]) => ({ hook, faults: count })),
    notReached: tapped.filter((hook) => !reached.has(hook)),
  };
};

const outages: readonly (readonly [string, Answer])[] = [
  ['what it calls answers 500', { status: 500, body: 'out of order' }],
  ['what it calls answers nonsense', { status: 200, body: '\0{' }],
  ['what it calls is unreachable', 'unreachable'],
];
function fine(_request: SentRequest): Answer {
  return { status: 200, headers: { 'content-type': 'application/json' }, body: '{}' };
}

/** `blocked`: as lenient, and the event loop stands still now and then, for everybody. */
type Mood = 'strict' | 'lenient' | 'blocked';

/**
 * What the two accounts notice. The one outside must notice nothing, ever; the one inside may be refused for a while when `lenient`, but
 * is always answered, and never with our own fault. `hook`: whose errands are run; all of them when undefined.
 */
async function day(host: MemoryTestHost, inside: Mood, hook: HookName | undefined): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const username of [INSIDE, OUTSIDE]) {
    const isLenient = inside !== 'strict' && username === INSIDE;
    try {
      const watch = { isLenient, isBlocked: inside === 'blocked', problems, hook };
      await host.whileWaiting(oneDay(host, username, watch), LIMIT_MS);
    } catch (error) {
      problems.push(`${username}: ${errorText(error)}`);
    }
  }
  await host.settle();
  return problems;
}

interface Watch {
  readonly isLenient: boolean;
  readonly isBlocked: boolean;
  readonly hook: HookName | undefined;
  readonly problems: string[];
}

async function oneDay(host: MemoryTestHost, username: string, { isLenient, isBlocked, problems, hook }: Watch): Promise<void> {
  const complain = (what: string): void => {
    problems.push(`${username}: ${what}`);
  };
  /** Undefined when it was refused for a while, which is allowed when lenient. */
  const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      // Who blocks the loop for longer than a client has to log in is at fault, and named by the watchdog; the server cannot go on meanwhile.
      if (isBlocked && /Too long before login/.test(errorText(error))) return undefined;
      if (!isLenient || !isTemporary(error)) complain(`${what}: ${errorText(error)}`);
      return undefined;
    }
  };
  await attempt('delivery', () => host.deliver({ from: 'bob@example.org', to: username, raw: `${MESSAGE}${host.clock.now()}\n` }));
  const session = await attempt('login', () => host.login(username, PASSWORD));
  if (session === undefined) return;
  for (const line of script) {
    const replies = await session.imap(line);
    const last = replies.at(-1);
    if (last === undefined || /^\* BYE/.test(last)) {
      complain(`${line}: the connection was closed (${last ?? 'without a word'})`);
      return;
    }
    // After a delivery or a move that was put off the mailbox is empty: 1:* names nothing there.
    const isEmpty = isLenient && / BAD No message has this sequence number/.test(last);
    if (/\[SERVERBUG\]/.test(last) || (/ BAD /.test(last) && !isEmpty)) complain(`${line}: ${last}`);
    else if (!/^\S+ OK/.test(last) && !isLenient && !mayFail.has(line)) complain(`${line}: ${last}`);
  }
  await attempt('APPEND', () => session.append('INBOX', MESSAGE.replaceAll('\n', '\r\n'), ['\\Seen']));
  await attempt('reading', () => readBack(session, host));
  const written = MESSAGE.replace('Bob <bob@example.org>', username).replaceAll('\n', '\r\n');
  await attempt('submission', () => session.submit(['carol@example.org', username], written));
  await session.logout();
  if (username === INSIDE || !isAdministrators(hook)) await attempt('errands', () => runErrands(host, username, hook));
}

async function readBack(session: TestSession, host: MemoryTestHost): Promise<void> {
  const message = await session.append('INBOX', MESSAGE.replaceAll('\n', '\r\n'));
  const text = await session.read(message);
  if (!text.includes('an ocelot')) throw new Error(`what was appended is not what is read, at ${host.clock.date().toISOString()}`);
}

const script = [
  'a1 CREATE Conformance',
  'a2 SELECT INBOX',
  'a3 FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE)',
  'a4 FETCH 1:* BODY.PEEK[]',
  'a5 SEARCH TEXT ocelot',
  'a6 STORE 1:* +FLAGS ($Junk)',
  'a7 COPY 1:* Conformance',
  'a8 MOVE 1:* Junk',
  'a9 SELECT Junk',
  'a10 STORE 1:* +FLAGS.SILENT (\\Deleted)',
  'a11 EXPUNGE',
  'a12 GETQUOTAROOT INBOX',
  'a13 RENAME Conformance Renamed',
  'a14 DELETE Renamed',
  'a15 CAPABILITY',
  'a16 SELECT INBOX',
];
/** After an earlier day that failed half way, a mailbox is there already or missing; NO is the right answer then. */
const mayFail: ReadonlySet<string> = new Set(script.filter((line) => /CREATE|RENAME|DELETE|COPY/.test(line)));

/** The words for "later", and a plugin's own no in its own words; never a fault of ours. */
function isTemporary(error: unknown): boolean {
  const text = errorText(error);
  return !/SERVERBUG|TypeError|RangeError/.test(text) && !/AUTHENTICATIONFAILED/.test(text);
}
function errorText(error: unknown): string {
  return error instanceof Error ? `${error.name === 'Error' ? '' : `${error.name}: `}${error.message}` : String(error);
}
