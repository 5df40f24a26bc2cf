import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type TLSSocket } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createAuthority } from './certificates.ts';

describe('certificates of the tests', () => {
  it('a server and a client trust each other through the authority, by name and by address', async () => {
    const authority = await createAuthority();
    const server = await authority.issueServer(['localhost', '127.0.0.1', '::1']);
    const client = await authority.issueClient('admin', ['system:masters', 'second']);
    const listener = createServer({ ...server, ca: authority.cert, requestCert: true }, (socket) => {
      const { subject } = socket.getPeerCertificate();
      socket.end(JSON.stringify(subject));
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as AddressInfo;
    try {
      for (const servername of ['localhost', '127.0.0.1']) {
        const socket: TLSSocket = connect({
          port,
          host: '127.0.0.1',
          servername: servername === 'localhost' ? servername : '',
          ca: authority.cert,
          ...client,
        });
        const chunks: Buffer[] = [];
        socket.on('data', (chunk: Buffer) => chunks.push(chunk));
        await once(socket, 'end');
        expect(JSON.parse(Buffer.concat(chunks).toString())).toEqual({ CN: 'admin', O: ['system:masters', 'second'] });
      }
    } finally {
      listener.close();
    }
  });

  it('another authority vouches for none of it', async () => {
    const server = new X509Certificate((await (await createAuthority()).issueServer(['localhost'])).cert);
    const other = new X509Certificate((await createAuthority()).cert);
    expect(server.verify(other.publicKey)).toBe(false);
  });
});
