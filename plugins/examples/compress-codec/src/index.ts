import { definePlugin, Type } from '@pochard/plugin-sdk';
import { createZstdCodec } from './zstd-codec.ts';

/** Keeps messages compressed at rest. Needs `plaintext`: a codec sees all content of the accounts in its scope. */
export const plugin = definePlugin({
  name: 'compress-codec',
  permissions: ['plaintext'],
  config: Type.Object({
    level: Type.Integer({ default: 3, minimum: 1, maximum: 19, description: 'zstd level: higher is smaller and slower' }),
  }),
  apply({ hooks }, { level }) {
    hooks.store.codec.declare(createZstdCodec(level));
  },
});
