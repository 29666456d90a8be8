/**
 * An account's changes as server-sent events (HTML §9.2), straight from its journal: resumable with `Last-Event-ID`, never ahead of what
 * is durable. An event id is `<entry seq>.<n of the entry>`. Below the journal's floor, beyond its end (a restored backup) and for what
 * is no event id, one `reset` tells the client to read anew.
 */
import type { JournalEvent } from '@pochard/plugin-sdk';
import Type from 'typebox';
import type { AccountMail } from '../mail/journal/account-mail.ts';
import type { Entry } from '../mail/journal/entry.ts';
import { JournalPruned } from '../store/store.ts';
import { Problem } from './replies.ts';
import { AccountParams, type Api, type ApiServices, accountOf } from './resources.ts';

/** ms between comment lines that keep proxies from closing an idle stream. */
const HEARTBEAT_MS = 25_000;

export type TranslateEntry = (mail: AccountMail, entry: Entry) => Iterable<JournalEvent> | Promise<Iterable<JournalEvent>>;

interface Cursor {
  readonly seq: number;
  /** Events of entry `seq` + 1 that were sent already. */
  readonly skip: number;
}

export function eventRoutes(api: Api, { accounts, administrator }: ApiServices, translate: TranslateEntry): void {
  api.get(
    '/v1/accounts/:account/events',
    {
      schema: {
        tags: ['events'],
        summary: 'Changes of an account as server-sent events, resumable with Last-Event-ID',
        params: AccountParams,
        querystring: Type.Object({
          lastEventId: Type.Optional(Type.String({ maxLength: 40, description: 'As the header Last-Event-ID; 0: from the beginning' })),
        }),
        produces: ['text/event-stream'],
        response: { 404: Problem },
      },
    },
    async (request, reply) => {
      const { id } = await accountOf(accounts, request.params.account);
      const { mail } = await accounts.access(id, administrator);
      const header = request.headers['last-event-id'];
      const given = typeof header === 'string' ? header : request.query.lastEventId;
      const start = given === undefined || given === '' ? { seq: mail.head, skip: 0 } : cursorOf(given);
      reply.hijack();
      const { raw } = reply;
      raw.setHeader('content-type', 'text/event-stream').setHeader('cache-control', 'no-store').setHeader('x-accel-buffering', 'no');
      raw.writeHead(200);
      await follow(mail, start, translate, raw);
    },
  );
}

/** No event id: as one that the journal does not reach. */
const BEYOND: Cursor = { seq: Number.POSITIVE_INFINITY, skip: 0 };

interface Sink {
  write(text: string): boolean;
  once(event: 'drain' | 'close', heard: () => void): unknown;
  off(event: 'drain' | 'close', heard: () => void): unknown;
  on(event: 'close', heard: () => void): unknown;
  end(): unknown;
  readonly destroyed: boolean;
}

async function follow(mail: AccountMail, start: Cursor | undefined, translate: TranslateEntry, sink: Sink): Promise<void> {
  let wake = (): void => undefined;
  let dirty = true;
  const hear = (): void => {
    dirty = true;
    wake();
  };
  const unlisten = mail.listen(hear);
  const heartbeat = setInterval(() => sink.write(':\n\n'), HEARTBEAT_MS);
  sink.on('close', hear);
  let { seq, skip } = start ?? BEYOND;
  try {
    sink.write(`retry: 2000\n\n`);
    while (!sink.destroyed) {
      dirty = false;
      try {
        if (seq > mail.head) throw new JournalPruned(mail.head);
        for await (const entry of mail.changes(seq)) {
          let n = 0;
          for (const event of await translate(mail, entry)) {
            n += 1;
            if (n <= skip) continue;
            if (sink.destroyed) return; // it closed while the event was looked up: neither drain nor close will come
            if (!sink.write(`id: ${entry.seq - 1}.${n}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)) await drained(sink);
            if (sink.destroyed) return;
          }
          seq = entry.seq;
          skip = 0;
        }
      } catch (error) {
        if (!(error instanceof JournalPruned)) throw error;
        seq = mail.head;
        skip = 0;
        sink.write(`id: ${seq}.0\nevent: reset\ndata: {"highestModSeq":${seq}}\n\n`);
      }
      if (!dirty && !sink.destroyed) await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    unlisten();
    clearInterval(heartbeat);
    sink.end();
  }
}

function drained(sink: Sink): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      sink.off('drain', done);
      sink.off('close', done);
      resolve();
    };
    sink.once('drain', done);
    sink.once('close', done);
  });
}

/** `<seq>` or `<seq>.<n>`: n events of the entry after `seq` were seen. */
function cursorOf(lastEventId: string | undefined): Cursor | undefined {
  const match = /^(\d{1,15})(?:\.(\d{1,9}))?$/.exec(lastEventId ?? '');
  return match === null ? undefined : { seq: Number(match[1]), skip: Number(match[2] ?? 0) };
}
