import { type CommandContext, defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { quotaLimits } from '../grammar/mailbox-arguments.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { astring } from '../grammar/strings.ts';
import { mailbox } from '../grammar/write.ts';

/** STORAGE counts in units of 1024 octets (RFC 9208 §5.1). */
const UNIT = 1024;

/** The one quota root of an account is called "". Resources without a limit are left out (RFC 9208 §4.2.1). */
async function writeQuota({ access, respond }: CommandContext): Promise<void> {
  const limits = await access.limits();
  const { usage } = access.mail;
  const resources: string[] = [];
  if (limits.octets !== undefined) resources.push(`STORAGE ${Math.ceil(usage.octets / UNIT)} ${Math.floor(limits.octets / UNIT)}`);
  if (limits.messages !== undefined) resources.push(`MESSAGE ${usage.messages} ${limits.messages}`);
  if (limits.mailboxes !== undefined) resources.push(`MAILBOX ${usage.mailboxes} ${limits.mailboxes}`);
  respond.untagged(`QUOTA "" (${resources.join(' ')})`);
}

/** GETQUOTA: RFC 9208 §4.1.1. */
export const getQuota = defineCommand({
  name: 'GETQUOTA',
  states: ['authenticated'],
  capability: ['QUOTA', 'QUOTA=RES-STORAGE', 'QUOTA=RES-MESSAGE', 'QUOTA=RES-MAILBOX'],
  mayExpunge: true,
  args: args({ root: astring }),

  async handle(context, { root }) {
    if (root !== '') throw new ImapNo('NONEXISTENT', 'No such quota root');
    await writeQuota(context);
  },
});

/** GETQUOTAROOT: RFC 9208 §4.1.2. */
export const getQuotaRoot = defineCommand({
  name: 'GETQUOTAROOT',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ name: mailboxName }),

  async handle(context, { name }) {
    if (context.access.mail.byName(name) === undefined) throw new ImapNo('NONEXISTENT', 'No such mailbox');
    context.respond.untagged(`QUOTAROOT ${mailbox(name, context.session.names)} ""`);
    await writeQuota(context);
  },
});

/** SETQUOTA: RFC 9208 §4.1.3. Limits are the administrator's. */
export const setQuota = defineCommand({
  name: 'SETQUOTA',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ root: astring, limits: quotaLimits }),

  handle() {
    throw new ImapNo('NOPERM', 'Quota is set by the administrator');
  },
});
