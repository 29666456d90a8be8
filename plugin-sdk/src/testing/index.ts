/**
 * A host for the tests of plugins. Its types are the SDK's, its work is done by the server itself: `@pochard/core`, an optional peer that
 * is looked up when the first host starts. So plugins in production need the SDK only (docs/decisions/0008-test-host.md).
 */
import type { Conformance, StartHost } from './test-host.ts';

export * from './test-host.ts';

const core = '@pochard/core/testing';

interface CoreTesting {
  readonly startHost: StartHost;
  readonly conformance: Conformance;
}

/** @throws Error when `@pochard/core` is not installed beside the SDK */
async function coreTesting(): Promise<CoreTesting> {
  let module: unknown;
  try {
    module = await import(core);
  } catch (error) {
    throw new Error(`plugin tests run on the server itself: install @pochard/core beside @pochard/plugin-sdk`, { cause: error });
  }
  if (!isTesting(module)) throw new TypeError(`${core} is of another version than this SDK`);
  return module;
}
function isTesting(module: unknown): module is CoreTesting {
  return typeof module === 'object' && module !== null && 'startHost' in module && 'conformance' in module;
}

export const startHost: StartHost = async (options) => (await coreTesting()).startHost(options);
export const conformance: Conformance = async (plugin, config, options) => (await coreTesting()).conformance(plugin, config, options);
