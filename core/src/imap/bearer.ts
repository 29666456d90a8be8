/** OAUTHBEARER (RFC 7628) and XOAUTH2 in IMAP: the error challenge that ends a refusal. */
import { MailError } from '../mail/errors.ts';
import { type BearerMechanism, type BearerResponse, bearerChallenge, readBearer, SaslSyntaxError } from '../sasl/bearer.ts';
import { ImapBad } from './errors.ts';
import type { ImapSession } from './session.ts';

/** @throws ImapBad */
function read(mechanism: BearerMechanism, octets: Buffer): BearerResponse {
  try {
    return readBearer[mechanism](octets);
  } catch (error) {
    throw error instanceof SaslSyntaxError ? new ImapBad(error.message) : error;
  }
}

/** @throws ImapBad */
export const readOauthBearer = (octets: Buffer): BearerResponse => read('OAUTHBEARER', octets);
/** @throws ImapBad */
export const readXoauth2 = (octets: Buffer): BearerResponse => read('XOAUTH2', octets);

function exchange(mechanism: BearerMechanism) {
  return async (session: ImapSession, octets: Buffer): Promise<void> => {
    let given: BearerResponse;
    try {
      given = read(mechanism, octets);
    } finally {
      octets.fill(0);
    }
    try {
      await session.logIn(given.username, given.token, mechanism);
    } catch (error) {
      if (!(error instanceof MailError) || (error.code !== 'credentials' && error.code !== 'disabled' && error.code !== 'policy'))
        throw error;
      // Whatever the client says to it (^A, nothing, a cancel) ends the exchange.
      await session.wire.ask(bearerChallenge(mechanism, error.code === 'credentials' ? 'token' : 'other'));
      throw error;
    }
  };
}

export const bearerMechanisms: ReadonlyMap<string, (session: ImapSession, octets: Buffer) => Promise<void>> = new Map([
  ['OAUTHBEARER', exchange('OAUTHBEARER')],
  ['XOAUTH2', exchange('XOAUTH2')],
]);
