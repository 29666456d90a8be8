/**
 * The HTTP API: fastify, schemas once (TypeBox) for types, validation and the OpenAPI page. Everything below /v1 needs the bearer token, but
 * /v1/me, where users give their own password; /healthz, /readyz and the documentation need none.
 */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Ajv } from 'ajv';
import fastify from 'fastify';
import Type from 'typebox';
import { accountRoutes } from './accounts.ts';
import { type AclRouteOptions, aclRoutes } from './acl.ts';
import { appPasswordRoutes } from './app-passwords.ts';
import { createTokenCheck } from './bearer-token.ts';
import { deliveryRoutes } from './deliveries.ts';
import { eventRoutes, type TranslateEntry } from './events.ts';
import { mailboxRoutes } from './mailboxes.ts';
import { type MeOptions, meRoutes } from './me.ts';
import { messageRoutes } from './messages.ts';
import { type PluginRouteOptions, pluginRoutes } from './plugins.ts';
import { sendProblem } from './replies.ts';
import type { Api } from './resources.ts';
import { type SubmissionRouteOptions, submissionRoutes } from './submissions.ts';

export interface HttpServerOptions extends SubmissionRouteOptions, PluginRouteOptions, MeOptions, AclRouteOptions {
  readonly token: string;
  readonly version: string;
  readonly translate: TranslateEntry;
  /** Throws while the server cannot serve mail (draining, store down). */
  readonly ready: () => Promise<void> | void;
  readonly metrics: () => Promise<string>;
  readonly bodyOctets: number;
  /** PEM of a listener with TLS. */
  readonly https?: { readonly key: string | Buffer; readonly cert: string | Buffer };
  readonly log: { error(fields: object, message: string): void };
}

export async function createHttpServer(options: HttpServerOptions): Promise<Api> {
  const { bodyOctets, https, log } = options;
  const base = {
    bodyLimit: bodyOctets,
    logger: false,
  } as const;
  const app = (https === undefined ? fastify(base) : fastify({ ...base, https })) as unknown as Api;
  app.withTypeProvider<TypeBoxTypeProvider>();
  // Queries and paths are text and may become numbers and lists; JSON has types, and ["x"] or 7 is no password.
  const texts = new Ajv({ useDefaults: true, coerceTypes: 'array' });
  const json = new Ajv({ useDefaults: true });
  app.setValidatorCompiler(({ schema, httpPart }) => (httpPart === 'body' ? json : texts).compile(schema));
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Pochard',
        version: options.version,
        description: 'Administration, delivery and change events of a Pochard mail server',
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' }, password: { type: 'http', scheme: 'basic' } } },
      security: [{ token: [] }],
    },
  });
  await app.register(swaggerUi, { routePrefix: '/docs' });

  app.setErrorHandler((error, request, reply) => {
    // Nobody reads the rest of a refused message: another request on this connection would wait behind it.
    if (!request.raw.complete) reply.header('connection', 'close');
    const sent = sendProblem(reply, error);
    if (reply.statusCode >= 500) log.error({ err: error, method: request.method, route: request.routeOptions.url }, 'request failed');
    return sent;
  });
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).type('application/problem+json').send({ title: 'No such resource', status: 404, code: 'request' }),
  );

  await app.register(async (open) => {
    healthRoutes(open as unknown as Api, options);
    meRoutes(open as unknown as Api, options);
  });
  await app.register(async (guarded) => {
    const check = createTokenCheck(options.token);
    guarded.addHook('onRequest', async (request) => check(request));
    const api = guarded as unknown as Api;
    accountRoutes(api, options);
    appPasswordRoutes(api, options);
    mailboxRoutes(api, options);
    aclRoutes(api, options);
    // Raw messages are streams, however large.
    api.addContentTypeParser('message/rfc822', (_request, payload, done) => done(null, payload));
    deliveryRoutes(api, options);
    submissionRoutes(api, options);
    messageRoutes(api, options);
    pluginRoutes(api, options);
    eventRoutes(api, options, options.translate);
    // Also where scrapers look first.
    for (const path of ['/v1/metrics', '/metrics']) {
      api.get(path, { schema: { tags: ['health'], summary: 'Prometheus metrics' } }, async (_request, reply) =>
        reply.type('text/plain; version=0.0.4').send(await options.metrics()),
      );
    }
  });
  return app;
}

const Health = Type.Object({ status: Type.String() });

function healthRoutes(api: Api, { ready, plugins, log }: HttpServerOptions): void {
  api.get('/healthz', { schema: { tags: ['health'], summary: 'The process lives', security: [], response: { 200: Health } } }, () =>
    Promise.resolve({ status: 'ok' }),
  );
  api.get(
    '/readyz',
    { schema: { tags: ['health'], summary: 'Mail can be served', security: [], response: { 200: Health, 503: Health } } },
    async (_request, reply) => {
      try {
        await ready();
        await plugins.requireHealthy();
        return { status: 'ready' };
      } catch (error) {
        log.error({ err: error }, 'not ready'); // strangers need not know the reason
        return reply.code(503).send({ status: 'unavailable' });
      }
    },
  );
}
