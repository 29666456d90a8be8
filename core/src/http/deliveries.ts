import { randomUUID } from 'node:crypto';
import Type from 'typebox';
import { MailError } from '../mail/errors.ts';
import { isReadable } from './messages.ts';
import { Problem, problemOf } from './replies.ts';
import type { Api, ApiServices } from './resources.ts';

const Outcome = Type.Object({
  recipient: Type.String(),
  stored: Type.Boolean(),
  duplicate: Type.Optional(Type.Boolean()),
  problem: Type.Optional(Problem),
});

/** A raw message in, through the same hooks as SMTP. The body is `message/rfc822` and is streamed; a retry of the same octets stores nothing twice. */
export function deliveryRoutes(api: Api, { delivery, spool, messageOctets }: ApiServices): void {
  api.post(
    '/v1/deliveries',
    {
      bodyLimit: messageOctets,
      schema: {
        tags: ['messages'],
        summary: 'Delivers a raw message to local recipients',
        consumes: ['message/rfc822'],
        body: { content: { 'message/rfc822': { schema: { contentMediaType: 'message/rfc822' } } } },
        querystring: Type.Object({
          to: Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 1000 })], {
            description: 'Recipient; give it several times for several',
          }),
          from: Type.String({
            default: '',
            maxLength: 512,
            pattern: '^[^\\u0000-\\u001f\\u007f<>]*$',
            description: 'Reverse path; empty: the null sender',
          }),
        }),
        response: {
          200: Type.Object({ outcomes: Type.Array(Outcome) }),
          400: Problem,
          404: Problem,
          413: Problem,
          415: Problem,
          503: Problem,
          507: Problem,
        },
      },
    },
    async (request) => {
      const { query, body, ip } = request;
      if (!isReadable(body)) throw new MailError('invalid', 'The body must be of type message/rfc822');
      const addresses = Array.isArray(query.to) ? query.to : [query.to];
      const session = { id: randomUUID(), listener: 'http', remoteAddress: ip };
      const abort = new AbortController();
      request.raw.once('close', () => {
        if (!request.raw.complete) abort.abort(new Error('client has gone'));
      });
      const recipients = [];
      for (const address of addresses)
        recipients.push(await delivery.resolve(address, { reversePath: query.from, declaredOctets: undefined }, session));
      const source = await spool.receive(body, { limitOctets: messageOctets, signal: abort.signal });
      try {
        const outcomes = await delivery.deliver({ source, reversePath: query.from, recipients, origin: 'api' }, session, abort.signal);
        return {
          outcomes: outcomes.map((outcome) =>
            outcome.stored
              ? { recipient: outcome.address, stored: true, duplicate: outcome.duplicate }
              : { recipient: outcome.address, stored: false, problem: problemOf(outcome.error) },
          ),
        };
      } finally {
        await source.dispose();
      }
    },
  );
}
