/**
 * The resources that plugins declare (`http.route`), below /plugins/<name>: validated by their own schemas both ways. They change with every
 * reload, so they are found at each request rather than registered. And what commands ask about plugins.
 */
import type { Actor, TSchema } from '@pochard/plugin-sdk';
import type { ValidateFunction } from 'ajv';
import Type from 'typebox';
import { MailError } from '../mail/errors.ts';
import { explainable } from '../mail/explainable.ts';
import { guarded } from '../mail/hook-errors.ts';
import type { PluginAdministration } from '../mail/plugin-administration.ts';
import { ConfigError, checkedConfig, SchemaChecker } from '../plugins/config-check.ts';
import type { DeclaredRoute, HookCalls } from '../plugins/hook-calls.ts';
import { Problem } from './replies.ts';
import type { Api } from './resources.ts';

export interface PluginRouteOptions {
  readonly hooks: Pick<HookCalls, 'declared'>;
  readonly plugins: PluginAdministration;
  readonly administrator: Actor;
}

const NOTHING = Type.Object({});
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

export function pluginRoutes(api: Api, options: PluginRouteOptions): void {
  const { hooks, administrator } = options;
  const checker = new SchemaChecker();
  const replies = new WeakMap<TSchema, ValidateFunction>();
  api.route({
    method: [...METHODS],
    url: '/plugins/*',
    schema: { hide: true },
    async handler(request, reply) {
      const found = routeFor(hooks.declared('http.route'), request.method, pathOf(request.url));
      if (found === undefined) throw new MailError('no-such-account', 'No such resource');
      const { route, params } = found;
      const abort = new AbortController();
      reply.raw.once('close', () => {
        if (!reply.raw.writableFinished) abort.abort(); // the client has gone
      });
      const question = {
        params: checked(checker, route.params, params, 'path'),
        query: checked(checker, route.query, request.query, 'query'),
        body: route.body === undefined ? undefined : checked(checker, route.body, request.body, 'body'),
      };
      const { status, body } = await guarded(() => route.handle(question, { actor: administrator, signal: abort.signal }));
      const schema = route.replies[status];
      if (schema === undefined) throw new TypeError(`${route.method} ${route.path} replied ${status}, which it does not declare`);
      const validate = replies.get(schema) ?? checker.compile(schema);
      replies.set(schema, validate);
      if (!validate(body)) throw new TypeError(`${route.method} ${route.path} replied with what its schema for ${status} does not allow`);
      return body === undefined || body === null ? reply.code(status).send() : reply.code(status).send(body);
    },
  });
  administrationRoutes(api, options);
}

function administrationRoutes(api: Api, { hooks, plugins }: PluginRouteOptions): void {
  const Lines = Type.Object({ lines: Type.Array(Type.String()) });
  const Plugin = Type.Object({
    id: Type.String(),
    version: Type.String({ description: 'of the SDK that it was built with' }),
    permissions: Type.Array(Type.String()),
    state: Type.String(),
    hooks: Type.Array(Type.String()),
  });
  const tags = ['plugins'];
  api.get(
    '/v1/plugins',
    { schema: { tags, summary: 'The plugins that run', response: { 200: Type.Object({ plugins: Type.Array(Plugin) }) } } },
    async () => ({ plugins: plugins.list().map((info) => ({ ...info, permissions: [...info.permissions], hooks: [...info.hooks] })) }),
  );
  api.get('/v1/plugins/openapi.json', { schema: { tags, summary: 'The resources that plugins have declared (OpenAPI 3.1)' } }, async () =>
    openApiOf(hooks.declared('http.route')),
  );
  api.get(
    '/v1/plugins/explain/:what',
    {
      schema: {
        tags,
        summary: 'The taps that a login, a delivery or a fetch meets; with a name, what each decides',
        params: Type.Object({ what: Type.Enum(explainable) }),
        querystring: Type.Object({ name: Type.Optional(Type.String({ maxLength: 512 })) }),
        response: { 200: Lines },
      },
    },
    async ({ params, query }) => ({ lines: [...(await plugins.explain(params.what, query.name))] }),
  );
  api.post(
    '/v1/plugins/login-test',
    {
      schema: {
        tags,
        summary: 'A login, ended at once, and what each tap decided; never the password',
        body: Type.Object({ username: Type.String({ maxLength: 512 }), password: Type.String({ maxLength: 4096 }) }),
        response: { 200: Type.Object({ accepted: Type.Boolean(), lines: Type.Array(Type.String()) }) },
      },
    },
    async ({ body }) => {
      const { accepted, lines } = await plugins.testLogin(body.username, Buffer.from(body.password));
      return { accepted, lines: [...lines] };
    },
  );
  api.post(
    '/v1/plugins/commands/:name',
    {
      schema: {
        tags,
        summary: 'Runs a command that a plugin has declared',
        params: Type.Object({ name: Type.String({ maxLength: 64 }) }),
        body: Type.Object({ args: Type.Array(Type.String({ maxLength: 65_536 }), { maxItems: 1_000 }) }),
        response: { 200: Lines, 400: Problem },
      },
    },
    async ({ params, body }) => {
      const lines: string[] = [];
      await plugins.run(params.name, body.args, (line) => lines.push(line));
      return { lines };
    },
  );
}

function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

/** The first in the order of declaration whose segments fit. */
function routeFor(
  routes: readonly DeclaredRoute[],
  method: string,
  path: string,
): { readonly route: DeclaredRoute; readonly params: Readonly<Record<string, string>> } | undefined {
  const segments = path.split('/');
  for (const route of routes) {
    if (route.method !== method) continue;
    const params = paramsOf(route.path.split('/'), segments);
    if (params !== undefined) return { route, params };
  }
  return undefined;
}
function paramsOf(pattern: readonly string[], segments: readonly string[]): Readonly<Record<string, string>> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params = new Map<string, string>();
  for (const [at, expected] of pattern.entries()) {
    const segment = decoded(segments[at] ?? '');
    if (segment === undefined) return undefined;
    if (expected.startsWith(':')) params.set(expected.slice(1), segment);
    else if (expected !== segment) return undefined;
  }
  return Object.fromEntries(params);
}
function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined; // not of the syntax of a URL: no resource has that name
  }
}

/** @throws MailError invalid */
function checked(checker: SchemaChecker, schema: TSchema | undefined, value: unknown, where: string): unknown {
  try {
    return checkedConfig(checker, schema ?? NOTHING, value, where);
  } catch (error) {
    if (error instanceof ConfigError) throw new MailError('invalid', error.message.slice(0, 500), { cause: error });
    throw error;
  }
}

function openApiOf(routes: readonly DeclaredRoute[]): object {
  const paths = new Map<string, Map<string, object>>();
  for (const { path, method, plugin, summary, scope, params, query, body, replies } of routes) {
    const name = path.replaceAll(/:([A-Za-z0-9._-]+)/g, '{$1}');
    const operations = paths.get(name) ?? new Map<string, object>();
    paths.set(name, operations);
    operations.set(method.toLowerCase(), {
      tags: [plugin],
      summary,
      'x-scope': scope,
      parameters: [...parametersOf(params, 'path'), ...parametersOf(query, 'query')],
      ...(body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
      responses: Object.fromEntries(
        Object.entries(replies).map(([status, schema]) => [
          status,
          { description: String(status), content: { 'application/json': { schema } } },
        ]),
      ),
    });
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Resources of plugins', version: '1' },
    paths: Object.fromEntries([...paths].map(([path, operations]) => [path, Object.fromEntries(operations)])),
  };
}
function parametersOf(schema: TSchema | undefined, where: 'path' | 'query'): readonly object[] {
  const { properties = {}, required = [] } = (schema ?? {}) as {
    readonly properties?: Readonly<Record<string, unknown>>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, member]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    schema: member,
  }));
}
