/** Which command comes next. */
import { append, catenate, replace } from './append-commands.ts';
import { copy, expunge, fetch, isFull, type ModelCommand, search, status, store, type World } from './commands.ts';
import type { SessionView } from './session-view.ts';

/** For one that runs alone. */
export function someCommand(world: World, session: SessionView): ModelCommand {
  const kind = world.dice.next();
  if (kind < 0.06 && !isFull(world.truth)) return catenate(world, session);
  if (kind < 0.18 && !isFull(world.truth)) return append(world, session);
  if (session.messages.length === 0) return kind < 0.6 && !isFull(world.truth) ? append(world, session) : status(world, session);
  if (kind < 0.24) return replace(world, session);
  if (kind < 0.4) return store(world, session);
  if (kind < 0.55) return isFull(world.truth) ? expunge(world, session) : copy(world, session);
  if (kind < 0.66) return expunge(world, session);
  if (kind < 0.82) return fetch(world, session);
  if (kind < 0.96) return search(world, session);
  return status(world, session);
}

/** For one that runs beside others. */
export function commandForBurst(world: World, session: SessionView): ModelCommand {
  const kind = world.dice.next();
  if (kind < 0.13) return append(world, session);
  if (kind < 0.2) return catenate(world, session);
  if (kind < 0.28) return replace(world, session);
  if (kind < 0.5) return store(world, session);
  if (kind < 0.65) return copy(world, session);
  if (kind < 0.85) return expunge(world, session);
  if (kind < 0.92) return { line: 'NOOP' };
  return search(world, session);
}
