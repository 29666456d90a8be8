import { isUtf8 } from 'node:buffer';
import { isChannelBindingType } from '../../net/channel-binding.ts';
import type { ScramKeys } from '../../passwords/scram-keys.ts';
import { bearerMechanisms } from '../bearer.ts';
import { capabilityText, offersBinding, takesTokens } from '../capabilities.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { ImapBad, ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { Cursor } from '../grammar/cursor.ts';
import { authenticateRequest, base64 } from '../grammar/session-arguments.ts';
import { readClientFirst, scramExchange } from '../scram.ts';
import type { ImapSession } from '../session.ts';

/** AUTHENTICATE PLAIN, LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, OAUTHBEARER and XOAUTH2: RFC 9051 §6.2.2, RFC 4616, RFC 5802, RFC 7628, RFC 4959 (initial response). */
export const authenticate = defineCommand({
  name: 'AUTHENTICATE',
  states: ['not-authenticated'],
  mayExpunge: false,
  args: args({ request: authenticateRequest }),

  async handle(context, { request }) {
    const { session } = context;
    const { mechanism, initialResponse } = request;
    const read = mechanisms.get(mechanism);
    if (mechanism === 'SCRAM-SHA-256' ? session.env.scram === 'on' : mechanism === 'SCRAM-SHA-256-PLUS' && offersBinding(session)) {
      if (!session.wire.mayLogin) throw new ImapNo('PRIVACYREQUIRED', 'Use TLS to log in');
      const first = readClientFirst(initialResponse ?? (await response(context, '')));
      const bound = boundChannel(session, mechanism, first.binding);
      const send = (text: string): Promise<Buffer> => response(context, Buffer.from(text, 'utf8').toString('base64'));
      const exchange = (keys: ScramKeys): Promise<boolean> => scramExchange(first, keys, send, bound);
      await session.enter({ username: first.username, mechanism: 'SCRAM-SHA-256', exchange, session: session.info });
      return { code: `CAPABILITY ${await capabilityText(session)}`, text: 'Logged in' };
    }
    const bearer = takesTokens(session) ? bearerMechanisms.get(mechanism) : undefined;
    if (bearer !== undefined) {
      if (!session.wire.mayLogin) throw new ImapNo('PRIVACYREQUIRED', 'Use TLS to log in');
      await bearer(session, initialResponse ?? (await response(context, '')));
      return { code: `CAPABILITY ${await capabilityText(session)}`, text: 'Logged in' };
    }
    if (read === undefined) throw new ImapNo('CANNOT', 'Mechanism is not supported');
    if (!session.wire.mayLogin) throw new ImapNo('PRIVACYREQUIRED', 'Use TLS to log in');
    const { username, secret } = await read(context, initialResponse);
    await session.logIn(username, secret, mechanism === 'PLAIN' ? 'PLAIN' : 'LOGIN');
    return { code: `CAPABILITY ${await capabilityText(session)}`, text: 'Logged in' };
  },
});

/**
 * The data that the exchange is bound to; undefined without a binding.
 * @throws ImapBad when mechanism and binding do not go together; ImapNo for a type that this connection has not, and for a client that was
 * told that there is no -PLUS where there is (RFC 5802 §6)
 */
function boundChannel(session: ImapSession, mechanism: string, binding: string): Buffer | undefined {
  const isPlus = mechanism === 'SCRAM-SHA-256-PLUS';
  if (isPlus === (binding === 'n' || binding === 'y')) throw new ImapBad('Wrong SCRAM message');
  if (!isPlus) {
    if (binding === 'y' && offersBinding(session)) throw new ImapNo('AUTHENTICATIONFAILED', 'This server does support channel binding');
    return undefined;
  }
  const bound = isChannelBindingType(binding) ? session.wire.channelBinding(binding) : undefined;
  if (bound === undefined) throw new ImapNo('CANNOT', 'This channel binding is not supported here');
  return bound;
}

interface Credentials {
  readonly username: string;
  readonly secret: Uint8Array;
}
type Mechanism = (context: CommandContext, initial: Buffer | undefined) => Promise<Credentials>;

/** One response of the client, decoded. The line and what was read from it are wiped by whoever is done with them. @throws ImapBad */
async function response(context: CommandContext, prompt: string): Promise<Buffer> {
  const line = await context.session.wire.ask(prompt);
  if (line.length === 1 && line[0] === 0x2a) throw new ImapBad('Authentication cancelled');
  if (line.length === 0) return Buffer.alloc(0);
  const cursor = new Cursor({ text: line, literals: [] }, context.session.names);
  const octets = base64(cursor);
  cursor.end();
  line.fill(0);
  return octets;
}

function text(octets: Uint8Array): string {
  if (!isUtf8(octets)) throw new ImapBad('Text is not UTF-8');
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString('utf8');
}

/** authzid NUL authcid NUL passwd (RFC 4616 §2). */
const plain: Mechanism = async (context, initial) => {
  const octets = initial ?? (await response(context, ''));
  try {
    const first = octets.indexOf(0);
    const second = octets.indexOf(0, first + 1);
    if (first < 0 || second < 0 || octets.includes(0, second + 1)) throw new ImapBad('Wrong PLAIN response');
    const authorize = text(octets.subarray(0, first));
    const username = text(octets.subarray(first + 1, second));
    if (username === '') throw new ImapBad('Wrong PLAIN response');
    if (authorize !== '' && authorize !== username) throw new ImapNo('AUTHORIZATIONFAILED', 'You may log in as yourself only');
    return { username, secret: Uint8Array.from(octets.subarray(second + 1)) };
  } finally {
    octets.fill(0);
  }
};

const USERNAME_PROMPT = Buffer.from('Username:').toString('base64');
const PASSWORD_PROMPT = Buffer.from('Password:').toString('base64');

/** Two prompts, never standardised, and still what some clients speak. */
const login: Mechanism = async (context, initial) => {
  const username = text(initial ?? (await response(context, USERNAME_PROMPT)));
  const octets = await response(context, PASSWORD_PROMPT);
  const secret = Uint8Array.from(octets);
  octets.fill(0);
  return { username, secret };
};

const mechanisms: ReadonlyMap<string, Mechanism> = new Map([
  ['PLAIN', plain],
  ['LOGIN', login],
]);
