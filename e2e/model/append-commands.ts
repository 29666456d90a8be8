/** Commands that bring new messages: APPEND (RFC 3502 too), REPLACE (RFC 8508), CATENATE (RFC 4469). */
import { boxOf, type ModelCommand, must, mustBe, someFlags, type World } from './commands.ts';
import { type Answer, numbersOf, type SessionView } from './session-view.ts';
import { appended, expunged, flagText, internalDate, type Truth } from './truth.ts';

function octetsOf(id: number): Buffer {
  return Buffer.from(`Subject: message ${id}\r\nX-Id: ${id}\r\n\r\n${'text '.repeat(id % 40)}\r\n`);
}

export function append({ dice, truth, nextId }: World, view: SessionView): ModelCommand {
  const name = dice.pick(view.mailboxes);
  const count = dice.next() < 0.7 ? 1 : dice.between(2, 3);
  const messages = Array.from({ length: count }, () => ({ id: nextId(), flags: flagText(someFlags(dice, 2)) }));
  const octets = messages.map(({ id }) => octetsOf(id));
  const head = (index: number): string =>
    `(${messages[index]?.flags}) "${internalDate(messages[index]?.id ?? 0)}" {${octets[index]?.length}}`;
  const literals = octets.map((body, index) => Buffer.concat([body, Buffer.from(index + 1 < count ? ` ${head(index + 1)}\r\n` : '\r\n')]));
  const exists = truth.has(name);
  return {
    line: `APPEND ${view.wire(name)} ${head(0)}`,
    literals,
    outcomes: (now) => [now.has(name) ? appended(now, name, messages) : now],
    check(answer, _before, after) {
      if (!exists) return mustBe('NO [TRYCREATE]', answer);
      const code = /^OK \[APPENDUID (\d+) ([\d:,]+)\]/.exec(answer.done);
      const box = after.get(name);
      const uids = numbersOf(code?.[2] ?? '');
      must(box !== undefined && Number(code?.[1]) === box.uidValidity && uids.length === count, 'APPENDUID', answer);
      for (const [index, { id }] of messages.entries()) {
        must(box?.messages.some((message) => message.uid === uids[index] && message.id === id) === true, `UID of message ${id}`, answer);
      }
      if (view.selected?.uidValidity === box?.uidValidity)
        must(
          answer.untagged.some((line) => line.endsWith(' EXISTS')),
          'EXISTS of the own APPEND',
          answer,
        );
    },
  };
}

/** The old message goes with the same command with which the new one comes, or neither. */
export function replace({ dice, nextId }: World, view: SessionView): ModelCommand {
  const index = dice.between(0, view.messages.length - 1);
  const uid = view.messages[index]?.uid ?? 0;
  const isUid = view.usesUids || dice.next() < 0.5;
  const to = dice.pick(view.mailboxes);
  const message = { id: nextId(), flags: flagText(someFlags(dice, 2)) };
  const octets = octetsOf(message.id);
  const readOnly = view.selected?.readOnly === true;
  const isThere = (truth: Truth): boolean => boxOf(truth, view)[1].messages.some((one) => one.uid === uid);
  return {
    line: `${isUid ? 'UID ' : ''}REPLACE ${isUid ? uid : index + 1} ${view.wire(to)} (${message.flags}) "${internalDate(message.id)}" {${octets.length}}`,
    literals: [Buffer.concat([octets, Buffer.from('\r\n')])],
    outcomes(truth) {
      if (readOnly || !truth.has(to) || !isThere(truth)) return [truth];
      const [name] = boxOf(truth, view);
      return [expunged(appended(truth, to, [message]), name, (one) => one.uid === uid)];
    },
    check(answer, truth, after) {
      if (readOnly) return mustBe('NO', answer);
      if (!truth.has(to)) return mustBe('NO [TRYCREATE]', answer);
      if (!isThere(truth)) return mustBe(isUid ? 'NO [NONEXISTENT]' : 'NO [EXPUNGEISSUED]', answer);
      mustBe('OK', answer);
      const code = answer.untagged.findIndex((line) => line.startsWith('* OK [APPENDUID '));
      isPlaced(/\[APPENDUID (\d+) (\d+)\]/.exec(answer.untagged[code] ?? ''), message.id, to, answer, after);
      const removal = answer.untagged.findIndex((line) => /^\* (?:\d+ EXPUNGE|VANISHED)/.test(line));
      must(removal > code, 'the old message is expunged, behind APPENDUID (RFC 8508 §3.3)', answer);
      must(view.indexOf(uid) === -1, `UID ${uid} was replaced and is told to be gone`, answer);
    },
  };
}

/** A message of new text and of the text of one that is, or was, there. */
export function catenate({ dice, truth, nextId }: World, view: SessionView): ModelCommand {
  const to = dice.pick(view.mailboxes);
  const from = dice.pick(view.mailboxes);
  const source = truth.get(from);
  const uidValidity = dice.next() < 0.1 ? 1 : (source?.uidValidity ?? 1);
  const there = source?.messages.map(({ uid }) => uid) ?? [];
  const uid = there.length === 0 || dice.next() < 0.15 ? dice.between(1, source?.uidNext ?? 1) : dice.pick(there);
  const message = { id: nextId(), flags: flagText(someFlags(dice, 2)) };
  const octets = octetsOf(message.id);
  const url = `/${view.wire(from)};UIDVALIDITY=${uidValidity}/;UID=${uid}/;SECTION=TEXT`;
  const isFound = (now: Truth): boolean =>
    now.get(from)?.uidValidity === uidValidity && now.get(from)?.messages.some((one) => one.uid === uid) === true;
  return {
    line: `APPEND ${view.wire(to)} (${message.flags}) "${internalDate(message.id)}" CATENATE (TEXT {${octets.length}}`,
    literals: [Buffer.concat([octets, Buffer.from(` URL "${url}")\r\n`)])],
    outcomes(now) {
      if (!now.has(to)) return [now];
      return [isFound(now) ? appended(now, to, [message]) : now];
    },
    // The piece is looked up before the message is stored: it may go in between.
    amongOthers(now) {
      if (!now.has(to)) return [now];
      return isFound(truth) || isFound(now) ? [appended(now, to, [message]), now] : [now];
    },
    check(answer, before, after) {
      if (!before.has(to)) return mustBe('NO [TRYCREATE]', answer);
      if (!isFound(before)) return mustBe('NO [BADURL "', answer);
      mustBe('OK [APPENDUID ', answer);
      isPlaced(/\[APPENDUID (\d+) (\d+)\]/.exec(answer.done), message.id, to, answer, after);
    },
  };
}

function isPlaced(code: RegExpExecArray | null, id: number, to: string, answer: Answer, after: Truth): void {
  const target = after.get(to);
  const isThere = target?.messages.some((one) => one.uid === Number(code?.[2]) && one.id === id) === true;
  must(isThere && Number(code?.[1]) === target?.uidValidity, `APPENDUID of message ${id} in ${to}`, answer);
}
