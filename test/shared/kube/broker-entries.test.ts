import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { contextNames, subjectFlags, toArguments } from '../../../shared/kube/broker-entries.ts';

const broker = 'https://kleis.example.com';
const issuer = { name: 'ci', issuer: 'https://ci.example.com', audience: broker };

describe('how to get a token that a broker takes', () => {
  it.each([
    ['github', ['--identity=github']],
    ['gitlab', ['--identity=gitlab']],
    ['circleci', ['--identity=circleci']],
    ['buildkite', ['--identity=buildkite']],
    ['kubernetes', ['--identity=kubernetes']],
    ['jenkins', ['--identity=env:KLEIS_ID_TOKEN']],
  ])('a job of %s signs in nowhere', (platform, args) => {
    expect(toArguments(subjectFlags({ broker }, { ...issuer, platform }))).toEqual(args);
  });

  it('a job whose token is for something else than the broker’s address says so', () => {
    const flags = subjectFlags({ broker }, { ...issuer, audience: 'kleis', platform: 'gitlab' });
    expect(toArguments(flags)).toEqual(['--audience=kleis', '--identity=gitlab']);
  });

  it('a person signs in with what the issuer says, also where jobs have its tokens', () => {
    const sign_in = { client_id: 'kleis-cli', scopes: ['groups', 'email'], certificate_authority: 'PEM' };
    expect(toArguments(subjectFlags({ broker }, { ...issuer, platform: 'gitlab', sign_in }))).toEqual([
      '--issuer-url=https://ci.example.com',
      '--client-id=kleis-cli',
      '--certificate-authority-data=UEVN',
      '--scope=groups',
      '--scope=email',
    ]);
  });

  it.each([undefined, 'entra', 'other'])('where nothing else is known (%s) the audience is the client', (platform) => {
    const flags = subjectFlags({ broker }, { ...issuer, audience: 'kleis', ...(platform && { platform }) });
    expect(flags).toEqual({ issuerUrl: issuer.issuer, clientId: 'kleis' });
  });
});

test('no two grants have one context', () => {
  const name = fc.stringMatching(/^[a-z]([a-z-]{0,3}[a-z])?$/);
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.record({ name, cluster: name }), { selector: (grant) => grant.name, maxLength: 12 }),
      (grants) => {
        const names = contextNames(grants);
        expect(names.size).toBe(grants.length);
        expect(new Set(names.values()).size).toBe(grants.length);
      },
    ),
    { numRuns: 2000 },
  );
});
