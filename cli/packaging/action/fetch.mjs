// @ts-check
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

// node fetch.mjs URL FILE: over https, or http of this machine, with three attempts at what may pass.

const attempts = 3;
const redirects = 5;
/** Milliseconds for one of them; bytes. */
const timeout = 120_000;
const most = 512 * 1024 * 1024;

const [url = '', file = ''] = process.argv.slice(2);

/** No further attempt mends it. */
class Final extends Error {}

/** @param {string} address */
function isSafe(address) {
  const { protocol, hostname } = new URL(address);
  return protocol === 'https:' || /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(hostname);
}

/** Follows to safe places only. @param {string} address @param {number} left @returns {Promise<Response>} */
async function open(address, left = redirects) {
  if (!isSafe(address)) throw new Final(`${new URL(address).origin} is not https`);
  const response = await fetch(address, { signal: AbortSignal.timeout(timeout), redirect: 'manual' });
  const next = response.headers.get('location');
  if (response.status < 300 || response.status > 399 || next === null) return response;
  if (left === 0) throw new Final(`more than ${redirects} redirects`);
  return open(new URL(next, address).href, left - 1);
}

async function attempt() {
  const response = await open(url);
  if (!response.ok || response.body === null) {
    const mayPass = response.status === 429 || response.status >= 500;
    throw new (mayPass ? Error : Final)(`HTTP ${response.status}`);
  }
  let size = 0;
  const body = response.body;
  await pipeline(async function* limited() {
    for await (const chunk of body) {
      size += chunk.length;
      if (size > most) throw new Final(`it is larger than ${most} bytes`);
      yield chunk;
    }
  }, createWriteStream(file));
}

for (let count = 1; count <= attempts; count += 1) {
  try {
    await attempt();
    break;
  } catch (error) {
    if (count === attempts || error instanceof Final) {
      // `fetch` says why in its cause.
      const why = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      process.stderr.write(`${why instanceof Error ? why.message : String(why)}\n`);
      process.exitCode = 1;
      break;
    }
    await sleep(1000 * count);
  }
}
