/** Access control lists as the administrator sees and changes them. */
import type { Actor } from '@pochard/plugin-sdk';
import { MailError } from '../errors.ts';
import { lettersOf, NO_RIGHTS, rightSet } from '../journal/acl.ts';
import type { AccountRecord, Accounts, MailServices } from '../services.ts';

export interface AclEntry {
  /** A username or `anyone`; with `-` before it the rights are taken away. */
  readonly identifier: string;
  /** Letters of RFC 4314 §2.1. */
  readonly rights: string;
}

export class AclAdministration {
  readonly #accounts: Pick<Accounts, 'access'>;
  readonly #sharing: MailServices['sharing'];
  readonly #administrator: Actor;

  constructor(options: { readonly services: Pick<MailServices, 'accounts' | 'sharing'>; readonly administrator: Actor }) {
    this.#accounts = options.services.accounts;
    this.#sharing = options.services.sharing;
    this.#administrator = options.administrator;
  }

  /** @throws MailError no-such-mailbox */
  async list(id: AccountRecord['id'], mailbox: string): Promise<readonly AclEntry[]> {
    const { access, box } = await this.#mailbox(id, mailbox);
    return access.acl(box).map(([identifier, rights]) => ({ identifier, rights: lettersOf(rights) }));
  }

  /**
   * In place of what it had; no rights remove the entry, also one of a user who has gone.
   * @throws MailError no-such-mailbox, no-such-account, invalid (a letter is no right), unsupported, limit
   */
  async set(id: AccountRecord['id'], mailbox: string, { identifier, rights: letters }: AclEntry): Promise<void> {
    const rights = rightSet(letters);
    if (rights === undefined) throw new MailError('invalid', `Not rights: ${letters}`);
    const { access, box } = await this.#mailbox(id, mailbox);
    const who = rights === NO_RIGHTS ? { identifier } : await this.#sharing.identify(identifier);
    await access.setAcl(box, { ...who, mode: 'replace', rights });
  }

  async #mailbox(id: AccountRecord['id'], name: string) {
    const access = await this.#accounts.access(id, this.#administrator);
    const info = access.mail.byName(name);
    if (info === undefined || !info.selectable) throw new MailError('no-such-mailbox', 'No such mailbox');
    return { access, box: info.id };
  }
}
