/** May this account send under this address? Its own addresses, labels and catch-alls included; then whoever taps `submission.identity`. */
import { type AddressName, normalizeAddress } from '../accounts/names.ts';
import { MailError } from '../errors.ts';
import { guarded } from '../hook-errors.ts';
import type { MailParts } from '../mail-parts.ts';
import { accountIdOf } from '../sdk-values.ts';
import type { SubmissionSender } from '../services.ts';

export type IdentityPlace = 'reverse-path' | 'from';

/** @throws MailError forbidden, unavailable */
export async function requireIdentity(
  parts: MailParts,
  { account, actor, session }: SubmissionSender,
  address: string,
  where: IdentityPlace,
): Promise<void> {
  const name = readName(address);
  if (name !== undefined && (await isOwn(parts, account, name))) return;
  const { hooks } = parts;
  const answer = hooks.has('submission.identity')
    ? await guarded(() => hooks.decide('submission.identity', { address: name?.full ?? address, where }, { actor, session, account }))
    : undefined;
  if (answer?.allowed === true) return;
  throw new MailError('forbidden', where === 'from' ? 'You may not send with this From address' : 'You may not send under this address');
}

function readName(address: string): AddressName | undefined {
  try {
    return normalizeAddress(address);
  } catch (error) {
    if (error instanceof MailError && error.code === 'invalid') return undefined;
    throw error;
  }
}

async function isOwn({ directory, settings }: MailParts, account: SubmissionSender['account'], name: AddressName): Promise<boolean> {
  const meaning = await directory.meaning(name);
  if (meaning !== undefined) return meaning.to === 'account' && meaning.id === accountIdOf(account.id);
  // An account without a domain sends under the server's own.
  const { domains = [], hostname } = settings;
  return (
    account.domain === '' && name.local === account.username && (domains.includes(name.domain) || name.domain === hostname.toLowerCase())
  );
}
