/** What a tap gets instead of the core's argument: secrets lent for the length of the tap, messages only with `plaintext`. */
import type {
  AccountCreation,
  CredentialChange,
  Delivery,
  HookName,
  Login,
  LoginAttempt,
  Permission,
  Secret,
  StoreRequest,
  Submission,
} from '@pochard/plugin-sdk';
import { PermissionMissing } from './errors.ts';
import { lendLogin } from './identities.ts';
import { createSecret, lendSecret } from './secrets.ts';

/** Ends what was lent. */
export type Take = () => void;
/** `loans` collects what is to be taken back when the tap has ended. */
export type ArgumentLimit = (about: unknown, loans: Take[]) => unknown;

/** Undefined: the tap gets the core's own value, at no cost. */
export function argumentLimit(hook: HookName, permissions: ReadonlySet<Permission>): ArgumentLimit | undefined {
  const access = permissions.has('credentials') ? 'readable' : 'closed';
  const lend = <S extends Secret | undefined>(secret: S, loans: Take[]): S => {
    if (secret === undefined) return secret;
    const { lent, take } = lendSecret(secret, access);
    loans.push(take);
    return lent as S;
  };
  switch (hook) {
    case 'auth.verify':
      return (about, loans) => {
        const attempt = about as LoginAttempt<Secret>;
        return { ...attempt, secret: lend(attempt.secret, loans) };
      };
    case 'auth.succeeded':
      return (about, loans) => {
        const login = about as Login<Secret>;
        const { lent, take } = lendLogin(login, lend(login.secret, loans));
        loans.push(take);
        return lent;
      };
    case 'auth.credential':
      return (about, loans) => {
        const change = about as CredentialChange<Secret>;
        if (change.change === 'revoked') return change;
        if (change.change !== 'changed') return { ...change, secret: lend(change.secret, loans) };
        return { ...change, secret: lend(change.secret, loans), former: lend(change.former, loans) };
      };
    case 'account.creating':
      return (about, loans) => {
        const creation = about as AccountCreation<Secret>;
        return { ...creation, secret: lend(creation.secret, loans) };
      };
    default:
  }
  if (permissions.has('plaintext')) return undefined;
  if (hook === 'delivery.scan') return (about) => closedDelivery(about as Delivery);
  if (hook === 'store.before') return (about) => closedStoreRequest(about as StoreRequest);
  if (hook === 'submission.before') return (about) => closedSubmission(about as Submission);
  return undefined;
}

/** The same value with secrets of its own, for a shadow tap that runs when the login is over. `loans` wipes them. */
export function withOwnSecrets(hook: HookName, about: unknown, loans: Take[]): unknown {
  const own = <S extends Secret | undefined>(secret: S): S => {
    if (secret === undefined || secret.wiped) return secret;
    const copy = createSecret(Uint8Array.from(secret.bytes()));
    loans.push(() => copy[Symbol.dispose]());
    return copy as S;
  };
  if (hook === 'auth.verify' || hook === 'auth.succeeded' || hook === 'account.creating') {
    const carrier = about as { readonly secret: Secret | undefined };
    return { ...carrier, secret: own(carrier.secret) };
  }
  if (hook === 'auth.credential') {
    const change = about as CredentialChange<Secret>;
    if (change.change === 'revoked') return change;
    return change.change === 'changed'
      ? { ...change, secret: own(change.secret), former: own(change.former) }
      : { ...change, secret: own(change.secret) };
  }
  // The request's `keep` would act on the real one.
  if (hook === 'expunge.before') return { ...(about as object), keep: () => undefined };
  return about;
}

export function closedDelivery({ id, origin, reversePath, recipients, sizeOctets }: Delivery): object {
  return closed({ id, origin, reversePath, recipients, sizeOctets }, ['message', 'with']);
}
export function closedSubmission({ id, reversePath, recipients, sizeOctets }: Submission): object {
  return closed({ id, reversePath, recipients, sizeOctets }, ['message']);
}
function closedStoreRequest({ mailbox, sizeOctets, origin }: StoreRequest): object {
  return closed({ mailbox, sizeOctets, origin }, ['message']);
}
/** Not enumerable, so that a plugin may still spread or log the rest. */
function closed(open: object, members: readonly string[]): object {
  for (const member of members) {
    Object.defineProperty(open, member, {
      get() {
        throw new PermissionMissing('plaintext', member);
      },
    });
  }
  return open;
}
