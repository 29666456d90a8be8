/**
 * Writes docs/hooks.md from the SDK's declarations: `node docs/generate-hooks.ts`. Kind, deadline, fault and stages come from `specs`, type
 * and text from `Hooks`, what is still to come from the server. A test compares the page with what this makes.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pendingEvents, pendingHooks } from '../core/src/plugins/pending-hooks.ts';
import { type HookName, type HookSpec, plaintextHooks, specs } from '../plugin-sdk/src/index.ts';

const source = join(import.meta.dirname, '../plugin-sdk/src/hooks.ts');
export const page = join(import.meta.dirname, 'hooks.md');

interface Declaration {
  readonly type: string;
  readonly text: string;
}

/** The members of `Hooks` by their path, with type and docstring. The text of an area stands for its first member without one. */
export function declarationsIn(text: string): ReadonlyMap<string, Declaration> {
  const found = new Map<string, Declaration>();
  const body = text.slice(text.indexOf('export interface Hooks'), text.indexOf('\n}\n'));
  // Docstrings, openings of areas, ends of areas, members: all else is of no interest.
  const token = /\/\*\*\s*([\s\S]*?)\s*\*\/|readonly (\w+): \{|readonly (\w+): ([^;]+);|\}/g;
  let area: string | undefined;
  let documented = '';
  for (const [whole, doc, opened, member, type] of body.slice(body.indexOf('{') + 1).matchAll(token)) {
    if (doc !== undefined) documented = doc.replaceAll(/\s*\n\s*\*\s*/g, ' ');
    else if (opened !== undefined) area = opened;
    else if (whole === '}') area = undefined;
    else if (member !== undefined && type !== undefined) {
      found.set(area === undefined ? member : `${area}.${member}`, { type: type.replaceAll(/\s+/g, ' '), text: documented });
      documented = '';
    }
  }
  return found;
}

const areas: readonly (readonly [title: string, first: HookName])[] = [
  ['A login', 'auth.normalize'],
  ['An account', 'account.lookup'],
  ['A message on its way in', 'rcpt.resolve'],
  ['What is put into a mailbox', 'append.before'],
  ['What changes a mailbox', 'copy.before'],
  ['What is read', 'fetch.authorize'],
  ['A message on its way out', 'submission.identity'],
  ['After it has happened', 'journal'],
  ['Additions', 'imap.capabilities'],
];
const faultWords: Readonly<Record<HookSpec<string>['onFault'], string>> = {
  tempfail: 'NO [UNAVAILABLE], 451 or 454, 503',
  skip: 'as if the tap were not there',
  log: 'logged, nobody waits',
  retry: 'tried again until it is done',
  start: 'what was declared does not work; a mistake in the declaration stops the start',
};

/** `specs` in its order, which is kept for ever, but for what joined a step later. */
const inOrder = (Object.keys(specs) as HookName[]).flatMap((name): readonly HookName[] => {
  if (name === 'auth.mechanism') return [];
  return name === 'auth.normalize' ? [name, 'auth.mechanism'] : [name];
});

export function hooksPage(hooksSource: string): string {
  const declarations = declarationsIn(hooksSource);
  const closed: ReadonlySet<string> = new Set<string>(plaintextHooks);
  const titles = new Map(areas.map(([title, first]) => [first, title]));
  const lines = [
    '# Hooks, in the order of execution',
    '',
    '<!-- Made by docs/generate-hooks.ts from plugin-sdk/src/hooks.ts and specs.ts: change those. -->',
    '',
    `The ${Object.keys(specs).length} hooks in the order in which a login, a message, a fetch meets them. Each has one verb, which is its kind; how to write a plugin is in`,
    '[writing-plugins.md](writing-plugins.md). `pochard explain login|deliver|fetch` prints the taps of a running server.',
    '',
    '- *decide*: the first answer wins, `undefined` is "not mine". *collect*: all are asked at once. *transform*: each gets what the one before',
    '  returned. *gate*: passes unless a tap throws; `Refusal` is for good, any other error is a fault. *observe*: looks on. *follow*: reads the',
    '  journal, at least once. *declare*: registers something while the plugin loads.',
    '- A *fault* is an error, an answer of the wrong shape or none within the deadline. After five in a row the tap rests: for 1 s, then one call',
    '  tries; when that fails too 2 s, then 4 s each time. `throw new Unavailable()` is answered like a fault and counts as none: a backend is down.',
    '- Hooks marked *plaintext* exist only for plugins with that permission.',
    '',
  ];
  for (const name of inOrder) {
    const title = titles.get(name);
    if (title !== undefined) lines.push(`## ${title}`, '');
    const { kind, deadlineMs, onFault, stages, unstaged }: HookSpec<string> = specs[name];
    const { type = '', text = '' } = declarations.get(name) ?? {};
    const pending = pendingHooks[name];
    lines.push(`### ${name}`, '', text, '');
    lines.push(`    ${type}`, '');
    lines.push(`*${kind}*, ${deadlineMs} ms${closed.has(name) ? ', *plaintext*' : ''}. A fault: ${faultWords[onFault]}.`);
    if (stages !== undefined) lines.push(`Stages: ${stages.map((stage) => (stage === unstaged ? `**${stage}**` : stage)).join(', ')}.`);
    if (pending !== undefined) lines.push(`**Not called yet** (${pending}): a plugin that taps it is refused at load.`);
    if (name === 'journal' && pendingEvents.size > 0)
      lines.push(`Not told yet, and refused at load: ${[...pendingEvents].map((type) => `\`${type}\``).join(', ')}.`);
    lines.push('');
  }
  return lines.join('\n');
}

if (import.meta.main) await writeFile(page, hooksPage(await readFile(source, 'utf8')));
