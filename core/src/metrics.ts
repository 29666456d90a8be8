/** Prometheus metrics of a server: process, sessions, accounts, and each plugin's hooks. No user names, no unbounded labels. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, type MetricObject, Registry } from 'prom-client';
import type { HookMetrics } from './plugins/metrics.ts';

const HOOK_BUCKETS = [0.0001, 0.001, 0.01, 0.1, 1, 10];

export interface ServerMetrics {
  readonly hooks: HookMetrics;
  gauge(name: string, help: string, read: () => number): void;
  text(): Promise<string>;
  /** The same, to be added to those of other processes. */
  json(): Promise<readonly MetricObject[]>;
}

export function createMetrics(): ServerMetrics {
  const registry = new Registry();
  const hookSeconds = new Histogram({
    name: 'pochard_hook_seconds',
    help: 'Seconds that a plugin took at a hook, by outcome',
    labelNames: ['plugin', 'hook', 'outcome'] as const,
    buckets: HOOK_BUCKETS,
    registers: [registry],
  });
  const divergence = new Counter({
    name: 'pochard_hook_divergence',
    help: 'Calls whose result a shadow plugin would have changed',
    labelNames: ['plugin', 'hook'] as const,
    registers: [registry],
  });
  let hasDefaults = false;
  // Only a server that is asked for metrics pays for the loop monitor.
  const complete = (): Registry => {
    if (!hasDefaults) collectDefaultMetrics({ register: registry });
    hasDefaults = true;
    return registry;
  };
  return {
    hooks: {
      tap(plugin, hook) {
        return { record: (outcome, seconds) => hookSeconds.labels(plugin, hook, outcome).observe(seconds) };
      },
      divergence: (plugin, hook) => divergence.labels(plugin, hook).inc(),
      counter(plugin, name, help) {
        const full = `pochard_plugin_${plugin}_${name}`.replaceAll(/[^a-zA-Z0-9_]/g, '_');
        const known = registry.getSingleMetric(full);
        const counter = known instanceof Counter ? known : new Counter({ name: full, help, registers: [registry] });
        return { add: (n = 1) => counter.inc(n) };
      },
    },
    gauge(name, help, read) {
      new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      });
    },
    text: () => complete().metrics(),
    json: () => complete().getMetricsAsJSON(),
  };
}
