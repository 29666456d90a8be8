/** What a process takes, as Linux counts it; all in octets. */
import { readdir, readFile } from 'node:fs/promises';

export interface ProcessMemory {
  readonly rss: number;
  /** Resident, shared pages divided among those who share them. */
  readonly pss: number;
  /** The largest RSS since it started. */
  readonly peak: number;
}

export async function memoryOf(pid: number): Promise<ProcessMemory> {
  const [status, rollup] = await Promise.all([readFile(`/proc/${pid}/status`, 'utf8'), readFile(`/proc/${pid}/smaps_rollup`, 'utf8')]);
  return {
    rss: kiloOctets(status, /VmRSS:\s+(\d+) kB/),
    peak: kiloOctets(status, /VmHWM:\s+(\d+) kB/),
    pss: kiloOctets(rollup, /^Pss:\s+(\d+) kB/m),
  };
}

/** The least of some samples over a while: what is left when garbage has been collected. */
export async function settledMemoryOf(pid: number, samples = 8, everyMs = 500): Promise<ProcessMemory> {
  let least = await memoryOf(pid);
  for (let i = 1; i < samples; i++) {
    await new Promise((resolve) => setTimeout(resolve, everyMs));
    const now = await memoryOf(pid);
    least = { rss: Math.min(least.rss, now.rss), pss: Math.min(least.pss, now.pss), peak: now.peak };
  }
  return least;
}

export async function openDescriptors(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

export function mebi(octets: number): string {
  return `${(octets / 1_048_576).toFixed(1)} MiB`;
}
export function kibi(octets: number): string {
  return `${(octets / 1_024).toFixed(1)} KiB`;
}

function kiloOctets(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? Number.NaN) * 1_024;
}
