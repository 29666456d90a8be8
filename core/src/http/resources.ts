/** What the routes of all resources need; passed in by the server. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { Actor } from '@pochard/plugin-sdk';
import type { FastifyBaseLogger, FastifyInstance, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault } from 'fastify';
import Type from 'typebox';
import { MailError } from '../mail/errors.ts';
import type { AccountRecord, Accounts, Delivery, Spool } from '../mail/services.ts';

export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

export interface ApiServices {
  readonly accounts: Accounts;
  readonly delivery: Delivery;
  readonly spool: Spool;
  /** Who acts behind the administrator's token. */
  readonly administrator: Actor;
  readonly messageOctets: number;
}

export const AccountParams = Type.Object({ account: Type.String({ minLength: 1, maxLength: 512, description: 'Account id or username' }) });

/** @throws MailError no-such-account */
export async function accountOf(accounts: Accounts, idOrUsername: string): Promise<AccountRecord> {
  const isId = /^[a-z0-9]{1,32}$/.test(idOrUsername);
  const found = (isId ? await accounts.get(idOrUsername as AccountRecord['id']) : undefined) ?? (await accounts.find(idOrUsername));
  if (found === undefined) throw new MailError('no-such-account', 'No such account');
  return found;
}
