import type { SchemeCheck } from './scheme.ts';

/** For the tests: a scheme that is not of core, and misbehaves on request. */
export const check: SchemeCheck = (secret, { encoded }) => {
  const text = Buffer.from(secret).toString();
  if (text === 'throw') throw new Error('broken scheme');
  if (text === 'die') process.exit(1);
  return [...text].reverse().join('') === encoded;
};
