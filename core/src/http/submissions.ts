/** Mail on its way out: a raw message in, through the same pipeline as SMTP submission; and the queue of what is not out yet. */
import { randomUUID } from 'node:crypto';
import Type from 'typebox';
import { MailError } from '../mail/errors.ts';
import type { QueuedSubmission, SubmissionQueue, SubmissionRecipient, SubmissionSender, Submissions } from '../mail/services.ts';
import { isReadable } from './messages.ts';
import { Problem } from './replies.ts';
import { type Api, type ApiServices, accountOf } from './resources.ts';

export interface SubmissionRouteOptions extends ApiServices {
  readonly submissions: Submissions;
  readonly submissionQueue: SubmissionQueue;
}

const Path = Type.String({ maxLength: 512, pattern: '^[^\\u0000-\\u001f\\u007f<>]*$' });
const QueueId = Type.Object({ id: Type.String({ pattern: '^[a-z0-9]{1,64}$' }) });
const Queued = Type.Object({
  id: Type.String(),
  username: Type.String(),
  reversePath: Type.String(),
  sizeOctets: Type.Integer(),
  submittedAt: Type.String({ format: 'date-time' }),
  dueAt: Type.String({ format: 'date-time' }),
  recipients: Type.Array(
    Type.Object({
      address: Type.String(),
      attempts: Type.Integer(),
      reply: Type.Optional(Type.String({ description: 'Of the last attempt' })),
    }),
  ),
});

export function submissionRoutes(api: Api, options: SubmissionRouteOptions): void {
  const { accounts, administrator, submissions, submissionQueue, spool, messageOctets } = options;
  const tags = ['submissions'];

  api.post(
    '/v1/submissions',
    {
      bodyLimit: messageOctets,
      schema: {
        tags,
        summary: 'Sends a raw message for an account; 202 means that it is durably queued for all recipients',
        consumes: ['message/rfc822'],
        body: { content: { 'message/rfc822': { schema: { contentMediaType: 'message/rfc822' } } } },
        headers: Type.Object({
          'idempotency-key': Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 255,
              description: 'A repeat within a day with the same key is answered as the first was',
            }),
          ),
        }),
        querystring: Type.Object({
          account: Type.String({ minLength: 1, maxLength: 512, description: 'Account id or username of the sender' }),
          to: Type.Union(
            [
              Type.String({ minLength: 1, maxLength: 512 }),
              Type.Array(Type.String({ minLength: 1, maxLength: 512 }), { minItems: 1, maxItems: 1000 }),
            ],
            {
              description: 'Recipient; give it several times for several',
            },
          ),
          from: Type.Optional({ ...Path, description: "Reverse path; absent: the account's first address" }),
        }),
        response: {
          202: Type.Object({ id: Type.String(), duplicate: Type.Boolean() }),
          400: Problem,
          403: Problem,
          404: Problem,
          413: Problem,
          415: Problem,
          429: Problem,
          503: Problem,
          507: Problem,
        },
      },
    },
    async (request, reply) => {
      const { query, body, ip, headers } = request;
      if (!isReadable(body)) throw new MailError('invalid', 'The body must be of type message/rfc822');
      const record = await accountOf(accounts, query.account);
      if (record.disabled || !record.allow.includes('submission')) throw new MailError('disabled', 'This account may not send');
      const access = await accounts.access(record.id, administrator);
      const sender: SubmissionSender = { account: access.account, actor: administrator, session: undefined, access };
      const session = { id: randomUUID(), listener: 'http', remoteAddress: ip };
      const reversePath = query.from ?? [record.username, ...record.addresses].find((address) => /[^*]@/.test(address)) ?? '';
      if (reversePath !== '') await submissions.requireIdentity(sender, reversePath, 'reverse-path');
      const recipients: SubmissionRecipient[] = [];
      const named = new Set<string>();
      for (const address of Array.isArray(query.to) ? query.to : [query.to]) {
        if (named.has(address.toLowerCase())) continue;
        named.add(address.toLowerCase());
        recipients.push({ address, goes: await submissions.resolve(sender, address, reversePath, session) });
      }
      const abort = new AbortController();
      request.raw.once('close', () => {
        if (!request.raw.complete) abort.abort(new Error('client has gone'));
      });
      const source = await spool.receive(body, { limitOctets: messageOctets, signal: abort.signal });
      try {
        const key = headers['idempotency-key'];
        const wanted = { source, reversePath, recipients, way: 'api', ...(key === undefined ? {} : { idempotencyKey: key }) } as const;
        return reply.code(202).send(await submissions.submit(wanted, sender, abort.signal));
      } finally {
        await source.dispose();
      }
    },
  );

  api.get(
    '/v1/queue',
    {
      schema: {
        tags,
        summary: 'Messages that are not with all their recipients yet, by time',
        querystring: Type.Object({
          after: Type.Optional(Type.String({ maxLength: 64 })),
          limit: Type.Integer({ default: 100, minimum: 1, maximum: 1000 }),
        }),
        response: { 200: Type.Object({ messages: Type.Array(Queued) }), 503: Problem },
      },
    },
    async ({ query: { after, limit } }) => {
      const messages = await submissionQueue.list(after === undefined ? { limit } : { after, limit });
      return { messages: messages.map(viewOf) };
    },
  );
  api.post(
    '/v1/queue/:id/retry',
    { schema: { tags, summary: 'Tries it now', params: QueueId, response: { 204: Type.Null(), 404: Problem, 503: Problem } } },
    async ({ params: { id } }, reply) => {
      if (!(await submissionQueue.retry(id))) throw noSuchMessage();
      return reply.code(204).send(null);
    },
  );
  api.delete(
    '/v1/queue/:id',
    {
      schema: {
        tags,
        summary: 'Gives it up; the sender is told nothing',
        params: QueueId,
        response: { 204: Type.Null(), 404: Problem, 503: Problem },
      },
    },
    async ({ params: { id } }, reply) => {
      if (!(await submissionQueue.delete(id))) throw noSuchMessage();
      return reply.code(204).send(null);
    },
  );
}

function noSuchMessage(): MailError {
  return new MailError('no-such-mailbox', 'No such message in the queue');
}

function viewOf({ recipients, submittedAt, dueAt, ...message }: QueuedSubmission) {
  return {
    ...message,
    submittedAt: new Date(submittedAt).toISOString(),
    dueAt: new Date(dueAt).toISOString(),
    recipients: recipients.map(({ reply, ...recipient }) => (reply === undefined ? recipient : { ...recipient, reply })),
  };
}
