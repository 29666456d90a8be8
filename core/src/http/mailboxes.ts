import Type from 'typebox';
import { Problem } from './replies.ts';
import { AccountParams, type Api, type ApiServices, accountOf } from './resources.ts';

const MailboxView = Type.Object({
  id: Type.Integer(),
  name: Type.String({ description: 'Unicode, / between levels' }),
  selectable: Type.Boolean(),
  specialUse: Type.Array(Type.String(), { description: 'RFC 6154' }),
  subscribed: Type.Boolean(),
  messages: Type.Integer(),
  unseen: Type.Integer(),
  sizeOctets: Type.Integer({ description: 'Sum of RFC822.SIZE' }),
  uidValidity: Type.Integer(),
  uidNext: Type.Integer(),
  highestModSeq: Type.Integer(),
});
const Usage = Type.Object({ octets: Type.Integer(), messages: Type.Integer(), limitOctets: Type.Optional(Type.Integer()) });

export function mailboxRoutes(api: Api, { accounts, administrator }: ApiServices): void {
  api.get(
    '/v1/accounts/:account/mailboxes',
    {
      schema: {
        tags: ['mailboxes'],
        summary: 'All mailboxes with their counters, and what the account uses of its quota',
        params: AccountParams,
        response: { 200: Type.Object({ mailboxes: Type.Array(MailboxView), usage: Usage }), 404: Problem },
      },
    },
    async ({ params }) => {
      const { mail, limits } = await accounts
        .access((await accountOf(accounts, params.account)).id, administrator)
        .then(async (access) => ({ mail: access.mail, limits: await access.limits() }));
      const subscribed = new Set(mail.subscriptions());
      const mailboxes = [...mail.mailboxes()]
        .map((box) => ({
          id: box.id as number,
          name: box.name,
          selectable: box.selectable,
          specialUse: [...box.specialUse],
          subscribed: subscribed.has(box.name),
          messages: box.messages,
          unseen: box.unseen,
          sizeOctets: box.octets,
          uidValidity: box.uidValidity,
          uidNext: box.uidNext,
          highestModSeq: box.highestModSeq,
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      const { octets, messages } = mail.usage;
      return { mailboxes, usage: { octets, messages, ...(limits.octets === undefined ? {} : { limitOctets: limits.octets }) } };
    },
  );
}
