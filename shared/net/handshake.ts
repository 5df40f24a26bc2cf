import type tls from 'node:tls';

/** Longer than any call waits: what connects for nobody any more ends by itself. */
const handshakeTimeout = 20_000;

/** Resolves when the handshake is over and somebody vouched for the server. */
export async function secured(socket: tls.TLSSocket): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' }));
    }, handshakeTimeout);
    // Not taken away: an error that comes before whoever gets the socket listens would end the process.
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
  });
}
