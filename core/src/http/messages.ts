import type { Readable } from 'node:stream';
import Type from 'typebox';
import { MailError } from '../mail/errors.ts';
import { Problem } from './replies.ts';
import { AccountParams, type Api, type ApiServices, accountOf } from './resources.ts';

/** Files a message as it is, as APPEND does: for import and for applications that keep mail. */
export function messageRoutes(api: Api, { accounts, administrator, spool, messageOctets }: ApiServices): void {
  api.post(
    '/v1/accounts/:account/messages',
    {
      bodyLimit: messageOctets,
      schema: {
        tags: ['messages'],
        summary: 'Files a raw message in a mailbox, which is made when it is missing',
        consumes: ['message/rfc822'],
        body: { content: { 'message/rfc822': { schema: { contentMediaType: 'message/rfc822' } } } },
        params: AccountParams,
        querystring: Type.Object({
          mailbox: Type.String({ default: 'INBOX', minLength: 1, maxLength: 1000 }),
          flag: Type.Optional(Type.Union([Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { maxItems: 50 }), Type.String()])),
          internalDate: Type.Optional(
            Type.Integer({ minimum: 0, maximum: 4_294_967_295, description: 'Seconds since 1970; now when absent' }),
          ),
        }),
        response: {
          201: Type.Object({ uidValidity: Type.Integer(), uid: Type.Integer() }),
          400: Problem,
          404: Problem,
          413: Problem,
          507: Problem,
        },
      },
    },
    async ({ params, query, body, raw }, reply) => {
      if (!isReadable(body)) throw new MailError('invalid', 'The body must be of type message/rfc822');
      const access = await accounts.access((await accountOf(accounts, params.account)).id, administrator);
      const box = access.mail.byName(query.mailbox) ?? (await access.create(query.mailbox));
      const abort = new AbortController();
      raw.once('close', () => {
        if (!raw.complete) abort.abort(new Error('client has gone'));
      });
      const source = await spool.receive(body, { limitOctets: messageOctets, signal: abort.signal });
      try {
        await access.mayAppend(box.id, source.sizeOctets);
        const flags = query.flag === undefined ? [] : Array.isArray(query.flag) ? query.flag : [query.flag];
        const message = { source, flags, ...(query.internalDate === undefined ? {} : { internalDate: query.internalDate }) };
        const { uidValidity, uids } = await access.append(box.id, [message], abort.signal);
        return reply.code(201).send({ uidValidity, uid: uids[0] ?? 0 });
      } finally {
        await source.dispose();
      }
    },
  );
}

export function isReadable(body: unknown): body is Readable {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
}
