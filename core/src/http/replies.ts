/** From a domain error to an HTTP reply: RFC 9110 §15, bodies as RFC 9457 problem details. */
import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import { MailError, type MailErrorCode } from '../mail/errors.ts';
import { asMailError } from '../mail/hook-errors.ts';

const statusOf = {
  credentials: 401,
  disabled: 403,
  unavailable: 503,
  locked: 423,
  'no-such-account': 404,
  'no-such-recipient': 404,
  'no-such-mailbox': 404,
  'no-such-target': 404,
  'mailbox-exists': 409,
  taken: 409,
  'invalid-name': 400,
  'not-selectable': 409,
  'has-children': 409,
  'read-only': 403,
  'over-quota': 507,
  'too-big': 413,
  limit: 400,
  rate: 429,
  forbidden: 403,
  policy: 403,
  held: 409,
  unsupported: 400,
  expunged: 410,
  invalid: 400,
  damaged: 500,
  bug: 500,
} as const satisfies Record<MailErrorCode, number>;

export const Problem = Type.Object(
  {
    title: Type.String({ description: 'What went wrong, in words fit for people' }),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable word for programs' }),
  },
  { description: 'RFC 9457 problem details' },
);

export function problemOf(thrown: unknown): { readonly title: string; readonly status: number; readonly code: string } {
  const error = asMailError(thrown);
  if (error instanceof MailError) {
    const status = statusOf[error.code];
    return { title: status === 500 ? 'Internal error' : error.message, status, code: error.code };
  }
  const status = statusCodeOf(error);
  if (status !== undefined && status >= 400 && status < 500) return { title: titleOf(error), status, code: 'request' };
  return { title: 'Internal error', status: 500, code: 'bug' };
}

export function sendProblem(reply: FastifyReply, error: unknown): FastifyReply {
  const problem = problemOf(error);
  return reply.code(problem.status).type('application/problem+json').send(problem);
}

/** A refusal by a schema names the key that is not known, or the values that are. */
function titleOf(error: unknown): string {
  if (!(error instanceof Error)) return 'Bad request';
  const { validation } = error as { readonly validation?: readonly { readonly params?: Readonly<Record<string, unknown>> }[] };
  const { additionalProperty, allowedValues } = validation?.[0]?.params ?? {};
  if (additionalProperty !== undefined) return `${error.message}: "${String(additionalProperty)}"`;
  return allowedValues === undefined ? error.message : `${error.message}: ${[allowedValues].flat().join(', ')}`;
}

/** Fastify's own refusals (validation, body limit, unknown media type) carry their status. */
function statusCodeOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { statusCode, validation } = error as { readonly statusCode?: unknown; readonly validation?: unknown };
  if (typeof statusCode === 'number') return statusCode;
  return validation === undefined ? undefined : 400;
}
