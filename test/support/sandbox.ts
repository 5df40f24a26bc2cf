import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { start } from './run.ts';

/** A network of its own for one pod: its loopback, and the ports of ours that it may reach. */
export interface Sandbox {
  /** For `nsenter --net=`. */
  readonly netns: string;
  /** Where a port of the pod is reached: a port of our loopback. */
  portOf(port: number): number;
  /** As a NetworkPolicy that changes: the pod reaches nothing any more, or all again. Connections that are there are cut. */
  block(blocked: boolean): void;
  stop(): Promise<void>;
}

// Sockets of the file system are the same in every network, so two forwarders that each know one side are a cable.
const inside = `
const net = require('node:net');
const { folder, reach, ports } = JSON.parse(process.argv[1]);
const join = (one, other) => { one.pipe(other).pipe(one); one.on('error', () => other.destroy()); other.on('error', () => one.destroy()); };
const open = [
  ...reach.map((port) => [port, '127.0.0.1', (socket) => join(socket, net.connect(folder + '/out-' + port))]),
  ...ports.map((port) => [folder + '/in-' + port, undefined, (socket) => join(socket, net.connect(port, '127.0.0.1'))]),
];
let left = open.length;
const ready = () => { if (--left <= 0) console.log('ready'); };
for (const [at, host, take] of open) net.createServer(take).listen(...(host ? [at, host] : [at]), ready);
if (open.length === 0) ready();
`;

function splice(one: Socket, other: Socket): void {
  one.pipe(other).pipe(one);
  one.on('error', () => other.destroy());
  other.on('error', () => one.destroy());
}

/**
 * Needs root. `reach`: ports of our loopback that the pod finds on its own; `ports`: those that it listens on, each with
 * the port of ours at which it is reached, or 0 for any.
 */
export async function openSandbox(reach: readonly number[], ports: ReadonlyMap<number, number>): Promise<Sandbox> {
  // A socket's path has 107 bytes at most.
  const sockets = await mkdtemp('/tmp/kleis-pod-');
  const servers: Server[] = [];
  const local = new Map<number, number>();
  const outgoing = new Set<Socket>();
  let blocked = false;
  for (const port of reach) {
    const server = createServer((socket) => {
      if (blocked) return void socket.destroy();
      outgoing.add(socket);
      socket.once('close', () => outgoing.delete(socket));
      splice(socket, connect(port, '127.0.0.1'));
    });
    servers.push(server);
    await once(server.listen(join(sockets, `out-${port}`)), 'listening');
  }
  const script = 'ip link set lo up; exec "$@"';
  const argument = JSON.stringify({ folder: sockets, reach, ports: [...ports.keys()] });
  const helper = start(
    'unshare',
    ['--net', 'setpriv', '--pdeathsig', 'KILL', 'sh', '-c', script, 'sh', process.execPath, '-e', inside, argument],
    { env: { PATH: process.env['PATH'] ?? '', HOME: sockets }, timeout: 3_600_000 },
  );
  await helper.waitFor(/ready/, 30_000);
  for (const [port, at] of ports) {
    const server = createServer((socket) => splice(socket, connect(join(sockets, `in-${port}`))));
    servers.push(server);
    await once(server.listen(at, '127.0.0.1'), 'listening');
    local.set(port, (server.address() as AddressInfo).port);
  }
  return {
    netns: `/proc/${helper.pid}/ns/net`,
    portOf: (port) => local.get(port) ?? 0,
    block(now) {
      blocked = now;
      if (now) for (const socket of outgoing) socket.destroy();
    },
    async stop() {
      for (const server of servers) server.close();
      helper.kill('SIGKILL');
      await helper.done;
      await rm(sockets, { recursive: true, force: true });
    },
  };
}
