/** Commands on a data folder that no server has open. */
import { createLogger } from '../config/logger.ts';
import type { Config } from '../config/schema.ts';
import { PluginAdministration } from '../mail/plugin-administration.ts';
import type { AccountRecord, NewAccount } from '../mail/services.ts';
import { AclAdministration } from '../mail/sharing/acl-administration.ts';
import { type OpenMail, openMail } from '../open-mail.ts';
import { createActor } from '../plugins/identities.ts';
import type { Administration, AppPasswordAdministration, BulkOutcome, NewMessage, PluginInspection } from './administration.ts';

export async function localAdministration(config: Config, configFolder: string): Promise<Administration> {
  const log = createLogger({ level: 'warn', pretty: true, to: { write: (line) => process.stderr.write(line) } });
  return new LocalAdministration(await openMail({ config, log, configFolder }), config.limits.messageOctets);
}

class LocalAdministration implements Administration {
  readonly #mail: OpenMail;
  readonly #messageOctets: number;
  readonly plugins: PluginInspection;
  readonly #actor = createActor({ type: 'admin', name: 'command line' });
  readonly acl: Administration['acl'];
  readonly appPasswords: AppPasswordAdministration = {
    create: (id, wanted) => this.#accounts.createAppPassword(id, wanted),
    list: (id) => this.#accounts.appPasswords(id),
    revoke: (id, appPasswordId) => this.#accounts.revokeAppPassword(id, appPasswordId),
  };
  constructor(mail: OpenMail, messageOctets: number) {
    this.#mail = mail;
    this.#messageOctets = messageOctets;
    const plugins = new PluginAdministration({ hooks: mail.hooks, services: mail.services, administrator: this.#actor });
    this.acl = new AclAdministration({ services: mail.services, administrator: this.#actor });
    this.plugins = {
      list: async () => plugins.list(),
      explain: (what, name) => plugins.explain(what, name),
      testLogin: (username, password) => plugins.testLogin(username, password),
      run: (name, args, print) => plugins.run(name, args, print),
    };
  }

  get queue() {
    return this.#mail.services.submissionQueue;
  }
  get #accounts() {
    return this.#mail.services.accounts;
  }
  create(account: NewAccount): Promise<AccountRecord> {
    return this.#accounts.create(account);
  }
  createMany(accounts: AsyncIterable<NewAccount>): AsyncIterable<BulkOutcome> {
    return this.#accounts.createMany(accounts);
  }
  list(after: string | undefined, limit: number): Promise<readonly AccountRecord[]> {
    return this.#accounts.list(after === undefined ? { limit } : { after, limit });
  }
  async find(usernameOrAddress: string): Promise<AccountRecord> {
    const found = await this.#accounts.find(usernameOrAddress);
    if (found === undefined) throw new Error(`no account "${usernameOrAddress}"`);
    return found;
  }
  setPassword(id: AccountRecord['id'], password: Uint8Array): Promise<void> {
    return this.#accounts.setPassword(id, { password });
  }
  delete(id: AccountRecord['id']): Promise<void> {
    return this.#accounts.delete(id);
  }
  addAddress(id: AccountRecord['id'], address: string): Promise<AccountRecord> {
    return this.#accounts.addAddress(id, address);
  }
  removeAddress(id: AccountRecord['id'], address: string): Promise<AccountRecord> {
    return this.#accounts.removeAddress(id, address);
  }
  setAlias(address: string, to: readonly string[] | undefined): Promise<void> {
    return this.#accounts.setAlias(address, to);
  }

  async append(id: AccountRecord['id'], { mailbox, flags, internalDate, octets }: NewMessage): Promise<void> {
    const signal = new AbortController().signal;
    const access = await this.#accounts.access(id, this.#actor);
    const box = access.mail.byName(mailbox) ?? (await access.create(mailbox));
    const source = await this.#mail.services.spool.receive(once(octets), { limitOctets: this.#messageOctets, signal });
    try {
      await access.mayAppend(box.id, source.sizeOctets);
      await access.append(box.id, [{ source, flags, ...(internalDate === undefined ? {} : { internalDate }) }], signal);
    } finally {
      await source.dispose();
    }
  }
  close(): Promise<void> {
    return this.#mail.close();
  }
}

async function* once(octets: Uint8Array): AsyncGenerator<Uint8Array> {
  yield octets;
}
