/** What a guest may do while the owner gives and takes rights (RFC 4314 §4). */
import { type ModelCommand, mustBe } from './commands.ts';
import type { SessionView } from './session-view.ts';
import { difference } from './truth.ts';

export const ALL_RIGHTS = 'lrswitex';
/** All, as most commands are to do something, and all but one. */
export const SOME_RIGHTS = [ALL_RIGHTS, ALL_RIGHTS, 'lrswtex', 'lrswitx', 'lswitex'];

/** By the command's name: what it needs in INBOX, where a guest reads, writes and removes. */
const NEEDED: ReadonlyMap<string, string> = new Map([
  ['APPEND', 'i'],
  ['COPY', 'i'],
  ['MOVE', 'ite'],
  ['REPLACE', 'ite'],
  ['EXPUNGE', 'e'],
  ['STATUS', 'r'],
]);

export function maySelect({ guestOf }: SessionView, rights: string): boolean {
  return guestOf === undefined || rights.includes('r');
}

/** The command, or what becomes of it for one who may not. */
export function underRights(command: ModelCommand, { guestOf }: SessionView, rights: string): ModelCommand {
  if (guestOf === undefined) return command;
  const { line, literals } = command;
  // CLOSE goes on without removing anything (RFC 4314 §4).
  if (line === 'CLOSE' && !rights.includes('e')) return { line, check: (answer) => mustBe('OK', answer) };
  const name = /^(?:UID )?([A-Z]+)/.exec(line)?.[1] ?? '';
  const needed = `${NEEDED.get(name) ?? ''}${line.includes('CATENATE') ? 'r' : ''}`;
  if ([...needed].every((right) => rights.includes(right))) return command;
  return {
    line,
    ...(literals === undefined ? {} : { literals }),
    check(answer, truth) {
      // Where there is nothing to do there may be nothing to refuse.
      const does = name === 'STATUS' || command.outcomes?.(truth).some((outcome) => difference(outcome, truth) !== undefined) === true;
      if (does || !answer.done.startsWith('OK')) mustBe('NO', answer);
    },
  };
}
