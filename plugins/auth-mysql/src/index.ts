import { definePlugin, Refusal, Type } from '@pochard/plugin-sdk';
import { AccountListing } from './account-listing.ts';
import { accountsCommand } from './accounts-command.ts';
import { configMistakes, configSchema } from './config.ts';
import { RecentValues } from './credential-caches.ts';
import { Database } from './database.ts';
import { Directory, type DirectoryUser } from './directory.ts';
import { LoginVerifier } from './login.ts';
import { lookupName } from './names.ts';
import { statementsOf } from './statements.ts';

/** What the plugin keeps of an account: that a database vouched for it when it was made. */
const MadeBy = Type.Object({ username: Type.String() });
const MAX_RECENT = 10_000;

/** Users of an existing MySQL or MariaDB log in and receive mail. Never sees a password, so it needs no `credentials`. */
export const plugin = definePlugin({
  name: 'auth-mysql',
  permissions: ['network'],
  config: configSchema,
  check: configMistakes,
  async apply({ hooks, passwords, table, counter, log, onClose }, config) {
    const now = () => performance.now();
    const statements = statementsOf(config);
    const database = new Database(
      config,
      {
        queries: counter('queries_total', 'Statements executed'),
        failures: counter('query_failures_total', 'Statements without an answer'),
        timeouts: counter('query_timeouts_total', 'Statements that took too long'),
        failovers: counter('failovers_total', 'Lookups that went to another server'),
      },
      now,
    );
    onClose(() => database.close());
    const directory = new Directory(database, statements, config);
    const logins = new LoginVerifier({
      directory,
      database,
      passwords,
      config,
      rehash: config.rehash === 'writeBack' ? statements.rehash : undefined,
      log,
      now,
      counters: {
        acceptedHits: counter('accepted_cache_hits_total', 'Logins accepted from memory'),
        rejectedHits: counter('rejected_cache_hits_total', 'Wrong passwords known from memory'),
        checks: counter('password_checks_total', 'Passwords hashed'),
        unreadable: counter('unusable_passwords_total', 'Logins refused because the stored password has no usable scheme'),
        rehashed: counter('rehashed_total', 'Stored passwords replaced by a better hash'),
      },
    });
    const made = table('accounts', MadeBy);
    const vouched = new RecentValues<true>({ ttlMs: 60_000, maxEntries: MAX_RECENT, now });
    const users = new RecentValues<DirectoryUser | undefined>({ ttlMs: config.cache.quotaMs, maxEntries: MAX_RECENT, now });

    const find = async (text: string, signal: AbortSignal): Promise<DirectoryUser | undefined> => {
      const name = lookupName(text);
      const user = name && (await directory.mailboxInForce(name, signal));
      users.remember(text, user);
      return user;
    };

    const { defaultDomain } = config;
    if (defaultDomain !== undefined) hooks.auth.normalize.transform((typed) => (typed.includes('@') ? typed : `${typed}@${defaultDomain}`));

    hooks.auth.verify.decide(async (attempt, call) => {
      const verdict = await logins.verify(attempt, call);
      if (verdict?.result === 'accept') vouched.remember(verdict.account.username, true);
      return verdict;
    });

    // An app password is the core's own: that its user may still come in is not.
    hooks.auth.succeeded.gate(async ({ credentialId, session }, { account, signal }) => {
      if (credentialId === 'password') return;
      const user = await find(account.username, signal);
      const isOurs = user !== undefined || (await made.get(account.id, 'account')) !== undefined;
      if (isOurs && !(user?.mayLogIn === true && user.seed.allow?.includes(session.protocol) !== false))
        throw new Refusal('forbidden', 'This account may not log in here');
    });

    hooks.auth.credential.gate(async (change, { account, signal }) => {
      if (change.credentialId !== 'password' || (change.change !== 'changed' && change.change !== 'reset')) return;
      const user = await find(account.username, signal);
      if (user === undefined) return;
      const { rehash } = statements;
      // Two stores have no commit in common: the key of sealed mail and its password could part.
      if (config.passwordChange !== 'writeBack' || rehash === undefined || account.sealed)
        throw new Refusal('unsupported', 'The password is kept in another database: change it there');
      const hash = await passwords.hash(change.secret, signal);
      if ((await database.update(rehash, hash, user.login, user.password ?? '', signal)) === 0)
        throw new Refusal('unsupported', 'The password could not be changed in its database');
      for (const name of [account.username, user.login]) logins.forget(name);
      log.info('password changed in the database', { change: change.change });
    });

    hooks.account.lookup.decide(async ({ username }, { signal }) => {
      const user = await find(username, signal);
      if (user !== undefined) vouched.remember(user.seed.username, true);
      return user?.seed;
    });

    hooks.account.creating.gate(async ({ seed, commit }, { account }) => {
      if (vouched.find(seed.username)?.age === 'fresh')
        await made.put(account.id, 'account', { username: account.username }, { in: commit });
    });

    hooks.rcpt.resolve.decide(async ({ address }, { signal }) => {
      const name = lookupName(address);
      const meaning = name && (await directory.meaning(name, signal));
      if (name === undefined || meaning === undefined) return undefined;
      if (meaning.is === 'disabled') return { result: 'reject', reason: 'disabled' };
      if (meaning.is === 'alias') return { result: 'alias', to: meaning.to };
      const { seed } = meaning.user;
      vouched.remember(seed.username, true);
      return { result: 'deliver', account: seed };
    });

    // An account of the core's own list is not resolved again: what its alias row adds is added here.
    hooks.rcpt.expand.transform(async (addresses, { address, signal }) => {
      const name = lookupName(address);
      const forwards = name && addresses.includes(address) ? await directory.forwards(name, signal) : undefined;
      return forwards === undefined ? addresses : [...new Set([...addresses.filter((one) => one !== address), ...forwards])];
    });

    hooks.rcpt.accept.gate(async (_request, { account, signal }) => {
      const user = await find(account.username, signal);
      if (user !== undefined ? user.receives : (await made.get(account.id, 'account')) === undefined) return;
      throw new Refusal('policy', user === undefined ? 'Mailbox gone' : 'Mailbox disabled');
    });

    hooks.quota.limits.decide(async (_question, { account, signal }) => {
      const known = users.find(account.username);
      if (known === undefined) return limitsOf(await find(account.username, signal));
      // What is known is good enough for now; the next question finds what this one asks for.
      if (known.age === 'stale') {
        users.remember(account.username, known.value);
        find(account.username, AbortSignal.timeout(config.connection.queryTimeoutMs)).catch((error: unknown) =>
          log.warn('quota was not looked up', { error }),
        );
      }
      return limitsOf(known.value);
    });

    hooks.submission.identity.decide(
      async ({ address }, { account, signal }) => {
        const name = lookupName(address);
        return name !== undefined && (await directory.reaches(name, account.username, signal)) ? { allowed: true } : undefined;
      },
      { whenMissing: 'skip' }, // logins and mail do not need it
    );

    hooks.cli.command.declare(
      accountsCommand(statements.list && new AccountListing(database, directory, statements.list, config.domainForm)),
    );

    const { user, mailbox, alias, domain, domainAlias } = statements;
    try {
      await database.check([user, mailbox, alias, domain, domainAlias], AbortSignal.timeout(5_000));
      log.info('users come from the database', { replicas: config.readReplicas.length });
    } catch (error) {
      // The server starts: who is logged in stays so, and the others hear "unavailable" until the database is back.
      log.error('the database does not answer as configured', { error });
    }
  },
});

function limitsOf(user: DirectoryUser | undefined): { readonly octets: number | 'unlimited' } | undefined {
  const octets = user?.seed.quotaOctets;
  return octets === undefined ? undefined : { octets };
}
