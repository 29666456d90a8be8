/** Access control lists of an account's mailboxes (RFC 4314), for the administrator. */
import Type from 'typebox';
import { AclAdministration } from '../mail/sharing/acl-administration.ts';
import type { Sharing } from '../mail/sharing/sharing.ts';
import { Problem } from './replies.ts';
import { AccountParams, type Api, type ApiServices, accountOf } from './resources.ts';

const Rights = Type.String({ pattern: '^[a-z]{0,20}$', description: 'Letters of RFC 4314 §2.1: lrswipkxtea' });
const Entry = Type.Object({
  identifier: Type.String({ description: 'Username or "anyone"; with "-" before it the rights are taken away' }),
  rights: Rights,
});
const Mailbox = Type.Object({ mailbox: Type.String({ minLength: 1, maxLength: 1000, description: 'Name, / between levels' }) });

export interface AclRouteOptions extends ApiServices {
  readonly sharing: Sharing;
}

export function aclRoutes(api: Api, { accounts, sharing, administrator }: AclRouteOptions): void {
  const tags = ['mailboxes'];
  const lists = new AclAdministration({ services: { accounts, sharing }, administrator });
  api.get(
    '/v1/accounts/:account/acl',
    {
      schema: {
        tags,
        summary: 'Who else may what in a mailbox; its owner may everything',
        params: AccountParams,
        querystring: Mailbox,
        response: { 200: Type.Object({ entries: Type.Array(Entry) }), 404: Problem },
      },
    },
    async ({ params, query }) => ({ entries: [...(await lists.list((await accountOf(accounts, params.account)).id, query.mailbox))] }),
  );
  api.put(
    '/v1/accounts/:account/acl/:identifier',
    {
      schema: {
        tags,
        summary: 'Sets what a user may in a mailbox; without rights the entry goes',
        params: Type.Object({ ...AccountParams.properties, identifier: Type.String({ minLength: 1, maxLength: 400 }) }),
        querystring: Mailbox,
        body: Type.Object({ rights: Rights }, { additionalProperties: false }),
        response: { 204: Type.Null(), 400: Problem, 404: Problem },
      },
    },
    async ({ params, query, body }, reply) => {
      const { id } = await accountOf(accounts, params.account);
      await lists.set(id, query.mailbox, { identifier: params.identifier, rights: body.rights });
      return reply.code(204).send(null);
    },
  );
}
