/** Does a mailbox name match a LIST pattern (RFC 9051 §6.3.9)? `*` matches anything, `%` anything without the delimiter. */

type Matcher = (name: string) => boolean;

const INBOX = 'INBOX';

/**
 * Prepares `reference + pattern` for many names. A name costs at most its length times the pattern's length, and the pattern
 * counts only as far as the name could match it: no backtracking. INBOX and names below it match `inbox` in any case.
 */
export function listMatcher(reference: string, pattern: string, delimiter = '/'): Matcher {
  const whole = reference + pattern;
  if (whole === '*') return () => true;
  if (whole === '%') return (name) => !name.includes(delimiter);
  const steps = collapse(whole);
  let fixed = 0;
  for (const step of steps) if (step !== '*' && step !== '%') fixed += 1;
  if (fixed === steps.length) {
    const isInbox = steps.slice(0, INBOX.length).join('').toUpperCase() === INBOX && (fixed === 5 || steps[5] === delimiter);
    const exact = isInbox ? INBOX + steps.slice(INBOX.length).join('') : steps.join('');
    return (name) => name === exact;
  }
  return (name) => name.length >= fixed && matches(steps, name, delimiter);
}

/** UTF-16 units and wildcards; of neighbouring wildcards the stronger one is enough. */
function collapse(pattern: string): readonly string[] {
  const steps: string[] = [];
  for (let index = 0; index < pattern.length; index += 1) {
    const char = pattern.charAt(index);
    const last = steps.at(-1);
    if (char === '%' && (last === '%' || last === '*')) continue;
    if (char === '*') while (steps.at(-1) === '%' || steps.at(-1) === '*') steps.pop();
    steps.push(char);
  }
  return steps;
}

/** Walks the name once, holding every place of the pattern that the name so far can have reached. */
function matches(steps: readonly string[], name: string, delimiter: string): boolean {
  const foldUntil = name.startsWith(INBOX) && (name.length === INBOX.length || name[INBOX.length] === delimiter) ? INBOX.length : 0;
  let here = new Uint8Array(steps.length + 1);
  let next = new Uint8Array(steps.length + 1);
  here[0] = 1;
  skipWildcard(steps, here, 0);
  // Places before `from` and after `to` are empty.
  let from = 0;
  let to = 1;
  for (let index = 0; index < name.length; index += 1) {
    const char = name.charAt(index);
    let nextFrom = -1;
    let nextTo = -1;
    for (let place = from; place <= to && place < steps.length; place += 1) {
      if (here[place] === 0) continue;
      const step = steps[place] ?? '';
      let reached = -1;
      if (step === '*' || (step === '%' && char !== delimiter)) reached = place;
      else if (step !== '%' && (step === char || (index < foldUntil && step.toUpperCase() === char))) reached = place + 1;
      if (reached < 0) continue;
      next[reached] = 1;
      skipWildcard(steps, next, reached);
      if (nextFrom < 0) nextFrom = reached;
      nextTo = Math.max(nextTo, reached + 1);
    }
    if (nextFrom < 0) return false;
    here.fill(0, from, to + 1);
    [here, next] = [next, here];
    from = nextFrom;
    to = Math.min(nextTo, steps.length);
  }
  return here[steps.length] === 1;
}

/** A wildcard may match nothing, so its place is also the place after it. Wildcards never stand together. */
function skipWildcard(steps: readonly string[], places: Uint8Array, place: number): void {
  const step = steps[place];
  if (step === '*' || step === '%') places[place + 1] = 1;
}
