import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built } from '../../support/built.ts';
import { createAuthority } from '../../support/certificates.ts';
import { createPerson, type Person } from '../../support/kleis.ts';
import { makeToken } from '../identity/world.ts';

// What `kleis token` prints of a cluster is copied to other places: it is checked as `kubeconfig add` checks it.

let person: Person;
let both: string;
let certificate: string;

beforeAll(async () => {
  person = await createPerson({ ...(await built()) });
  const { cert, key } = await (await createAuthority()).issueServer(['localhost']);
  certificate = cert;
  both = join(person.home, 'both.pem');
  await writeFile(both, cert + key);
});

afterAll(async () => person?.remove());

const server = 'https://prod.test:6443';
const now = Math.floor(Date.now() / 1000);
const env = { TOKEN: makeToken({ iat: now, exp: now + 3600, aud: 'kleis' }) };
const identity = ['--identity', 'env:TOKEN', '--audience', 'kleis'];
const token = (...args: string[]) => person.run('kleis', ['token', ...identity, ...args], { env });
const add = (...args: string[]) =>
  person.run('kleis', ['kubeconfig', 'add', 'x', ...identity, '--kubeconfig', join(person.home, 'new'), ...args]);

describe.each(['kubeconfig', 'env'])('-o %s', (output) => {
  it.each([
    ['a private key', () => ['--server', server, '--cluster-certificate-authority', both], /private key/, 6],
    ['a password in the server', () => ['--server', 'https://u:p@a.example'], /user name or password/, 2],
    ['a query in the server', () => ['--server', 'https://a.example/?x'], /query or fragment/, 2],
    ['a fragment in the server', () => ['--server', 'https://a.example/#'], /query or fragment/, 2],
    ['http', () => ['--server', 'http://a.example'], /https:\/\//, 2],
    ['a name that moves the cursor', () => ['--server', server, '--tls-server-name', 'a\u001b[2J'], /control/, 2],
    ['a namespace that cannot be', () => ['--server', server, '--namespace', 'Web_1'], /--namespace/, 2],
  ])('prints nothing for %s, which `kubeconfig add` refuses in the same words', async (_, flags, why, code) => {
    const printed = await token('-o', output, ...flags());
    expect(printed).toMatchObject({ code, stdout: '' });
    expect(printed.stderr).toMatch(why);
    expect(await add(...flags())).toMatchObject({ code, stderr: printed.stderr });
  });

  it('prints no private key that the kubeconfig itself names or holds', async () => {
    const data = Buffer.from(`${certificate}-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----`);
    for (const authority of [
      { 'certificate-authority': both },
      { 'certificate-authority-data': data.toString('base64') },
    ]) {
      const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'kleis-credential', args: identity };
      const kubeconfig = join(person.home, 'theirs');
      const whole = {
        clusters: [{ name: 'x', cluster: { server, ...authority } }],
        users: [{ name: 'x', user: { exec } }],
        contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
      };
      await writeFile(kubeconfig, JSON.stringify(whole));
      const args = ['token', '-o', output, '--kubeconfig', kubeconfig, '--context', 'x'];
      expect(await person.run('kleis', args, { env })).toMatchObject({
        code: 6,
        stdout: '',
        stderr: expect.stringContaining('it holds a private key'),
      });
    }
  });
});
