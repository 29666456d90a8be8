/**
 * What a user does with their own account, below /v1/me: authenticated by name and password (RFC 7617), through the same login as IMAP and
 * submission, its throttle and hooks. Without TLS only where `auth.cleartextLogin` lets a password pass.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { MailError } from '../mail/errors.ts';
import type { LoggedIn } from '../mail/services.ts';
import { isLoopback } from '../net/address.ts';
import { AccountView, viewOf } from './accounts.ts';
import { AppPasswordList, listOf, MadeAppPasswordView, madeView, NewAppPasswordBody, wantedOf } from './app-passwords.ts';
import type { HttpClients } from './http-listener.ts';
import { Problem } from './replies.ts';
import type { Api, ApiServices } from './resources.ts';

export interface MeOptions extends ApiServices {
  /** Who is at the other end of a socket; absent where requests do not come from sockets (tests). */
  readonly clients?: HttpClients | undefined;
  /** Absent: `loopback`. */
  readonly cleartextLogin?: 'never' | 'loopback' | 'always' | undefined;
}

const MAX_NAME_AND_PASSWORD = 8192;
const tags = ['me'];
const security = [{ password: [] }];
const refusals = { 401: Problem, 403: Problem, 429: Problem, 503: Problem };

export function meRoutes(api: Api, options: MeOptions): void {
  const { accounts } = options;
  let count = 0;
  /** Runs `work` in a session that lives as long as the request. */
  const asUser = async <T>(
    request: FastifyRequest,
    reply: FastifyReply,
    work: (login: LoggedIn, password: Uint8Array) => Promise<T>,
  ): Promise<T> => {
    const client = options.clients?.of(request.raw.socket) ?? { isSecure: false, remoteAddress: request.ip, listener: 'http' };
    requirePrivacy(client, options.cleartextLogin ?? 'loopback');
    const credentials = basicCredentials(request.headers.authorization);
    if (credentials === undefined) {
      reply.header('www-authenticate', 'Basic realm="Pochard", charset="UTF-8"');
      throw new MailError('credentials', 'Name and password are needed');
    }
    const { username, password } = credentials;
    const abort = new AbortController();
    reply.raw.once('close', () => abort.abort());
    count += 1;
    const session = { id: `http-me-${count}`, protocol: 'http', listener: client.listener, remoteAddress: client.remoteAddress } as const;
    try {
      const login = await accounts.login({ username, secret: Uint8Array.from(password), mechanism: 'HTTP', session }, abort.signal);
      try {
        return await work(login, password);
      } finally {
        login.end('logout');
      }
    } finally {
      password.fill(0);
    }
  };

  api.get(
    '/v1/me',
    { schema: { tags, security, summary: 'The account that logs in', response: { 200: AccountView, ...refusals } } },
    (request, reply) =>
      asUser(request, reply, async ({ account }) => {
        const record = await accounts.find(account.username);
        if (record === undefined) throw new MailError('no-such-account', 'No such account');
        return viewOf(record);
      }),
  );
  api.put(
    '/v1/me/password',
    {
      schema: {
        tags,
        security,
        summary: 'Changes the password; all sessions end',
        body: Type.Object({ password: Type.String({ minLength: 1, maxLength: 1024 }) }, { additionalProperties: false }),
        response: { 204: Type.Null(), 400: Problem, ...refusals },
      },
    },
    (request, reply) =>
      asUser(request, reply, async (login, former) => {
        await accounts.changePassword(login, former, Buffer.from(request.body.password, 'utf8'));
        return reply.code(204).send(null);
      }),
  );
  api.get(
    '/v1/me/app-passwords',
    { schema: { tags, security, summary: 'App passwords, without the passwords', response: { 200: AppPasswordList, ...refusals } } },
    (request, reply) => asUser(request, reply, async ({ access }) => listOf(await accounts.appPasswords(access.mail.account))),
  );
  api.post(
    '/v1/me/app-passwords',
    {
      schema: {
        tags,
        security,
        summary: 'Makes an app password and shows it, this once; needs the main password',
        body: NewAppPasswordBody,
        response: { 201: MadeAppPasswordView, 400: Problem, ...refusals },
      },
    },
    (request, reply) =>
      asUser(request, reply, async (login) => {
        const made = await accounts.createAppPassword(login.access.mail.account, wantedOf(request.body), login);
        return reply.code(201).send(madeView(made));
      }),
  );
  api.delete(
    '/v1/me/app-passwords/:id',
    {
      schema: {
        tags,
        security,
        summary: 'Revokes an app password; the sessions that it opened end',
        params: Type.Object({ id: Type.String({ maxLength: 64 }) }),
        response: { 204: Type.Null(), 400: Problem, ...refusals },
      },
    },
    (request, reply) =>
      asUser(request, reply, async (login) => {
        await accounts.revokeAppPassword(login.access.mail.account, request.params.id, login);
        return reply.code(204).send(null);
      }),
  );
}

/** @throws MailError policy */
function requirePrivacy(
  { isSecure, remoteAddress }: { readonly isSecure: boolean; readonly remoteAddress: string },
  cleartextLogin: 'never' | 'loopback' | 'always',
): void {
  const mayLogin = isSecure || cleartextLogin === 'always' || (cleartextLogin === 'loopback' && isLoopback(remoteAddress));
  if (!mayLogin) throw new MailError('policy', 'Use TLS to log in');
}

/** RFC 7617 §2: the name ends at the first colon. The password's octets are the caller's to wipe. */
function basicCredentials(authorization: string | undefined): { readonly username: string; readonly password: Uint8Array } | undefined {
  const encoded = /^basic ([A-Za-z0-9+/]{1,10924}={0,2})$/i.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const octets = Buffer.from(encoded, 'base64');
  const colon = octets.indexOf(0x3a);
  if (colon <= 0 || octets.length > MAX_NAME_AND_PASSWORD) return undefined;
  const username = octets.toString('utf8', 0, colon);
  const password = Uint8Array.from(octets.subarray(colon + 1));
  octets.fill(0);
  return { username, password };
}
