/** A worker process for tests: answers a line of its port with its process id; `block` stops its loop, `fail` in its arguments its start. */
import { createServer, type Socket } from 'node:net';
import { Counter, Registry } from 'prom-client';
import { WorkerLink } from './worker-link.ts';

if (process.argv.includes('fail')) process.exit(3);
const registry = new Registry();
const lines = new Counter({ name: 'lines', help: 'Lines heard', registers: [registry] });
const link = new WorkerLink();
const open = new Set<Socket>();
const server = createServer((socket) => {
  open.add(socket);
  socket.on('close', () => open.delete(socket)).on('error', () => socket.destroy());
  socket.on('data', (data) => {
    lines.inc();
    const said = String(data).trim();
    if (said === 'block') for (;;);
    if (said === 'metrics') link.metricsOfAll().then((text) => socket.write(text), console.error);
    else socket.write(`${process.pid} ${said}\n`);
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  link.open([{ protocol: 'test', name: 'test', address: address.address, port: address.port, tls: 'none' }], {
    onReload: () => {
      for (const socket of open) socket.write('reloaded\n');
    },
    // As sessions do it: the last word, then the end.
    onDrain: () => {
      server.close(() => process.disconnect());
      for (const socket of open) socket.end('bye\n');
    },
    metrics: () => registry.getMetricsAsJSON(),
  });
});
