/** Flag bits as IMAP text, made once for each combination that a mailbox has. */
import type { MailboxInfo } from '../mail/journal/account-mail.ts';
import type { FlagBits } from '../mail/journal/entry.ts';

const SYSTEM = ['\\Seen', '\\Answered', '\\Flagged', '\\Deleted', '\\Draft'] as const;
/** Mailboxes have a handful of combinations; somebody who makes more of them pays for it. */
const MAX_TEXTS = 1024;

function namesOf(bits: FlagBits, keywords: readonly string[]): string {
  const names: string[] = [];
  for (let bit = 0; bit < 5; bit++) if ((bits & (1 << bit)) !== 0) names.push(SYSTEM[bit] as string);
  for (let bit = 5; bit < 32; bit++) {
    const name = keywords[bit - 5];
    if (name !== undefined && (bits & (1 << bit)) !== 0) names.push(name);
  }
  return names.join(' ');
}

export class FlagTexts {
  readonly #plain = new Map<FlagBits, string>();
  readonly #recent = new Map<FlagBits, string>();

  /** `(\Seen $Junk)`. A keyword's bit is set only once it has a name that never changes, so texts never go stale. */
  text(bits: FlagBits, keywords: readonly string[], recent: boolean): string {
    const texts = recent ? this.#recent : this.#plain;
    const known = texts.get(bits);
    if (known !== undefined) return known;
    const names = namesOf(bits, keywords);
    const text = recent ? (names === '' ? '(\\Recent)' : `(\\Recent ${names})`) : `(${names})`;
    if (texts.size >= MAX_TEXTS) texts.clear();
    texts.set(bits, text);
    return text;
  }
}

/** Shared by all sessions of a server that have the mailbox open. */
export class FlagTextCache {
  readonly #byMailbox = new WeakMap<MailboxInfo, FlagTexts>();

  of(info: MailboxInfo): FlagTexts {
    let texts = this.#byMailbox.get(info);
    if (texts === undefined) {
      texts = new FlagTexts();
      this.#byMailbox.set(info, texts);
    }
    return texts;
  }
}

/** FLAGS of SELECT: `(\Answered \Flagged \Deleted \Seen \Draft $Junk)`. */
export function mailboxFlags(keywords: readonly string[], isShown: (flag: string) => boolean = () => true): string {
  return `(${['\\Answered', '\\Flagged', '\\Deleted', '\\Seen', '\\Draft', ...keywords].filter(isShown).join(' ')})`;
}
