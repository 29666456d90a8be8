import { definePlugin, Refusal, Type } from '@pochard/plugin-sdk';
import { addressMatcher } from './address-matcher.ts';

/** Refuses recipients for good, by address or pattern, before the sender gets a 250 for them. Needs no permission. */
export const plugin = definePlugin({
  name: 'refuse-recipient',
  config: Type.Object({
    addresses: Type.Array(Type.String({ minLength: 1, maxLength: 320 }), {
      maxItems: 10_000,
      description: 'addresses, or patterns in which * stands for any characters: sales-*@a.example',
    }),
    text: Type.String({ default: 'This address does not take mail', maxLength: 200, description: 'what the sender reads' }),
  }),
  apply({ hooks, counter, log }, { addresses, text }) {
    const isRefused = addressMatcher(addresses);
    const refused = counter('refused_total', 'Recipients refused');
    hooks.rcpt.accept.gate(({ address }) => {
      if (!isRefused(address)) return;
      refused.add();
      throw new Refusal('policy', text);
    });
    log.info('refusing recipients', { entries: addresses.length });
  },
});
