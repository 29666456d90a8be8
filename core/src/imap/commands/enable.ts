import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { capabilityNames } from '../grammar/session-arguments.ts';
import { CONDSTORE, QRESYNC, REV2, UIDONLY, UTF8_ACCEPT } from '../session.ts';

const switches: ReadonlyMap<string, number> = new Map([
  ['CONDSTORE', CONDSTORE],
  ['QRESYNC', QRESYNC],
  ['UTF8=ACCEPT', UTF8_ACCEPT],
  ['IMAP4REV2', REV2],
  ['UIDONLY', UIDONLY],
]);
/** As CAPABILITY spells them. */
const spelling: ReadonlyMap<string, string> = new Map([['IMAP4REV2', 'IMAP4rev2']]);

/** ENABLE: RFC 5161, RFC 9051 §6.3.1. Unknown names are passed over. */
export const enable = defineCommand({
  name: 'ENABLE',
  states: ['authenticated'],
  capability: 'ENABLE',
  shown: 'always',
  mayExpunge: true,
  args: args({ names: capabilityNames }),

  handle({ session, respond }, { names }) {
    const enabled: string[] = [];
    for (const name of names) {
      const bit = switches.get(name);
      if (bit === undefined || (session.enabled & bit) !== 0) continue;
      if (bit === CONDSTORE || bit === QRESYNC) session.enableCondstore(); // RFC 7162 §3.2.3
      session.enabled |= bit;
      enabled.push(spelling.get(name) ?? name);
    }
    respond.untagged(['ENABLED', ...enabled].join(' '));
  },
});
