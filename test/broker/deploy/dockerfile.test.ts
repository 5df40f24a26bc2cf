import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configOf } from '../../../broker/deploy/image/make.ts';
import { nodeVersion } from '../../../broker/deploy/image/node.ts';
import { needs } from '../../support/needs.ts';
import { kubectl } from '../../../broker/deploy/image/pins.ts';

const text = readFileSync('broker/deploy/image/Dockerfile', 'utf8').replaceAll('\\\n', ' ');
const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
/** Instructions by the stage that they are in. */
const stages = new Map<string, string[]>();
for (const line of lines) {
  const [, name] = /^FROM .* AS (\S+)$/.exec(line) ?? [];
  if (name === undefined) [...stages.values()].at(-1)?.push(line);
  else stages.set(name, [line]);
}

describe('the Dockerfile', () => {
  it('begins with images by their digests alone, and ends with the broker', () => {
    const others = lines.filter((line) => line.startsWith('FROM ')).map((line) => line.split(' ')[1] ?? '');
    const outside = others.filter(
      (name) => name !== 'scratch' && !stages.has(name) && name !== 'kubectl-${TARGETARCH}',
    );
    expect(outside).toHaveLength(3);
    for (const name of outside) expect(name).toMatch(/^[a-z.]+\/\S+:\S+@sha256:[0-9a-f]{64}$/);
    expect([...stages.keys()].at(-1)).toBe('broker');
  });

  it('takes the Node and the kubectl that the pins name', () => {
    for (const architecture of ['amd64', 'arm64'] as const) {
      expect(stages.get('build')?.[0]).toContain(`/node:${nodeVersion(architecture)}-`);
      const [add = ''] = stages.get(`kubectl-${architecture}`)?.slice(1) ?? [];
      expect(add).toContain(`--checksum=sha256:${kubectl[architecture]} `);
      expect(add).toContain(`/v${kubectl.version}/bin/linux/${architecture}/kubectl `);
    }
    const workflow = readFileSync('.github/workflows/release.yml', 'utf8');
    expect(workflow).toContain(`https://dl.k8s.io/release/v${kubectl.version}/bin/linux/$each/kubectl`);
  });

  // The labels name the revision.
  it.skipIf(!needs('git')).each(['broker', 'ci'] as const)(
    'starts %s as the archive does, with the same labels',
    (target) => {
      const { User, Entrypoint, Cmd, Env, WorkingDir, ExposedPorts, StopSignal, Labels } = configOf(target);
      const all = (word: string) =>
        (stages.get(target) ?? [])
          .filter((line) => line.startsWith(`${word} `))
          .map((line) => line.slice(word.length + 1));
      expect(all('USER')).toEqual([User]);
      expect(all('ENTRYPOINT').map((each) => JSON.parse(each))).toEqual(Entrypoint === undefined ? [] : [Entrypoint]);
      expect(all('CMD').map((each) => JSON.parse(each))).toEqual([Cmd]);
      expect(all('STOPSIGNAL')).toEqual([StopSignal]);
      expect(all('WORKDIR')).toEqual([WorkingDir]);
      expect(all('ENV').join(' ').split(' ')).toEqual(Env.filter((each) => !each.startsWith('PATH=')));
      expect(all('EXPOSE').join(' ')).toBe(
        Object.keys(ExposedPorts ?? {})
          .map((each) => each.replace('/tcp', ''))
          .join(' '),
      );
      const labels = Array.from(
        all('LABEL')
          .join(' ')
          .matchAll(/(\S+)="([^"]*)"/g),
        ([, key = '', value = '']) => [key, value],
      );
      const wanted = { version: '${VERSION}', revision: '${REVISION}' };
      const given = Object.entries(wanted).map(([key, value]) => [`org.opencontainers.image.${key}`, value]);
      expect(Object.fromEntries(labels)).toEqual({ ...Labels, ...Object.fromEntries(given) });
    },
  );
});
