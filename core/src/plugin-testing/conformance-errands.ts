/** What a day of mail does not meet: failed logins, credentials, accounts seen for the first time, and what plugins declare. */
import type { HookName } from '@pochard/plugin-sdk';
import { createActor } from '../plugins/identities.ts';
import type { MemoryTestHost } from './test-host.ts';

type Errand = (host: MemoryTestHost, username: string) => Promise<void>;
const administrator = createActor({ type: 'admin', name: 'conformance' });

/** Of the accounts of the trial. */
export const PASSWORD = 'correct horse';

/** An errand fails with what somebody would have been told. */
const errands: { readonly [Name in HookName]?: Errand } = {
  'auth.failed': failedLogin,
  'rcpt.resolve': strangersMail,
  'submission.identity': anotherAddress,
  'auth.credential': credentials,
  'account.lookup': firstSight,
  'account.provision': firstSight,
  'account.creating': newAccount,
  'account.mailboxes': newAccount,
  'imap.command': async (host, username) => {
    for (const { name } of host.life.hooks.declared('imap.command')) {
      const replies = await (await host.login(username, PASSWORD)).imap(`x1 ${name}`, 'x2 LOGOUT');
      if (!replies.some((line) => /^x1 (?:OK|NO|BAD)/.test(line))) throw new Error(`${name} was not answered: ${replies.join()}`);
    }
  },
  'http.route': async (host) => {
    for (const route of host.life.hooks.declared('http.route')) {
      await route.handle({ params: {}, query: {}, body: undefined }, { actor: administrator });
    }
  },
  'cli.command': async (host) => {
    for (const command of host.life.hooks.declared('cli.command')) await command.run([], { actor: administrator, print: () => undefined });
  },
  'health.check': async (host) => {
    for (const check of host.life.hooks.declared('health.check')) await check.check({ actor: administrator });
  },
};
/** Runs what reaches `hook`; all of it when undefined. Nothing for hooks that a day of mail reaches. */
export async function runErrands(host: MemoryTestHost, username: string, hook: HookName | undefined): Promise<void> {
  const due = hook === undefined ? new Set(Object.values(errands)) : new Set([errands[hook]]);
  for (const errand of due) await errand?.(host, username);
}
/** What the administrator asks for is nobody's session: it is asked for once. */
export function isAdministrators(hook: HookName | undefined): boolean {
  return hook === 'http.route' || hook === 'cli.command' || hook === 'health.check';
}

async function failedLogin(host: MemoryTestHost, username: string): Promise<void> {
  try {
    await host.login(username, 'wrong');
  } catch (error) {
    if (error instanceof Error && /AUTHENTICATIONFAILED/.test(error.message)) return;
    throw error;
  }
  throw new TypeError('a wrong password was right');
}

async function credentials(host: MemoryTestHost, username: string): Promise<void> {
  const { accounts } = host.life.services;
  const account = await accounts.find(username);
  if (account === undefined) throw new TypeError(`${username} is gone`);
  const { id } = await accounts.createAppPassword(account.id, { label: 'conformance', scope: ['imap'] });
  await accounts.revokeAppPassword(account.id, id);
}

/** To an address that the core does not know. */
async function strangersMail(host: MemoryTestHost, username: string): Promise<void> {
  await refused(
    host.deliver({ from: 'bob@example.org', to: `stranger-${username}`, raw: 'Subject: hello\n\nhello\n' }),
    /No such recipient/,
  );
}

/** From an address that is not the account's own. */
async function anotherAddress(host: MemoryTestHost, username: string): Promise<void> {
  const session = await host.login(username, PASSWORD);
  const raw = `From: other-${username}\r\nSubject: hello\r\n\r\nhello\r\n`;
  await refused(session.submit(['carol@example.org'], raw), /You may not send/);
  await session.logout();
}

/** Done, or refused in the words that are right here. */
async function refused(work: Promise<unknown>, text: RegExp): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof Error) || !text.test(error.message)) throw error;
  }
}

/** A name that nobody has seen; a directory may know it. */
async function firstSight(host: MemoryTestHost, username: string): Promise<void> {
  const names = await host.life.services.accounts.list({ limit: 10_000 });
  await host.life.services.accounts.find(`seen-${names.length}-${username}`);
}

async function newAccount(host: MemoryTestHost, username: string): Promise<void> {
  const names = await host.life.services.accounts.list({ limit: 10_000 });
  await host.life.services.accounts.create({ username: `new-${names.length}-${username}` });
}
