import Type, { type Static } from 'typebox';
import type { AccountRecord, NewAccount } from '../mail/services.ts';
import { Problem } from './replies.ts';
import { AccountParams, type Api, type ApiServices, accountOf } from './resources.ts';

const Protocols = Type.Array(Type.Enum(['imap', 'submission', 'http'] as const), { uniqueItems: true });
const Address = Type.String({ minLength: 1, maxLength: 512 });
const Quota = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

export const AccountView = Type.Object({
  id: Type.String(),
  username: Type.String(),
  domain: Type.String(),
  displayName: Type.Optional(Type.String()),
  addresses: Type.Array(Type.String()),
  quotaOctets: Type.Optional(Type.Integer({ description: 'Octets; absent: the configured default' })),
  allow: Protocols,
  disabled: Type.Boolean(),
  createdAt: Type.String({ format: 'date-time' }),
});

const NewAccountBody = Type.Object(
  {
    username: Type.String({ minLength: 1, maxLength: 512, description: 'With or without a domain, Unicode' }),
    password: Type.Optional(Type.String({ minLength: 1, maxLength: 1024 })),
    passwordHash: Type.Optional(Type.String({ minLength: 1, maxLength: 4096, description: '{SCHEME} and hash, instead of a password' })),
    displayName: Type.Optional(Type.String({ maxLength: 512 })),
    addresses: Type.Optional(Type.Array(Address, { maxItems: 1000 })),
    quotaOctets: Type.Optional(Quota),
    allow: Type.Optional(Protocols),
  },
  { additionalProperties: false },
);
const AccountChangeBody = Type.Object(
  {
    displayName: Type.Optional(Type.Union([Type.String({ maxLength: 512 }), Type.Null()])),
    quotaOctets: Type.Optional(Type.Union([Quota, Type.Null()], { description: 'Octets; null: the configured default' })),
    allow: Type.Optional(Protocols),
    disabled: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
const PasswordBody = Type.Object(
  {
    password: Type.Optional(Type.String({ minLength: 1, maxLength: 1024 })),
    passwordHash: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1 },
);

export function accountRoutes(api: Api, { accounts }: ApiServices): void {
  api.get(
    '/v1/accounts',
    {
      schema: {
        tags: ['accounts'],
        summary: 'Accounts, by username',
        querystring: Type.Object({
          after: Type.Optional(Type.String({ maxLength: 512 })),
          limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
        }),
        response: {
          200: Type.Object({ accounts: Type.Array(AccountView), next: Type.Optional(Type.String({ description: 'Give it as `after`' })) }),
        },
      },
    },
    async ({ query: { after, limit } }) => {
      const page = await accounts.list(after === undefined ? { limit } : { after, limit });
      const last = page.at(-1);
      return { accounts: page.map(viewOf), ...(page.length === limit && last !== undefined ? { next: last.username } : {}) };
    },
  );

  api.post(
    '/v1/accounts',
    {
      schema: {
        tags: ['accounts'],
        summary: 'Makes an account with its mailboxes',
        body: NewAccountBody,
        response: { 201: AccountView, 400: Problem, 409: Problem },
      },
    },
    async ({ body: { password, ...rest } }, reply) => {
      const account: NewAccount = password === undefined ? rest : { ...rest, password: Buffer.from(password, 'utf8') };
      const made = await accounts.create(account);
      return reply.code(201).header('location', `/v1/accounts/${made.id}`).send(viewOf(made));
    },
  );

  api.get(
    '/v1/accounts/:account',
    { schema: { tags: ['accounts'], summary: 'One account', params: AccountParams, response: { 200: AccountView, 404: Problem } } },
    async ({ params }) => viewOf(await accountOf(accounts, params.account)),
  );

  api.patch(
    '/v1/accounts/:account',
    {
      schema: {
        tags: ['accounts'],
        summary: 'Changes an account',
        params: AccountParams,
        body: AccountChangeBody,
        response: { 200: AccountView, 404: Problem },
      },
    },
    async ({ params, body }) => viewOf(await accounts.update((await accountOf(accounts, params.account)).id, body)),
  );

  api.delete(
    '/v1/accounts/:account',
    {
      schema: {
        tags: ['accounts'],
        summary: 'Removes an account with all its mail',
        params: AccountParams,
        response: { 204: Type.Null(), 404: Problem },
      },
    },
    async ({ params }, reply) => {
      await accounts.delete((await accountOf(accounts, params.account)).id);
      return reply.code(204).send(null);
    },
  );

  api.put(
    '/v1/accounts/:account/password',
    {
      schema: {
        tags: ['accounts'],
        summary: 'Sets the password; open sessions end',
        params: AccountParams,
        body: PasswordBody,
        response: { 204: Type.Null(), 404: Problem },
      },
    },
    async ({ params, body: { password, passwordHash } }, reply) => {
      const { id } = await accountOf(accounts, params.account);
      if (password !== undefined) await accounts.setPassword(id, { password: Buffer.from(password, 'utf8') });
      else if (passwordHash !== undefined) await accounts.setPassword(id, { passwordHash });
      return reply.code(204).send(null);
    },
  );

  api.post(
    '/v1/accounts/:account/addresses',
    {
      schema: {
        tags: ['addresses'],
        summary: 'Adds an address; *@domain is a catch-all',
        params: AccountParams,
        body: Type.Object({ address: Address }, { additionalProperties: false }),
        response: { 201: AccountView, 400: Problem, 404: Problem, 409: Problem },
      },
    },
    async ({ params, body }, reply) =>
      reply.code(201).send(viewOf(await accounts.addAddress((await accountOf(accounts, params.account)).id, body.address))),
  );

  api.delete(
    '/v1/accounts/:account/addresses/:address',
    {
      schema: {
        tags: ['addresses'],
        summary: 'Removes an address',
        params: Type.Object({ ...AccountParams.properties, address: Address }),
        response: { 200: AccountView, 404: Problem },
      },
    },
    async ({ params }) => viewOf(await accounts.removeAddress((await accountOf(accounts, params.account)).id, params.address)),
  );

  api.put(
    '/v1/aliases/:address',
    {
      schema: {
        tags: ['addresses'],
        summary: 'An address that stands for others of this server',
        params: Type.Object({ address: Address }),
        body: Type.Object({ to: Type.Array(Address, { minItems: 1, maxItems: 1000 }) }, { additionalProperties: false }),
        response: { 204: Type.Null(), 400: Problem, 409: Problem },
      },
    },
    async ({ params, body }, reply) => {
      await accounts.setAlias(params.address, body.to);
      return reply.code(204).send(null);
    },
  );

  api.delete(
    '/v1/aliases/:address',
    {
      schema: {
        tags: ['addresses'],
        summary: 'Removes an alias',
        params: Type.Object({ address: Address }),
        response: { 204: Type.Null() },
      },
    },
    async ({ params }, reply) => {
      await accounts.setAlias(params.address, undefined);
      return reply.code(204).send(null);
    },
  );
}

export function viewOf({ displayName, quotaOctets, ...record }: AccountRecord): Static<typeof AccountView> {
  return {
    id: record.id,
    username: record.username,
    domain: record.domain,
    addresses: [...record.addresses],
    allow: [...record.allow],
    disabled: record.disabled,
    createdAt: new Date(record.createdAt).toISOString(),
    ...(displayName === undefined ? {} : { displayName }),
    ...(quotaOctets === undefined ? {} : { quotaOctets }),
  };
}
