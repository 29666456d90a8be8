/** Bearer tokens (RFC 6750): compared by digest in constant time; the token itself is not kept. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { MailError } from '../mail/errors.ts';

/** @throws MailError credentials */
export type TokenCheck = (request: FastifyRequest) => void;

export function createTokenCheck(token: string): TokenCheck {
  const expected = digest(token);
  return ({ headers }) => {
    const { authorization = '' } = headers;
    const space = authorization.indexOf(' ');
    const given = authorization.slice(space + 1).trim();
    const isBearer = space > 0 && authorization.slice(0, space).toLowerCase() === 'bearer';
    if (!isBearer || !timingSafeEqual(digest(given), expected)) throw new MailError('credentials', 'A valid bearer token is needed');
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
