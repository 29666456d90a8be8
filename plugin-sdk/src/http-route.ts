/** HTTP resources that a plugin adds. */
import type { Static, TSchema } from 'typebox';
import type { Awaitable, brand } from './brand.ts';
import type { Call } from './calls.ts';

export interface Route<
  Params extends TSchema,
  Query extends TSchema,
  Body extends TSchema,
  Replies extends Readonly<Record<number, TSchema>>,
> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string; // below /plugins/<plugin name>
  readonly scope: string; // the token scope that it asks for; `admin:` scopes are not given to users
  readonly summary: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly replies: Replies; // with params, query and body: validated, and printed in the OpenAPI page
  handle(
    request: { readonly params: Static<Params>; readonly query: Static<Query>; readonly body: Static<Body> },
    call: Call & { reply<Status extends keyof Replies & number>(status: Status, body: Static<Replies[Status]>): RouteReply },
  ): Awaitable<RouteReply>;
}

export interface RouteReply {
  readonly [brand]: 'RouteReply';
}
