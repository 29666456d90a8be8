/**
 * The contract between Pochard and its plugins: everything a plugin may see, and nothing of the core.
 * `definePlugin`, the values that travel through hooks, the hooks themselves (`Hooks`) and what each promises (`specs`).
 */
export type * from './accounts.ts';
export type * from './actor.ts';
export type * from './administration.ts';
export { arg } from './argument-readers.ts';
export type * from './blob-driver.ts';
export type { Awaitable } from './brand.ts';
export type * from './bytes.ts';
export type * from './calls.ts';
export type * from './codec.ts';
export type * from './delivery.ts';
export { type Hooks, plaintextHooks } from './hooks.ts';
export type * from './http-route.ts';
export type * from './imap-command.ts';
export type * from './journal-events.ts';
export type * from './kinds.ts';
export type * from './login.ts';
export type * from './mailbox-requests.ts';
export type * from './message.ts';
export * from './outcomes.ts';
export type * from './permissions.ts';
export * from './plugin.ts';
export type * from './plugin-entry.ts';
export type * from './push.ts';
export type * from './recipients.ts';
export { type NoConfig, Octets, type Static, type TSchema, Type } from './schema.ts';
export type * from './search.ts';
export type * from './secret.ts';
export * from './specs.ts';
export type * from './submission.ts';
export type * from './values.ts';
