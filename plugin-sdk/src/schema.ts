/** Schemas of configurations, table rows, routes and commands: TypeBox, and one type of our own. */
import { type TObject, Type } from 'typebox';

export { type Static, type TSchema, Type } from 'typebox';

/** The configuration of a plugin that has none: any key in it is an error. */
export type NoConfig = TObject<Record<never, never>>;

/** A table row's field of octets (`Uint8Array`). Not for configurations and routes, which are text. */
export const Octets = Type.Unsafe<Uint8Array>({ octets: true });
