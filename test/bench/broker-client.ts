import http from 'node:http';
import https from 'node:https';

export interface Reply {
  readonly status: number;
  readonly text: string;
}

/** Connections that are kept, to one server. */
export interface Client {
  /** Rejects if there is no answer; whatever the answer is, it resolves. */
  send(method: string, path: string, headers: Readonly<Record<string, string>>, body: string): Promise<Reply>;
  close(): void;
}

/** As little as Node needs to send HTTP/1.1 over kept connections; both sides of a comparison are asked with it. */
export function connect(origin: string, ca?: string): Client {
  const { protocol, hostname, port } = new URL(origin);
  const secure = protocol === 'https:';
  const agent = secure ? new https.Agent({ keepAlive: true, ca }) : new http.Agent({ keepAlive: true });
  const { request } = secure ? https : http;
  return {
    send: (method, path, headers, body) =>
      new Promise((resolve, reject) => {
        const length = { 'content-length': Buffer.byteLength(body) };
        const call = request({ agent, hostname, port, method, path, headers: { ...headers, ...length } });
        call.once('error', reject);
        call.once('response', (message) => {
          const chunks: Buffer[] = [];
          message.on('data', (chunk: Buffer) => chunks.push(chunk));
          message.once('error', reject);
          message.once('end', () =>
            resolve({ status: message.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
          );
        });
        call.end(body);
      }),
    close: () => agent.destroy(),
  };
}

export interface Load {
  /** Milliseconds for all of them. */
  readonly took: number;
  /** Milliseconds of each. */
  readonly latencies: readonly number[];
}

/** Does it `count` times, `concurrency` at once. Rejects when one of them does. */
export async function load(count: number, concurrency: number, once: () => Promise<void>): Promise<Load> {
  const latencies: number[] = [];
  let left = count;
  const work = async () => {
    while (left > 0) {
      left -= 1;
      const began = performance.now();
      await once();
      latencies.push(performance.now() - began);
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: concurrency }, work));
  return { took: performance.now() - began, latencies };
}

/** The value that so much of them (0 to 1) do not exceed. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? NaN;
}
