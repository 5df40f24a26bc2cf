import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { built } from '../../support/built.ts';
import { createPerson, type Person } from '../../support/kleis.ts';
import { needs } from '../../support/needs.ts';
import type { Running } from '../../support/run.ts';

// Real shells on a terminal, with names that others chose: what the Tab key puts on the line is one word, and runs nothing.

let person: Person;
const ran = () => join(person.home, 'RAN');
const said = () => join(person.home, 'arguments');
/** Each with a beginning of its own, which is what the person types. */
const hostile = () => [
  `p1$(touch ${ran()})`,
  `p2\`touch ${ran()}\``,
  `p3'"q`,
  `p4 s;touch ${ran()}`,
  String.raw`p5\back!h$HOME`,
  'p6~*?[x]{a,b}&|<>#^()',
  'p7:x=y/z',
  'p8ü%',
];

beforeAll(async () => {
  person = await createPerson(await built());
  const names = [...hostile(), `p9\ntouch ${ran()}`, `p9\u001b[2J`, 'p9\u200b'];
  await mkdir(dirname(person.kubeconfig), { recursive: true });
  await writeFile(
    person.kubeconfig,
    stringify({
      contexts: names.map((name) => ({ name, context: { cluster: 'c', user: 'u' } })),
      clusters: [{ name: 'c', cluster: { server: 'https://c.example.com' } }],
      users: names.map((name) => ({
        name,
        user: {
          exec: {
            apiVersion: 'client.authentication.k8s.io/v1',
            command: 'kleis-credential',
            args: ['--issuer-url=https://login.example.com', '--broker=https://kleis.example.com', `--grant=${name}`],
          },
        },
      })),
    }),
  );
  const record = join(person.bin, 'record');
  await writeFile(record, `#!/bin/sh\nprintf '%s\\0' "$@" >'${said()}.new' && mv '${said()}.new' '${said()}'\n`, {
    mode: 0o755,
  });
});
afterAll(() => person.remove());

const shells = {
  bash: {
    args: ['--norc', '--noprofile', '-i'],
    setUp: `set +o histexpand; bind 'set enable-bracketed-paste off'; source <(kleis completion bash); kleis() { record "$@"; }`,
  },
  zsh: {
    args: ['-f', '-i'],
    setUp: `autoload -U compinit && compinit -u -D; source <(kleis completion zsh); kleis() { record "$@" }`,
  },
  fish: {
    args: ['--no-config', '-i'],
    setUp: `kleis completion fish | source; function kleis; record $argv; end`,
  },
} as const;

/** Types a line with Tab keys in it, and gives the arguments that the shell then ran `kleis` with. */
async function typed(shell: Running, line: string): Promise<string[]> {
  await rm(said(), { force: true });
  // The shell takes the keys one after the other: it reads the last one when the completion is there.
  shell.stdin?.write(`${line}\r`);
  const deadline = Date.now() + 15_000;
  while (!existsSync(said())) {
    if (Date.now() > deadline) throw new Error(`nothing ran for ${line}: ${shell.stdout().slice(-400)}`);
    await sleep(10);
  }
  return (await readFile(said(), 'utf8')).split('\0').slice(0, -1);
}

async function open(name: keyof typeof shells): Promise<Running> {
  const { args, setUp } = shells[name];
  const shell = person.start(name, args, { tty: true, timeout: 90_000, env: { TERM: 'xterm' } });
  shell.stdin?.write(`${setUp}; echo REA''DY\r`);
  await shell.waitFor(/READY/, 30_000);
  return shell;
}

describe.each(Object.keys(shells) as (keyof typeof shells)[])('%s', (name) => {
  it.skipIf(!needs(name) || !needs('script'))(
    'puts hostile names on the line as one word, and runs nothing of them',
    async () => {
      const shell = await open(name);
      for (const value of hostile()) {
        expect(await typed(shell, `kleis login --context ${value.slice(0, 2)}\t`)).toEqual([
          'login',
          '--context',
          value,
        ]);
      }
      const [first = '', , , blank = '', , , colon = ''] = hostile();
      for (const value of [blank, colon]) {
        expect(await typed(shell, `kleis login --context=${value.slice(0, 2)}\t`)).toEqual([
          'login',
          `--context=${value}`,
        ]);
      }
      expect(await typed(shell, 'kleis explain --grant p1\t')).toEqual(['explain', '--grant', first]);
      // Within quotes as well, and after a part that is quoted; commands and choices too.
      expect(await typed(shell, `kleis login --context "p7\t`)).toEqual(['login', '--context', 'p7:x=y/z']);
      expect(await typed(shell, String.raw`kleis login --context p4\ s` + '\t')).toEqual(['login', '--context', blank]);
      expect(await typed(shell, 'kleis kubec\tad\tx')).toEqual(['kubeconfig', 'add', 'x']);
      expect(await typed(shell, 'kleis help kubeconfig rem\t')).toEqual(['help', 'kubeconfig', 'remove']);
      // What cannot be seen cannot be typed.
      expect(await typed(shell, 'kleis login --context p9\t')).toEqual(['login', '--context', 'p9']);
      expect(existsSync(ran())).toBe(false);
      shell.kill();
    },
  );
});
