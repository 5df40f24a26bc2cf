// @ts-check
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

// node fetch.mjs URL FILE: over https, or http of this machine, with three attempts at what may pass.

const attempts = 3;
/** Milliseconds for one of them; bytes. */
const timeout = 120_000;
const most = 512 * 1024 * 1024;

const [url = '', file = ''] = process.argv.slice(2);

/** @param {string} address */
function isSafe(address) {
  const { protocol, hostname } = new URL(address);
  return protocol === 'https:' || /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(hostname);
}

/** @returns {Promise<string | undefined>} why it may be tried again; undefined when the file is there */
async function attempt() {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeout) }).catch((/** @type {Error} */ error) =>
    error.cause instanceof Error ? error.cause.message : error.message,
  );
  if (typeof response === 'string') return response;
  if (!isSafe(response.url)) throw new Error(`it leads to ${new URL(response.url).origin}, which is not https`);
  if (response.status === 429 || response.status >= 500) return `HTTP ${response.status}`;
  if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
  let size = 0;
  const body = response.body;
  await pipeline(async function* limited() {
    for await (const chunk of body) {
      size += chunk.length;
      if (size > most) throw new Error(`it is larger than ${most} bytes`);
      yield chunk;
    }
  }, createWriteStream(file));
  return undefined;
}

try {
  if (!isSafe(url)) throw new Error('it is not https');
  let why;
  for (let count = 1; count <= attempts; count += 1) {
    why = await attempt();
    if (why === undefined) break;
    if (count < attempts) await sleep(1000 * count);
  }
  if (why !== undefined) throw new Error(why);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
