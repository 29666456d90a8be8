/** `pochard fsck`: the driver's own storage, then what each account's state means. Reads only. */
import { silentLogger } from '../config/logger.ts';
import type { Config } from '../config/schema.ts';
import { fsckAccount } from '../mail/fsck.ts';
import type { AccountRecord } from '../mail/services.ts';
import { openMail } from '../open-mail.ts';

const PAGE = 500;

export async function* fsckLines(
  config: Config,
  account: string | undefined,
): AsyncGenerator<{ readonly problem: boolean; readonly text: string }> {
  const mail = await openMail({ config: { ...config, plugins: [] }, log: silentLogger(), configFolder: config.data });
  try {
    let accounts = 0;
    let problems = 0;
    if (account === undefined) {
      for await (const { what, problem } of mail.store.check()) {
        problems += 1;
        yield { problem: true, text: `${what}: ${problem}` };
      }
    }
    for await (const { id, username } of chosen(mail.services.accounts, account)) {
      accounts += 1;
      for await (const { what, problem } of fsckAccount(mail.store, id)) {
        problems += 1;
        yield { problem: true, text: `${username}: ${what}: ${problem}` };
      }
    }
    yield { problem: false, text: `${accounts} accounts checked, ${problems === 0 ? 'no problems' : `${problems} problems`}` };
  } finally {
    await mail.close();
  }
}

interface Lookup {
  find(name: string): Promise<AccountRecord | undefined>;
  list(options: { readonly after?: string; readonly limit: number }): Promise<readonly AccountRecord[]>;
}

async function* chosen(accounts: Lookup, name: string | undefined): AsyncGenerator<AccountRecord> {
  if (name !== undefined) {
    const found = await accounts.find(name);
    if (found === undefined) throw new Error(`no account "${name}"`);
    yield found;
    return;
  }
  let after: string | undefined;
  for (;;) {
    const page = await accounts.list(after === undefined ? { limit: PAGE } : { after, limit: PAGE });
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1)?.username;
  }
}
