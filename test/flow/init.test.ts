import { copyFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Cluster } from '../support/cluster.ts';
import { converse } from '../support/converse.ts';
import { needs } from '../support/needs.ts';
import { createWorld, said, type World } from './world.ts';

// `kleis init` at a terminal, from nothing to kubectl. Wrong answers are in test/cli/commands/init.test.ts.

const kubectl = needs('kubectl-new') ?? needs('kubectl');

describe.skipIf(!needs('script') || !needs('kube') || kubectl === undefined)(
  'a person with a terminal and a URL',
  () => {
    let world: World;
    let cluster: Cluster;
    beforeAll(async () => {
      world = await createWorld();
      cluster = await world.startCluster('1.36');
    }, 60_000);
    afterEach(() => world.removePeople());
    afterAll(() => world?.end());

    it('comes to kubectl by answers alone; the entry then needs no file, and nobody signs in again', async () => {
      const person = await world.person();
      const ca = join(person.home, 'cluster.crt');
      await copyFile(cluster.caFile, ca);
      const running = person.start('kleis', ['init'], { tty: true, timeout: 60_000 });
      await converse(running, [
        [/That address .*: $/, ''],
        [/address of the API server.*: $/, new URL(cluster.server).host],
        [/certificate of its authority.*: $/, ca],
        [/It answers: Kubernetes v1\.36[^]*name of the context.*: $/, 'prod'],
        [/issuer of your single sign-on.*: $/, `${world.provider.issuer}/`],
        // The authority is right, and the address is not.
        [/certificate of its authority.*: $/, person.providerCaFile],
        [/slash at the end matters[^]*issuer of your single sign-on.*: $/, world.provider.issuer],
        [/client that is registered.* \[kleis\]: $/, ''],
        [/scopes .* \[email groups\]: $/, ''],
        [
          /ok +identity +The API server sees oidc:alice@example\.com[^]*adds the user "kleis-prod"[^]*Write it\? \[y\/N\] $/,
          'y',
        ],
      ]);
      const { code, stdout } = await running.done;
      expect({ code, stdout }).toEqual({
        code: 0,
        stdout: expect.stringMatching(/Try it: kubectl --context prod get pods\s+$/),
      });
      expect(stdout).not.toMatch(/eyJ/);
      expect(await person.windows()).toHaveLength(1);

      await Promise.all([rm(ca), rm(person.providerCaFile)]);
      expect(await readFile(person.kubeconfig, 'utf8')).not.toContain(person.home);
      const whoami = await person.run(kubectl!, ['--context', 'prod', 'auth', 'whoami', '-o', 'json']);
      expect(said(whoami)).toMatchObject({ code: 0, stdout: expect.stringContaining('oidc:alice@example.com') });
      expect(await person.windows()).toHaveLength(1);
    }, 90_000);

    it('Ctrl-C in the middle of the sign-in ends all of it, and there is no kubeconfig', async () => {
      const person = await world.person({ login: 'paste' });
      const running = person.start('kleis', ['init'], { tty: true, timeout: 60_000 });
      await converse(running, [
        [/That address .*: $/, ''],
        [/address of the API server.*: $/, cluster.server],
        [/certificate of its authority.*: $/, cluster.caFile],
        [/name of the context.*: $/, ''],
        [/issuer of your single sign-on.*: $/, world.provider.issuer],
        [/certificate of its authority.*: $/, person.providerCaFile],
        [/client that is registered.*: $/, ''],
        [/scopes .*: $/, ''],
        [/Paste that address here:\s[^]*$/, '\u0003'],
      ]);
      const { code, stdout } = await running.done;
      expect({ code, stdout }).toEqual({ code: 3, stdout: expect.stringContaining('The sign-in was cancelled.') });
      await expect(readFile(person.kubeconfig)).rejects.toThrow('ENOENT');
    }, 60_000);

    it.each([
      ['Ctrl-C', '\u0003', /error: Interrupted\.\s+next: /],
      ['Ctrl-D', '\u0004', /error: The input ended before all was answered/],
    ])('%s at a question ends it with 130, and there is no kubeconfig', async (_, key, why) => {
      const person = await world.person();
      const running = person.start('kleis', ['init'], { tty: true });
      await converse(running, [
        [/That address .*: $/, ''],
        [/address of the API server.*: $/, key],
      ]);
      const { code, stdout } = await running.done;
      expect({ code, stdout }).toEqual({ code: 130, stdout: expect.stringMatching(why) });
      await expect(readFile(person.kubeconfig)).rejects.toThrow('ENOENT');
    });
  },
);
