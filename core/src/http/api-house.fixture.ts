/** The HTTP server over the mail services of a test: asked without a socket. */
import type { TestContext } from 'node:test';
import { startMail, type TestHost } from '../mail/mail-test-host.ts';
import { PluginAdministration } from '../mail/plugin-administration.ts';
import { createActor } from '../plugins/identities.ts';
import type { GivenPlugin } from '../plugins/plugin-loader.ts';
import { createHttpServer } from './http-server.ts';

/** What the administrator's requests bear. */
export const TOKEN = 'token';

export interface Asked {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly url: string;
  /** The whole field; `undefined`: none. */
  readonly authorization: string | undefined;
  readonly body?: unknown;
  readonly remoteAddress?: string;
}

export interface ApiHouse {
  readonly mail: TestHost;
  readonly server: Awaited<ReturnType<typeof createHttpServer>>;
  ask(request: Asked): Promise<{
    readonly status: number;
    readonly headers: Readonly<Record<string, unknown>>;
    /** Parsed; `undefined` when the reply is empty. */
    readonly body: unknown;
  }>;
}

export async function startApi(t: TestContext, plugins: readonly GivenPlugin[] = []): Promise<ApiHouse> {
  const mail = await startMail(t, { plugins });
  const administrator = createActor({ type: 'admin', name: 'api' });
  const server = await createHttpServer({
    ...mail,
    administrator,
    plugins: new PluginAdministration({ hooks: mail.hooks, services: mail, administrator }),
    messageOctets: 1e6,
    bodyOctets: 1e6,
    token: TOKEN,
    version: '0',
    translate: async () => [],
    ready: () => undefined,
    metrics: async () => '',
    log: { error: () => undefined },
  });
  t.after(() => server.close());
  return {
    mail,
    server,
    async ask({ method, url, authorization, body, remoteAddress = '127.0.0.1' }) {
      const reply = await server.inject({
        method,
        url,
        remoteAddress,
        ...(authorization === undefined ? {} : { headers: { authorization } }),
        ...(body === undefined ? {} : { payload: body as object }),
      });
      return {
        status: reply.statusCode,
        headers: reply.headers,
        body: reply.body === '' ? undefined : (JSON.parse(reply.body) as unknown),
      };
    },
  };
}
