import { describe, expect, it } from 'vitest';
import { needs } from './needs.ts';
import { run, start } from './run.ts';

const env = { PATH: process.env['PATH'] ?? '', ONLY: 'this' };

describe('running programs', () => {
  it('gives code, stdout and stderr apart, and the environment that was given and no other', async () => {
    const script = 'cat; echo "$ONLY $HOME" >&2; exit 3';
    const result = await run('/bin/sh', ['-c', script], { env, stdin: 'in' });
    expect(result).toMatchObject({ code: 3, stdout: 'in', stderr: 'this \n' });
  });

  it('ends what does not end', async () => {
    const running = start('/bin/sh', ['-c', 'echo begun; exec sleep 60'], { env, timeout: 300 });
    await running.waitFor(/begun/);
    await expect(running.done).rejects.toThrow(/still running after 300 ms/);
    expect(() => process.kill(running.pid, 0)).toThrow(/ESRCH/);
  });

  it('says what came instead of what was waited for', async () => {
    const running = start('/bin/sh', ['-c', 'echo other >&2'], { env });
    await expect(running.waitFor(/this/)).rejects.toThrow(/did not say \/this\/.*stderr: other/);
  });

  it.skipIf(!needs('script'))('gives a terminal when asked', async () => {
    const result = await run('/bin/sh', ['-c', "test -t 0 && test -t 2 && echo it\\'s one"], { env, tty: true });
    expect(result).toMatchObject({ code: 0, stdout: expect.stringContaining("it's one") });
  });
});
