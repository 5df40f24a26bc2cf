import { WebSocket } from 'undici';

/** The heap of a Node that was started with `--inspect=127.0.0.1:0`. */
export interface Inspector {
  /** Bytes that live after a collection. */
  heap(): Promise<number>;
  close(): void;
}

/** `log`: what it has said; the address of its inspector stands there. */
export async function inspect(log: string): Promise<Inspector> {
  const [, address] = /Debugger listening on (ws:\S+)/.exec(log) ?? [];
  if (address === undefined) throw new Error('it was not started with --inspect');
  const socket = new WebSocket(address);
  const waiting = new Map<number, (result: unknown) => void>();
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown };
    if (id === undefined) return;
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve());
    socket.addEventListener('error', () => reject(new Error(`no inspector at ${address}`)));
  });
  let last = 0;
  const call = async (method: string) =>
    new Promise<unknown>((resolve) => {
      last += 1;
      waiting.set(last, resolve);
      socket.send(JSON.stringify({ id: last, method }));
    });
  return {
    async heap() {
      await call('HeapProfiler.collectGarbage');
      const { usedSize } = (await call('Runtime.getHeapUsage')) as { usedSize: number };
      return usedSize;
    },
    close: () => socket.close(),
  };
}
