/**
 * What a mailbox's size costs: `npx node bench/million.ts [sizes] [distinct]`, by default 10000,100000,1000000 messages of up to 20,000 contents. A server of its
 * own; the fastest tenth in ms, and octets received, the sizes side by side. `cold` is the first after a restart.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ImapScript } from '../e2e/support/imap-script.ts';
import { expectOk, fillMailbox, smallMessage } from './fill-mailbox.ts';
import { PASSWORD, withOwnServer } from './own-server.ts';

const SIZES = (process.argv[2] ?? '10000,100000,1000000').split(',').map(Number);
const DISTINCT = Number(process.argv[3] ?? 20_000);
const ROUNDS = 21;
const LARGE_ROUNDS = 4;
/** After filling: until state is saved, and the index has begun to wait for a quiet thread. */
const SETTLE_MS = 10_000;
const RESTARTS = 3;
/** Messages of a resynchronisation. */
const CHANGES = 10;
const LIST = '(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)';

interface Figure {
  readonly ms: number;
  readonly octets: number;
}
const table = new Map<string, Map<number, Figure>>();

/** The machine may be busy with something else. */
function fastestTenth(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 10)] ?? Number.NaN;
}
function note(name: string, size: number, ms: readonly number[], octets: readonly number[] = []): void {
  const row = table.get(name) ?? new Map<number, Figure>();
  row.set(size, { ms: fastestTenth(ms), octets: octets[0] ?? 0 });
  table.set(name, row);
}

/** Times `run`; what it does before `timed` and after is not counted. */
async function measure(
  name: string,
  size: number,
  imap: ImapScript,
  rounds: number,
  run: (timed: (line: string) => Promise<string[]>, round: number) => Promise<void>,
): Promise<void> {
  const ms: number[] = [];
  const octets: number[] = [];
  for (let round = -1; round < rounds; round++) {
    await run(async (line) => {
      const before = imap.octetsRead;
      const began = performance.now();
      const untagged = await expectOk(imap, line);
      if (round >= 0) {
        ms.push(performance.now() - began);
        octets.push(imap.octetsRead - before);
      }
      return untagged;
    }, round + 1);
  }
  note(name, size, ms, octets);
}

function numberIn(lines: readonly string[], name: string): number {
  return Number(new RegExp(`${name} (\\d+)`).exec(lines.join('\n'))?.[1]);
}

async function measureSize(own: { readonly port: number }, size: number): Promise<void> {
  const user = `u${size}`;
  const login = (): Promise<ImapScript> => ImapScript.login(undefined, own.port, user, PASSWORD);
  const imap = await login();
  const box = 'Large';
  const ok = (line: string): Promise<string[]> => expectOk(imap, line);
  const simple = (name: string, line: string, rounds = ROUNDS): Promise<void> =>
    measure(name, size, imap, rounds, async (timed) => {
      await timed(line);
    });

  await simple('STATUS', `STATUS ${box} (MESSAGES UIDNEXT UNSEEN SIZE DELETED HIGHESTMODSEQ)`);
  await measure('SELECT', size, imap, ROUNDS, async (timed) => {
    await ok('SELECT INBOX');
    await timed(`SELECT ${box}`);
  });
  await measure('STORE, one message', size, imap, ROUNDS, async (timed, round) => {
    await timed(`STORE ${(size >>> 1) + round} +FLAGS (\\Flagged)`);
  });
  await simple('FETCH of the newest 50', `FETCH ${size - 49}:* ${LIST}`);
  await measure('UID SEARCH UNSEEN, ten at the end', size, imap, ROUNDS, async (timed, round) => {
    if (round === 0) await ok(`STORE ${size - 9}:* -FLAGS.SILENT (\\Seen)`);
    const found = await timed('UID SEARCH UNSEEN');
    if (found[0]?.split(' ').length !== 12) throw new Error(`UNSEEN: ${found[0]}`);
  });
  await measure('SELECT, the only unseen at the end', size, imap, ROUNDS, async (timed) => {
    await ok('SELECT INBOX');
    await timed(`SELECT ${box}`);
  });
  await simple('UID SEARCH RETURN (COUNT) ALL', 'UID SEARCH RETURN (COUNT) ALL');

  const other = await login();
  await expectOk(other, 'ENABLE QRESYNC');
  await expectOk(other, `SELECT ${box}`);
  await measure("NOOP, told of another's STORE", size, other, ROUNDS, async (timed, round) => {
    await ok(`STORE ${7 + round} +FLAGS.SILENT (\\Answered)`);
    await timed('NOOP');
  });
  await expectOk(other, 'UNSELECT');
  const changed = (round: number): string =>
    Array.from({ length: CHANGES }, (_, n) => 1 + n * Math.floor(size / CHANGES) + round).join(',');
  await measure(`FETCH CHANGEDSINCE, ${CHANGES} changes`, size, other, ROUNDS, async (timed, round) => {
    const before = numberIn(await expectOk(other, `SELECT ${box}`), 'HIGHESTMODSEQ');
    await ok(`UID STORE ${changed(round)} +FLAGS.SILENT (\\Draft)`);
    await expectOk(other, 'NOOP');
    const lines = await timed(`UID FETCH 1:* (FLAGS) (CHANGEDSINCE ${before})`);
    if (lines.length !== CHANGES) throw new Error(`CHANGEDSINCE: ${lines.length}`);
  });
  await measure(`SELECT QRESYNC, ${CHANGES} changes`, size, other, ROUNDS, async (timed, round) => {
    const said = await expectOk(other, `SELECT ${box}`);
    await ok(`UID STORE ${changed(round)} -FLAGS.SILENT (\\Draft)`);
    await expectOk(other, 'UNSELECT');
    await timed(`SELECT ${box} (QRESYNC (${numberIn(said, 'UIDVALIDITY')} ${numberIn(said, 'HIGHESTMODSEQ')}))`);
  });
  other.close();

  const message = smallMessage(size);
  await measure('APPEND', size, imap, ROUNDS, async (timed) => {
    await timed(`APPEND ${box} (\\Seen) {${message.length}+}\r\n${message.toString('latin1')}`);
  });
  await measure('EXPUNGE of one', size, imap, ROUNDS, async (timed, round) => {
    await ok(`UID STORE ${(size >>> 2) + round} +FLAGS.SILENT (\\Deleted)`);
    await timed('EXPUNGE');
  });
  await measure('FETCH of the newest 50, after an EXPUNGE', size, imap, ROUNDS, async (timed, round) => {
    const uid = (size >>> 2) + 100 + round;
    await ok(`UID STORE ${uid} +FLAGS.SILENT (\\Deleted)`);
    await ok(`UID EXPUNGE ${uid}`);
    await timed(`FETCH ${size - 49}:* ${LIST}`);
  });
  await ok('CREATE Target');
  await measure('COPY of 1,000', size, imap, LARGE_ROUNDS, async (timed, round) => {
    await timed(`UID COPY ${1 + 1_000 * round}:${1_000 * (round + 1)} Target`);
  });
  await measure('MOVE of 1,000', size, imap, LARGE_ROUNDS, async (timed, round) => {
    const from = (size >>> 1) + 1_000 * round;
    await timed(`UID MOVE ${from}:${from + 999} Target`);
  });
  // STATUS with HIGHESTMODSEQ made the session one of CONDSTORE, whose STORE answers each message.
  const plain = await login();
  await expectOk(plain, `SELECT ${box}`);
  for (const line of ['STORE 1:* +FLAGS.SILENT ($Forwarded)', 'UID FETCH 1:* (FLAGS)'])
    await measure(line, size, plain, 1, async (timed, round) => {
      await timed(round === 0 ? line.replace('+', '-') : line);
    });
  plain.close();
  await simple('STATUS after all that', `STATUS ${box} (MESSAGES UIDNEXT UNSEEN SIZE DELETED HIGHESTMODSEQ)`);
  imap.close();
}

const config = { limits: { imapConnectionsPerUserAndAddress: 1_000 }, log: { level: 'warn' } };
await withOwnServer(
  SIZES.map((size) => `u${size}`),
  { config },
  async (own) => {
    for (const size of SIZES) {
      const before = await own.server.residentOctets();
      const began = performance.now();
      const imap = await ImapScript.login(undefined, own.server.port('imap'), `u${size}`, PASSWORD);
      await fillMailbox(imap, 'Large', { count: size, distinct: DISTINCT });
      imap.close();
      await delay(SETTLE_MS);
      console.error(`${size}: filled in ${((performance.now() - began) / 1000).toFixed(1)} s`);
      await measureSize({ port: own.server.port('imap') }, size);
      note('(MiB resident at the end)', size, [(await own.server.residentOctets()) / 1_048_576]);
      note('(MiB resident before)', size, [before / 1_048_576]);
      const cold: number[] = [];
      const list: number[] = [];
      const grown: number[] = [];
      for (let round = 0; round < RESTARTS; round++) {
        const server = await own.restart();
        const again = await ImapScript.login(undefined, server.port('imap'), `u${size}`, PASSWORD);
        const empty = await server.residentOctets();
        const start = performance.now();
        const said = await expectOk(again, 'SELECT Large');
        cold.push(performance.now() - start);
        const exists = Number(/(\d+) EXISTS/.exec(said.join('\n'))?.[1]);
        const next = performance.now();
        await expectOk(again, `FETCH ${exists - 49}:* ${LIST}`);
        list.push(performance.now() - next);
        grown.push(((await server.residentOctets()) - empty) / 1_048_576);
        again.close();
      }
      note('cold SELECT', size, cold);
      note('cold FETCH of the newest 50', size, list);
      note('(MiB more after a cold SELECT)', size, grown);
      await own.restart();
      console.error(`${size}: measured`);
    }
  },
);

console.log(`| | ${SIZES.map((size) => size.toLocaleString('en-US')).join(' | ')} |`);
console.log(`|---|${SIZES.map(() => '---:|').join('')}`);
for (const [name, row] of table) {
  const cells = SIZES.map((size) => {
    const { ms, octets } = row.get(size) ?? { ms: Number.NaN, octets: 0 };
    return `${ms.toFixed(ms < 10 ? 2 : 0)}${octets > 0 ? ` (${octets.toLocaleString('en-US')})` : ''}`;
  });
  console.log(`| ${name} | ${cells.join(' | ')} |`);
}
