/** Quotas in octets, and the word for none where the configured default must not count. */
import { MailError } from '../errors.ts';

/** In an account's record: no limit. */
export const UNLIMITED_OCTETS = Number.MAX_SAFE_INTEGER;

/** As the record has it; `undefined`: the configured default. @throws MailError invalid */
export function checkedQuota(octets: number | 'unlimited' | undefined): number | undefined {
  if (octets === undefined) return undefined;
  if (octets === 'unlimited') return UNLIMITED_OCTETS;
  if (!Number.isSafeInteger(octets) || octets < 0) throw new MailError('invalid', 'Not a valid quota');
  return octets;
}

/** What limits: the answer of `quota.limits`, else the account's own, else the default. `undefined`: nothing. */
export function octetLimit(
  answered: number | 'unlimited' | undefined,
  own: number | undefined,
  fallback: number | undefined,
): number | undefined {
  const octets = answered ?? own ?? fallback;
  return octets === 'unlimited' || octets === UNLIMITED_OCTETS ? undefined : octets;
}
