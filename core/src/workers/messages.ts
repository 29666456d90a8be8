/** What the parent and its worker processes tell each other. */
import type { MetricObject } from 'prom-client';
import type { RunFile } from '../cli/administration.ts';

export type FromWorker =
  | { readonly kind: 'ready'; readonly listeners: RunFile['listeners'] }
  /** Every few seconds: its event loop turns. */
  | { readonly kind: 'alive' }
  | { readonly kind: 'ask-metrics'; readonly id: number }
  | { readonly kind: 'metrics'; readonly id: number; readonly metrics: readonly MetricObject[] };
export type ToWorker =
  | { readonly kind: 'drain' }
  | { readonly kind: 'reload' }
  | { readonly kind: 'ask-metrics'; readonly id: number }
  | { readonly kind: 'metrics'; readonly id: number; readonly text: string };

/** Node's own messages between parent and child are left out. */
export function isOurs(message: unknown): message is { readonly kind: string } {
  return typeof message === 'object' && message !== null && 'kind' in message && typeof message.kind === 'string';
}
