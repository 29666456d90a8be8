import { definePlugin, Type } from '@pochard/plugin-sdk';

/** Puts a header field on top of each message that is delivered. Needs `plaintext`: it holds the message in its hands. */
export const plugin = definePlugin({
  name: 'stamp-header',
  permissions: ['plaintext'],
  config: Type.Object({
    name: Type.String({ default: 'X-Stamp', pattern: '^[!-9;-~]{1,70}$', description: 'field name (RFC 5322 §2.2)' }),
    value: Type.String({ default: 'pochard', pattern: '^[ -~]{1,500}$', description: 'field body, ASCII' }),
    replace: Type.Boolean({ default: false, description: 'take away fields of that name which the sender had put there' }),
  }),
  apply({ hooks }, { name, value, replace }) {
    hooks.delivery.received.transform((delivery) => {
      const message = replace ? delivery.message.without(name) : delivery.message;
      return delivery.with(message.prepend(name, value));
    });
  },
});
