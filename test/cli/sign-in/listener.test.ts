import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { listenForCallback } from '../../../cli/sign-in/listener.ts';

const address = { host: '127.0.0.1', port: 0, redirectUri: (port: number) => `http://127.0.0.1:${port}/callback` };

async function idle(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.once('error', reject);
    socket.on('error', () => undefined).resume();
  });
}

test.each([64, 200])('%i idle connections of this machine do not keep the callback out', async (number) => {
  const listener = await listenForCallback([address], 's', 'login.example.com', () => undefined);
  const sockets: Socket[] = [];
  try {
    const { port } = new URL(listener.redirectUri);
    for (let made = 0; made < number; made += 1) sockets.push(await idle(Number(port)));
    const page = fetch(`${listener.redirectUri}?code=c&state=s`);
    const arrived = await listener.next(AbortSignal.timeout(5000));
    // Nor do those that come while its answer is awaited.
    for (let made = 0; made < 100; made += 1) sockets.push(await idle(Number(port)));
    await arrived.finish({ kind: 'signed-in', name: undefined });
    expect(await (await page).text()).toContain('You are signed in');
  } finally {
    for (const socket of sockets) socket.destroy();
    await listener.close();
  }
});

test('an error that names no sign-in is told once, ends nothing, and its text is on no page', async () => {
  const told: string[] = [];
  const listener = await listenForCallback([address], 's', 'login.example.com', (parameters) =>
    told.push(String(parameters)),
  );
  try {
    for (const error of ['invalid_scope', 'access_denied']) {
      const answer = await fetch(`${listener.redirectUri}?error=${error}&error_description=forged`);
      expect(answer.status).toBe(400);
      expect(await answer.text()).not.toContain('forged');
    }
    expect(told).toEqual(['error=invalid_scope&error_description=forged']);
    const page = fetch(`${listener.redirectUri}?code=c&state=s`);
    const arrived = await listener.next(AbortSignal.timeout(5000));
    await arrived.finish({ kind: 'signed-in', name: undefined });
    expect((await page).status).toBe(200);
  } finally {
    await listener.close();
  }
});
