import { capabilityText } from '../capabilities.ts';
import { defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { astring, astringOctets } from '../grammar/strings.ts';

/** LOGIN: RFC 9051 §6.2.3. */
export const login = defineCommand({
  name: 'LOGIN',
  states: ['not-authenticated'],
  mayExpunge: false,
  args: args({ username: astring, password: astringOctets }),

  async handle({ session }, { username, password }) {
    const secret = Uint8Array.from(password);
    password.fill(0);
    if (!session.wire.mayLogin) {
      secret.fill(0);
      throw new ImapNo('PRIVACYREQUIRED', 'Use TLS to log in');
    }
    await session.logIn(username, secret, 'LOGIN');
    return { code: `CAPABILITY ${await capabilityText(session)}`, text: 'Logged in' };
  },
});
