/** App passwords of an account, for the administrator; the same views serve the user (`me.ts`). */
import Type, { type Static } from 'typebox';
import type { AppPassword, MadeAppPassword, NewAppPassword } from '../mail/services.ts';
import { Problem } from './replies.ts';
import { AccountParams, type Api, type ApiServices, accountOf } from './resources.ts';

const Scope = Type.Array(Type.Enum(['imap', 'submission', 'http'] as const), { minItems: 1, uniqueItems: true });
const properties = {
  id: Type.String(),
  label: Type.String(),
  scope: Scope,
  networks: Type.Array(Type.String({ description: 'CIDR' }), { description: 'Where it may be used from; empty: anywhere' }),
  createdAt: Type.String({ format: 'date-time' }),
  expiresAt: Type.Optional(Type.String({ format: 'date-time' })),
};
export const AppPasswordView = Type.Object(properties);
export const AppPasswordList = Type.Object({ appPasswords: Type.Array(AppPasswordView) });
export const MadeAppPasswordView = Type.Object({
  ...properties,
  password: Type.String({ description: 'Shown this once' }),
});
export const NewAppPasswordBody = Type.Object(
  {
    label: Type.String({ minLength: 1, maxLength: 100, description: 'What it is for' }),
    scope: Scope,
    networks: Type.Optional(
      Type.Array(Type.String({ maxLength: 64 }), { maxItems: 32, description: 'CIDR ranges that it may be used from' }),
    ),
    // A pattern and not a format: ajv knows no formats here, and a wrong one must be refused.
    expiresAt: Type.Optional(
      Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT[0-9:.]{5,15}(Z|[+-]\\d\\d:\\d\\d)$', description: 'RFC 3339' }),
    ),
  },
  { additionalProperties: false },
);

export function appPasswordRoutes(api: Api, { accounts }: ApiServices): void {
  const tags = ['app passwords'];
  api.get(
    '/v1/accounts/:account/app-passwords',
    {
      schema: {
        tags,
        summary: 'App passwords of an account, without the passwords',
        params: AccountParams,
        response: { 200: AppPasswordList, 404: Problem },
      },
    },
    async ({ params }) => listOf(await accounts.appPasswords((await accountOf(accounts, params.account)).id)),
  );
  api.post(
    '/v1/accounts/:account/app-passwords',
    {
      schema: {
        tags,
        summary: 'Makes an app password and shows it, this once',
        params: AccountParams,
        body: NewAppPasswordBody,
        response: { 201: MadeAppPasswordView, 400: Problem, 404: Problem },
      },
    },
    async ({ params, body }, reply) => {
      const { id } = await accountOf(accounts, params.account);
      return reply.code(201).send(madeView(await accounts.createAppPassword(id, wantedOf(body))));
    },
  );
  api.delete(
    '/v1/accounts/:account/app-passwords/:id',
    {
      schema: {
        tags,
        summary: 'Revokes an app password; the sessions that it opened end',
        params: Type.Object({ ...AccountParams.properties, id: Type.String({ maxLength: 64 }) }),
        response: { 204: Type.Null(), 400: Problem, 404: Problem },
      },
    },
    async ({ params }, reply) => {
      await accounts.revokeAppPassword((await accountOf(accounts, params.account)).id, params.id);
      return reply.code(204).send(null);
    },
  );
}

export function wantedOf({ expiresAt, ...rest }: Static<typeof NewAppPasswordBody>): NewAppPassword {
  return expiresAt === undefined ? rest : { ...rest, expiresAt: Date.parse(expiresAt) };
}
export function listOf(all: readonly AppPassword[]): Static<typeof AppPasswordList> {
  return { appPasswords: all.map(viewOf) };
}
export function madeView({ password, ...info }: MadeAppPassword): Static<typeof MadeAppPasswordView> {
  return { ...viewOf(info), password };
}
function viewOf({ createdAt, expiresAt, scope, networks, ...rest }: AppPassword): Static<typeof AppPasswordView> {
  const end = expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() };
  return { ...rest, scope: [...scope], networks: [...networks], createdAt: new Date(createdAt).toISOString(), ...end };
}
