import { UNLIMITED_OCTETS } from '../../mail/accounts/quota.ts';
import type { MailAccess } from '../../mail/services.ts';
import { maySetQuota } from '../capabilities.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { quotaLimits } from '../grammar/mailbox-arguments.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { astring } from '../grammar/strings.ts';
import type { QuotaLimit } from '../grammar/syntax-tree.ts';
import { mailbox, textString } from '../grammar/write.ts';
import { mayIn } from '../guest-view.ts';
import { findName, OTHERS, othersOf, splitOthers } from '../mailboxes.ts';

/** STORAGE counts in units of 1024 octets (RFC 9208 §5.1). */
const UNIT = 1024;

/** The one quota root of an account is called "", that of another user's `user/<username>`. */
function rootOf({ guest }: MailAccess): string {
  return guest === undefined ? '' : OTHERS + guest.owner;
}

/** Messages count towards their owner, and concern who may add some. */
function mayAdd(access: MailAccess): boolean {
  for (const { id } of access.mail.mailboxes()) if (mayIn(access, id, 'i')) return true;
  return false;
}

/** Resources without a limit are left out (RFC 9208 §4.2.1). */
async function writeQuota({ respond, session }: CommandContext, access: MailAccess, root = rootOf(access)): Promise<void> {
  const limits = await access.limits();
  const { usage } = access.mail;
  const resources: string[] = [];
  if (limits.octets !== undefined) resources.push(`STORAGE ${Math.ceil(usage.octets / UNIT)} ${Math.floor(limits.octets / UNIT)}`);
  if (limits.messages !== undefined) resources.push(`MESSAGE ${usage.messages} ${limits.messages}`);
  if (limits.mailboxes !== undefined) resources.push(`MAILBOX ${usage.mailboxes} ${limits.mailboxes}`);
  respond.untagged(`QUOTA ${textString(root, session.names)} (${resources.join(' ')})`);
}

/** GETQUOTA: RFC 9208 §4.1.1. */
export const getQuota = defineCommand({
  name: 'GETQUOTA',
  states: ['authenticated'],
  capability: ['QUOTA', 'QUOTA=RES-STORAGE', 'QUOTA=RES-MESSAGE', 'QUOTA=RES-MAILBOX'],
  mayExpunge: true,
  args: args({ root: astring }),

  async handle(context, { root }) {
    const other = splitOthers(root);
    if (root !== '' && maySetQuota(context.session)) {
      await writeQuota(context, await accessOf(context, root), root);
      return;
    }
    const access = root === '' ? context.access : other?.name === '' ? await othersOf(context.session).of(other.owner) : undefined;
    if (access === undefined || !mayAdd(access)) throw new ImapNo('NONEXISTENT', 'No such quota root');
    await writeQuota(context, access);
  },
});

/** GETQUOTAROOT: RFC 9208 §4.1.2. */
export const getQuotaRoot = defineCommand({
  name: 'GETQUOTAROOT',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ name: mailboxName }),

  async handle(context, { name }) {
    const { session, respond } = context;
    const { access, info } = await findName(session, name);
    access.guest?.require(info.id, 'lr');
    respond.untagged(`QUOTAROOT ${mailbox(name, session.names)} ${textString(rootOf(access), session.names)}`);
    if (mayAdd(access)) await writeQuota(context, access);
  },
});

/** The account of a root, for an administrator of quotas. @throws ImapNo NONEXISTENT */
async function accessOf({ access, session }: CommandContext, root: string): Promise<MailAccess> {
  if (root === '') return access;
  const other = splitOthers(root);
  const { accounts } = session.env.services;
  const record = other?.name === '' ? await accounts.find(other.owner) : undefined;
  if (record === undefined) throw new ImapNo('NONEXISTENT', 'No such quota root');
  return accounts.access(record.id, session.login?.actor ?? session.env.actor);
}

/** Octets; what is not named has no limit afterwards (RFC 9208 §4.1.3). @throws ImapNo CANNOT */
function storageOf(limits: readonly QuotaLimit[]): number {
  let octets = UNLIMITED_OCTETS;
  for (const { resource, limit } of limits) {
    if (resource !== 'STORAGE') throw new ImapNo('CANNOT', 'Only STORAGE can be set');
    octets = Math.min(limit * UNIT, UNLIMITED_OCTETS);
  }
  return octets;
}

/** SETQUOTA: RFC 9208 §4.1.3. For whom the configuration names; MESSAGE and MAILBOX are a plugin's to limit (`quota.limits`). */
export const setQuota = defineCommand({
  name: 'SETQUOTA',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ root: astring, limits: quotaLimits }),

  async handle(context, { root, limits }) {
    if (!maySetQuota(context.session)) throw new ImapNo('NOPERM', 'Quota is set by the administrator');
    const access = await accessOf(context, root);
    await context.session.env.services.accounts.update(access.mail.account, { quotaOctets: storageOf(limits) });
    await writeQuota(context, access, root);
  },
});
