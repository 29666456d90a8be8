/** CAPABILITY as a session sees it: from the command table and the features below, through `imap.capabilities`. */
import type { Feature } from './registry.ts';
import type { ImapSession } from './session.ts';

function afterLogin(session: ImapSession): boolean {
  return session.login !== undefined;
}
function beforeLogin(session: ImapSession): boolean {
  return session.login === undefined;
}
function mayAuthenticate(session: ImapSession): boolean {
  return beforeLogin(session) && session.wire.mayLogin;
}

/** Core knows no tokens: somebody else must, and the administrator must say so, as any tap of `auth.verify` may know passwords only. */
export function takesTokens({ env }: ImapSession): boolean {
  return env.tokens === 'on' && env.hooks.explain('auth.verify').some(({ plugin }) => plugin !== 'core');
}

/** SCRAM-SHA-256-PLUS (RFC 5802 §6). */
export function offersBinding({ env, wire }: ImapSession): boolean {
  return env.scram === 'on' && wire.canBind;
}

/** SETQUOTA (RFC 9208 §4.1.3) is for whom the configuration names. */
export function maySetQuota({ account, env }: ImapSession): boolean {
  return account !== undefined && env.quotaAdministrators.has(account.username);
}

/** What is no single command's. A capability that a command brings stands in its declaration. */
export const features: readonly Feature[] = [
  { capability: 'IMAP4rev1' },
  { capability: 'IMAP4rev2' },
  { capability: 'SASL-IR', isOffered: beforeLogin }, // RFC 4959
  { capability: 'AUTH=PLAIN', isOffered: mayAuthenticate },
  { capability: 'AUTH=LOGIN', isOffered: mayAuthenticate },
  { capability: 'AUTH=SCRAM-SHA-256', isOffered: (session) => mayAuthenticate(session) && session.env.scram === 'on' }, // RFC 7677
  { capability: 'AUTH=SCRAM-SHA-256-PLUS', isOffered: (session) => mayAuthenticate(session) && offersBinding(session) }, // RFC 5929, RFC 9266
  { capability: 'AUTH=OAUTHBEARER', isOffered: (session) => mayAuthenticate(session) && takesTokens(session) }, // RFC 7628
  { capability: 'AUTH=XOAUTH2', isOffered: (session) => mayAuthenticate(session) && takesTokens(session) },
  { capability: 'STARTTLS', isOffered: (session) => beforeLogin(session) && session.wire.canStartTls },
  { capability: 'LOGINDISABLED', isOffered: (session) => beforeLogin(session) && !session.wire.mayLogin },
  { capability: 'LITERAL-' }, // RFC 7888
  { capability: 'CHILDREN', isOffered: afterLogin }, // RFC 3348
  { capability: 'UTF8=ACCEPT', isOffered: afterLogin }, // RFC 9755
  { capability: 'OBJECTID', isOffered: afterLogin }, // RFC 8474
  { capability: 'UIDONLY', isOffered: afterLogin }, // RFC 9586
  { capability: 'INPROGRESS', isOffered: afterLogin }, // RFC 9585
  { capability: 'QUOTASET', isOffered: maySetQuota }, // RFC 9208
];

/** Names outside the syntax of a capability would break the line. */
const CAPABILITY = /^[!#$&'+,\-./0-9:;<=>?@A-Z^_`a-z|~]{1,64}$/;

/** The list with spaces between. Never rejects because of a plugin: the hook's fault policy is `skip`. */
export function capabilityText(session: ImapSession): string | Promise<string> {
  const { hooks, registry, actor, limits } = session.env;
  const names = registry.capabilities(session);
  if (afterLogin(session)) names.push(`APPENDLIMIT=${limits.messageOctets}`); // RFC 7889
  if (afterLogin(session) && limits.imapMessagesPerCommand > 0) names.push(`MESSAGELIMIT=${limits.imapMessagesPerCommand}`); // RFC 9738
  if (afterLogin(session) && limits.imapSavedMessages > 0) names.push(`SAVELIMIT=${limits.imapSavedMessages}`);
  for (const { capability, isOffered } of hooks.declared('imap.command')) {
    const context = { actor: session.login?.actor ?? actor, session: session.sdkSession, account: session.account };
    if (capability !== undefined && isOffered(context)) names.push(capability);
  }
  if (!hooks.has('imap.capabilities')) return names.join(' ');
  const changed = hooks.transform('imap.capabilities', names, {
    actor: session.login?.actor ?? actor,
    session: session.sdkSession,
    account: session.account,
  });
  return changed instanceof Promise ? changed.then(joined) : joined(changed);
}

function joined(names: readonly string[]): string {
  return [...new Set(names)].filter((name) => CAPABILITY.test(name)).join(' ');
}
