/** Runs a program that we did not write, to its end. */
import { spawn } from 'node:child_process';
import { compileCacheEnv } from './compile-cache.ts';

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Then it is killed and `code` is null. */
  readonly timeoutMs?: number;
}

export function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { input, env, cwd, timeoutMs = 60_000 } = options;
  const child = spawn(program, args, {
    stdio: 'pipe',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    env: { ...process.env, ...compileCacheEnv, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on('error', () => undefined); // a program may end before it has read its input
  child.stdin.end(input ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      resolve({ code, stdout: Buffer.concat(stdout).toString('latin1'), stderr: Buffer.concat(stderr).toString('latin1') }),
    );
  });
}

/** Runs it and wants exit status 0. @throws Error with what it wrote */
export async function mustRun(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const ran = await runProgram(program, args, options);
  if (ran.code !== 0)
    throw new Error(`${program} ${args.join(' ')}: exit ${ran.code}\n${ran.stdout.slice(-3000)}\n${ran.stderr.slice(-6000)}`);
  return ran;
}
