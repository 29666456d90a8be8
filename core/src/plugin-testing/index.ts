/** `@pochard/core/testing`: what `@pochard/plugin-sdk/testing` finds behind its types. */
export { conformance } from './conformance.ts';
export { startHost } from './test-host.ts';
