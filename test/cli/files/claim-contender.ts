// Takes the claim again and again, and writes down when it finds another process inside. Some are killed inside.
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createDeps } from '../../../cli/surroundings/process.ts';
import { takeClaim } from '../../../cli/files/claim.ts';

const [, , path = '', log = '', rounds = '', killAt = ''] = process.argv;
const deps = createDeps();
const busy = `${path}-busy`;

function enter(): void {
  try {
    writeFileSync(busy, String(process.pid), { flag: 'wx' });
  } catch {
    appendFileSync(log, `overlap of ${process.pid} and ${readFileSync(busy, 'utf8')}\n`);
  }
}

/* oxlint-disable no-await-in-loop -- one after the other is the point */
for (let round = 1; round <= Number(rounds); round++) {
  const claim = await takeClaim(path, { deps, deadline: 60_000, purpose: 'contending' });
  enter();
  appendFileSync(log, `in ${process.pid}\n`);
  await deps.clock.sleep(1);
  rmSync(busy);
  if (round === Number(killAt)) process.kill(process.pid, 'SIGKILL');
  claim.release();
}
