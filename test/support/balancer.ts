import { connect, createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds. A kubelet asks each few seconds, and its cluster needs a second to tell every node: here all is faster. */
const probeEvery = 100;
const toldAfter = 300;
/** Of probes one after the other, as a Deployment has it unless told otherwise. */
const failuresUntilUnready = 3;

export interface Endpoint {
  readonly url: string;
  /** One probe of its readiness. */
  readonly isReady: () => Promise<boolean>;
}

export interface Balancer {
  readonly url: string;
  add(endpoint: Endpoint): void;
  /** Resolves when connections come to it. */
  whenReady(endpoint: Endpoint): Promise<void>;
  /** As if its pod was deleted; connections come to it for a moment longer, until every node was told. */
  remove(endpoint: Endpoint): void;
  stop(): Promise<void>;
}

interface Member {
  ready: boolean;
  failures: number;
}

/**
 * Passes connections on to what is ready, one after the other, as a Service does: it knows nothing of what goes through,
 * and a connection that cannot be made is the caller's trouble.
 */
export async function startBalancer(): Promise<Balancer> {
  const members = new Map<Endpoint, Member>();
  const sockets = new Set<Socket>();
  let turn = 0;
  const stopped = new AbortController();
  const server = createServer((client) => {
    const ready = [...members].filter(([, member]) => member.ready).map(([endpoint]) => endpoint);
    const chosen = ready[(turn += 1) % ready.length];
    if (chosen === undefined) {
      client.destroy();
      return;
    }
    const { hostname, port } = new URL(chosen.url);
    const upstream = connect(Number(port), hostname);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroySoon();
      });
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const probing = (async () => {
    while (!stopped.signal.aborted) {
      await Promise.all(
        Array.from(members, async ([endpoint, member]) => {
          const isReady = await endpoint.isReady().catch(() => false);
          member.failures = isReady ? 0 : member.failures + 1;
          if (isReady) member.ready = true;
          else if (member.failures >= failuresUntilUnready) member.ready = false;
        }),
      );
      await sleep(probeEvery);
    }
  })();
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    add: (endpoint) => void members.set(endpoint, { ready: false, failures: 0 }),
    async whenReady(endpoint) {
      while (members.get(endpoint)?.ready !== true) await sleep(probeEvery);
    },
    remove: (endpoint) => void setTimeout(() => members.delete(endpoint), toldAfter),
    async stop() {
      stopped.abort();
      await probing;
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
